//! Classes of pydantic whose fields are variables: `BaseSettings`, of pydantic 1 and of pydantic-settings.

use std::collections::{HashMap, HashSet};

use ruff_python_ast::{Expr, ExprCall, Stmt, StmtClassDef};
use ruff_text_size::{Ranged as _, TextRange};

use super::{
    names::{Candidate, Names},
    uses::{Gives, Read},
};
use crate::reference::{Kind, Missing, Name};

/// So many classes are followed to what they derive from, and so deep are models within one another.
const BASES: usize = 8;
const NESTED: usize = 3;

/// So many times its own length is told of what the objects of a file read.
const BUDGET: usize = 2;

/// Which pydantic it is: they name variables differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A field, as what becomes of it without its variables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'t> {
    pub(super) name: &'t str,
    /// Those that have one number serve for one another.
    pub(super) group: usize,
    pub(super) is_required: bool,
    /// Where the class says it, as a literal.
    pub(super) default: Option<&'t Expr>,
    /// Whether upper and lower case are the same to it.
    pub(super) any_case: bool,
    /// Whether the object is made in another file.
    pub(super) is_elsewhere: bool,
}

/// What a class says about the names of its variables.
#[derive(Debug, Clone)]
struct Config {
    version: Version,
    /// Nothing where the code makes it while it runs.
    prefix: Option<String>,
    is_case_sensitive: bool,
    delimiter: Option<String>,
    by_name: bool,
    /// Whether something else than the environment may give values.
    has_sources: bool,
}

/// A field of a class.
#[derive(Debug, Clone)]
struct Declared<'t> {
    name: &'t str,
    at: TextRange,
    kind: &'t Expr,
    /// The call of `Field` that describes it.
    described: Vec<&'t ExprCall>,
    value: Option<&'t Expr>,
}

/// A name of a variable, and the place that says it.
type Named = (String, TextRange);

/// Finds what the settings of a file read.
pub(super) struct Settings<'n, 't> {
    names: &'n Names<'t>,
    versions: HashMap<usize, Option<Version>>,
    /// How much of inherited fields is still told: as much as the file is long.
    budget: usize,
    groups: usize,
    pub(super) reads: Vec<Read<'t>>,
    /// What is read, in both cases.
    pub(super) words: Vec<u32>,
}

impl<'n, 't> Settings<'n, 't> {
    pub(super) fn of(names: &'n Names<'t>) -> Self {
        let mut settings = Self {
            names,
            versions: HashMap::new(),
            budget: names.length().saturating_mul(BUDGET),
            groups: 0,
            reads: Vec::new(),
            words: Vec::new(),
        };
        if names.imports_any("pydantic") {
            settings.find();
        }
        settings
    }

    fn find(&mut self) {
        let names = self.names;
        let mut made: HashSet<usize> = HashSet::new();
        for Candidate { expression, scope, .. } in &names.candidates {
            let Expr::Call(call) = expression else { continue };
            let Some((class, body)) = names.class(&call.func, *scope) else { continue };
            if let Some(version) = self.version(class, body, BASES) {
                made.insert(body);
                self.object(class, body, version, Some(call));
            }
        }
        let mut bases: HashSet<usize> = HashSet::new();
        for (class, body) in &names.classes {
            let parents = class.bases().iter().filter_map(|base| names.class(base, *body));
            bases.extend(parents.map(|(_, scope)| scope));
        }
        for (class, body) in &names.classes {
            // What others derive from is made as one of them.
            if made.contains(body) || bases.contains(body) {
                continue;
            }
            if let Some(version) = self.version(class, *body, BASES) {
                self.object(class, *body, version, None);
            }
        }
    }

    /// Which settings a class is; nothing for other classes.
    fn version(&mut self, class: &'t StmtClassDef, body: usize, deep: usize) -> Option<Version> {
        if let Some(known) = self.versions.get(&body) {
            return *known;
        }
        let names = self.names;
        let version = class.bases().iter().find_map(|base| match names.path(base, body).as_deref() {
            Some(
                "pydantic.BaseSettings" | "pydantic.v1.BaseSettings" | "pydantic.env_settings.BaseSettings",
            ) => Some(Version::One),
            Some("pydantic_settings.BaseSettings" | "pydantic_settings.main.BaseSettings") => {
                Some(Version::Two)
            }
            _ => {
                let (parent, scope) = names.class(base, body).filter(|(_, scope)| *scope != body)?;
                deep.checked_sub(1).and_then(|deep| self.version(parent, scope, deep))
            }
        });
        self.versions.insert(body, version);
        version
    }

