//! What names mean in a Python file: bindings by scope, and what an expression comes to where that can be known.

use std::collections::HashMap;

use magus_model::Text;
use ruff_python_ast::{
    Alias, BoolOp, Comprehension, ElifElseClause, ExceptHandler, Expr, ModModule, Operator, Parameters,
    Pattern, Stmt, StmtImportFrom, StmtTry, WithItem,
    visitor::{self, Visitor},
};
use ruff_text_size::{Ranged as _, TextRange};

/// How deeply a file may be nested, and how many calls, attributes and operands may follow one another. Python itself refuses
/// about as much.
const DEEPEST: u32 = 150;
const LONGEST_CHAIN: u32 = 2_000;

/// So many bindings of a name in a scope are remembered, and so many names and attributes are followed to what an expression names:
/// two names that are bound to each other, twice, would never end.
const BINDINGS: usize = 32;
const FOLLOWED: usize = 32;

/// So many parts a text is put together of, each of so many bytes at most, to be looked for as a name.
const PARTS: u32 = 200;
const LONGEST_NAME: usize = 1_000;

/// What a name is bound to in a scope.
#[derive(Debug, Clone)]
enum Binding<'t> {
    /// A module or what is in one, with its dotted path.
    Import(String),
    /// What an expression comes to.
    Value(&'t Expr),
    /// The keyword arguments of a block's function: the runtime variables.
    Arguments,
    /// What nobody can say.
    Other,
}

/// A module, function, class or comprehension.
#[derive(Debug, Default)]
struct Scope<'t> {
    outer: Option<usize>,
    is_class: bool,
    bindings: HashMap<&'t str, Vec<Binding<'t>>>,
}

/// What is done with the value of an expression where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Role {
    /// It is used.
    #[default]
    Used,
    /// It is only asked whether it is there, or what it is: `if …`, `… == 'x'`.
    Asked,
    /// Where it is missing, another one counts: `… or 'x'`, `except KeyError`.
    Replaced,
    /// It is set.
    Set,
}

/// An expression that may refer to something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'t> {
    pub(crate) expression: &'t Expr,
    /// Where names in it are looked up.
    pub(crate) scope: usize,
    pub(crate) role: Role,
    /// Whether it is handed on as a whole: an argument, what a loop goes over.
    pub(crate) is_whole: bool,
}

/// The names of a file.
pub(crate) struct Names<'t> {
    text: &'t str,
    scopes: Vec<Scope<'t>>,
    imports: Vec<Text>,
    pub(crate) candidates: Vec<Candidate<'t>>,
    /// Where it is nested too deeply to be read on.
    pub(crate) too_deep: Option<TextRange>,
    /// Of what is visited.
    scope: usize,
    depth: u32,
    /// How many `try` are around it whose `except` handles what is missing.
    handled: u32,
    /// What is done with the next expression.
    role: Role,
    is_whole: bool,
}

/// What blocks get without an import of it in this file: through `import *`, or from Mage.
const WITHOUT_IMPORT: [(&str, &str); 2] = [("os", "os"), ("get_secret_value", super::uses::SECRET)];

impl<'t> Names<'t> {
    /// Reads the whole file once.
    pub(crate) fn read(module: &'t ModModule, text: &'t str) -> Self {
        let mut names = Self {
            text,
            scopes: vec![Scope::default()],
            imports: Vec::new(),
            candidates: Vec::new(),
            too_deep: None,
            scope: 0,
            depth: 0,
            handled: 0,
            role: Role::Used,
            is_whole: false,
        };
        names.visit_body(&module.body);
        names
    }

    /// The dotted paths that are imported; relative ones begin with dots.
    pub(crate) fn imports(&self) -> Vec<Text> {
        let mut imports = self.imports.clone();
        imports.sort();
        imports.dedup();
        imports
    }

