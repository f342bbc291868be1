//! The expressions of a Python file that refer to variables, secrets and profiles.

use magus_model::Text;
use ruff_python_ast::{CmpOp, Expr, ExprAttribute, ExprCall, ExprCompare, ExprSubscript, ModModule};
use ruff_text_size::{Ranged as _, TextRange};

use super::{
    Lines,
    fate::{Fate, fates},
    libraries::{self, Reading},
    literals::Literal,
    names::{Candidate, Names, Role},
    ordered,
    settings::{Field, Settings},
};
use crate::reference::{Fallback, Kind, Missing, Name, Reference, is_given};

/// Where Mage has its function for secrets.
pub(super) const SECRET: &str = "mage_ai.data_preparation.shared.secrets.get_secret_value";
pub(super) const ENVIRONMENT: &str = "os.environ";
/// The file that is read where none is named.
const DOTENV: &str = ".env";
const BYTES: &str = "os.environb";
const PROFILE: &str = "mage_ai.io.config.ConfigFileLoader";
const GLOBAL: &str = "mage_ai.data_preparation.variable_manager.get_global_variable";
/// What stands before the name of a key of a profile.
const CONFIG_KEY: &str = "mage_ai.io.config.ConfigKey.";
/// The profile of who names none (`io/config.py`).
const DEFAULT_PROFILE: &str = "default";

/// A place that reads something, or asks whether it is there.
#[derive(Clone)]
pub(super) struct Read<'t> {
    /// The expression that reads: a call, an index or a comparison.
    pub(super) expression: TextRange,
    /// The place of its name.
    pub(super) at: TextRange,
    pub(super) kind: Kind,
    pub(super) name: Name,
    pub(super) gives: Gives<'t>,
    /// What the name looks like, where the code makes it.
    pub(super) pattern: Option<Text>,
    /// The expression of the name, where something else says the name: a list, or a call.
    pub(super) key: Option<&'t Expr>,
}