    /// The fields of a class and of those that it derives from, and what they say about names.
    fn described(
        &self,
        class: &'t StmtClassDef,
        body: usize,
        version: Version,
    ) -> (Vec<Declared<'t>>, Config) {
        let mut line = vec![(class, body)];
        while line.len() < BASES {
            let (last, scope) = line[line.len() - 1];
            let parent = last.bases().iter().find_map(|base| self.names.class(base, scope));
            match parent {
                Some((parent, of)) if line.iter().all(|(_, known)| *known != of) => line.push((parent, of)),
                _ => break,
            }
        }
        let mut config = Config {
            version,
            prefix: Some(String::new()),
            is_case_sensitive: false,
            delimiter: None,
            by_name: false,
            has_sources: false,
        };
        let mut fields: Vec<Declared<'t>> = Vec::new();
        let mut at: HashMap<&str, usize> = HashMap::new();
        for (class, scope) in line.into_iter().rev() {
            self.configure(class, scope, &mut config);
            for field in self.fields(class, scope) {
                match at.get(field.name) {
                    Some(known) => fields[*known] = field,
                    None => {
                        at.insert(field.name, fields.len());
                        fields.push(field);
                    }
                }
            }
        }
        (fields, config)
    }

    fn fields(&self, class: &'t StmtClassDef, body: usize) -> Vec<Declared<'t>> {
        let field = |statement: &'t Stmt| {
            let Stmt::AnnAssign(assign) = statement else { return None };
            let name = assign.target.as_name_expr()?;
            let is_field = !name.id.starts_with('_') && name.id.as_str() != "model_config";
            let mut kind = &*assign.annotation;
            let mut described = Vec::new();
            if let Expr::Subscript(of) = kind
                && let ("Annotated", Expr::Tuple(parts)) = (last_name(&of.value), &*of.slice)
            {
                kind = parts.elts.first()?;
                described.extend(parts.elts.iter().filter_map(|part| self.description(part, body)));
            }
            let of = kind.as_subscript_expr().map_or(kind, |of| &of.value);
            if last_name(of) == "ClassVar" {
                return None;
            }
            let value = assign.value.as_deref();
            described.extend(value.and_then(|value| self.description(value, body)));
            is_field.then(|| Declared { name: &name.id, at: name.range, kind, described, value })
        };
        class.body.iter().filter_map(field).collect()
    }