    /// As it is written.
    pub(crate) fn source(&self, range: TextRange) -> &'t str {
        self.text.get(range.start().to_usize()..range.end().to_usize()).unwrap_or_default()
    }

    fn bind(&mut self, name: &'t str, binding: Binding<'t>) {
        let bindings = self.scopes[self.scope].bindings.entry(name).or_default();
        if bindings.len() < BINDINGS {
            bindings.push(binding);
        }
    }

    /// Visits what is in a scope of its own.
    fn within(&mut self, is_class: bool, visit: impl FnOnce(&mut Self)) {
        let (outer, handled) = (self.scope, self.handled);
        self.scopes.push(Scope { outer: Some(outer), is_class, ..Scope::default() });
        self.scope = self.scopes.len() - 1;
        if !is_class {
            // A function runs elsewhere than where it is defined.
            self.handled = 0;
        }
        visit(self);
        (self.scope, self.handled) = (outer, handled);
    }

    /// Visits an expression that something is done with.
    fn visit_as(&mut self, role: Role, expression: &'t Expr) {
        self.role = role;
        self.visit_expr(expression);
    }

    fn visit_whole(&mut self, expression: &'t Expr) {
        self.is_whole = true;
        self.visit_expr(expression);
    }

    /// Goes one deeper; whether that is still allowed.
    fn enter(&mut self, at: TextRange) -> bool {
        if self.depth >= DEEPEST {
            self.too_deep.get_or_insert(at);
            return false;
        }
        self.depth += 1;
        true
    }

    /// Binds what a target binds, and visits what it reads.
    fn target(&mut self, target: &'t Expr, value: Option<&'t Expr>) {
        match target {
            Expr::Name(name) => self.bind(&name.id, value.map_or(Binding::Other, Binding::Value)),
            Expr::Tuple(tuple) => tuple.elts.iter().for_each(|one| self.target(one, None)),
            Expr::List(list) => list.elts.iter().for_each(|one| self.target(one, None)),
            Expr::Starred(starred) => self.target(&starred.value, None),
            other => self.visit_as(Role::Set, other),
        }
    }

    fn parameters(&mut self, parameters: &'t Parameters, of_block: bool) {
        for parameter in parameters {
            let rest = parameters
                .kwarg
                .as_deref()
                .is_some_and(|rest| rest.range() == parameter.as_parameter().range());
            let binding = if rest && of_block { Binding::Arguments } else { Binding::Other };
            self.bind(parameter.name(), binding);
        }
    }

    fn import(&mut self, aliases: &'t [Alias]) {
        for alias in aliases {
            let path = alias.name.as_str();
            self.imports.push(path.into());
            match &alias.asname {
                Some(bound) => self.bind(bound.as_str(), Binding::Import(path.to_owned())),
                None => {
                    // `import os.path` binds `os`.
                    let first = path.split('.').next().unwrap_or(path);
                    self.bind(first, Binding::Import(first.to_owned()));
                }
            }
        }
    }

    fn import_from(&mut self, import: &'t StmtImportFrom) {
        let dots = ".".repeat(import.level as usize);
        let module = format!("{dots}{}", import.module.as_ref().map_or("", |module| module.as_str()));
        self.imports.push(module.as_str().into());
        for alias in &import.names {
            let name = alias.name.as_str();
            if name == "*" {
                continue;
            }
            let separator = if module.ends_with('.') { "" } else { "." };
            let path = format!("{module}{separator}{name}");
            self.imports.push(path.as_str().into());
            let bound = alias.asname.as_ref().map_or(name, |bound| bound.as_str());
            self.bind(bound, Binding::Import(path));
        }
    }

    fn comprehension(&mut self, generators: &'t [Comprehension], results: &[&'t Expr]) {
        self.within(false, |inner| {
            for generator in generators {
                inner.target(&generator.target, None);
                inner.visit_whole(&generator.iter);
                generator.ifs.iter().for_each(|test| inner.visit_as(Role::Asked, test));
            }
            results.iter().for_each(|result| inner.visit_expr(result));
        });
    }

    fn try_statement(&mut self, statement: &'t StmtTry) {
        let handles = statement.handlers.iter().any(|handler| self.handles_missing(handler));
        self.handled += u32::from(handles);
        self.visit_body(&statement.body);
        self.handled -= u32::from(handles);
        statement.handlers.iter().for_each(|handler| self.visit_except_handler(handler));
        self.visit_body(&statement.orelse);
        self.visit_body(&statement.finalbody);
    }

    /// Whether an `except` is for what is missing, and raises nothing.
    fn handles_missing(&self, ExceptHandler::ExceptHandler(handler): &ExceptHandler) -> bool {
        let Some(kind) = &handler.type_ else { return false };
        let kind = self.source(kind.range());
        let body = self.source(handler.range());
        (kind.contains("KeyError") || kind.contains("LookupError"))
            && !body.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "raise")
    }

    /// What a name is bound to, seen from a scope, and in which scope that is.
    fn look_up(&self, name: &str, from: usize) -> Option<(&[Binding<'t>], usize)> {
        let mut at = Some(from);
        while let Some(scope) = at {
            let here = &self.scopes[scope];
            // What a class binds is not seen from its methods.
            if let Some(bindings) = here.bindings.get(name)
                && (scope == from || !here.is_class)
            {
                return Some((bindings, scope));
            }
            at = here.outer;
        }
        None
    }

    /// The dotted path of what an expression names, such as `os.environ.get`.
    pub(crate) fn path(&self, expression: &'t Expr, scope: usize) -> Option<String> {
        self.path_within(expression, scope, &mut Vec::new())
    }

    /// The same, without the names that were followed already, each with the scope that binds it.
    fn path_within(
        &self,
        expression: &'t Expr,
        scope: usize,
        followed: &mut Vec<(usize, &'t str)>,
    ) -> Option<String> {
        match expression {
            Expr::Name(name) => {
                let Some((bindings, bound)) = self.look_up(&name.id, scope) else {
                    let known = WITHOUT_IMPORT.into_iter().find(|(known, _)| *known == name.id.as_str());
                    return known.map(|(_, path)| path.to_owned());
                };
                let binding = (bound, name.id.as_str());
                if followed.len() >= FOLLOWED || followed.contains(&binding) {
                    return None;
                }
                followed.push(binding);
                // Where it is bound in several ways, one that is known is enough: `try: import … except: … = None`.
                bindings.iter().find_map(|binding| match binding {
                    Binding::Import(path) => Some(path.clone()),
                    Binding::Value(value) => self.path_within(value, bound, followed),
                    Binding::Arguments | Binding::Other => None,
                })
            }
            Expr::Attribute(attribute) => {
                let (mut object, mut attributes) = (&*attribute.value, vec![&attribute.attr]);
                while let Expr::Attribute(inner) = object {
                    attributes.push(&inner.attr);
                    object = &inner.value;
                }
                if attributes.len() > FOLLOWED {
                    return None;
                }
                let mut path = self.path_within(object, scope, followed)?;
                for attribute in attributes.into_iter().rev() {
                    path.push('.');
                    path.push_str(attribute);
                }
                Some(path)
            }
            _ => None,
        }
    }

    /// Whether an expression names the runtime variables of a block.
    pub(crate) fn is_arguments(&self, expression: &Expr, scope: usize) -> bool {
        let Expr::Name(name) = expression else { return false };
        self.look_up(&name.id, scope).is_some_and(|(bindings, _)| matches!(bindings, [Binding::Arguments]))
    }

    /// The text that an expression comes to.
    pub(crate) fn literal(&self, expression: &Expr, scope: usize) -> Option<String> {
        let mut parts = PARTS;
        self.literal_within(expression, scope, &mut parts)
    }

    fn literal_within(&self, expression: &Expr, scope: usize, parts: &mut u32) -> Option<String> {
        *parts = parts.checked_sub(1)?;
        match expression {
            Expr::StringLiteral(string) => {
                let text = string.value.to_str();
                (text.len() <= LONGEST_NAME).then(|| text.to_owned())
            }
            Expr::BinOp(sum) if sum.op == Operator::Add => {
                let mut side = |expression| self.literal_within(expression, scope, parts);
                Some(side(&sum.left)? + &side(&sum.right)?)
            }
            Expr::Name(name) => {
                let (bindings, bound) = self.look_up(&name.id, scope)?;
                let [Binding::Value(value)] = bindings else { return None };
                self.literal_within(value, bound, parts)
            }
            _ => None,
        }
    }
}

impl<'t> Visitor<'t> for Names<'t> {
    fn visit_stmt(&mut self, statement: &'t Stmt) {
        if !self.enter(statement.range()) {
            return;
        }
        match statement {
            Stmt::Import(import) => self.import(&import.names),
            Stmt::ImportFrom(import) => self.import_from(import),
            Stmt::Assign(assign) => {
                self.visit_expr(&assign.value);
                assign.targets.iter().for_each(|target| self.target(target, Some(&assign.value)));
            }
            Stmt::AnnAssign(assign) => {
                assign.value.iter().for_each(|value| self.visit_expr(value));
                self.target(&assign.target, assign.value.as_deref());
            }
            Stmt::AugAssign(assign) => {
                self.visit_expr(&assign.value);
                match &*assign.target {
                    Expr::Name(name) => self.bind(&name.id, Binding::Other),
                    read => self.visit_expr(read),
                }
            }
            Stmt::For(each) => {
                self.visit_whole(&each.iter);
                self.target(&each.target, None);
                self.visit_body(&each.body);
                self.visit_body(&each.orelse);
            }
            Stmt::If(choice) => {
                self.visit_as(Role::Asked, &choice.test);
                self.visit_body(&choice.body);
                choice.elif_else_clauses.iter().for_each(|clause| self.visit_elif_else_clause(clause));
            }
            Stmt::While(repeat) => {
                self.visit_as(Role::Asked, &repeat.test);
                self.visit_body(&repeat.body);
                self.visit_body(&repeat.orelse);
            }
            Stmt::Return(result) => result.value.iter().for_each(|value| self.visit_whole(value)),
            Stmt::Try(statement) => self.try_statement(statement),
            Stmt::FunctionDef(function) => {
                self.bind(&function.name, Binding::Other);
                function.decorator_list.iter().for_each(|decorator| self.visit_decorator(decorator));
                self.visit_parameters(&function.parameters);
                self.within(false, |inner| {
                    inner.parameters(&function.parameters, !function.decorator_list.is_empty());
                    inner.visit_body(&function.body);
                });
            }
            Stmt::ClassDef(class) => {
                self.bind(&class.name, Binding::Other);
                class.decorator_list.iter().for_each(|decorator| self.visit_decorator(decorator));
                class.arguments.iter().for_each(|arguments| self.visit_arguments(arguments));
                self.within(true, |inner| inner.visit_body(&class.body));
            }
            other => visitor::walk_stmt(self, other),
        }
        self.depth -= 1;
    }

    fn visit_expr(&mut self, expression: &'t Expr) {
        let (role, is_whole) = (std::mem::take(&mut self.role), std::mem::take(&mut self.is_whole));
        if !self.enter(expression.range()) {
            return;
        }
        let role = match role {
            Role::Used | Role::Asked if self.handled > 0 => Role::Replaced,
            role => role,
        };
        let scope = self.scope;
        let mut candidate = Candidate { expression, scope, role, is_whole };
        let mut chain = 0;
        // What follows one another is no nesting: `a.b(c)[d] + e`.
        loop {
            chain += 1;
            if chain > LONGEST_CHAIN {
                self.too_deep.get_or_insert(expression.range());
                break;
            }
            let next = match candidate.expression {
                Expr::Call(call) => {
                    self.candidates.push(candidate);
                    self.visit_arguments(&call.arguments);
                    &*call.func
                }
                Expr::Subscript(subscript) => {
                    self.candidates.push(candidate);
                    self.visit_expr(&subscript.slice);
                    &*subscript.value
                }
                Expr::Attribute(attribute) => {
                    if candidate.is_whole {
                        self.candidates.push(candidate);
                    }
                    &*attribute.value
                }
                Expr::BinOp(operation) => {
                    self.visit_expr(&operation.right);
                    &*operation.left
                }
                last => {
                    self.last(last, candidate);
                    break;
                }
            };
            candidate = Candidate { expression: next, scope, role: Role::Used, is_whole: false };
            if self.handled > 0 {
                candidate.role = Role::Replaced;
            }
        }
        self.depth -= 1;
    }

    fn visit_arguments(&mut self, arguments: &'t ruff_python_ast::Arguments) {
        for argument in &arguments.args {
            match argument {
                Expr::Starred(starred) => self.visit_whole(&starred.value),
                argument => self.visit_whole(argument),
            }
        }
        arguments.keywords.iter().for_each(|keyword| self.visit_whole(&keyword.value));
    }

    fn visit_elif_else_clause(&mut self, clause: &'t ElifElseClause) {
        clause.test.iter().for_each(|test| self.visit_as(Role::Asked, test));
        self.visit_body(&clause.body);
    }

    fn visit_except_handler(&mut self, handler: &'t ExceptHandler) {
        let ExceptHandler::ExceptHandler(except) = handler;
        if let Some(name) = &except.name {
            self.bind(name.as_str(), Binding::Other);
        }
        visitor::walk_except_handler(self, handler);
    }

    fn visit_with_item(&mut self, item: &'t WithItem) {
        self.visit_expr(&item.context_expr);
        item.optional_vars.iter().for_each(|target| self.target(target, None));
    }

    fn visit_pattern(&mut self, pattern: &'t Pattern) {
        if !self.enter(pattern.range()) {
            return;
        }
        let name = match pattern {
            Pattern::MatchStar(star) => star.name.as_ref(),
            Pattern::MatchAs(bound) => bound.name.as_ref(),
            Pattern::MatchMapping(mapping) => mapping.rest.as_ref(),
            _ => None,
        };
        if let Some(name) = name {
            self.bind(name.as_str(), Binding::Other);
        }
        visitor::walk_pattern(self, pattern);
        self.depth -= 1;
    }
}

