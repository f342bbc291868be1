//! The texts that an expression can come to, where the file says all of them.

use magus_model::Text;
use ruff_python_ast::{
    Expr, ExprCall, ExprFString, FStringPart, InterpolatedStringElement, Operator, Parameters,
};
use ruff_text_size::{Ranged as _, TextRange};

use super::names::{Binding, Names};

/// So many parts a text is put together of, each of so many bytes at most, to be looked for as a name; and so many texts an
/// expression comes to.
const PARTS: u32 = 200;
const LONGEST_NAME: usize = 1_000;
const TEXTS: usize = 64;

/// So many names are followed to what they are bound to.
const FOLLOWED: usize = 8;

/// A text, and the place that says it where that is another one than where it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Literal {
    pub(super) text: String,
    pub(super) at: Option<TextRange>,
}

/// Looks for the texts of one expression.
struct Search<'n, 't> {
    names: &'n Names<'t>,
    parts: u32,
}

impl<'t> Names<'t> {
    /// The texts that an expression comes to; nothing where the file does not say all of them.
    pub(super) fn literals(&self, expression: &'t Expr, scope: usize) -> Option<Vec<Literal>> {
        Search { names: self, parts: PARTS }.texts(expression, scope)
    }

    /// The texts that are in a list, or what else a loop may go over.
    pub(super) fn items_of(&self, iterated: &'t Expr, scope: usize) -> Option<Vec<Literal>> {
        Search { names: self, parts: PARTS }.each(iterated, None, scope)
    }

    /// What a name is bound to, if that is one expression; with the scope that it stands in.
    pub(super) fn bound(&self, expression: &'t Expr, scope: usize) -> (&'t Expr, usize) {
        let (mut expression, mut scope) = (expression, scope);
        for _ in 0..FOLLOWED {
            let Expr::Name(name) = expression else { break };
            let Some(([Binding::Value(value)], bound)) = self.look_up(&name.id, scope) else { break };
            // What is called says no more than the name does.
            if !matches!(value, Expr::Name(_) | Expr::BinOp(_) | Expr::FString(_)) {
                break;
            }
            (expression, scope) = (value, bound);
        }
        (expression, scope)
    }

    /// What the texts look like that an expression comes to, with `*` for what is not known; nothing where all of it is.
    pub(super) fn pattern(&self, expression: &'t Expr, scope: usize) -> Option<Text> {
        let mut search = Search { names: self, parts: PARTS };
        let pattern = search.pattern(expression, scope);
        // A star in the middle is one star: more of them match nothing else.
        let (start, rest) = pattern.split_once('*')?;
        let end = rest.rsplit_once('*').map_or(rest, |(_, end)| end);
        (!start.is_empty() || !end.is_empty()).then(|| format!("{start}*{end}").into())
    }
}

