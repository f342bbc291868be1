//! What names mean in a Python file: bindings by scope, and what an expression comes to where that can be known.

use std::collections::HashMap;

use magus_model::Text;
use ruff_python_ast::{
    Alias, Comprehension, ExceptHandler, Expr, ExprCall, ModModule, Operator, Parameters, Pattern, Stmt,
    StmtClassDef, StmtFunctionDef, StmtImportFrom, WithItem,
    visitor::{self, Visitor},
};
use ruff_text_size::{Ranged as _, TextRange};

/// How deeply a file may be nested, and how many calls, attributes and operands may follow one another. Python itself refuses
/// about as much.
const DEEPEST: u32 = 150;
const LONGEST_CHAIN: u32 = 2_000;

/// So many bindings of a name in a scope are remembered.
const BINDINGS: usize = 32;

/// So many calls of a function are looked at for what they give it.
const CALLS: usize = 64;

/// What a name is bound to in a scope.
#[derive(Debug, Clone)]
pub(super) enum Binding<'t> {
    /// A module or what is in one, with its dotted path.
    Import(String),
    /// What an expression comes to.
    Value(&'t Expr),
    /// One after the other of what a loop goes over; of each the part at a place, where it is taken apart.
    Each(&'t Expr, Option<usize>),
    /// A function, with the scope of its body.
    Function(&'t StmtFunctionDef, usize),
    /// A class, with the scope of its body.
    Class(&'t StmtClassDef, usize),
    /// A parameter of the function with this scope.
    Parameter(usize),
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

/// Whether the value of an expression is read or set where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Role {
    #[default]
    Read,
    Set,
}

/// A function as its calls see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function<'t> {
    pub(super) definition: &'t StmtFunctionDef,
    /// The scope of its body.
    pub(super) scope: usize,
    /// How many parameters a call with a dot fills by itself: `self`.
    pub(super) bound: usize,
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
    /// Within which `with env.prefixed(…)` it stands; 0 for none.
    pub(super) within: usize,
}

/// The names of a file.
pub(crate) struct Names<'t> {
    text: &'t str,
    scopes: Vec<Scope<'t>>,
    imports: Vec<Text>,
    /// Every class, with the scope of its body.
    pub(super) classes: Vec<(&'t StmtClassDef, usize)>,
    /// Every function, in the order of the file.
    pub(super) functions: Vec<Function<'t>>,
    /// The functions of classes by name; nothing where several classes have one of that name.
    methods: HashMap<&'t str, Option<usize>>,
    /// The functions by the scopes of their bodies.
    function_at: HashMap<usize, usize>,
    /// The scopes by where they are.
    scopes_at: HashMap<TextRange, usize>,
    /// The calls of each function of this file, by the scope of its body; the scope in which each stands.
    calls: HashMap<usize, Vec<(&'t ExprCall, usize)>>,
    /// Whether `from os import *` brings all of it.
    pub(super) brings_os: bool,
    /// What objects are given to keep, by the name of the attribute: `self.env = os.environ`.
    pub(super) kept: HashMap<&'t str, (&'t Expr, usize)>,
    /// The numbers of the texts that may be names.
    pub(super) words: Vec<u32>,
    pub(crate) candidates: Vec<Candidate<'t>>,
    /// What `with env.prefixed(…)` puts before names, with the one around it and the scope.
    pub(super) prefixes: Vec<(Option<&'t Expr>, usize, usize)>,
    within: usize,
    /// Whether attributes may be settings: those of Dynaconf.
    has_settings: bool,
    /// Where it is nested too deeply to be read on.
    pub(crate) too_deep: Option<TextRange>,
    /// Of what is visited.
    scope: usize,
    depth: u32,
    /// What is done with the next expression.
    role: Role,
    is_whole: bool,
}

impl<'t> Names<'t> {
    /// Reads the whole file once.
    pub(crate) fn read(module: &'t ModModule, text: &'t str) -> Self {
        let mut names = Self {
            text,
            scopes: vec![Scope::default()],
            imports: Vec::new(),
            classes: Vec::new(),
            functions: Vec::new(),
            methods: HashMap::new(),
            function_at: HashMap::new(),
            scopes_at: HashMap::new(),
            calls: HashMap::new(),
            brings_os: false,
            kept: HashMap::new(),
            words: Vec::new(),
            candidates: Vec::new(),
            prefixes: Vec::new(),
            within: 0,
            has_settings: false,
            too_deep: None,
            scope: 0,
            depth: 0,
            role: Role::Read,
            is_whole: false,
        };
        names.visit_body(&module.body);
        names.find_calls();
        names
    }

    /// The dotted paths that are imported; relative ones begin with dots.
    pub(crate) fn imports(&self) -> Vec<Text> {
        let mut imports = self.imports.clone();
        imports.sort();
        imports.dedup();
        imports
    }

    /// Whether a module is imported whose path begins so.
    pub(super) fn imports_any(&self, begin: &str) -> bool {
        self.imports.iter().any(|import| import.starts_with(begin))
    }

    /// How long the file is, in bytes.
    pub(super) fn length(&self) -> usize {
        self.text.len()
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
    fn within(&mut self, at: TextRange, scope: Scope<'t>, visit: impl FnOnce(&mut Self)) {
        let outer = self.scope;
        self.scopes.push(Scope { outer: Some(outer), ..scope });
        self.scope = self.scopes.len() - 1;
        self.scopes_at.insert(at, self.scope);
        visit(self);
        self.scope = outer;
    }

    /// The scope of a function, class, comprehension or lambda at this place.
    pub(super) fn scope_at(&self, at: TextRange) -> Option<usize> {
        self.scopes_at.get(&at).copied()
    }

    /// The function of this file that a call names, and how many of its parameters the call fills by itself.
    pub(super) fn function(&self, called: &Expr, scope: usize) -> Option<Function<'t>> {
        match called {
            Expr::Name(name) => {
                let (bindings, _) = self.look_up(&name.id, scope)?;
                let [Binding::Function(definition, scope)] = bindings else { return None };
                Some(Function { definition, scope: *scope, bound: 0 })
            }
            Expr::Attribute(attribute) => {
                let index = (*self.methods.get(attribute.attr.as_str())?)?;
                Some(self.functions[index])
            }
            _ => None,
        }
    }

    /// The class of this file that a call names, with the scope of its body.
    pub(super) fn class(&self, called: &Expr, scope: usize) -> Option<(&'t StmtClassDef, usize)> {
        let Expr::Name(name) = called else { return None };
        match self.look_up(&name.id, scope)?.0 {
            [Binding::Class(class, scope)] => Some((class, *scope)),
            _ => None,
        }
    }

    /// Finds the calls of the functions of this file.
    fn find_calls(&mut self) {
        let mut calls: HashMap<usize, Vec<(&'t ExprCall, usize)>> = HashMap::new();
        for candidate in &self.candidates {
            let Expr::Call(call) = candidate.expression else { continue };
            let Some(function) = self.function(&call.func, candidate.scope) else { continue };
            let known = calls.entry(function.scope).or_default();
            if known.len() < CALLS {
                known.push((call, candidate.scope));
            }
        }
        self.calls = calls;
    }

    /// The calls of a function, by the scope of its body; nothing where there are too many of them.
    pub(super) fn calls_of(&self, scope: usize) -> Option<&[(&'t ExprCall, usize)]> {
        let calls = self.calls.get(&scope).map_or(&[][..], Vec::as_slice);
        (calls.len() < CALLS).then_some(calls)
    }

    /// The function with this scope.
    pub(super) fn function_of(&self, scope: usize) -> Option<Function<'t>> {
        // Functions are found in the order of their scopes, but for those within others.
        self.function_at.get(&scope).map(|index| self.functions[*index])
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
            other => {
                if let (Expr::Attribute(attribute), Some(value)) = (other, value) {
                    self.kept.entry(&attribute.attr).or_insert((value, self.scope));
                }
                self.role = Role::Set;
                self.visit_expr(other);
            }
        }
    }

    /// Binds what a loop goes over.
    fn each(&mut self, target: &'t Expr, iterated: &'t Expr) {
        match target {
            Expr::Name(name) => self.bind(&name.id, Binding::Each(iterated, None)),
            Expr::Tuple(tuple) => {
                for (place, one) in tuple.elts.iter().enumerate() {
                    match one {
                        Expr::Name(name) => self.bind(&name.id, Binding::Each(iterated, Some(place))),
                        other => self.target(other, None),
                    }
                }
            }
            other => self.target(other, None),
        }
    }

    /// `with env.prefixed('APP_')`: what stands before the names in it.
    fn prefix(&mut self, item: &'t WithItem) {
        let Expr::Call(call) = &item.context_expr else { return };
        if call.func.as_attribute_expr().is_some_and(|method| method.attr.as_str() == "prefixed") {
            self.prefixes.push((call.arguments.find_argument_value("prefix", 0), self.within, self.scope));
            self.within = self.prefixes.len();
        }
    }

    fn parameters(&mut self, parameters: &'t Parameters, of_block: bool) {
        for parameter in parameters {
            let rest = parameters
                .kwarg
                .as_deref()
                .is_some_and(|rest| rest.range() == parameter.as_parameter().range());
            let binding = if rest && of_block { Binding::Arguments } else { Binding::Parameter(self.scope) };
            self.bind(parameter.name(), binding);
        }
    }

    fn import(&mut self, aliases: &'t [Alias]) {
        for alias in aliases {
            let path = alias.name.as_str();
            self.imports.push(path.into());
            self.has_settings |= path == "dynaconf";
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
        self.has_settings |= module == "dynaconf";
        for alias in &import.names {
            let name = alias.name.as_str();
            if name == "*" {
                self.brings_os |= module == "os";
                continue;
            }
            let separator = if module.ends_with('.') { "" } else { "." };
            let path = format!("{module}{separator}{name}");
            self.imports.push(path.as_str().into());
            let bound = alias.asname.as_ref().map_or(name, |bound| bound.as_str());
            self.bind(bound, Binding::Import(path));
        }
    }

    fn comprehension(&mut self, at: TextRange, generators: &'t [Comprehension], results: &[&'t Expr]) {
        self.within(at, Scope::default(), |inner| {
            for generator in generators {
                inner.each(&generator.target, &generator.iter);
                inner.visit_whole(&generator.iter);
                generator.ifs.iter().for_each(|test| inner.visit_expr(test));
            }
            results.iter().for_each(|result| inner.visit_expr(result));
        });
    }

    fn function_definition(&mut self, function: &'t StmtFunctionDef) {
        let (outer, scope, index) = (self.scope, self.scopes.len(), self.functions.len());
        self.bind(&function.name, Binding::Function(function, scope));
        let is_method = self.scopes[outer].is_class;
        let is_static =
            function.decorator_list.iter().any(|one| self.source(one.expression.range()) == "staticmethod");
        let bound = usize::from(is_method && !is_static);
        self.functions.push(Function { definition: function, scope, bound });
        self.function_at.insert(scope, index);
        if is_method {
            self.methods.entry(&function.name).and_modify(|known| *known = None).or_insert(Some(index));
        }
        // The scope comes first: decorators and defaults may have scopes of their own.
        self.within(function.range(), Scope::default(), |inner| {
            inner.parameters(&function.parameters, !function.decorator_list.is_empty());
            inner.visit_body(&function.body);
        });
        function.decorator_list.iter().for_each(|decorator| self.visit_decorator(decorator));
        self.visit_parameters(&function.parameters);
    }

    /// What a name is bound to, seen from a scope, and in which scope that is.
    pub(super) fn look_up(&self, name: &str, from: usize) -> Option<(&[Binding<'t>], usize)> {
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

    /// Whether an expression names the runtime variables of a block.
    pub(crate) fn is_arguments(&self, expression: &Expr, scope: usize) -> bool {
        let Expr::Name(name) = expression else { return false };
        self.look_up(&name.id, scope).is_some_and(|(bindings, _)| matches!(bindings, [Binding::Arguments]))
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
                self.each(&each.target, &each.iter);
                self.visit_body(&each.body);
                self.visit_body(&each.orelse);
            }
            Stmt::Match(choice) => {
                self.visit_whole(&choice.subject);
                choice.cases.iter().for_each(|case| self.visit_match_case(case));
            }
            Stmt::With(with) => {
                with.items.iter().for_each(|item| self.visit_with_item(item));
                let outer = self.within;
                with.items.iter().for_each(|item| self.prefix(item));
                self.visit_body(&with.body);
                self.within = outer;
            }
            Stmt::Return(result) => result.value.iter().for_each(|value| self.visit_whole(value)),
            Stmt::FunctionDef(function) => self.function_definition(function),
            Stmt::ClassDef(class) => {
                self.bind(&class.name, Binding::Class(class, self.scopes.len()));
                self.classes.push((class, self.scopes.len()));
                let scope = Scope { is_class: true, ..Scope::default() };
                // The scope comes first: what decorates a class may have scopes of its own.
                self.within(class.range(), scope, |inner| inner.visit_body(&class.body));
                class.decorator_list.iter().for_each(|decorator| self.visit_decorator(decorator));
                class.arguments.iter().for_each(|arguments| self.visit_arguments(arguments));
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
        let scope = self.scope;
        let within = self.within;
        let mut candidate = Candidate { expression, scope, role, is_whole, within };
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
                    if candidate.is_whole || self.has_settings {
                        self.candidates.push(candidate);
                    }
                    &*attribute.value
                }
                Expr::BinOp(operation) => {
                    // `os.environ | {…}` is all of it, and more.
                    self.is_whole = operation.op == Operator::BitOr;
                    self.visit_expr(&operation.right);
                    let is_whole = operation.op == Operator::BitOr;
                    candidate =
                        Candidate { expression: &operation.left, scope, role: Role::Read, is_whole, within };
                    continue;
                }
                last => {
                    self.last(last, candidate);
                    break;
                }
            };
            candidate = Candidate { expression: next, scope, role: Role::Read, is_whole: false, within };
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
            Expr::StringLiteral(text) => self.words.extend(crate::words::number(text.value.to_str())),
            Expr::Name(_) if candidate.is_whole => self.candidates.push(candidate),
            Expr::Compare(_) => {
                self.candidates.push(candidate);
                visitor::walk_expr(self, expression);
            }
            Expr::Named(named) => {
                self.visit_expr(&named.value);
                self.target(&named.target, Some(&named.value));
            }
            Expr::Lambda(lambda) => self.within(lambda.range(), Scope::default(), |inner| {
                lambda.parameters.iter().for_each(|parameters| inner.parameters(parameters, false));
                inner.visit_expr(&lambda.body);
            }),
            Expr::ListComp(list) => self.comprehension(list.range(), &list.generators, &[&list.elt]),
            Expr::SetComp(set) => self.comprehension(set.range(), &set.generators, &[&set.elt]),
            Expr::Generator(generator) => {
                self.comprehension(generator.range(), &generator.generators, &[&generator.elt])
            }
            Expr::DictComp(map) => {
                let results: Vec<&Expr> = map.key.as_deref().into_iter().chain([&*map.value]).collect();
                self.comprehension(map.range(), &map.generators, &results);
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
