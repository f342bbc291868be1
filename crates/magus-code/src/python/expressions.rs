//! What expressions come to, as far as it says which variables are needed.

use magus_model::effort;
use ruff_python_ast::{
    BoolOp, CmpOp, Comprehension, Expr, ExprBoolOp, ExprCompare, ExprDict, ExprIf, ExprName, ExprSubscript,
    InterpolatedStringElement, UnaryOp,
    visitor::{self, Visitor},
};
use ruff_text_size::{Ranged as _, TextRange};

use super::{
    branches::Exit,
    fate::{DEEPEST, Failure, Flow},
    groups::Groups,
    settings::Field,
    uses::Gives,
    value::{Constant, Members, Nothing, Value},
};

/// So much in lists and dictionaries is told apart.
const HEAVIEST: usize = 128;

/// The expressions right below one.
#[derive(Default)]
struct Below<'t>(Vec<&'t Expr>);

impl<'t> Visitor<'t> for Below<'t> {
    fn visit_expr(&mut self, expression: &'t Expr) {
        self.0.push(expression);
    }
}

impl<'t> Flow<'_, 't> {
    /// Goes through an expression that something is done with.
    pub(super) fn used(&mut self, expression: &'t Expr) {
        let value = self.evaluate(expression);
        self.use_value(&value);
    }

    /// Goes through an expression; what it comes to.
    pub(super) fn evaluate(&mut self, expression: &'t Expr) -> Value {
        if self.depth >= DEEPEST {
            return Value::default();
        }
        self.depth += 1;
        effort::spend(1);
        let value = match self.reads_at.get(&expression.range()) {
            Some(reads) if !expression.is_name_expr() && !expression.is_attribute_expr() => {
                let reads = reads.clone();
                self.read(&reads, expression)
            }
            _ => self.expression(expression),
        };
        self.depth -= 1;
        value
    }

    /// A place that reads something.
    fn read(&mut self, reads: &[u32], expression: &'t Expr) -> Value {
        let first = &self.reads[reads.first().map_or(0, |read| *read as usize)];
        if matches!(first.gives, Gives::Known(_)) {
            return self.expression(expression);
        }
        if let Gives::Field(_) = first.gives {
            if let Expr::Call(call) = expression {
                self.arguments_used(&call.arguments);
            }
            self.settings(reads);
            return Value { depends: true, ..Value::constant(Constant::Full) };
        }
        let (gives, key) = (first.gives, first.key);
        let reads = self.meant(reads, key);
        if key.is_some() {
            self.looped.extend(&reads);
        }
        let each = Groups::each(&reads);
        match gives {
            Gives::Raises => {
                self.fail(&each, Failure::Missing);
                Value { depends: true, ..Value::constant(Constant::Full) }
            }
            Gives::Refuses(error) => {
                self.fail(&each, Failure::Raised(error));
                Value { depends: true, ..Value::constant(Constant::Full) }
            }
            Gives::Default(default) => self.or_default(each, default),
            Gives::SetDefault(default) => {
                let value = self.or_default(each.clone(), default);
                self.assume(&each);
                value
            }
            Gives::False => Value::absent(each, Nothing::Answer),
            Gives::True => Value { present: each, nothing: Nothing::Answer, ..Value::default() },
            Gives::Set | Gives::Known(_) | Gives::Field(_) => Value::default(),
        }
    }

    /// An object of settings is made: each field that has to be given fails it, and the others are what they are by default.
    pub(super) fn settings(&mut self, reads: &[u32]) {
        let field = |flow: &Self, read: u32| match flow.reads[read as usize].gives {
            Gives::Field(field) => Some(field),
            _ => None,
        };
        let mut rest = reads;
        while let Some(first) = rest.first() {
            let Some(Field { name, group, is_required, default, .. }) = field(self, *first) else { return };
            let is_of_group = |read: &&u32| field(self, **read).is_some_and(|one| one.group == group);
            let (own, others) = rest.split_at(rest.iter().take_while(is_of_group).count());
            rest = others;
            let missing = Groups::each(own).together();
            if is_required {
                self.fail(&missing, Failure::Raised("ValidationError"));
            } else if default.is_some() {
                let value = self.or_default(missing, default);
                self.field(name, value);
                // Where it is not read here, it may be read elsewhere, and what is done there is not known.
                self.loaded_fields.insert(name);
            }
        }
    }

    fn or_default(&mut self, each: Groups, default: Option<&'t Expr>) -> Value {
        let Some(default) = default else {
            return Value { depends: true, ..Value::absent(each, Nothing::None) };
        };
        // Python evaluates a default, whether it counts or not.
        let default = self.evaluate(default);
        let value = Value { depends: true, ..Value::absent(each, Nothing::None) };
        Value { depends: true, ..value.or(default) }
    }

    /// Of the reads of several names those of the name that was given here.
    fn meant(&self, reads: &[u32], key: Option<&'t Expr>) -> Vec<u32> {
        let given = match key {
            Some(Expr::Name(name)) => self.value_of(name).and_then(|value| value.text.clone()),
            _ => None,
        };
        let Some(given) = given else { return reads.to_vec() };
        let is_given = |read: &&u32| self.reads[**read as usize].name.literal() == Some(&given);
        let meant: Vec<u32> = reads.iter().filter(is_given).copied().collect();
        if meant.is_empty() { reads.to_vec() } else { meant }
    }

    fn value_of(&self, name: &'t ExprName) -> Option<&Value> {
        let (_, bound) = self.names.look_up(&name.id, self.scope)?;
        self.values.get(&(bound, name.id.as_str()))
    }

    fn name(&mut self, name: &'t ExprName) -> Value {
        let Some((_, bound)) = self.names.look_up(&name.id, self.scope) else { return Value::default() };
        let bound = (bound, name.id.as_str());
        self.loaded.insert(bound);
        let mut value = self.values.get(&bound).cloned().unwrap_or_default();
        // What a name of another scope is when this runs is not known, nor what it is the next time around.
        if value.is_falsy() && (bound.0 != self.scope || self.loops > 0) {
            value.constant = Constant::Unknown;
        }
        value
    }

    fn expression(&mut self, expression: &'t Expr) -> Value {
        match expression {
            Expr::Name(name) => self.name(name),
            Expr::NoneLiteral(_) => Value::constant(Constant::None),
            Expr::StringLiteral(text) => {
                let constant = if text.value.is_empty() { Constant::Empty } else { Constant::Full };
                Value { text: Some(text.value.to_str().into()), ..Value::constant(constant) }
            }
            Expr::BooleanLiteral(literal) => {
                Value::constant(if literal.value { Constant::Full } else { Constant::Empty })
            }
            Expr::NumberLiteral(number) => {
                let is_zero =
                    matches!(&number.value, ruff_python_ast::Number::Int(int) if int.as_u8() == Some(0));
                Value::constant(if is_zero { Constant::Empty } else { Constant::Full })
            }
            Expr::BoolOp(operation) => self.operation(operation),
            Expr::UnaryOp(operation) => {
                let value = self.evaluate(&operation.operand);
                if operation.op == UnaryOp::Not {
                    return value.negated();
                }
                self.use_value(&value);
                Value::default()
            }
            Expr::Compare(compare) => self.compare(compare),
            Expr::If(choice) => self.either(choice),
            Expr::Call(call) => self.call(call),
            Expr::Attribute(attribute) => self.attribute(expression, attribute),
            Expr::Subscript(subscript) => self.subscript(subscript),
            Expr::Named(named) => {
                let value = self.evaluate(&named.value);
                self.assign(&named.target, value.clone());
                // It is used right here.
                if let Expr::Name(name) = &*named.target {
                    self.name(name);
                }
                value
            }
            Expr::List(list) => self.sequence(&list.elts),
            Expr::Tuple(tuple) => self.sequence(&tuple.elts),
            Expr::Set(set) => self.sequence(&set.elts),
            Expr::Dict(map) => self.map(map),
            Expr::ListComp(list) => self.comprehension(list.range(), &list.generators, None, &list.elt),
            Expr::SetComp(set) => self.comprehension(set.range(), &set.generators, None, &set.elt),
            Expr::Generator(one) => self.comprehension(one.range(), &one.generators, None, &one.elt),
            Expr::DictComp(map) => {
                self.comprehension(map.range(), &map.generators, map.key.as_deref(), &map.value)
            }
            Expr::Lambda(lambda) => {
                let Some(scope) = self.names.scope_at(lambda.range()) else { return Value::default() };
                let outer = std::mem::replace(&mut self.scope, scope);
                let value = self.evaluate(&lambda.body);
                self.scope = outer;
                value
            }
            Expr::FString(text) => {
                for element in text.value.elements() {
                    if let InterpolatedStringElement::Interpolation(inner) = element {
                        let value = self.evaluate(&inner.expression);
                        self.shown_in_text(&value);
                    }
                }
                Value::constant(Constant::Full)
            }
            Expr::Await(inner) => self.evaluate(&inner.value),
            Expr::Starred(inner) => self.evaluate(&inner.value),
            other => {
                let mut below = Below::default();
                visitor::walk_expr(&mut below, other);
                below.0.into_iter().for_each(|one| self.used(one));
                Value::default()
            }
        }
    }

    /// A value becomes part of a text: `None` does, and is not what was meant, but where the text is only shown to people.
    pub(super) fn shown_in_text(&mut self, value: &Value) {
        if self.shown == 0 {
            self.use_value(value);
        }
    }

    fn operation(&mut self, operation: &'t ExprBoolOp) -> Value {
        let (path, known) = (self.path.clone(), self.known_trail.len());
        let mut values = operation.values.iter();
        let Some(first) = values.next() else { return Value::default() };
        let mut all = self.evaluate(first);
        for next in values {
            let (then, otherwise) = Self::conditions(all.clone());
            let condition = if operation.op == BoolOp::Or { otherwise } else { then };
            self.path = self.path.and(&condition);
            self.assume(&condition.known);
            let next = self.evaluate(next);
            all = if operation.op == BoolOp::Or { all.or(next) } else { all.and(next) };
        }
        self.forget(known);
        self.path = path;
        all
    }

    fn either(&mut self, choice: &'t ExprIf) -> Value {
        let test = self.evaluate(&choice.test);
        let (then, otherwise) = Self::conditions(test);
        let mut values = Vec::new();
        for (condition, chosen) in [(then, &choice.body), (otherwise, &choice.orelse)] {
            let kept = condition.clone();
            self.branch(condition, |flow| {
                let value = flow.evaluate(chosen);
                values.push(flow.settled(value, &kept));
                Exit::Falls
            });
        }
        Value::joined(values)
    }

    fn compare(&mut self, compare: &'t ExprCompare) -> Value {
        let left = self.evaluate(&compare.left);
        let rights: Vec<Value> = compare.comparators.iter().map(|right| self.evaluate(right)).collect();
        let ([operator], [right]) = (&*compare.ops, &rights[..]) else {
            [left].iter().chain(&rights).for_each(|value| self.use_value(value));
            return Value::default();
        };
        let is_list =
            matches!(compare.comparators.first(), Some(Expr::Tuple(_) | Expr::List(_) | Expr::Set(_)));
        match operator {
            CmpOp::Is | CmpOp::Eq if left.is_falsy() => same(right.clone(), left.constant),
            CmpOp::Is | CmpOp::Eq => same(left, right.constant),
            CmpOp::IsNot | CmpOp::NotEq if left.is_falsy() => same(right.clone(), left.constant).negated(),
            CmpOp::IsNot | CmpOp::NotEq => same(left, right.constant).negated(),
            CmpOp::In | CmpOp::NotIn => {
                let value = match compare.comparators.first() {
                    Some(list) if is_list => self.is_among(left, list, right),
                    _ if left.constant == Constant::None => has_none(right),
                    _ => {
                        self.use_value(&Value { members: Members::default(), ..right.clone() });
                        Value { depends: left.depends || right.depends, ..Value::default() }
                    }
                };
                if *operator == CmpOp::In { value } else { value.negated() }
            }
            CmpOp::Lt | CmpOp::LtE | CmpOp::Gt | CmpOp::GtE => {
                self.use_value(&left);
                self.use_value(right);
                counted(&left, *operator)
            }
        }
    }

    /// `x in ('a', None)`, and `None in (x, y)`.
    fn is_among(&mut self, left: Value, list: &'t Expr, right: &Value) -> Value {
        if left.constant == Constant::None {
            return has_none(right);
        }
        let items = match list {
            Expr::Tuple(tuple) => &tuple.elts[..],
            Expr::List(list) => &list.elts[..],
            Expr::Set(set) => &set.elts[..],
            _ => &[],
        };
        let wanted = |item: &Expr| match left.nothing {
            Nothing::None => item.is_none_literal_expr(),
            Nothing::Empty => matches!(item, Expr::StringLiteral(text) if text.value.is_empty()),
            Nothing::Answer => false,
        };
        if left.constant == Constant::Full {
            let is_nothing = |item: &Expr| {
                item.is_none_literal_expr()
                    || matches!(item, Expr::StringLiteral(text) if text.value.is_empty())
            };
            let constant = if items.iter().all(is_nothing) { Constant::Empty } else { Constant::Unknown };
            return Value { nothing: Nothing::Answer, depends: left.depends, ..Value::constant(constant) };
        }
        if left.constant == Constant::Either {
            return Value { nothing: Nothing::Answer, ..Value::constant(Constant::Either) };
        }
        let has_nothing = items.iter().any(wanted);
        let absent = left.absent;
        let depends = left.depends;
        if has_nothing {
            Value { present: absent, depends, nothing: Nothing::Answer, ..Value::default() }
        } else {
            Value { absent, depends, nothing: Nothing::Answer, ..Value::default() }
        }
    }

    fn attribute(&mut self, whole: &'t Expr, attribute: &'t ruff_python_ast::ExprAttribute) -> Value {
        if self.names.path(whole, self.scope).is_some() {
            return Value::default();
        }
        let object = self.evaluate(&attribute.value);
        if object.nothing == Nothing::None {
            self.use_value(&Value { members: Members::default(), ..object });
        }
        match self.fields.get_key_value(attribute.attr.as_str()) {
            Some((name, value)) => {
                let (name, value) = (*name, value.clone());
                self.loaded_fields.insert(name);
                value
            }
            None => Value::default(),
        }
    }

    fn subscript(&mut self, subscript: &'t ExprSubscript) -> Value {
        let held = self.evaluate(&subscript.value);
        self.used(&subscript.slice);
        self.use_value(&Value { members: Members::default(), ..held.clone() });
        let found = match &*subscript.slice {
            Expr::StringLiteral(key) => held
                .members
                .iter()
                .find(|(known, _)| known.as_deref() == Some(key.value.to_str()))
                .map(|(_, value)| value.clone()),
            Expr::NumberLiteral(_) if held.members.len() == 1 && !held.has_more => {
                held.members.first().map(|(_, value)| value.clone())
            }
            _ => {
                self.use_value(&held);
                None
            }
        };
        found.unwrap_or_default()
    }

    fn sequence(&mut self, items: &'t [Expr]) -> Value {
        let mut members = Vec::new();
        let mut has_more = false;
        for item in items {
            let value = self.evaluate(item);
            if item.is_starred_expr() {
                members.extend(value.members.iter().cloned());
                has_more |= value.has_more;
            } else {
                members.push((None, value));
            }
        }
        self.container(members, has_more)
    }

    fn map(&mut self, map: &'t ExprDict) -> Value {
        let mut members = Vec::new();
        let mut has_more = false;
        for item in &map.items {
            let value = self.evaluate(&item.value);
            match &item.key {
                Some(key) => {
                    self.used(key);
                    let key = match key {
                        Expr::StringLiteral(key) => Some(key.value.to_str().into()),
                        _ => None,
                    };
                    members.push((key, value));
                }
                None => {
                    members.extend(value.members.iter().cloned());
                    has_more |= value.has_more;
                }
            }
        }
        self.container(members, has_more)
    }

    pub(super) fn container(
        &mut self,
        members: Vec<(Option<magus_model::Text>, Value)>,
        has_more: bool,
    ) -> Value {
        let (is_empty, count) = (members.is_empty() && !has_more, members.len());
        let members = self.members(members);
        let constant = if is_empty { Constant::Empty } else { Constant::Full };
        let has_more = has_more || members.len() < count;
        Value { has_more, members, ..Value::constant(constant) }
    }

    /// What is worth remembering of a container. What is too much counts as used.
    pub(super) fn members(&mut self, members: Vec<(Option<magus_model::Text>, Value)>) -> Members {
        let mut weight = 0;
        let mut kept = Vec::new();
        for (key, value) in members {
            if !value.is_known() {
                continue;
            }
            weight += value.weight();
            if weight > HEAVIEST {
                self.use_value(&value);
            } else {
                kept.push((key, value));
            }
        }
        Members::new(kept)
    }

    /// One of what a container holds.
    pub(super) fn item(&self, container: &Value) -> Value {
        Value::joined(container.members.iter().map(|(_, value)| value.clone()).collect())
    }

    fn comprehension(
        &mut self,
        at: TextRange,
        generators: &'t [Comprehension],
        key: Option<&'t Expr>,
        result: &'t Expr,
    ) -> Value {
        let Some(scope) = self.names.scope_at(at) else { return Value::default() };
        let outer = std::mem::replace(&mut self.scope, scope);
        let (path, known) = (self.path.clone(), self.known_trail.len());
        let mut filter = Value::constant(Constant::Full);
        for generator in generators {
            let iterated = self.evaluate(&generator.iter);
            let is_items = matches!(&generator.iter, Expr::Call(call) if call.func.as_attribute_expr().is_some_and(|method| method.attr.as_str() == "items"));
            let item = self.item(&iterated);
            match &generator.target {
                // Of a key and a value it is the value that may be missing.
                Expr::Tuple(pair) if is_items && pair.elts.len() == 2 => self.assign(&pair.elts[1], item),
                target => self.assign(target, item),
            }
            for test in &generator.ifs {
                let test = self.evaluate(test);
                let (then, _) = Self::conditions(test.clone());
                self.path = self.path.and(&then);
                self.assume(&then.known);
                filter = filter.and(test);
            }
        }
        key.into_iter().for_each(|key| self.used(key));
        let value = self.evaluate(result);
        // What the filter lets through is there.
        let filtered = self.numbers_of(&filter.absent);
        let absent = value.absent.only(|group| !filtered.contains(&self.numbers(group)));
        let value = Value { absent, ..value };
        self.forget(known);
        self.path = path;
        self.scope = outer;
        let container = self.container(vec![(None, value)], false);
        // One that keeps what is missing is empty where nothing is, and one that keeps what is there without all of it.
        let absent = filter.absent.together();
        let (present, nothing) = (filter.present, Nothing::Empty);
        Value { absent, present, constant: Constant::Unknown, nothing, ..container }
    }
}

