//! Libraries that read variables for the code: environs, django-environ, python-decouple, Starlette and Dynaconf.

use ruff_python_ast::{Expr, ExprCall};

use super::{
    names::{Binding, Names},
    uses::Gives,
};

/// How an object of a library is called here, whatever its class and its name are.
const ENVIRONS: &str = "environs.Env()";
const DJANGO: &str = "environ.Env()";
pub(super) const DECOUPLE: &str = "decouple.config";
const STARLETTE: &str = "starlette.config.Config()";
/// A profile of `io_config.yaml`.
pub(super) const LOADER: &str = "mage_ai.io.config.ConfigFileLoader()";
pub(super) const DYNACONF: &str = "dynaconf.Dynaconf()";

/// The methods of environs that read a variable, and those of django-environ by the place of their default.
const OF_ENVIRONS: [&str; 22] = [
    "str",
    "bool",
    "int",
    "float",
    "decimal",
    "list",
    "dict",
    "json",
    "datetime",
    "date",
    "time",
    "timedelta",
    "path",
    "log_level",
    "uuid",
    "url",
    "enum",
    "dj_db_url",
    "dj_email_url",
    "dj_cache_url",
    "file",
    "literal",
];
const OF_DJANGO: [&str; 9] = ["str", "bool", "int", "float", "json", "url", "path", "bytes", "unicode"];
const OF_DJANGO_CAST: [&str; 4] = ["list", "tuple", "dict", "get_value"];

/// The methods of django-environ that have a name of their own for the variable.
const NAMED: [(&str, &str); 10] = [
    ("db", "DATABASE_URL"),
    ("db_url", "DATABASE_URL"),
    ("cache", "CACHE_URL"),
    ("cache_url", "CACHE_URL"),
    ("email", "EMAIL_URL"),
    ("email_url", "EMAIL_URL"),
    ("search_url", "SEARCH_URL"),
    ("channels", "CHANNELS_URL"),
    ("channels_url", "CHANNELS_URL"),
    ("db_url_config", "DATABASE_URL"),
];

/// The members of Dynaconf's object that are no settings.
const OF_DYNACONF: [&str; 22] = [
    "as_bool",
    "as_dict",
    "as_float",
    "as_int",
    "as_json",
    "clean",
    "configure",
    "current_env",
    "exists",
    "find_file",
    "from_env",
    "get",
    "get_fresh",
    "load_file",
    "reload",
    "set",
    "setenv",
    "store",
    "to_dict",
    "update",
    "using_env",
    "validators",
];

/// So many prefixes stand before a name, and so many names are followed to what made an object.
const PREFIXES: usize = 16;
const FOLLOWED: usize = 8;

/// How a library reads: the keyword of the name, the place of the default, and what it does without.
pub(super) struct Reading {
    pub(super) keyword: &'static str,
    pub(super) default: usize,
    pub(super) gives: Gives<'static>,
    /// The name of who gives none.
    pub(super) named: Option<&'static str>,
}

/// The object that a call of this makes, or that an import brings.
pub(super) fn object(path: &str) -> Option<&'static str> {
    Some(match path {
        "environs.Env" | "environs.FileAwareEnv" | "environs.env" => ENVIRONS,
        "environ.Env" | "environ.FileAwareEnv" => DJANGO,
        "decouple.Config" | "decouple.AutoConfig" => DECOUPLE,
        "starlette.config.Config" => STARLETTE,
        "mage_ai.io.config.ConfigFileLoader" => LOADER,
        "dynaconf.Dynaconf" | "dynaconf.LazySettings" | "dynaconf.settings" => DYNACONF,
        _ => return None,
    })
}

/// How a call of this reads.
pub(super) fn reading(path: &str) -> Option<Reading> {
    let reading =
        |keyword, default, error| Reading { keyword, default, gives: Gives::Refuses(error), named: None };
    if let Some(method) = path.strip_prefix(ENVIRONS) {
        let is_read =
            method.is_empty() || method.strip_prefix('.').is_some_and(|method| OF_ENVIRONS.contains(&method));
        return is_read.then(|| reading("name", 1, "EnvError"));
    }
    if let Some(method) = path.strip_prefix(DJANGO) {
        let method = method.trim_start_matches('.');
        let named = NAMED.into_iter().find(|(known, _)| *known == method).map(|(_, name)| name);
        let default = match () {
            () if method.is_empty() || OF_DJANGO_CAST.contains(&method) => 2,
            () if named.is_some() || OF_DJANGO.contains(&method) => 1,
            () => return None,
        };
        return Some(Reading { named, ..reading("var", default, "ImproperlyConfigured") });
    }
    if let Some("" | ".get") = path.strip_prefix(DECOUPLE) {
        return Some(reading("option", 1, "UndefinedValueError"));
    }
    match path.strip_prefix(STARLETTE) {
        // Starlette raises `KeyError` itself.
        Some("" | ".get") => Some(Reading { gives: Gives::Raises, ..reading("key", 2, "") }),
        _ => None,
    }
}