impl<'t> Names<'t> {
    /// What is no call, index, attribute or operation.
    fn last(&mut self, expression: &'t Expr, candidate: Candidate<'t>) {
        match expression {
            Expr::Name(_) if candidate.is_whole => self.candidates.push(candidate),
            Expr::Compare(compare) => {
                self.candidates.push(candidate);
                for operand in std::iter::once(&*compare.left).chain(&compare.comparators) {
                    self.visit_as(Role::Asked, operand);
                }
            }
            Expr::BoolOp(operation) => {
                let last = operation.values.len().saturating_sub(1);
                for (at, value) in operation.values.iter().enumerate() {
                    let role =
                        if operation.op == BoolOp::Or && at < last { Role::Replaced } else { candidate.role };
                    self.visit_as(role, value);
                }
            }
            Expr::UnaryOp(operation) => self.visit_as(candidate.role, &operation.operand),
            Expr::Named(named) => {
                self.visit_as(candidate.role, &named.value);
                self.target(&named.target, Some(&named.value));
            }
            Expr::If(choice) => {
                self.visit_as(Role::Asked, &choice.test);
                self.visit_expr(&choice.body);
                self.visit_expr(&choice.orelse);
            }
            Expr::Lambda(lambda) => self.within(false, |inner| {
                lambda.parameters.iter().for_each(|parameters| inner.parameters(parameters, false));
                inner.visit_expr(&lambda.body);
            }),
            Expr::ListComp(list) => self.comprehension(&list.generators, &[&list.elt]),
            Expr::SetComp(set) => self.comprehension(&set.generators, &[&set.elt]),
            Expr::Generator(generator) => self.comprehension(&generator.generators, &[&generator.elt]),
            Expr::DictComp(map) => {
                let results: Vec<&Expr> = map.key.as_deref().into_iter().chain([&*map.value]).collect();
                self.comprehension(&map.generators, &results);
            }
            Expr::Dict(map) => {
                for item in &map.items {
                    match &item.key {
                        Some(key) => {
                            self.visit_expr(key);
                            self.visit_expr(&item.value);
                        }
                        None => self.visit_whole(&item.value),
                    }
                }
            }
            other => visitor::walk_expr(self, other),
        }
    }
}