/// Whether a value is the same as a constant, as a test.
fn same(value: Value, constant: Constant) -> Value {
    let is_asked = matches!(constant, Constant::None | Constant::Empty);
    if is_asked && value.constant == Constant::Full {
        return Value { nothing: Nothing::Answer, ..Value::constant(Constant::Empty) };
    }
    if is_asked && value.is_falsy() && value.constant == constant {
        return Value { nothing: Nothing::Answer, ..Value::constant(Constant::Full) };
    }
    let is_either = is_asked && value.constant == Constant::Either;
    let open = if is_either { Constant::Either } else { Constant::Unknown };
    let value = Value { constant: open, ..value };
    let is_nothing = match (constant, value.nothing) {
        (Constant::None, Nothing::None) | (Constant::Empty, Nothing::Empty) => true,
        // A yes or no that is compared with `False`, or a count with `0`.
        (Constant::Empty, Nothing::Answer) => true,
        _ => false,
    };
    let depends = value.depends && !matches!(constant, Constant::None | Constant::Empty);
    if is_nothing {
        return Value { depends, ..value.negated() };
    }
    if constant == Constant::None {
        // It is never `None`.
        return Value::default();
    }
    Value { depends, ..value.answer() }
}

/// Whether `None` is in a container.
fn has_none(container: &Value) -> Value {
    let mut present = Groups::default();
    for (_, member) in container.members.iter() {
        if member.nothing == Nothing::None {
            present.add(&member.absent);
        }
    }
    Value { present, nothing: Nothing::Answer, ..Value::default() }
}

/// `len(missing) > 0`.
fn counted(value: &Value, operator: CmpOp) -> Value {
    if value.nothing != Nothing::Answer || !matches!(operator, CmpOp::Gt) {
        return Value { depends: value.depends, ..Value::default() };
    }
    value.clone().answer()
}
