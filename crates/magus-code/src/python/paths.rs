//! What expressions name: `os.environ`, however the file comes to it.

use ruff_python_ast::{Expr, ExprCall};

use super::{
    libraries,
    literals::place_of,
    names::{Binding, Names},
    uses::ENVIRONMENT,
};

/// So many names and attributes are followed to what an expression names: two names that are bound to each other, twice, would never
/// end.
const FOLLOWED: usize = 32;

/// What `from os import *` brings that matters.
const OF_OS: [&str; 4] = ["environ", "getenv", "environb", "getenvb"];

/// What blocks get without an import of it in this file: through `import *`, or from Mage.
const WITHOUT_IMPORT: [(&str, &str); 2] = [("os", "os"), ("get_secret_value", super::uses::SECRET)];

impl<'t> Names<'t> {
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
                    return self.unbound(&name.id);
                };
                let binding = (bound, name.id.as_str());
                if followed.len() >= FOLLOWED || followed.contains(&binding) {
                    return None;
                }
                followed.push(binding);
                // Where it is bound in several ways, one that is known is enough: `try: import … except: … = None`.
                bindings.iter().find_map(|binding| match binding {
                    Binding::Import(path) => Some(imported(path)),
                    Binding::Value(value) => self.path_within(value, bound, followed),
                    Binding::Parameter(function) => self.default(&name.id, *function, followed),
                    _ => None,
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
                let kept = attributes.last().copied().filter(|_| object.is_name_expr());
                let (mut path, skipped) = match self.path_within(object, scope, followed) {
                    Some(path) => (path, 0),
                    // `self.env`, where that is `os.environ`.
                    None => {
                        let (value, scope) = self.kept.get(kept?.as_str()).copied()?;
                        if followed.len() >= FOLLOWED {
                            return None;
                        }
                        followed.push((usize::MAX, kept?.as_str()));
                        (self.path_within(value, scope, followed)?, 1)
                    }
                };
                attributes.truncate(attributes.len() - skipped);
                for attribute in attributes.into_iter().rev() {
                    path.push('.');
                    path.push_str(attribute);
                }
                Some(path)
            }
            Expr::Call(call) => self.path_of_call(call, scope, followed),
            _ => None,
        }
    }

    /// What a name is that nothing binds here.
    fn unbound(&self, name: &str) -> Option<String> {
        if self.brings_os && OF_OS.contains(&name) {
            return Some(format!("os.{name}"));
        }
        let known = WITHOUT_IMPORT.into_iter().find(|(known, _)| *known == name);
        known.map(|(_, path)| path.to_owned())
    }

    /// What a parameter is by default: `def f(env=os.environ)`.
    fn default(&self, name: &str, scope: usize, followed: &mut Vec<(usize, &'t str)>) -> Option<String> {
        let function = self.function_of(scope)?.definition;
        let (_, default) = place_of(&function.parameters, name)?;
        self.path_within(default?, scope, followed)
    }

    /// What calls name that only find, wrap or copy something.
    fn path_of_call(
        &self,
        call: &'t ExprCall,
        scope: usize,
        followed: &mut Vec<(usize, &'t str)>,
    ) -> Option<String> {
        let arguments = &call.arguments;
        let text = |place: usize| match arguments.find_positional(place) {
            Some(Expr::StringLiteral(text)) => Some(text.value.to_str()),
            _ => None,
        };
        if let Expr::Name(name) = &*call.func
            && self.look_up(&name.id, scope).is_none()
        {
            let first = arguments.find_positional(0)?;
            return match name.id.as_str() {
                "__import__" => text(0).map(str::to_owned),
                "getattr" => Some(format!("{}.{}", self.path_within(first, scope, followed)?, text(1)?)),
                "dict" if arguments.len() == 1 => {
                    self.path_within(first, scope, followed).filter(|path| path == ENVIRONMENT)
                }
                _ => None,
            };
        }
        if followed.len() >= FOLLOWED {
            return None;
        }
        followed.push((usize::MAX, ""));
        let called = self.path_within(&call.func, scope, followed)?;
        match called.as_str() {
            "os.environ.copy" => Some(ENVIRONMENT.to_owned()),
            "importlib.import_module" => text(0).map(str::to_owned),
            "functools.partial" if arguments.len() == 1 => {
                self.path_within(arguments.find_positional(0)?, scope, followed)
            }
            called => libraries::object(called).map(str::to_owned),
        }
    }
}

/// What an import brings. Starlette has the environment under a name of its own.
fn imported(path: &str) -> String {
    match path {
        "starlette.config.environ" => ENVIRONMENT.to_owned(),
        "environs.env" | "dynaconf.settings" => libraries::object(path).unwrap_or(path).to_owned(),
        path => path.to_owned(),
    }
}
