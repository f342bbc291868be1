//! What statements do, as far as it says which variables are needed.

use ruff_python_ast::{
    ElifElseClause, ExceptHandler, Expr, Pattern, Singleton, Stmt, StmtAssert, StmtClassDef, StmtFor, StmtIf,
    StmtMatch, StmtRaise, StmtTry, StmtWhile, StmtWith,
};
use ruff_text_size::Ranged as _;

use super::{
    branches::{Branch, Exit},
    fate::{Bound, Catcher, Condition, DEEPEST, Failure, Flow, When},
    groups::{Certainty, Groups},
    uses::Gives,
    value::{Constant, Nothing, Value},
};

impl<'t> Flow<'_, 't> {
    /// Goes through statements that follow one another.
    pub(super) fn block(&mut self, body: &'t [Stmt]) -> Exit {
        if self.depth >= DEEPEST {
            return Exit::Falls;
        }
        self.depth += 1;
        let mut exit = Exit::Falls;
        for statement in body {
            exit = self.statement(statement);
            if exit != Exit::Falls {
                break;
            }
        }
        self.depth -= 1;
        exit
    }

    fn statement(&mut self, statement: &'t Stmt) -> Exit {
        match statement {
            Stmt::Expr(expression) => return self.expression_statement(&expression.value),
            Stmt::Assign(assign) => {
                let value = self.evaluate(&assign.value);
                assign.targets.iter().for_each(|target| self.assign(target, value.clone()));
            }
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    let value = self.evaluate(value);
                    self.assign(&assign.target, value);
                }
            }
            Stmt::AugAssign(assign) => {
                let value = self.evaluate(&assign.value);
                self.use_value(&value);
                let before = self.evaluate(&assign.target);
                self.use_value(&before);
                self.assign(&assign.target, Value::default());
            }
            Stmt::Return(result) => {
                let value = result
                    .value
                    .as_deref()
                    .map_or_else(|| Value::constant(Constant::None), |value| self.evaluate(value));
                self.returned(value);
                return Exit::Leaves;
            }
            Stmt::Raise(raise) => return self.raise(raise),
            Stmt::Assert(assert) => self.assert(assert),
            Stmt::If(choice) => return self.choice(choice),
            Stmt::While(repeat) => return self.repeat(repeat),
            Stmt::For(each) => return self.each(each),
            Stmt::Try(statement) => return self.try_statement(statement),
            Stmt::With(statement) => return self.with(statement),
            Stmt::Match(statement) => return self.match_statement(statement),
            Stmt::FunctionDef(function) => {
                function.decorator_list.iter().for_each(|one| self.used(&one.expression));
                for parameter in &*function.parameters {
                    if let Some(default) = parameter.default() {
                        self.evaluate(default);
                    }
                }
            }
            Stmt::ClassDef(class) => self.class(class),
            Stmt::Delete(delete) => delete.targets.iter().for_each(|target| drop(self.evaluate(target))),
            Stmt::Break(_) | Stmt::Continue(_) => {
                self.leave();
                self.broke |= matches!(statement, Stmt::Break(_)) && self.path.is_conditional();
                return Exit::Leaves;
            }
            _ => {}
        }
        Exit::Falls
    }

    fn expression_statement(&mut self, expression: &'t Expr) -> Exit {
        self.evaluate(expression);
        match expression {
            Expr::Call(call) if self.is_exit(call) => Exit::Fails,
            _ => Exit::Falls,
        }
    }

    /// What follows may not run, or only for that reason.
    fn leave(&mut self) {
        if self.path.is_conditional() {
            self.left += 1;
        }
    }

    pub(super) fn returned(&mut self, value: Value) {
        self.leave();
        let path = &self.path;
        let when = match (&path.without, path.certainty) {
            (Some(groups), certainty) => When::Without(groups.with(certainty)),
            (None, Certainty::Possible) => When::Depends,
            (None, Certainty::Certain) => When::Always,
        };
        let condition = Condition { when, depends: path.depends, known: Groups::default() };
        let value = self.settled(value, &condition);
        self.returns.push(value);
    }

    fn raise(&mut self, raise: &'t StmtRaise) -> Exit {
        self.shown += 1;
        raise.exc.iter().chain(&raise.cause).for_each(|raised| drop(self.evaluate(raised)));
        self.shown -= 1;
        let raised = match raise.exc.as_deref() {
            Some(Expr::Call(call)) => Some(&*call.func),
            other => other,
        };
        let failure = match raised {
            None => self.handled.map_or(Failure::Raised(""), |(failure, _)| failure),
            Some(Expr::Name(name))
                if self.handled.is_some_and(|(_, caught)| caught == Some(name.id.as_str())) =>
            {
                self.handled.map_or(Failure::Raised(""), |(failure, _)| failure)
            }
            Some(Expr::Name(name)) if name.id.as_str() == "SystemExit" => Failure::Exit,
            Some(Expr::Name(name)) if name.id.as_str() == "KeyError" => Failure::Missing,
            Some(Expr::Name(name)) => Failure::Raised(&name.id),
            Some(Expr::Attribute(attribute)) => Failure::Raised(&attribute.attr),
            _ => Failure::Raised(""),
        };
        self.fail_here(failure);
        Exit::Fails
    }

    fn assert(&mut self, assert: &'t StmtAssert) {
        let test = self.evaluate(&assert.test).answer();
        self.shown += 1;
        assert.msg.iter().for_each(|message| drop(self.evaluate(message)));
        self.shown -= 1;
        self.fail(&test.absent, Failure::Raised("AssertionError"));
        self.assume(&test.absent);
    }

    /// Binds a target.
    pub(super) fn assign(&mut self, target: &'t Expr, value: Value) {
        match target {
            Expr::Name(name) => self.bind((self.scope, &name.id), value),
            Expr::Tuple(tuple) => self.assign_parts(&tuple.elts, &value),
            Expr::List(list) => self.assign_parts(&list.elts, &value),
            Expr::Starred(starred) => self.assign(&starred.value, value),
            Expr::Attribute(attribute) => {
                self.evaluate(&attribute.value);
                self.field(&attribute.attr, value);
            }
            Expr::Subscript(subscript) => {
                let reads = self.reads_at.get(&subscript.range).cloned().unwrap_or_default();
                let is_set = |read: &u32| matches!(self.reads[*read as usize].gives, Gives::Set);
                if reads.iter().any(is_set) {
                    self.use_value(&value);
                    self.assume(&Groups::each(&reads));
                    return;
                }
                self.evaluate(&subscript.slice);
                self.put(&subscript.value, &subscript.slice, value);
            }
            _ => {}
        }
    }

    /// Puts a value into what a name holds.
    fn put(&mut self, container: &'t Expr, key: &'t Expr, value: Value) {
        let mut held = self.evaluate(container);
        let key = match key {
            Expr::StringLiteral(key) => Some(key.value.to_str().into()),
            _ => None,
        };
        match container {
            Expr::Name(name) if value.is_known() && self.values.contains_key(&(self.scope, &*name.id)) => {
                let mut members = held.members.to_vec();
                members.retain(|(known, _)| key.is_none() || *known != key);
                members.push((key, value));
                held.members = self.members(members);
                held.has_more = true;
                held.constant = Constant::Unknown;
                self.bind((self.scope, &name.id), held);
            }
            _ => self.use_value(&value),
        }
    }

    fn assign_parts(&mut self, targets: &'t [Expr], value: &Value) {
        let is_whole = value.members.len() == targets.len() && !value.has_more;
        for (at, target) in targets.iter().enumerate() {
            let part = value.members.get(at).filter(|_| is_whole);
            self.assign(target, part.map_or_else(Value::default, |(_, part)| part.clone()));
        }
        if !is_whole {
            self.use_value(value);
        }
    }

    pub(super) fn bind(&mut self, name: Bound<'t>, value: Value) {
        let before = self.values.insert(name, value);
        self.trail.push((name, before));
    }

    /// Sets an attribute, of whatever object.
    pub(super) fn field(&mut self, name: &'t str, value: Value) {
        let known = self.fields.remove(name);
        let value = match known {
            Some(known) => Value::joined(vec![known, value]),
            None => value,
        };
        self.fields.insert(name, value);
    }

    fn choice(&mut self, choice: &'t StmtIf) -> Exit {
        let (path, known, left) = (self.path.clone(), self.known_trail.len(), self.left);
        let mut branches = Vec::new();
        let mut so_far = Condition::always();
        let first = (Some(&*choice.test), &choice.body[..]);
        let others = choice.elif_else_clauses.iter();
        let others = others.map(|ElifElseClause { test, body, .. }| (test.as_ref(), &body[..]));
        let mut is_exhaustive = false;
        for (test, body) in std::iter::once(first).chain(others) {
            let (then, otherwise) = match test {
                Some(test) => {
                    let test = self.evaluate(test);
                    Self::conditions(test)
                }
                None => (Condition::always(), Condition::always()),
            };
            is_exhaustive = test.is_none();
            let mut branch = self.branch(then, |flow| flow.block(body));
            branch.condition = so_far.and(&branch.condition);
            if matches!(branch.exit, Exit::Falls) {
                let condition = so_far.clone();
                for value in branch.changes.values_mut() {
                    *value = self.settled(std::mem::take(value), &condition);
                }
            }
            branches.push(branch);
            self.path = self.path.and(&otherwise);
            self.assume(&otherwise.known);
            so_far = so_far.and(&otherwise);
        }
        if !is_exhaustive {
            branches.push(Branch::skipped(so_far));
        }
        self.forget(known);
        self.path = path;
        self.merge_and_leave(branches, left)
    }

    fn repeat(&mut self, repeat: &'t StmtWhile) -> Exit {
        let test = self.evaluate(&repeat.test);
        let (then, otherwise) = Self::conditions(test);
        let left = self.left;
        self.loops += 1;
        let mut body = self.branch(then, |flow| flow.block(&repeat.body));
        self.loops -= 1;
        if body.exit == Exit::Leaves {
            body.exit = Exit::Falls;
        }
        let skipped = Branch::skipped(otherwise);
        let exit = self.merge_and_leave(vec![body, skipped], left);
        self.block(&repeat.orelse);
        exit
    }

    fn each(&mut self, each: &'t StmtFor) -> Exit {
        let iterated = self.evaluate(&each.iter);
        let item = self.item(&iterated);
        let (left, returned, looped) = (self.left, self.returns.len(), self.looped.len());
        let broke = std::mem::replace(&mut self.broke, false);
        self.loops += 1;
        let mut body = self.branch(Condition::always(), |flow| {
            flow.assign(&each.target, item);
            flow.block(&each.body)
        });
        self.loops -= 1;
        let ends_early = std::mem::replace(&mut self.broke, broke);
        // The first that is there ends the loop: only without all of them it is none.
        if ends_early {
            let searched = self.searched(looped).unwrap_or_default();
            for value in body.changes.values_mut() {
                let is_searched = value.absent.iter().all(|group| searched.has_reads_of(group));
                value.absent = match value.absent.is_empty() {
                    false if is_searched => self.possible(&searched),
                    _ => value.absent.together(),
                };
            }
        }
        if body.exit == Exit::Leaves {
            body.exit = Exit::Falls;
        }
        let skipped = Branch::skipped(Condition::always());
        // A loop that returns the first that is there goes on to its end only without all of them.
        let found = (self.returns.len() > returned).then(|| self.searched(looped)).flatten();
        if found.is_some() || ends_early {
            self.left = left;
        }
        let exit = if body.exit == Exit::Fails {
            Exit::Falls
        } else {
            self.merge_and_leave(vec![body, skipped], left)
        };
        if let Some(groups) = found {
            let when = When::Without(groups);
            self.path = self.path.and(&Condition { when, depends: false, known: Groups::default() });
        }
        self.orelse(each, ends_early, looped);
        exit
    }

    /// What runs where no `break` ended a loop.
    fn orelse(&mut self, each: &'t StmtFor, ends_early: bool, looped: usize) {
        if each.orelse.is_empty() {
            return;
        }
        let groups = self.searched(looped);
        let when = match groups {
            Some(groups) if ends_early => When::Without(groups),
            _ if ends_early => When::Depends,
            _ => When::Always,
        };
        let condition = Condition { when, depends: false, known: Groups::default() };
        let branch = self.branch(condition, |flow| flow.block(&each.orelse));
        let broken = Branch::skipped(Condition::always());
        self.merge(vec![branch, broken]);
    }

    /// The variables that a loop goes over, all together.
    fn searched(&self, looped: usize) -> Option<Groups> {
        let reads = &self.looped[looped..];
        (!reads.is_empty()).then(|| Groups::each(reads).together())
    }

    fn try_statement(&mut self, statement: &'t StmtTry) -> Exit {
        let left = self.left;
        let kinds: Vec<Option<&'t str>> = statement
            .handlers
            .iter()
            .map(|ExceptHandler::ExceptHandler(handler)| {
                handler.type_.as_ref().map(|kind| self.names.source(kind.range()))
            })
            .collect();
        self.catchers.push(Catcher { kinds: Some(kinds.clone()), caught: Vec::new() });
        let mut body = self.branch(Condition::always(), |flow| flow.block(&statement.body));
        let caught = self.catchers.pop().map_or_else(Vec::new, |catcher| catcher.caught);
        let mut branches = Vec::new();
        let mut open = caught.clone();
        for (ExceptHandler::ExceptHandler(handler), kind) in statement.handlers.iter().zip(kinds) {
            let (mine, others) =
                open.into_iter().partition(|(failure, _)| super::fate::catches(kind, *failure));
            open = others;
            let mine: Vec<(Failure<'t>, Groups)> = mine;
            let name = handler.name.as_ref().map(|name| name.as_str());
            // Of several kinds it is not known which one is raised again.
            let handled = match &mine[..] {
                [(failure, _)] => Some((*failure, name)),
                _ => None,
            };
            let handled = std::mem::replace(&mut self.handled, handled);
            let mut groups = Groups::default();
            mine.iter().for_each(|(_, more)| groups.add(more));
            let when = if groups.is_empty() { When::Depends } else { When::Without(groups) };
            let condition = Condition { when, depends: false, known: Groups::default() };
            // What was caught has the condition of the whole path in it already.
            let path = self.path.clone();
            self.path.without = None;
            branches.push(self.branch(condition, |flow| flow.block(&handler.body)));
            self.handled = handled;
            self.path = path;
        }
        caught.iter().for_each(|(_, groups)| body.condition.known.add(groups));
        let orelse = body.exit == Exit::Falls && !statement.orelse.is_empty();
        // A handler that nothing about variables leads to says nothing about what follows.
        branches.retain(|branch| !matches!(branch.condition.when, When::Depends));
        branches.push(body);
        let exit = self.merge_and_leave(branches, left);
        if orelse {
            self.block(&statement.orelse);
        }
        self.block(&statement.finalbody);
        exit
    }

    fn with(&mut self, statement: &'t StmtWith) -> Exit {
        let mut kinds: Vec<Option<&'t str>> = Vec::new();
        for item in &statement.items {
            let value = self.evaluate(&item.context_expr);
            if let Expr::Call(call) = &item.context_expr
                && self.names.path(&call.func, self.scope).as_deref() == Some("contextlib.suppress")
            {
                let names = self.names;
                kinds.extend(call.arguments.args.iter().map(|kind| Some(names.source(kind.range()))));
            }
            self.use_value(&value);
            if let Some(target) = &item.optional_vars {
                self.assign(target, Value::default());
            }
        }
        if kinds.is_empty() {
            return self.block(&statement.body);
        }
        let left = self.left;
        self.catchers.push(Catcher { kinds: Some(kinds), caught: Vec::new() });
        let mut body = self.branch(Condition::always(), |flow| flow.block(&statement.body));
        let caught = self.catchers.pop().map_or_else(Vec::new, |catcher| catcher.caught);
        let mut groups = Groups::default();
        caught.iter().for_each(|(_, more)| groups.add(more));
        if groups.is_empty() {
            return self.merge_and_leave(vec![body], left);
        }
        body.condition.known.add(&groups);
        let condition = Condition { when: When::Without(groups), depends: false, known: Groups::default() };
        let suppressed = Branch::skipped(condition);
        self.merge_and_leave(vec![body, suppressed], left)
    }

    fn match_statement(&mut self, statement: &'t StmtMatch) -> Exit {
        let subject = self.evaluate(&statement.subject);
        let (path, known, left) = (self.path.clone(), self.known_trail.len(), self.left);
        let mut so_far = Condition::always();
        let mut branches = Vec::new();
        let mut is_exhaustive = false;
        for case in &statement.cases {
            let test = matched(&case.pattern, &subject);
            is_exhaustive |= case.guard.is_none() && is_wildcard(&case.pattern);
            let (then, otherwise) = Self::conditions(test);
            let mut branch = self.branch(then, |flow| {
                if let Some(guard) = &case.guard {
                    flow.evaluate(guard);
                }
                flow.block(&case.body)
            });
            branch.condition = so_far.and(&branch.condition);
            branches.push(branch);
            self.path = self.path.and(&otherwise);
            self.assume(&otherwise.known);
            so_far = so_far.and(&otherwise);
        }
        if !is_exhaustive {
            branches.push(Branch::skipped(so_far));
        }
        self.forget(known);
        self.path = path;
        self.merge_and_leave(branches, left)
    }

    fn class(&mut self, class: &'t StmtClassDef) {
        class.decorator_list.iter().for_each(|one| self.used(&one.expression));
        if let Some(arguments) = &class.arguments {
            self.arguments_used(arguments);
        }
        let Some(scope) = self.names.scope_at(class.range()) else { return };
        let (outer, trail) = (std::mem::replace(&mut self.scope, scope), self.trail.len());
        self.block(&class.body);
        self.scope = outer;
        // What a class keeps in names are attributes of it.
        let bound = self.trail[trail.min(self.trail.len())..].iter().map(|(name, _)| *name);
        let kept: Vec<Bound<'t>> = bound.filter(|(of, _)| *of == scope).collect();
        for name in kept {
            if let Some(value) = self.values.get(&name).cloned()
                && !self.loaded.contains(&name)
            {
                self.field(name.1, value);
            }
        }
    }
}

/// Whether a value matches a pattern, as a test.
fn matched(pattern: &Pattern, subject: &Value) -> Value {
    let absent = subject.absent.clone();
    match pattern {
        Pattern::MatchSingleton(single) if single.value == Singleton::None => match subject.nothing {
            Nothing::None => Value { present: absent, nothing: Nothing::Answer, ..Value::default() },
            _ => Value::default(),
        },
        _ if is_wildcard(pattern) => Value::default(),
        // A text: not without the variable, and with it only if it says so.
        _ if !absent.is_empty() => {
            Value { absent, nothing: Nothing::Answer, depends: true, ..Value::default() }
        }
        _ => Value { depends: subject.depends, nothing: Nothing::Answer, ..Value::default() },
    }
}

fn is_wildcard(pattern: &Pattern) -> bool {
    matches!(pattern, Pattern::MatchAs(bound) if bound.pattern.is_none())
}
