//! What calls come to, as far as it says which variables are needed.

use ruff_python_ast::{Arguments, Expr, ExprAttribute, ExprCall, Parameters, Stmt};
use ruff_text_size::Ranged as _;

use super::{
    branches::Exit,
    fate::{Catcher, DEEPEST, Failure, Flow, Path, Summary},
    groups::Groups,
    names::Function,
    value::{Constant, Members, Nothing, Value},
};

/// What a call gives to a parameter: by place, or by name.
type Given<'t> = (Option<&'t str>, Value);

/// The methods of what people read.
const SHOWING: [&str; 9] =
    ["debug", "info", "warning", "warn", "error", "exception", "critical", "log", "success"];

/// The methods of texts that leave an empty one empty.
const KEEPING: [&str; 12] = [
    "strip",
    "lstrip",
    "rstrip",
    "lower",
    "upper",
    "title",
    "capitalize",
    "replace",
    "casefold",
    "removeprefix",
    "removesuffix",
    "format",
];

/// Deeper calls are not evaluated.
const CALLS: usize = 6;

impl<'t> Flow<'_, 't> {
    /// Whether a call ends the program.
    pub(super) fn is_exit(&self, call: &'t ExprCall) -> bool {
        match &*call.func {
            Expr::Name(name) if matches!(name.id.as_str(), "exit" | "quit") => {
                self.names.look_up(&name.id, self.scope).is_none()
            }
            called => matches!(
                self.names.path(called, self.scope).as_deref(),
                Some("sys.exit" | "os._exit" | "os.abort")
            ),
        }
    }

    pub(super) fn call(&mut self, call: &'t ExprCall) -> Value {
        if self.is_exit(call) {
            self.arguments_shown(&call.arguments);
            self.fail_here(Failure::Exit);
            return Value::default();
        }
        match &*call.func {
            Expr::Name(name) if self.names.look_up(&name.id, self.scope).is_none() => {
                return self.builtin(name.id.as_str(), call);
            }
            Expr::Attribute(method) if SHOWING.contains(&method.attr.as_str()) => {
                self.evaluate(&method.value);
                self.arguments_shown(&call.arguments);
                return Value::default();
            }
            _ => {}
        }
        if let Some(function) = self.names.function(&call.func, self.scope) {
            if let Expr::Attribute(method) = &*call.func {
                self.evaluate(&method.value);
            }
            let given = self.given(&call.arguments);
            return self.function(function, given);
        }
        if let Some((class, _)) = self.names.class(&call.func, self.scope) {
            let given = self.given(&call.arguments);
            self.constructed(&class.body, given);
            return Value::default();
        }
        match &*call.func {
            Expr::Attribute(method) => self.method(call, method),
            called => {
                self.used(called);
                self.arguments_used(&call.arguments);
                Value::default()
            }
        }
    }

    pub(super) fn arguments_used(&mut self, arguments: &'t Arguments) {
        for argument in arguments.args.iter().chain(arguments.keywords.iter().map(|one| &one.value)) {
            self.used(argument);
        }
    }

    /// What is given to something that shows it to people.
    fn arguments_shown(&mut self, arguments: &'t Arguments) {
        self.shown += 1;
        for argument in arguments.args.iter().chain(arguments.keywords.iter().map(|one| &one.value)) {
            self.evaluate(argument);
        }
        self.shown -= 1;
    }

    fn given(&mut self, arguments: &'t Arguments) -> Vec<Given<'t>> {
        let mut given = Vec::new();
        for argument in &arguments.args {
            given.push((None, self.evaluate(argument)));
        }
        for keyword in &arguments.keywords {
            let value = self.evaluate(&keyword.value);
            match &keyword.arg {
                Some(name) => given.push((Some(name.as_str()), value)),
                None => self.use_value(&value),
            }
        }
        given
    }

    /// What Python itself brings.
    fn builtin(&mut self, name: &'t str, call: &'t ExprCall) -> Value {
        let arguments = &call.arguments;
        let first = arguments.find_positional(0);
        match (name, first) {
            ("print" | "isinstance" | "type" | "repr" | "id", _) => {
                self.arguments_shown(arguments);
                Value::default()
            }
            ("bool", Some(first)) => self.evaluate(first).answer(),
            ("len", Some(first)) => {
                let value = self.evaluate(first);
                self.use_value(&Value { members: Members::default(), ..value.clone() });
                value.answer()
            }
            ("all", Some(first)) => all(&self.evaluate(first)),
            ("any", Some(first)) => any(&self.evaluate(first)),
            ("str", Some(first)) => {
                let value = self.evaluate(first);
                self.shown_in_text(&value);
                let is_empty = value.nothing == Nothing::Empty;
                if is_empty { value } else { Value { depends: value.depends, ..Value::default() } }
            }
            ("int" | "float", Some(first)) => {
                let value = self.evaluate(first);
                self.fail(&value.absent, Failure::Used);
                Value { depends: value.depends, ..Value::default() }
            }
            ("next", Some(first)) => self.next(call, first),
            (
                "list" | "tuple" | "set" | "sorted" | "reversed" | "iter" | "filter" | "zip" | "enumerate",
                Some(_),
            ) => {
                let mut values = arguments.args.iter().map(|one| self.evaluate(one)).collect::<Vec<_>>();
                arguments.keywords.iter().for_each(|one| self.used(&one.value));
                let last = values.pop().unwrap_or_default();
                values.iter().for_each(|value| self.use_value(value));
                self.use_value(&Value { members: Members::default(), ..last.clone() });
                last
            }
            ("dict", _) => self.dictionary(arguments),
            _ => {
                self.arguments_used(arguments);
                Value::default()
            }
        }
    }

    fn dictionary(&mut self, arguments: &'t Arguments) -> Value {
        let mut members = Vec::new();
        let mut has_more = false;
        for argument in &arguments.args {
            let value = self.evaluate(argument);
            members.extend(value.members.iter().cloned());
            has_more = true;
        }
        for keyword in &arguments.keywords {
            let value = self.evaluate(&keyword.value);
            members.push((keyword.arg.as_ref().map(|name| name.as_str().into()), value));
        }
        self.container(members, has_more)
    }

    /// `next((x for x in … if x), default)`.
    fn next(&mut self, call: &'t ExprCall, first: &'t Expr) -> Value {
        let iterated = self.evaluate(first);
        let default = call.arguments.find_positional(1).map(|default| self.evaluate(default));
        let filters =
            matches!(first, Expr::Generator(one) if one.generators.iter().any(|one| !one.ifs.is_empty()));
        if !filters {
            self.use_value(&iterated);
            return Value::default();
        }
        let absent = iterated.absent;
        match default {
            Some(default) => Value::absent(absent, Nothing::None).or(default),
            None => {
                self.fail(&absent, Failure::Raised("StopIteration"));
                Value::default()
            }
        }
    }

    fn method(&mut self, call: &'t ExprCall, method: &'t ExprAttribute) -> Value {
        let name = method.attr.as_str();
        let object = self.evaluate(&method.value);
        if !object.members.is_empty() {
            match (name, call.arguments.find_positional(0)) {
                ("items" | "values" | "keys" | "copy", None) => return object,
                ("get" | "pop", Some(Expr::StringLiteral(key))) => {
                    let key = key.value.to_str();
                    let found = object.members.iter().find(|(known, _)| known.as_deref() == Some(key));
                    return found.map_or_else(Value::default, |(_, value)| value.clone());
                }
                _ => {}
            }
        }
        if object.nothing == Nothing::None {
            self.use_value(&Value { members: Members::default(), ..object.clone() });
        }
        if matches!(name, "append" | "add" | "extend" | "update" | "insert")
            && let Expr::Name(held) = &*method.value
        {
            self.grows(&held.id, object, call);
            return Value::default();
        }
        self.arguments_used(&call.arguments);
        if object.nothing == Nothing::Empty && KEEPING.contains(&name) {
            return object;
        }
        Value { depends: object.depends, ..Value::default() }
    }

    /// Something is added to what a name holds. Where that runs only without some variables, it counts as yes without them.
    fn grows(&mut self, name: &'t str, held: Value, call: &'t ExprCall) {
        let mut members = held.members.to_vec();
        for argument in &call.arguments.args {
            let value = self.evaluate(argument);
            if value.members.is_empty() {
                members.push((None, value));
            } else {
                members.extend(value.members.iter().cloned());
            }
        }
        call.arguments.keywords.iter().for_each(|one| self.used(&one.value));
        let Some((_, bound)) = self.names.look_up(name, self.scope) else { return };
        let mut present = held.present.clone();
        if let Some(without) = &self.path.without {
            present.add(&self.possible(without).with(self.path.certainty));
        }
        let members = self.members(members);
        let value = Value {
            members,
            present,
            has_more: true,
            constant: Constant::Unknown,
            nothing: Nothing::Empty,
            ..held
        };
        self.bind((bound, name), value);
    }

    /// An object of a class of this file: its attributes are what is given, or what `__init__` does with it.
    fn constructed(&mut self, body: &'t [Stmt], given: Vec<Given<'t>>) {
        let definition = body.iter().find_map(|one| match one {
            Stmt::FunctionDef(function) if function.name.as_str() == "__init__" => Some(function),
            _ => None,
        });
        if let Some(scope) = definition.and_then(|one| self.names.scope_at(one.range()))
            && let Some(function) = self.names.function_of(scope)
        {
            self.function(function, given);
            return;
        }
        let fields = body.iter().filter_map(|one| match one {
            Stmt::AnnAssign(field) => field.target.as_name_expr().map(|name| name.id.as_str()),
            _ => None,
        });
        let fields: Vec<&'t str> = fields.collect();
        for (place, (name, value)) in given.into_iter().enumerate() {
            match name.or_else(|| fields.get(place).copied()) {
                Some(name) if fields.contains(&name) => self.field(name, value),
                _ => self.use_value(&value),
            }
        }
    }

    /// Goes through a function for a call of it; what it returns.
    pub(super) fn function(&mut self, function: Function<'t>, given: Vec<Given<'t>>) -> Value {
        let says = |(_, value): &Given<'_>| value.is_known() || value.text.is_some() || value.is_falsy();
        let says_something = given.iter().any(says);
        let summary = match self.summaries.get(&function.scope) {
            Some(summary) if !says_something => summary.clone(),
            _ => {
                let is_allowed = self.depth + 10 < DEEPEST
                    && self.running.len() < CALLS
                    && !self.running.contains(&function.scope)
                    && self.spend(function.definition);
                if !is_allowed {
                    // What is done with it there is not known.
                    let given = given
                        .into_iter()
                        .map(|(name, value)| (name, value.with(super::groups::Certainty::Possible)));
                    given.for_each(|(_, value)| self.use_value(&value));
                    return Value::default();
                }
                let summary = self.body(function, given);
                self.summaries.insert(function.scope, summary.clone());
                summary
            }
        };
        for (failure, groups) in &summary.failures {
            self.fail(groups, *failure);
        }
        self.assume_numbers(summary.known);
        summary.value
    }

    fn body(&mut self, function: Function<'t>, given: Vec<Given<'t>>) -> Summary<'t> {
        let path = std::mem::replace(&mut self.path, Path::start());
        let scope = std::mem::replace(&mut self.scope, function.scope);
        let returns = std::mem::take(&mut self.returns);
        let (shown, left) = (std::mem::take(&mut self.shown), self.left);
        let known = self.known_trail.len();
        self.running.push(function.scope);
        self.catchers.push(Catcher { kinds: None, caught: Vec::new() });
        self.parameters(function, given);
        let exit = self.block(&function.definition.body);
        let mut known_after = Vec::new();
        if exit == Exit::Falls {
            if self.returns.is_empty() {
                known_after.extend(self.known_trail[known..].iter().cloned());
            }
            self.falls_off();
        }
        self.running.pop();
        self.forget(known);
        let failures = self.catchers.pop().map_or_else(Vec::new, |catcher| catcher.caught);
        let returned = std::mem::replace(&mut self.returns, returns);
        (self.path, self.scope, self.shown, self.left) = (path, scope, shown, left);
        Summary { value: Value::joined(returned), failures, known: known_after }
    }

    /// A function that ends without `return` returns `None`.
    fn falls_off(&mut self) {
        if !self.returns.is_empty() {
            self.returned(Value::constant(Constant::None));
        }
    }

    /// Binds the parameters of a function to what a call gives.
    fn parameters(&mut self, function: Function<'t>, given: Vec<Given<'t>>) {
        let parameters: &'t Parameters = &function.definition.parameters;
        let places: Vec<&'t str> = parameters
            .posonlyargs
            .iter()
            .chain(&parameters.args)
            .skip(function.bound)
            .map(|one| one.parameter.name.as_str())
            .collect();
        let mut rest = Vec::new();
        let mut bound = Vec::new();
        for (place, (name, value)) in given.into_iter().enumerate() {
            match name.or_else(|| places.get(place).copied()) {
                Some(name) => bound.push((name, value)),
                None => rest.push((None, value)),
            }
        }
        for one in parameters.posonlyargs.iter().chain(&parameters.args).chain(&parameters.kwonlyargs) {
            let name = one.parameter.name.as_str();
            let value = match bound.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => value.clone(),
                None => one.default.as_deref().map_or_else(Value::default, |default| self.evaluate(default)),
            };
            self.bind((function.scope, name), value);
        }
        if let Some(others) = &parameters.vararg {
            let value = self.container(rest, false);
            self.bind((function.scope, others.name.as_str()), value);
        }
    }
}

/// Whether all members count as yes.
fn all(container: &Value) -> Value {
    let mut absent = Groups::default();
    let mut present = any_of(&[]);
    for (_, member) in container.members.iter() {
        absent.add(&member.absent);
        present.add(&member.present.possible());
    }
    Value { absent, present, nothing: Nothing::Answer, ..Value::default() }
}

/// Whether any member counts as yes.
fn any(container: &Value) -> Value {
    let members: Vec<Value> = container.members.iter().map(|(_, member)| member.clone()).collect();
    let mut present = Groups::default();
    members.iter().for_each(|member| present.add(&member.present));
    let absent = any_of(&members);
    let absent = if container.has_more { absent.possible() } else { absent };
    Value { absent, present, nothing: Nothing::Answer, ..Value::default() }
}

/// Without which variables none of several counts as yes.
fn any_of(members: &[Value]) -> Groups {
    let mut members = members.iter();
    let Some(first) = members.next() else { return Groups::default() };
    members.fold(first.absent.together(), |all, member| all.and(&member.absent.together()))
}