    /// The call of `Field` that an expression is.
    fn description(&self, expression: &'t Expr, scope: usize) -> Option<&'t ExprCall> {
        let Expr::Call(call) = expression else { return None };
        let path = self.names.path(&call.func, scope)?;
        (path.starts_with("pydantic") && path.ends_with(".Field")).then_some(call)
    }

    /// What a class says about names: `model_config`, `class Config`, or where it is defined.
    fn configure(&self, class: &'t StmtClassDef, body: usize, config: &mut Config) {
        for keyword in class.arguments.iter().flat_map(|arguments| &arguments.keywords) {
            if let Some(name) = &keyword.arg {
                self.option(name, &keyword.value, body, config);
            }
        }
        for statement in &class.body {
            match statement {
                Stmt::Assign(assign) => {
                    let is_config = assign.targets.iter().any(|target| {
                        target.as_name_expr().is_some_and(|name| name.id.as_str() == "model_config")
                    });
                    if is_config {
                        self.options(&assign.value, body, config);
                    }
                }
                Stmt::AnnAssign(assign) => {
                    let target = assign.target.as_name_expr();
                    if let (Some("model_config"), Some(value)) =
                        (target.map(|name| name.id.as_str()), &assign.value)
                    {
                        self.options(value, body, config);
                    }
                }
                Stmt::ClassDef(inner) if inner.name.as_str() == "Config" => {
                    for statement in &inner.body {
                        let Stmt::Assign(assign) = statement else { continue };
                        for target in assign.targets.iter().filter_map(Expr::as_name_expr) {
                            self.option(&target.id, &assign.value, body, config);
                        }
                    }
                }
                Stmt::FunctionDef(function) => {
                    let decorators = function.decorator_list.iter();
                    let fills = decorators.map(|one| self.names.source(one.expression.range())).any(|text| {
                        (text.contains("validator") && (text.contains("before") || text.contains("pre=True")))
                            || text.contains("wrap")
                    });
                    config.has_sources |= fills
                        || matches!(
                            function.name.as_str(),
                            "settings_customise_sources" | "customise_sources" | "__init__" | "__new__"
                        );
                }
                _ => {}
            }
        }
    }

    fn options(&self, value: &'t Expr, scope: usize, config: &mut Config) {
        match value {
            Expr::Call(call) => {
                for keyword in &call.arguments.keywords {
                    match &keyword.arg {
                        Some(name) => self.option(name, &keyword.value, scope, config),
                        None => config.has_sources = true,
                    }
                }
            }
            Expr::Dict(map) => {
                for item in &map.items {
                    if let Some(Expr::StringLiteral(name)) = &item.key {
                        self.option(name.value.to_str(), &item.value, scope, config);
                    }
                }
            }
            _ => config.has_sources = true,
        }
    }

    fn option(&self, name: &str, value: &'t Expr, scope: usize, config: &mut Config) {
        let is_set = !matches!(value, Expr::BooleanLiteral(no) if !no.value) && !value.is_none_literal_expr();
        match name {
            "env_prefix" => config.prefix = self.text(value, scope),
            "env_nested_delimiter" => config.delimiter = self.text(value, scope),
            "case_sensitive" => config.is_case_sensitive = is_set,
            "populate_by_name" | "validate_by_name" => config.by_name = is_set,
            "secrets_dir" | "fields" => config.has_sources |= is_set,
            _ => {}
        }
    }

    fn text(&self, expression: &'t Expr, scope: usize) -> Option<String> {
        match self.names.literals(expression, scope)?.as_slice() {
            [only] => Some(only.text.clone()),
            _ => None,
        }
    }

    /// The names of the variables that a field is read from: any of them serves.
    fn named(&self, field: &Declared<'t>, scope: usize, config: &Config, prefix: &str) -> Vec<Named> {
        let mut found = Vec::new();
        for call in &field.described {
            let argument = |name: &str| call.arguments.find_keyword(name).map(|keyword| &keyword.value);
            let alias = match config.version {
                Version::One => argument("env"),
                Version::Two => argument("validation_alias").or_else(|| argument("alias")),
            };
            self.aliases(alias.into_iter(), scope, &mut found);
        }
        if found.is_empty() || config.by_name {
            found.push((format!("{prefix}{}", field.name), field.at));
        }
        if !config.is_case_sensitive {
            found.iter_mut().for_each(|(name, _)| name.make_ascii_uppercase());
        }
        found
    }

    fn aliases(&self, given: impl Iterator<Item = &'t Expr>, scope: usize, found: &mut Vec<Named>) {
        for alias in given {
            match alias {
                Expr::StringLiteral(text) => found.push((text.value.to_string(), text.range)),
                Expr::List(list) => self.aliases(list.elts.iter(), scope, found),
                Expr::Tuple(tuple) => self.aliases(tuple.elts.iter(), scope, found),
                Expr::Set(set) => self.aliases(set.elts.iter(), scope, found),
                Expr::Call(call) => match self.names.path(&call.func, scope).as_deref() {
                    Some(path) if path.ends_with(".AliasChoices") => {
                        self.aliases(call.arguments.args.iter(), scope, found);
                    }
                    Some(path) if path.ends_with(".AliasPath") => {
                        self.aliases(call.arguments.args.iter().take(1), scope, found);
                    }
                    _ => {}
                },
                other => {
                    let text = self.text(other, scope);
                    found.extend(text.map(|text| (text, other.range())));
                }
            }
        }
    }

    /// Whether a field has to be given, and what it is otherwise.
    fn default(field: &Declared<'t>, version: Version) -> (bool, Option<&'t Expr>) {
        let is_optional = version == Version::One && may_be_none(field.kind);
        let mut value = field.value;
        for call in &field.described {
            if value.is_some_and(|value| value.range() == call.range()) {
                value = None;
            }
            value = value
                .or_else(|| call.arguments.find_argument_value("default", 0))
                .or_else(|| call.arguments.find_argument_value("default_factory", usize::MAX));
        }
        match value {
            Some(Expr::EllipsisLiteral(_)) => (true, None),
            None => (!is_optional, None),
            Some(value) => (false, value.is_literal_expr().then_some(value)),
        }
    }

    /// What an object of a class reads: where it is made, or at its definition if that is elsewhere.
    fn object(&mut self, class: &'t StmtClassDef, body: usize, version: Version, made: Option<&'t ExprCall>) {
        if self.budget == 0 {
            return;
        }
        let (fields, config) = self.described(class, body, version);
        self.budget = self.budget.saturating_sub(fields.len() + class.body.len());
        let given: HashSet<&str> = made
            .iter()
            .flat_map(|call| &call.arguments.keywords)
            .filter_map(|keyword| keyword.arg.as_ref().map(|name| name.as_str()))
            .collect();
        let is_splat =
            made.is_some_and(|call| call.arguments.keywords.iter().any(|keyword| keyword.arg.is_none()));
        let is_open = config.has_sources || is_splat || config.prefix.is_none();
        let expression = made.map_or(class.range, |call| call.range());
        for field in fields {
            if self.budget == 0 {
                return;
            }
            if given.contains(field.name) {
                continue;
            }
            let Some(prefix) = &config.prefix else {
                self.budget -= 1;
                self.reads.push(unknown(&field, expression));
                continue;
            };
            let (is_required, default) = Self::default(&field, version);
            let own = self.named(&field, body, &config, prefix);
            let mut lists = Vec::new();
            if is_required {
                self.nested(&field, body, &config, &own, NESTED, &mut lists);
            }
            if lists.is_empty() {
                lists.push(own);
            }
            for list in lists {
                self.groups += 1;
                let of = Field {
                    name: field.name,
                    group: self.groups,
                    is_required,
                    default,
                    any_case: !config.is_case_sensitive,
                    is_elsewhere: made.is_none(),
                };
                let missing = if is_required { Missing::Undecidable } else { Missing::Default };
                let gives = if is_open { Gives::Known(missing) } else { Gives::Field(of) };
                self.read(list, expression, gives);
            }
        }
    }

    fn read(&mut self, list: Vec<Named>, expression: TextRange, gives: Gives<'t>) {
        for (name, at) in list {
            self.budget = self.budget.saturating_sub(1);
            let both = [name.to_ascii_lowercase(), name.to_ascii_uppercase()];
            self.words.extend(both.iter().filter_map(|name| crate::words::number(name)));
            let name = Name::Literal(name.into());
            let read = Read { expression, at, kind: Kind::Variable, name, gives, pattern: None, key: None };
            self.reads.push(read);
        }
    }

    /// The lists of names of which one serves, where a field is a model that is read in parts: `DB`, or `DB__HOST` and `DB__PORT`.
    fn nested(
        &self,
        field: &Declared<'t>,
        scope: usize,
        config: &Config,
        own: &[Named],
        deep: usize,
        lists: &mut Vec<Vec<Named>>,
    ) {
        let Some(delimiter) = config.delimiter.as_deref().filter(|_| deep > 0) else { return };
        let Some((class, body)) = self.names.class(field.kind, scope) else { return };
        let mut all = own.to_vec();
        let mut is_any_required = false;
        for part in self.fields(class, body) {
            if lists.len() + all.len() > self.budget.min(128) {
                return;
            }
            let mut names = Vec::new();
            for (name, _) in own {
                let plain = Config { by_name: false, ..config.clone() };
                names.extend(
                    self.named(&part, body, &plain, "")
                        .into_iter()
                        .map(|(part, at)| (format!("{name}{delimiter}{part}"), at)),
                );
            }
            all.extend(names.iter().cloned());
            if !Self::default(&part, config.version).0 {
                continue;
            }
            is_any_required = true;
            let before = lists.len();
            self.nested(&part, body, config, &names, deep - 1, lists);
            if lists.len() == before {
                lists.push(names);
            }
            for list in &mut lists[before..] {
                list.extend(own.iter().cloned());
            }
        }
        if !is_any_required {
            lists.push(all);
        }
    }
}

/// What is said of a field whose prefix is made while the code runs.
fn unknown<'t>(field: &Declared<'t>, expression: TextRange) -> Read<'t> {
    Read {
        expression,
        at: field.at,
        kind: Kind::Variable,
        name: Name::undecidable(field.name),
        gives: Gives::Known(Missing::Undecidable),
        pattern: Some(format!("*{}", field.name.to_ascii_uppercase()).into()),
        key: None,
    }
}

/// Whether a type allows `None`: `Optional[str]`, `str | None`.
fn may_be_none(kind: &Expr) -> bool {
    match kind {
        Expr::Subscript(of) => {
            let name = last_name(&of.value);
            let has_none =
                matches!(&*of.slice, Expr::Tuple(parts) if parts.elts.iter().any(Expr::is_none_literal_expr));
            name == "Optional" || name == "Union" && has_none
        }
        Expr::BinOp(either) => {
            either.right.is_none_literal_expr()
                || either.left.is_none_literal_expr()
                || may_be_none(&either.left)
        }
        Expr::Name(name) => name.id.as_str() == "Any",
        _ => false,
    }
}

/// What a type is called, without its module.
fn last_name(expression: &Expr) -> &str {
    match expression {
        Expr::Name(name) => name.id.as_str(),
        Expr::Attribute(attribute) => attribute.attr.as_str(),
        _ => "",
    }
}