/// Whether an `except` with this word catches the error of a library.
pub(super) fn is_caught(word: &str, error: &str) -> bool {
    word == "ValueError" && matches!(error, "EnvError" | "ValidationError" | "SettingsError")
}

/// The files that a call reads into the environment, by its path.
pub(super) fn loads_file(path: &str) -> bool {
    matches!(
        path,
        "dotenv.load_dotenv"
            | "dotenv.main.load_dotenv"
            | "environ.Env.read_env"
            | "environ.Env().read_env"
            | "environs.Env.read_env"
            | "environs.Env().read_env"
            | "environs.env.read_env"
    )
}

/// What stands before each name that an object reads; nothing where that is not known.
pub(super) fn prefix<'t>(
    names: &Names<'t>,
    path: &str,
    object: &'t Expr,
    scope: usize,
    within: usize,
) -> Option<String> {
    if path.starts_with(ENVIRONS) {
        return names.prefixed(within);
    }
    let text = |expression: &'t Expr, scope: usize| match names.literals(expression, scope)?.as_slice() {
        [only] => Some(only.text.clone()),
        _ => None,
    };
    if path.starts_with(DJANGO) {
        let Some((prefix, scope)) = names.kept.get("prefix").copied() else { return Some(String::new()) };
        return text(prefix, scope);
    }
    if path.starts_with(STARLETTE) {
        let given = names
            .made_by(object, scope)
            .and_then(|(call, scope)| Some((call.arguments.find_argument_value("env_prefix", 2)?, scope)));
        return given.map_or_else(|| Some(String::new()), |(prefix, scope)| text(prefix, scope));
    }
    if !path.starts_with(DYNACONF) {
        return Some(String::new());
    }
    let given = names
        .made_by(object, scope)
        .and_then(|(call, scope)| Some((call.arguments.find_keyword("envvar_prefix")?, scope)));
    match given {
        None => Some("DYNACONF_".to_owned()),
        Some((keyword, _)) if matches!(&keyword.value, Expr::BooleanLiteral(no) if !no.value) => {
            Some(String::new())
        }
        Some((keyword, scope)) => {
            let prefix = text(&keyword.value, scope).filter(|prefix| !prefix.contains(','))?;
            Some(if prefix.is_empty() { prefix } else { format!("{}_", prefix.to_ascii_uppercase()) })
        }
    }
}

/// Whether the scheme of django-environ gives a default for a name: `Env(DEBUG=(bool, False))`.
pub(super) fn in_scheme<'t>(names: &Names<'t>, object: &'t Expr, scope: usize, name: &str) -> bool {
    let Some((call, _)) = names.made_by(object, scope) else { return false };
    let entry = call.arguments.find_keyword(name).map(|keyword| &keyword.value);
    matches!(entry, Some(Expr::Tuple(pair)) if pair.elts.len() == 2)
}

/// The setting of Dynaconf that a member of its object is.
pub(super) fn setting(member: &str) -> Option<String> {
    let is_setting = !member.starts_with('_') && !OF_DYNACONF.contains(&member);
    is_setting.then(|| member.to_ascii_uppercase())
}

/// Whether an object of Dynaconf has settings from files.
pub(super) fn has_files(made: Option<(&ExprCall, usize)>) -> bool {
    // `dynaconf.settings` looks for them itself.
    let Some((call, _)) = made else { return true };
    let of_files =
        ["settings_files", "settings_file", "includes", "preload", "root_path", "loaders", "secrets"];
    call.arguments
        .keywords
        .iter()
        .any(|keyword| keyword.arg.as_ref().is_none_or(|name| of_files.contains(&name.as_str())))
}

impl<'t> Names<'t> {
    /// What stands before names there; nothing where that is not known.
    pub(super) fn prefixed(&self, within: usize) -> Option<String> {
        let (mut within, mut all) = (within, String::new());
        for _ in 0..PREFIXES {
            let Some((prefix, outer, scope)) = within.checked_sub(1).map(|at| self.prefixes[at]) else {
                return Some(all);
            };
            let texts = self.literals(prefix?, scope)?;
            let [only] = &texts[..] else { return None };
            all.insert_str(0, &only.text);
            within = outer;
        }
        None
    }

    /// The call that made what an expression names.
    pub(super) fn made_by(&self, object: &'t Expr, scope: usize) -> Option<(&'t ExprCall, usize)> {
        let (mut object, mut scope) = (object, scope);
        for _ in 0..FOLLOWED {
            (object, scope) = match object {
                Expr::Call(call) => return Some((call, scope)),
                Expr::Name(name) => match self.look_up(&name.id, scope)? {
                    ([Binding::Value(value)], bound) => (*value, bound),
                    _ => return None,
                },
                Expr::Attribute(attribute) => self.kept.get(attribute.attr.as_str()).copied()?,
                _ => return None,
            };
        }
        None
    }
}
