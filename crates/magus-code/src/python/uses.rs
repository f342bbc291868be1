//! The expressions of a Python file that refer to variables, secrets and profiles.

use std::collections::HashSet;

use tree_sitter::Node;

use super::{
    Lines,
    names::{Candidate, Names},
    ordered,
};
use crate::reference::{Kind, Missing, Name, Reference};

/// Where Mage has its function for secrets.
pub(super) const SECRET: &str = "mage_ai.data_preparation.shared.secrets.get_secret_value";
const ENVIRONMENT: &str = "os.environ";
const PROFILE: &str = "mage_ai.io.config.ConfigFileLoader";
const GLOBAL: &str = "mage_ai.data_preparation.variable_manager.get_global_variable";
/// The profile of who names none (`io/config.py`).
const DEFAULT_PROFILE: &str = "default";

/// A call that refers to something: the place and the keyword of the name, those of the default, and what it is without one.
struct Function {
    kind: Kind,
    name: (usize, &'static str),
    default: Option<(usize, &'static str)>,
    /// What a missing one comes to where the code gives no default.
    missing: Missing,
}

fn function(path: &str) -> Option<Function> {
    let variable = |default, missing| Function { kind: Kind::Variable, name: (0, "key"), default, missing };
    Some(match path {
        "os.getenv" | "os.environ.get" => variable(Some((1, "default")), Missing::Fails),
        "os.environ.pop" => variable(Some((1, "default")), Missing::Fails),
        "os.environ.setdefault" => variable(None, Missing::Default),
        "os.environ.__getitem__" => variable(None, Missing::Fails),
        "os.environ.__contains__" => variable(None, Missing::Default),
        SECRET => Function { kind: Kind::Secret, name: (0, "name"), default: None, missing: Missing::Fails },
        PROFILE => {
            Function { kind: Kind::Profile, name: (1, "profile"), default: None, missing: Missing::Fails }
        }
        GLOBAL => Function { kind: Kind::Runtime, name: (1, "key"), default: None, missing: Missing::Fails },
        _ => return None,
    })
}

/// Everything that a file refers to, ordered by place.
pub(super) fn references(names: &Names<'_>, lines: &Lines<'_>) -> Vec<Reference> {
    let mut found = Found { names, lines, references: Vec::new(), asked: HashSet::new() };
    for candidate in &names.candidates {
        found.look(*candidate);
    }
    let Found { mut references, asked, .. } = found;
    // Where a file asks whether it is there, it knows what to do without it.
    for reference in references.iter_mut().filter(|one| one.missing == Missing::Fails) {
        if reference.kind == Kind::Variable
            && reference.name.literal().is_some_and(|name| asked.contains(name.as_str()))
        {
            reference.missing = Missing::Default;
        }
    }
    ordered(references)
}

struct Found<'n, 't> {
    names: &'n Names<'t>,
    lines: &'n Lines<'t>,
    references: Vec<Reference>,
    /// The variables of which the file asks whether they are there.
    asked: HashSet<String>,
}

impl<'t> Found<'_, 't> {
    fn look(&mut self, (node, scope): Candidate<'t>) {
        match node.kind() {
            "call" => self.call(node, scope),
            "subscript" => self.subscript(node, scope),
            "comparison_operator" => self.comparison(node, scope),
            _ => self.whole(node, scope),
        }
    }

    fn add(&mut self, at: Node<'t>, kind: Kind, name: Name, missing: Missing) {
        let (line, column) = self.lines.place(at.start_byte());
        self.references.push(Reference { line, column, kind, name, missing, profile: None, key: None });
    }

    fn name(&self, node: Node<'t>, scope: usize) -> Name {
        match self.names.literal(node, scope) {
            Some(name) => Name::Literal(name.into()),
            None => Name::undecidable(self.names.source(node)),
        }
    }

    fn call(&mut self, node: Node<'t>, scope: usize) {
        let Some(callee) = node.child_by_field_name("function") else { return };
        let Some(arguments) = node.child_by_field_name("arguments") else { return };
        if callee.kind() == "attribute"
            && let Some(object) = callee.child_by_field_name("object")
            && self.names.is_arguments(object, scope)
        {
            let method = callee.child_by_field_name("attribute").map_or("", |name| self.names.source(name));
            if let Some(key) = Arguments(arguments).positional(0).filter(|_| matches!(method, "get" | "pop"))
            {
                let name = self.name(key, scope);
                self.add(key, Kind::Runtime, name, Missing::Default);
            }
            return;
        }
        let Some(path) = self.names.path(callee, scope) else { return };
        let arguments = Arguments(arguments);
        if matches!(path.as_str(), "os.environ.copy" | "os.environ.items" | "os.environ.values") {
            self.add(callee, Kind::Variable, Name::Any, Missing::Default);
            return;
        }
        let Some(Function { kind, name: (place, keyword), default, missing }) = function(&path) else {
            return;
        };
        let Some(key) = arguments.get(place, keyword, self.names) else {
            if kind == Kind::Profile
                && !arguments.has_splat()
                && arguments.get(2, "config", self.names).is_none()
            {
                self.add(callee, kind, Name::Literal(DEFAULT_PROFILE.into()), missing);
            }
            return;
        };
        let name = self.name(key, scope);
        let value = default.and_then(|(place, keyword)| arguments.get(place, keyword, self.names));
        // `None` is what comes without a default, but for `pop`, which fails then.
        let says = value.is_some_and(|value| value.kind() != "none" || path == "os.environ.pop");
        let missing = if says || self.is_handled(node) { Missing::Default } else { missing };
        if path == "os.environ.__contains__" {
            self.asked.extend(name.literal().map(ToString::to_string));
        }
        self.add(key, kind, name, missing);
    }

    fn subscript(&mut self, node: Node<'t>, scope: usize) {
        let (Some(value), Some(key)) =
            (node.child_by_field_name("value"), node.child_by_field_name("subscript"))
        else {
            return;
        };
        if self.names.is_arguments(value, scope) {
            let name = self.name(key, scope);
            self.add(key, Kind::Runtime, name, Missing::Fails);
            return;
        }
        if self.names.path(value, scope).as_deref() != Some(ENVIRONMENT) {
            return;
        }
        let name = self.name(key, scope);
        let missing = match node.parent() {
            Some(parent)
                if parent.kind() == "assignment" && parent.child_by_field_name("left") == Some(node) =>
            {
                Missing::Set
            }
            _ if self.is_handled(node) => Missing::Default,
            _ => Missing::Fails,
        };
        // A name that is made while it is set takes nothing from the workspace.
        if missing != Missing::Set || name.literal().is_some() {
            self.add(key, Kind::Variable, name, missing);
        }
    }

    /// `'X' in os.environ`.
    fn comparison(&mut self, node: Node<'t>, scope: usize) {
        let (Some(left), Some(right)) = (node.named_child(0), node.named_child(1)) else { return };
        let between = self
            .names
            .source(node)
            .get(left.end_byte() - node.start_byte()..right.start_byte() - node.start_byte());
        if between.is_none_or(|between| between.split_whitespace().next_back() != Some("in")) {
            return;
        }
        let is_keys = |path: &str| path == "os.environ.keys";
        let callee = (right.kind() == "call").then(|| right.child_by_field_name("function")).flatten();
        let path = self.names.path(callee.unwrap_or(right), scope);
        if !path.is_some_and(|path| path == ENVIRONMENT && callee.is_none() || is_keys(&path)) {
            return;
        }
        let name = self.name(left, scope);
        self.asked.extend(name.literal().map(ToString::to_string));
        self.add(left, Kind::Variable, name, Missing::Default);
    }

    /// The environment as a whole, handed to something.
    fn whole(&mut self, node: Node<'t>, scope: usize) {
        if self.names.path(node, scope).as_deref() == Some(ENVIRONMENT) {
            self.add(node, Kind::Variable, Name::Any, Missing::Default);
        }
    }

    /// Whether the code says what counts where the value of an expression is missing: it is only asked for, `or` gives another,
    /// or an `except KeyError` that raises nothing stands around it.
    fn is_handled(&self, node: Node<'t>) -> bool {
        let (mut child, mut parent) = (node, node.parent());
        let mut is_asked = true;
        while let Some(around) = parent {
            match around.kind() {
                "parenthesized_expression" | "not_operator" if is_asked => {}
                "boolean_operator" if is_asked => {
                    let or = around.child_by_field_name("operator").is_some_and(|word| word.kind() == "or");
                    if or && around.child_by_field_name("left") == Some(child) {
                        return true;
                    }
                }
                "comparison_operator" if is_asked && node.kind() == "call" => return true,
                "if_statement" | "elif_clause" | "while_statement" if is_asked => {
                    return around.child_by_field_name("condition") == Some(child) && node.kind() == "call";
                }
                "conditional_expression" if is_asked => {
                    return around.named_child(1) == Some(child) && node.kind() == "call";
                }
                "try_statement"
                    if around.child_by_field_name("body") == Some(child) && self.excepts(around) =>
                {
                    return true;
                }
                "function_definition" | "class_definition" | "lambda" => return false,
                _ => is_asked = false,
            }
            (child, parent) = (around, around.parent());
        }
        false
    }

    fn excepts(&self, statement: Node<'t>) -> bool {
        let mut cursor = statement.walk();
        statement.named_children(&mut cursor).any(|clause| {
            let source = self.names.source(clause);
            let (what, body) = source.split_once(':').unwrap_or((source, ""));
            clause.kind() == "except_clause"
                && (what.contains("KeyError") || what.contains("LookupError"))
                && !body.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "raise")
        })
    }
}

/// The arguments of a call.
struct Arguments<'t>(Node<'t>);

impl<'t> Arguments<'t> {
    fn all(&self) -> Vec<Node<'t>> {
        let mut cursor = self.0.walk();
        self.0.named_children(&mut cursor).filter(|one| one.kind() != "comment").collect()
    }

    fn has_splat(&self) -> bool {
        self.all().iter().any(|one| matches!(one.kind(), "list_splat" | "dictionary_splat"))
    }

    fn positional(&self, place: usize) -> Option<Node<'t>> {
        let all = self.all();
        let before_splat =
            all.iter().take_while(|one| !matches!(one.kind(), "list_splat" | "dictionary_splat"));
        before_splat.filter(|one| one.kind() != "keyword_argument").nth(place).copied()
    }

    fn get(&self, place: usize, keyword: &str, names: &Names<'t>) -> Option<Node<'t>> {
        self.positional(place).or_else(|| {
            let all = self.all();
            let named = all.iter().filter(|one| one.kind() == "keyword_argument").find(|one| {
                one.child_by_field_name("name").is_some_and(|name| names.source(name) == keyword)
            });
            named.and_then(|one| one.child_by_field_name("value"))
        })
    }
}
