//! The expressions of a Python file that refer to variables, secrets and profiles.

use std::collections::HashSet;

use ruff_python_ast::{CmpOp, Expr, ExprCall, ExprCompare, ExprSubscript};
use ruff_text_size::{Ranged as _, TextRange};

use super::{
    Lines,
    names::{Candidate, Names, Role},
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
        "os.getenv" | "os.environ.get" | "os.environ.pop" => variable(Some((1, "default")), Missing::Fails),
        "os.environ.setdefault" | "os.environ.__contains__" => variable(None, Missing::Default),
        "os.environ.__getitem__" => variable(None, Missing::Fails),
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
        let is_asked = reference.name.literal().is_some_and(|name| asked.contains(name.as_str()));
        if reference.kind == Kind::Variable && is_asked {
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
    fn look(&mut self, candidate: Candidate<'t>) {
        if candidate.is_whole
            && self.names.path(candidate.expression, candidate.scope).as_deref() == Some(ENVIRONMENT)
        {
            // The environment as a whole, handed to something.
            self.add(candidate.expression.range(), Kind::Variable, Name::Any, Missing::Default);
            return;
        }
        match candidate.expression {
            Expr::Call(call) => self.call(call, candidate),
            Expr::Subscript(subscript) => self.subscript(subscript, candidate),
            Expr::Compare(compare) => self.compare(compare, candidate.scope),
            _ => {}
        }
    }

    fn add(&mut self, at: TextRange, kind: Kind, name: Name, missing: Missing) {
        let (line, column) = self.lines.place(at.start().to_usize());
        self.references.push(Reference { line, column, kind, name, missing, profile: None, key: None });
    }

    fn name(&self, expression: &Expr, scope: usize) -> Name {
        match self.names.literal(expression, scope) {
            Some(name) => Name::Literal(name.into()),
            None => Name::undecidable(self.names.source(expression.range())),
        }
    }

    fn call(&mut self, call: &'t ExprCall, Candidate { scope, role, .. }: Candidate<'t>) {
        let arguments = &call.arguments;
        if let Expr::Attribute(method) = &*call.func
            && self.names.is_arguments(&method.value, scope)
        {
            let key = arguments.find_positional(0).filter(|_| matches!(method.attr.as_str(), "get" | "pop"));
            if let Some(key) = key {
                let name = self.name(key, scope);
                self.add(key.range(), Kind::Runtime, name, Missing::Default);
            }
            return;
        }
        let Some(path) = self.names.path(&call.func, scope) else { return };
        if matches!(path.as_str(), "os.environ.copy" | "os.environ.items" | "os.environ.values") {
            self.add(call.func.range(), Kind::Variable, Name::Any, Missing::Default);
            return;
        }
        let Some(Function { kind, name: (place, keyword), default, missing }) = function(&path) else {
            return;
        };
        let Some(key) = arguments.find_argument_value(keyword, place) else {
            let has_splat = arguments.args.iter().any(Expr::is_starred_expr)
                || arguments.keywords.iter().any(|keyword| keyword.arg.is_none());
            if kind == Kind::Profile && !has_splat && arguments.find_argument_value("config", 2).is_none() {
                self.add(call.func.range(), kind, Name::Literal(DEFAULT_PROFILE.into()), missing);
            }
            return;
        };
        let name = self.name(key, scope);
        let value = default.and_then(|(place, keyword)| arguments.find_argument_value(keyword, place));
        // `None` is what comes without a default, but for `pop`, which fails then.
        let says = value.is_some_and(|value| !value.is_none_literal_expr() || path == "os.environ.pop");
        let missing =
            if says || matches!(role, Role::Asked | Role::Replaced) { Missing::Default } else { missing };
        if path == "os.environ.__contains__" {
            self.asked.extend(name.literal().map(ToString::to_string));
        }
        self.add(key.range(), kind, name, missing);
    }

    fn subscript(&mut self, subscript: &'t ExprSubscript, Candidate { scope, role, .. }: Candidate<'t>) {
        let key = &*subscript.slice;
        if self.names.is_arguments(&subscript.value, scope) {
            let name = self.name(key, scope);
            self.add(key.range(), Kind::Runtime, name, Missing::Fails);
            return;
        }
        if self.names.path(&subscript.value, scope).as_deref() != Some(ENVIRONMENT) {
            return;
        }
        let name = self.name(key, scope);
        let missing = match role {
            Role::Set if name.literal().is_none() => return,
            Role::Set => Missing::Set,
            Role::Replaced => Missing::Default,
            // Asked or not: where it is missing, this raises.
            Role::Used | Role::Asked => Missing::Fails,
        };
        self.add(key.range(), Kind::Variable, name, missing);
    }

    /// `'X' in os.environ`.
    fn compare(&mut self, compare: &'t ExprCompare, scope: usize) {
        let ([CmpOp::In | CmpOp::NotIn], [right]) = (&*compare.ops, &*compare.comparators) else { return };
        let path = match right {
            Expr::Call(call) => self.names.path(&call.func, scope).filter(|path| path == "os.environ.keys"),
            right => self.names.path(right, scope).filter(|path| path == ENVIRONMENT),
        };
        if path.is_none() {
            return;
        }
        let name = self.name(&compare.left, scope);
        self.asked.extend(name.literal().map(ToString::to_string));
        self.add(compare.left.range(), Kind::Variable, name, Missing::Default);
    }
}