/// What reading comes to where the thing is missing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gives<'t> {
    /// An exception.
    Raises,
    /// An exception of a library, by its name.
    Refuses(&'static str),
    /// A field of settings: with `ValidationError`, or its default.
    Field(Field<'t>),
    /// `None`, or what this expression comes to.
    Default(Option<&'t Expr>),
    /// The same, and it is there from then on.
    SetDefault(Option<&'t Expr>),
    /// `False`, or with `not in`: `True`.
    False,
    True,
    /// It is set here.
    Set,
    /// This, whatever is done with it.
    Known(Missing),
}

/// A call that refers to something: the place and the keyword of the name, those of the default, and what it comes to without.
struct Function {
    kind: Kind,
    name: (usize, &'static str),
    default: Option<(usize, &'static str)>,
    gives: Gives<'static>,
}

fn function(path: &str) -> Option<Function> {
    let variable = |default, gives| Function { kind: Kind::Variable, name: (0, "key"), default, gives };
    let other = |kind, place, keyword, gives| Function { kind, name: (place, keyword), default: None, gives };
    Some(match path {
        "os.getenv" | "os.environ.get" => variable(Some((1, "default")), Gives::Default(None)),
        "os.environ.pop" => variable(Some((1, "default")), Gives::Raises),
        "os.environ.setdefault" => variable(Some((1, "value")), Gives::SetDefault(None)),
        "os.environ.__contains__" => variable(None, Gives::False),
        "os.getenvb" | "os.environb.get" => variable(Some((1, "default")), Gives::Default(None)),
        "os.environ.__getitem__" => variable(None, Gives::Raises),
        SECRET => other(Kind::Secret, 0, "name", Gives::Default(None)),
        PROFILE => other(Kind::Profile, 1, "profile", Gives::Known(Missing::Fails)),
        GLOBAL => other(Kind::Runtime, 1, "key", Gives::Known(Missing::Fails)),
        _ => return None,
    })
}

/// What a file does with names.
pub(super) struct Uses {
    /// Everything that it refers to, ordered by place.
    pub(super) references: Vec<Reference>,
    /// The files that it reads into the environment.
    pub(super) loads: Vec<Text>,
    /// The numbers of names that stand nowhere as they are read.
    pub(super) words: Vec<u32>,
    /// The keys of profiles that it names.
    pub(super) keys: Vec<Text>,
    /// Whether it gives a profile to something else.
    pub(super) hands_on_profile: bool,
    /// The modules that it imports by a call.
    pub(super) imports: Vec<Text>,
}

/// Looks for everything that a file refers to.
pub(super) fn uses<'t>(module: &'t ModModule, names: &Names<'t>, lines: &Lines<'_>) -> Uses {
    let mut found = Found {
        names,
        reads: Vec::new(),
        loads: Vec::new(),
        words: Vec::new(),
        keys: Vec::new(),
        hands_on_profile: false,
        imports: Vec::new(),
    };
    for candidate in &names.candidates {
        found.look(*candidate);
    }
    let settings = Settings::of(names);
    found.reads.extend(settings.reads);
    found.words.extend(settings.words);
    let fates = fates(module, names, &found.reads);
    let reference = |(read, Fate { missing, alternatives }): (Read<'t>, Fate)| {
        let (line, column) = lines.place(read.at.start().to_usize());
        let fallback = fallback(&read, names);
        Reference {
            line,
            column,
            kind: read.kind,
            name: read.name,
            missing,
            alternatives,
            any_case: matches!(read.gives, Gives::Field(Field { any_case: true, .. })),
            fallback,
            pattern: read.pattern,
            profile: None,
            key: None,
        }
    };
    let references = ordered(found.reads.into_iter().zip(fates).map(reference).collect());
    let Found { loads, words, mut keys, hands_on_profile, imports, .. } = found;
    keys.sort();
    keys.dedup();
    Uses { references, loads, words, keys, hands_on_profile, imports }
}

/// What a read has as its default. A name may be a constant of the file.
fn fallback<'t>(read: &Read<'t>, names: &Names<'t>) -> Option<Fallback> {
    let (Gives::Default(Some(default)) | Gives::SetDefault(Some(default))) = read.gives else { return None };
    let text = |text: &str| Fallback::of_text(read.name.literal().map(Text::as_str), text);
    Some(match default {
        Expr::NoneLiteral(_) => return None,
        Expr::StringLiteral(literal) => text(literal.value.to_str()),
        Expr::NumberLiteral(_) | Expr::BooleanLiteral(_) => Fallback::Number,
        Expr::Name(_) => match names.literals(default, 0).as_deref() {
            Some([Literal { text: constant, .. }]) => text(constant),
            _ => Fallback::Expression,
        },
        _ => Fallback::Expression,
    })
}

struct Found<'n, 't> {
    names: &'n Names<'t>,
    reads: Vec<Read<'t>>,
    /// The calls that read a file into the environment.
    loads: Vec<Text>,
    /// The numbers of names that stand nowhere as they are read.
    words: Vec<u32>,
    keys: Vec<Text>,
    hands_on_profile: bool,
    imports: Vec<Text>,
}

impl<'t> Found<'_, 't> {
    fn look(&mut self, candidate: Candidate<'t>) {
        if candidate.is_whole {
            match self.names.path(candidate.expression, candidate.scope).as_deref() {
                Some(ENVIRONMENT) => {
                    // The environment as a whole, handed to something.
                    self.whole(candidate.expression.range());
                    return;
                }
                Some(libraries::LOADER) => self.hands_on_profile = true,
                _ => {}
            }
        }
        match candidate.expression {
            Expr::Call(call) => self.call(call, candidate),
            Expr::Subscript(subscript) => self.subscript(subscript, candidate),
            Expr::Compare(compare) => self.compare(compare, candidate.scope),
            Expr::Attribute(attribute) => self.setting(attribute, candidate),
            _ => {}
        }
    }

    fn whole(&mut self, at: TextRange) {
        self.reads.push(Read {
            expression: at,
            at,
            kind: Kind::Variable,
            name: Name::Any,
            gives: Gives::Known(Missing::Default),
            pattern: None,
            key: None,
        });
    }

    /// Adds a read of each name that an expression comes to.
    fn add(&mut self, expression: TextRange, key: &'t Expr, scope: usize, kind: Kind, gives: Gives<'t>) {
        self.add_prefixed(Some(""), expression, key, scope, kind, gives);
    }

    /// The same, with what stands before each name; nothing where that is not known.
    fn add_prefixed(
        &mut self,
        prefix: Option<&str>,
        expression: TextRange,
        key: &'t Expr,
        scope: usize,
        kind: Kind,
        gives: Gives<'t>,
    ) {
        let read =
            Read { expression, at: key.range(), kind, name: Name::Any, gives, pattern: None, key: None };
        match (self.names.literals(key, scope), prefix) {
            (Some(literals), Some(prefix)) => {
                for Literal { text, at } in literals {
                    if !prefix.is_empty() {
                        self.words.extend(crate::words::number(&format!("{prefix}{text}")));
                    }
                    self.reads.push(Read {
                        name: Name::Literal(format!("{prefix}{text}").into()),
                        at: at.unwrap_or(read.at),
                        key: at.map(|_| key),
                        ..read.clone()
                    });
                }
            }
            (literals, prefix) => {
                // A name alone says nothing: what it is bound to does.
                let made = self.names.bound(key, scope);
                let pattern = match (prefix, literals.as_deref()) {
                    (None, Some([only])) => Some(format!("*{}", only.text).into()),
                    (None, _) => None,
                    (Some(_), _) => self.names.pattern(made.0, made.1),
                };
                self.reads.push(Read {
                    name: Name::undecidable(self.names.source(made.0.range())),
                    pattern,
                    ..read
                });
            }
        }
    }

    /// A variable of the pipeline.
    fn runtime(&mut self, expression: TextRange, key: &'t Expr, scope: usize, missing: Missing) {
        let is_given = matches!(key, Expr::StringLiteral(name) if is_given(name.value.to_str()));
        let missing = if is_given { Missing::Default } else { missing };
        self.add(expression, key, scope, Kind::Runtime, Gives::Known(missing));
    }

    fn call(&mut self, call: &'t ExprCall, candidate: Candidate<'t>) {
        let scope = candidate.scope;
        let arguments = &call.arguments;
        if let Expr::Attribute(method) = &*call.func
            && self.names.is_arguments(&method.value, scope)
        {
            let key = arguments.find_positional(0).filter(|_| matches!(method.attr.as_str(), "get" | "pop"));
            if let Some(key) = key {
                self.runtime(call.range(), key, scope, Missing::Default);
            }
            return;
        }
        if call.func.as_name_expr().is_some_and(|name| name.id.as_str() == "map") {
            self.mapped(call, scope);
            return;
        }
        if call.func.as_name_expr().is_some_and(|name| name.id.as_str() == "__import__") {
            self.imported(call, scope);
            return;
        }
        let Some(path) = self.names.path(&call.func, scope) else { return };
        if path == "importlib.import_module" {
            self.imported(call, scope);
            return;
        }
        if path == "os.path.expandvars" {
            self.expanded(call);
            return;
        }
        if matches!(path.as_str(), "os.environ.copy" | "os.environ.items" | "os.environ.values") {
            self.whole(call.func.range());
            return;
        }
        if let Some(method) = path.strip_prefix(libraries::LOADER) {
            match (method, arguments.find_positional(0)) {
                (".get" | ".contains" | ".__getitem__", Some(key)) => self.key(key, scope),
                _ => self.hands_on_profile = true,
            }
            return;
        }
        if libraries::loads_file(&path) {
            self.load(call, scope);
            return;
        }
        if let Some(reading) = libraries::reading(&path) {
            self.library(call, candidate, &path, reading);
            return;
        }
        let Some(Function { kind, name: (place, keyword), default, gives }) = function(&path) else {
            return;
        };
        let Some(key) = arguments.find_argument_value(keyword, place) else {
            let has_splat = arguments.args.iter().any(Expr::is_starred_expr)
                || arguments.keywords.iter().any(|keyword| keyword.arg.is_none());
            if kind == Kind::Profile && !has_splat && arguments.find_argument_value("config", 2).is_none() {
                let name = Name::Literal(Text::new_static(DEFAULT_PROFILE));
                self.reads.push(Read {
                    expression: call.range(),
                    at: call.func.range(),
                    kind,
                    name,
                    gives,
                    pattern: None,
                    key: None,
                });
            }
            return;
        };
        let value = default.and_then(|(place, keyword)| arguments.find_argument_value(keyword, place));
        let gives = match (gives, value) {
            (Gives::SetDefault(_), value) => Gives::SetDefault(value),
            (Gives::Raises | Gives::Default(_), Some(value)) => Gives::Default(Some(value)),
            (gives, _) => gives,
        };
        self.add(call.range(), key, scope, kind, gives);
    }

    /// A key of a profile: a text, or `ConfigKey.X`. One that is made may be any.
    fn key(&mut self, key: &'t Expr, scope: usize) {
        let path = self.names.path(key, scope);
        if let Some(key) = path.as_deref().and_then(|path| path.strip_prefix(CONFIG_KEY)) {
            self.keys.push(key.trim_end_matches(".value").into());
            return;
        }
        match self.names.literals(key, scope) {
            Some(texts) => self.keys.extend(texts.into_iter().map(|literal| Text::from(literal.text))),
            None => self.hands_on_profile = true,
        }
    }

    /// `importlib.import_module('utils.api')`.
    fn imported(&mut self, call: &'t ExprCall, scope: usize) {
        let name = call.arguments.find_argument_value("name", 0);
        let names = name.and_then(|name| self.names.literals(name, scope)).unwrap_or_default();
        self.imports.extend(names.into_iter().map(|literal| Text::from(literal.text)));
    }

    /// `load_dotenv()`: the file is `.env`, or what the call says; one that it makes may be any.
    fn load(&mut self, call: &'t ExprCall, scope: usize) {
        let path = ["dotenv_path", "path", "env_file"]
            .into_iter()
            .find_map(|name| call.arguments.find_argument_value(name, 0));
        let file = match path {
            None => DOTENV.to_owned(),
            Some(path) => match self.names.literals(path, scope).as_deref() {
                Some([only]) => only.text.clone(),
                _ => String::new(),
            },
        };
        self.loads.push(file.trim_start_matches("./").into());
    }

    /// `env.str('X')` and the like.
    fn library(&mut self, call: &'t ExprCall, candidate: Candidate<'t>, path: &str, reading: Reading) {
        let Candidate { scope, within, .. } = candidate;
        let object = match &*call.func {
            Expr::Attribute(method) if !path.ends_with("()") && path != libraries::DECOUPLE => &*method.value,
            called => called,
        };
        let prefix = libraries::prefix(self.names, path, object, scope, within);
        let Reading { keyword, default, gives, named } = reading;
        let gives = match call.arguments.find_argument_value("default", default) {
            Some(value) => Gives::Default(Some(value)),
            None => gives,
        };
        let Some(key) = call.arguments.find_argument_value(keyword, 0) else {
            if let Some(name) = named {
                self.reads.push(Read {
                    expression: call.range(),
                    at: call.func.range(),
                    kind: Kind::Variable,
                    name: Name::Literal(Text::new_static(name)),
                    gives,
                    pattern: None,
                    key: None,
                });
            }
            return;
        };
        let is_in_scheme = matches!(key, Expr::StringLiteral(name) if libraries::in_scheme(self.names, object, scope, name.value.to_str()));
        let gives = if is_in_scheme { Gives::Known(Missing::Default) } else { gives };
        self.add_prefixed(prefix.as_deref(), call.range(), key, scope, Kind::Variable, gives);
    }

    /// `settings.X` of Dynaconf.
    fn setting(&mut self, attribute: &'t ExprAttribute, candidate: Candidate<'t>) {
        let Candidate { scope, role, within, .. } = candidate;
        if role == Role::Set
            || self.names.path(&attribute.value, scope).as_deref() != Some(libraries::DYNACONF)
        {
            return;
        }
        let Some(setting) = libraries::setting(&attribute.attr) else { return };
        let path = libraries::DYNACONF;
        let Some(prefix) = libraries::prefix(self.names, path, &attribute.value, scope, within) else {
            return;
        };
        let has_files = libraries::has_files(self.names.made_by(&attribute.value, scope));
        let name = format!("{prefix}{setting}");
        self.words.extend(crate::words::number(&name));
        self.reads.push(Read {
            expression: attribute.range,
            at: attribute.attr.range(),
            kind: Kind::Variable,
            name: Name::Literal(name.into()),
            gives: Gives::Known(if has_files { Missing::Undecidable } else { Missing::Fails }),
            pattern: None,
            key: None,
        });
    }

    /// `os.path.expandvars("$HOME/${X}")`: what is missing stays as it is written.
    fn expanded(&mut self, call: &'t ExprCall) {
        let Some(Expr::StringLiteral(text)) = call.arguments.find_positional(0) else { return };
        for name in variables_in(text.value.to_str()) {
            self.reads.push(Read {
                expression: text.range(),
                at: text.range(),
                kind: Kind::Variable,
                name: Name::Literal(name.into()),
                gives: Gives::Known(Missing::Undecidable),
                pattern: None,
                key: None,
            });
        }
    }

    /// `map(os.getenv, ['A', 'B'])`.
    fn mapped(&mut self, call: &'t ExprCall, scope: usize) {
        let [function, list] = &*call.arguments.args else { return };
        if !matches!(self.names.path(function, scope).as_deref(), Some("os.getenv" | "os.environ.get")) {
            return;
        }
        for Literal { text, at } in self.names.items_of(list, scope).unwrap_or_default() {
            self.reads.push(Read {
                expression: call.range(),
                at: at.unwrap_or_else(|| list.range()),
                kind: Kind::Variable,
                name: Name::Literal(text.into()),
                gives: Gives::Default(None),
                pattern: None,
                key: Some(list),
            });
        }
    }

    fn subscript(&mut self, subscript: &'t ExprSubscript, Candidate { scope, role, .. }: Candidate<'t>) {
        let key = &*subscript.slice;
        if self.names.is_arguments(&subscript.value, scope) {
            // Who sets one needs none.
            if role == Role::Read {
                self.runtime(subscript.range, key, scope, Missing::Fails);
            }
            return;
        }
        let path = self.names.path(&subscript.value, scope);
        if path.as_deref() == Some(libraries::LOADER) {
            self.key(key, scope);
            return;
        }
        if !matches!(path.as_deref(), Some(ENVIRONMENT | BYTES)) {
            return;
        }
        let gives = if role == Role::Set { Gives::Set } else { Gives::Raises };
        if role == Role::Set && self.names.literals(key, scope).is_none() {
            return;
        }
        self.add(subscript.range, key, scope, Kind::Variable, gives);
    }

    /// `'X' in os.environ`.
    fn compare(&mut self, compare: &'t ExprCompare, scope: usize) {
        let ([operator], [right]) = (&*compare.ops, &*compare.comparators) else { return };
        let gives = match operator {
            CmpOp::In => Gives::False,
            CmpOp::NotIn => Gives::True,
            _ => return,
        };
        if self.names.is_arguments(right, scope) {
            self.runtime(compare.range, &compare.left, scope, Missing::Default);
            return;
        }
        let path = match right {
            Expr::Call(call) => self.names.path(&call.func, scope).filter(|path| path == "os.environ.keys"),
            right => self.names.path(right, scope).filter(|path| path == ENVIRONMENT),
        };
        if path.is_some() {
            self.add(compare.range, &compare.left, scope, Kind::Variable, gives);
        }
    }
}

/// The names of `$X` and `${X}` in a text.
fn variables_in(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut names = Vec::new();
    for part in text.split('$').skip(1) {
        let (part, is_closed) = match part.strip_prefix('{') {
            Some(part) => (part, part.contains('}')),
            None => (part, true),
        };
        let name = &part[..part.find(|c| !is_part(c)).unwrap_or(part.len())];
        if is_closed && !name.is_empty() {
            names.push(name);
        }
    }
    names
}