impl<'t> Search<'_, 't> {
    fn pattern(&mut self, expression: &'t Expr, scope: usize) -> String {
        let unknown = || "*".to_owned();
        if self.spend().is_none() {
            return unknown();
        }
        if let Some([only]) = self.texts(expression, scope).as_deref() {
            return only.text.clone();
        }
        match expression {
            Expr::BinOp(sum) if sum.op == Operator::Add => {
                self.pattern(&sum.left, scope) + &self.pattern(&sum.right, scope)
            }
            Expr::FString(string) => {
                let mut pattern = String::new();
                for element in string.value.elements() {
                    match element {
                        InterpolatedStringElement::Literal(literal) => pattern.push_str(&literal.value),
                        InterpolatedStringElement::Interpolation(_) => pattern.push('*'),
                    }
                }
                pattern
            }
            _ => unknown(),
        }
    }

    fn spend(&mut self) -> Option<()> {
        self.parts = self.parts.checked_sub(1)?;
        Some(())
    }

    fn texts(&mut self, expression: &'t Expr, scope: usize) -> Option<Vec<Literal>> {
        self.spend()?;
        match expression {
            Expr::StringLiteral(string) => {
                let text = string.value.to_str();
                (text.len() <= LONGEST_NAME).then(|| vec![Literal { text: text.to_owned(), at: None }])
            }
            Expr::BytesLiteral(bytes) => {
                let bytes: Vec<u8> = bytes.value.bytes().take(LONGEST_NAME).collect();
                Some(vec![Literal { text: String::from_utf8(bytes).ok()?, at: None }])
            }
            Expr::BinOp(sum) if sum.op == Operator::Add => {
                let (left, right) = (self.texts(&sum.left, scope)?, self.texts(&sum.right, scope)?);
                joined(&left, &right)
            }
            Expr::FString(string) => self.interpolated(string, scope),
            Expr::Name(name) => {
                let (bindings, bound) = self.names.look_up(&name.id, scope)?;
                match bindings {
                    [Binding::Value(value)] => self.texts(value, bound),
                    [Binding::Each(iterated, place)] => self.each(iterated, *place, bound),
                    [Binding::Parameter(function)] => self.parameter(&name.id, *function),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn interpolated(&mut self, string: &'t ExprFString, scope: usize) -> Option<Vec<Literal>> {
        let mut texts = vec![Literal { text: String::new(), at: None }];
        for part in string.value.as_slice() {
            let elements = match part {
                FStringPart::Literal(literal) => {
                    texts = joined(&texts, &[Literal { text: literal.value.to_string(), at: None }])?;
                    continue;
                }
                FStringPart::FString(string) => &string.elements,
            };
            for element in elements {
                let next = match element {
                    InterpolatedStringElement::Literal(literal) => {
                        vec![Literal { text: literal.value.to_string(), at: None }]
                    }
                    InterpolatedStringElement::Interpolation(inner) => {
                        let is_plain = inner.conversion.is_none() && inner.format_spec.is_none();
                        self.texts(&inner.expression, scope).filter(|_| is_plain)?
                    }
                };
                texts = joined(&texts, &next)?;
            }
        }
        Some(texts)
    }

    /// What a loop over an expression gives, or a part of it.
    fn each(&mut self, iterated: &'t Expr, place: Option<usize>, scope: usize) -> Option<Vec<Literal>> {
        self.spend()?;
        match iterated {
            Expr::List(list) => self.items(&list.elts, place, scope),
            Expr::Tuple(tuple) => self.items(&tuple.elts, place, scope),
            Expr::Set(set) => self.items(&set.elts, place, scope),
            Expr::Dict(map) if place.is_none() => {
                let mut texts = Vec::new();
                for item in &map.items {
                    texts.extend(placed(self.texts(item.key.as_ref()?, scope)?, item.key.as_ref()?));
                }
                Some(texts).filter(|texts| texts.len() <= TEXTS)
            }
            Expr::BinOp(sum) if sum.op == Operator::Add => {
                let mut texts = self.each(&sum.left, place, scope)?;
                texts.extend(self.each(&sum.right, place, scope)?);
                Some(texts)
            }
            Expr::Name(name) => {
                let (bindings, bound) = self.names.look_up(&name.id, scope)?;
                match bindings {
                    [Binding::Value(value)] => self.each(value, place, bound),
                    [Binding::Parameter(function)] if place.is_none() => self.rest(&name.id, *function),
                    _ => None,
                }
            }
            Expr::Call(call) => self.each_of_call(call, place, scope),
            _ => None,
        }
    }

    fn each_of_call(
        &mut self,
        call: &'t ExprCall,
        place: Option<usize>,
        scope: usize,
    ) -> Option<Vec<Literal>> {
        match &*call.func {
            Expr::Name(function) => {
                let first = call.arguments.find_positional(0)?;
                match (function.id.as_str(), place) {
                    ("sorted" | "list" | "set" | "tuple" | "reversed" | "frozenset", place) => {
                        self.each(first, place, scope)
                    }
                    ("enumerate", Some(1)) => self.each(first, None, scope),
                    _ => None,
                }
            }
            Expr::Attribute(method) if call.arguments.is_empty() => match (method.attr.as_str(), place) {
                ("keys", None) | ("copy", _) => self.each(&method.value, None, scope),
                ("values", place) => self.values(&method.value, place, scope),
                ("items", Some(0)) => self.each(&method.value, None, scope),
                ("items", Some(1)) => self.values(&method.value, None, scope),
                _ => None,
            },
            _ => None,
        }
    }

    fn items(&mut self, items: &'t [Expr], place: Option<usize>, scope: usize) -> Option<Vec<Literal>> {
        let mut texts = Vec::new();
        for item in items {
            let item = match (item, place) {
                (Expr::Starred(rest), _) => {
                    texts.extend(self.each(&rest.value, place, scope)?);
                    continue;
                }
                (item, None) => item,
                (Expr::Tuple(tuple), Some(place)) => tuple.elts.get(place)?,
                (Expr::List(list), Some(place)) => list.elts.get(place)?,
                _ => return None,
            };
            texts.extend(placed(self.texts(item, scope)?, item));
        }
        Some(texts).filter(|texts| texts.len() <= TEXTS)
    }

    /// The values of a dictionary.
    fn values(&mut self, map: &'t Expr, place: Option<usize>, scope: usize) -> Option<Vec<Literal>> {
        self.spend()?;
        match map {
            Expr::Dict(map) => {
                let mut texts = Vec::new();
                for item in &map.items {
                    texts.extend(self.items(std::slice::from_ref(&item.value), place, scope)?);
                }
                Some(texts).filter(|texts| texts.len() <= TEXTS)
            }
            Expr::Name(name) => match self.names.look_up(&name.id, scope)? {
                ([Binding::Value(value)], bound) => self.values(value, place, bound),
                _ => None,
            },
            _ => None,
        }
    }

    /// What the calls of a function give to one of its parameters.
    fn parameter(&mut self, name: &str, scope: usize) -> Option<Vec<Literal>> {
        let function = self.names.function_of(scope)?;
        let parameters = &*function.definition.parameters;
        let (place, default) = place_of(parameters, name)?;
        let calls = self.names.calls_of(scope).filter(|calls| !calls.is_empty())?;
        let mut texts: Vec<Literal> = Vec::new();
        for (call, from) in calls {
            let bound = if call.func.is_attribute_expr() { function.bound } else { 0 };
            let given = place
                .checked_sub(bound)
                .and_then(|place| call.arguments.find_argument_value(name, place))
                .or(default)?;
            let more = placed(self.texts(given, *from)?, given);
            texts.extend(more);
        }
        Some(texts).filter(|texts| texts.len() <= TEXTS)
    }

    /// What the calls of a function give to its `*rest`.
    fn rest(&mut self, name: &str, scope: usize) -> Option<Vec<Literal>> {
        let function = self.names.function_of(scope)?;
        let parameters = &*function.definition.parameters;
        let calls = self.names.calls_of(scope).filter(|calls| !calls.is_empty())?;
        let is_rest = parameters.vararg.as_ref().is_some_and(|rest| rest.name.as_str() == name);
        let mut texts = Vec::new();
        for (call, from) in calls {
            let bound = if call.func.is_attribute_expr() { function.bound } else { 0 };
            if is_rest {
                let first = (parameters.posonlyargs.len() + parameters.args.len()).saturating_sub(bound);
                texts.extend(self.items(call.arguments.args.get(first..)?, None, *from)?);
            } else {
                let (place, default) = place_of(parameters, name)?;
                let place = place.checked_sub(bound)?;
                let given = call.arguments.find_argument_value(name, place).or(default)?;
                texts.extend(self.each(given, None, *from)?);
            }
        }
        Some(texts).filter(|texts| texts.len() <= TEXTS)
    }
}

/// The place of a parameter, and its default.
pub(super) fn place_of<'t>(parameters: &'t Parameters, name: &str) -> Option<(usize, Option<&'t Expr>)> {
    let mut plain = parameters.posonlyargs.iter().chain(&parameters.args).enumerate();
    let found = plain.find(|(_, one)| one.parameter.name.as_str() == name);
    if let Some((place, one)) = found {
        return Some((place, one.default.as_deref()));
    }
    // What is given by name alone has no place.
    let named = parameters.kwonlyargs.iter().find(|one| one.parameter.name.as_str() == name)?;
    Some((usize::MAX, named.default.as_deref()))
}

/// Texts with the place that says them.
fn placed(texts: Vec<Literal>, at: &Expr) -> impl Iterator<Item = Literal> {
    let at = at.range();
    texts.into_iter().map(move |Literal { text, at: known }| Literal { text, at: known.or(Some(at)) })
}

/// Every text of the one before every text of the other.
fn joined(left: &[Literal], right: &[Literal]) -> Option<Vec<Literal>> {
    if left.len() * right.len() > TEXTS {
        return None;
    }
    let mut texts = Vec::with_capacity(left.len() * right.len());
    for before in left {
        for after in right {
            if before.text.len() + after.text.len() > LONGEST_NAME {
                return None;
            }
            let text = format!("{}{}", before.text, after.text);
            texts.push(Literal { text, at: before.at.or(after.at) });
        }
    }
    Some(texts)
}
