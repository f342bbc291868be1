//! What workspaces get from the main Mage server and nobody declares for them: `server` of a cluster.yaml.
//!
//! What Mage Pro does stands in its documentation alone (`docs/guides/developer-ux/workspaces.mdx` of mage-ai/mage-ai).

use std::collections::BTreeMap;

use magus_model::{
    Text,
    desired::{Edition, Field, Layer},
    mage,
    path::FieldPath,
    pattern,
    span::Span,
    tree::{Entry, Node},
    value::{FieldValue, Value},
};

use crate::{
    layer::{Content, Setting},
    scope::boolean,
    value::Reader,
};

/// The prefix of the variable that says what workspaces with an `ENV` of their own get.
const BY_ENV: &str = "USER_DEFINED_VARS__ENV__";

/// What Mage Pro fills in where a workspace declares no resources.
const RESOURCES: [(&str, [&str; 2]); 4] = [
    ("WORKSPACE_DEFAULT_RESOURCE_REQUESTS_CPU", ["requests", "cpu"]),
    ("WORKSPACE_DEFAULT_RESOURCE_REQUESTS_MEMORY", ["requests", "memory"]),
    ("WORKSPACE_DEFAULT_RESOURCE_LIMITS_CPU", ["limits", "cpu"]),
    ("WORKSPACE_DEFAULT_RESOURCE_LIMITS_MEMORY", ["limits", "memory"]),
];

/// The main server of an environment's cluster, as it is declared.
#[derive(Clone, Copy)]
pub(crate) struct MainServer<'a> {
    /// The key `server`, and what it holds.
    pub(crate) entry: &'a Entry,
    /// What the server is; nothing where the engine is no Mage server.
    pub(crate) edition: Option<Edition>,
}

impl<'a> MainServer<'a> {
    /// The variables of its environment; nothing where nobody says.
    pub(crate) fn env(&self) -> Option<&'a Node> {
        self.edition?;
        self.entry.value.get("env").filter(|env| !env.is_null())
    }

    /// A variable of its environment.
    pub(crate) fn variable(&self, name: &str) -> Option<&'a Node> {
        self.env()?.get(name).filter(|value| !value.is_null())
    }

    fn is_pro(&self) -> bool {
        self.edition == Some(Edition::Pro)
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.variable(name)?.as_str()
    }

    /// What it gives to every workspace, and as which layer.
    pub(crate) fn defaults(&self) -> Option<(Layer, &'a Node)> {
        let defaults = self.entry.value.get("workspace_defaults").filter(|_| self.is_pro())?;
        let is = |key: &str| defaults.get(key).and_then(boolean);
        if is("enabled") == Some(false) {
            return None;
        }
        let layer = if is("enforce") == Some(true) { Layer::ServerEnforced } else { Layer::ServerDefaults };
        Some((layer, defaults))
    }

    /// What a workspace of this name in the cluster would get, ordered by path: what the workspace declares itself is
    /// not taken out. `fields` are what it declares.
    pub(crate) fn hands_on(&self, reader: &Reader<'_>, name: &str, fields: &[Field]) -> Vec<Field> {
        let Some(env) = self.env() else { return Vec::new() };
        let mut given = BTreeMap::new();
        let mut give = |path: FieldPath, value: FieldValue, span: Span| {
            given.insert(path.clone(), Field { path, value, span, layer: Layer::MainServer });
        };
        if let Some((secret, span)) = self.filled(reader, mage::DATABASE_SECRET) {
            give(variable(mage::DATABASE), from_secret(&secret, "connection_url"), span);
        }
        if let Some((secret, span)) = self.filled(reader, mage::LOGIN_SECRET) {
            for (name, key) in mage::LOGIN {
                give(variable(name), from_secret(&secret, key), span);
            }
        }
        let of_env = self.env_of(reader, name, fields);
        for entry in env.entries().iter().filter(|entry| !entry.value.is_null()) {
            if mage::HANDED_ON.contains(&entry.key.as_str()) || self.inherits(&entry.key, of_env.as_ref()) {
                let path = variable(&entry.key);
                let value = read(reader, &path, &entry.value);
                give(path, value, entry.value.span);
            }
        }
        if self.is_pro() {
            if let (Some(of_env), Some(pattern)) = (of_env, self.variable("WORKSPACE_ENV_PATTERN")) {
                give(variable("ENV"), FieldValue::Plain(Value::String(of_env)), pattern.span);
            }
            for (name, [kind, resource]) in RESOURCES {
                let Some(node) = self.variable(name) else { continue };
                let path = FieldPath::key("container_config").child("resources").child(kind).child(resource);
                let value = read(reader, &path, node);
                give(path, value, node.span);
            }
        }
        given.into_values().collect()
    }

    /// A variable of its environment as text with the placeholders filled in; nothing where it is empty, or no text.
    fn filled(&self, reader: &Reader<'_>, name: &str) -> Option<(Text, Span)> {
        let node = self.variable(name)?;
        match read(reader, &variable(name), node) {
            FieldValue::Plain(Value::String(text)) if !text.is_empty() => Some((text, node.span)),
            _ => None,
        }
    }

    /// What `ENV` is in a workspace: as it declares it, else as the server makes it from the name.
    fn env_of(&self, reader: &Reader<'_>, name: &str, fields: &[Field]) -> Option<Text> {
        match fields.iter().find(|field| field.path.as_str() == "env.ENV").map(|field| &field.value) {
            Some(FieldValue::Plain(Value::String(env))) => Some(env.clone()),
            Some(_) => None,
            None => {
                let (pattern, _) = self.filled(reader, "WORKSPACE_ENV_PATTERN")?;
                Some(pattern.replace("{workspace_name}", name).into())
            }
        }
    }

    /// Whether Mage Pro hands on this variable, of whatever name, to a workspace with this `ENV`.
    fn inherits(&self, name: &str, of_env: Option<&Text>) -> bool {
        if !self.is_pro() || !self.text("INHERIT_ENV_VARS").is_some_and(is_on) {
            return false;
        }
        let by_env = of_env.and_then(|of_env| self.text(&format!("{BY_ENV}{of_env}")));
        let is_list = |entry: &Entry| entry.key == "USER_DEFINED_VARS" || entry.key.starts_with(BY_ENV);
        let is_limited =
            self.env().is_some_and(|env| env.entries().iter().any(|e| is_list(e) && !e.value.is_null()));
        let patterns =
            [self.text("USER_DEFINED_VARS"), by_env].into_iter().flatten().flat_map(|list| list.split(','));
        !is_limited || patterns.map(str::trim).any(|pattern| pattern::matches(pattern, name))
    }
}

fn variable(name: &str) -> FieldPath {
    FieldPath::key("env").child(name)
}

fn read(reader: &Reader<'_>, path: &FieldPath, node: &Node) -> FieldValue {
    reader.field_value(&Setting { path: path.clone(), span: node.span, content: Content::Leaf(node) })
}

fn is_on(text: &str) -> bool {
    text == "1" || text.eq_ignore_ascii_case("true")
}

fn from_secret(secret: &Text, key: &str) -> FieldValue {
    let map = |key: &str, value: Value| Value::Map([(Text::from(key), value)].into());
    let key_of_secret = [
        (Text::new_static("key"), Value::string(key)),
        (Text::new_static("name"), Value::String(secret.clone())),
    ];
    FieldValue::Plain(map("valueFrom", map("secretKeyRef", Value::Map(key_of_secret.into()))))
}
