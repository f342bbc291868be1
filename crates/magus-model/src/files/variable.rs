//! Environment variables and Mage's secrets: text, Kubernetes' references, and our own.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value, json};

use super::scalar::{Amount, Whole};
use crate::Text;

/// Reads a value that must not be `null` into an optional field.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Says in a schema that each of its keys stands alone. A plain `maxProperties` would say the same, but with it the
/// yaml-language-server completes nothing on an empty line: it counts the key that is about to be written.
pub(super) fn each_alone(schema: &mut Schema) {
    let keys = schema.get("properties").and_then(|properties| properties.as_object());
    let alone = |key: &String| (key.clone(), json!({ "maxProperties": 1 }));
    let dependencies: Map<String, Value> = keys.into_iter().flatten().map(|(key, _)| alone(key)).collect();
    schema.insert("dependencies".to_owned(), Value::Object(dependencies));
}

/// A struct of which exactly one key is given, and not as `null`. The schema says so with `minProperties` and
/// `maxProperties`, because editors complete and explain these far better than `oneOf`.
macro_rules! one_of {
    (
        $(#[$meta:meta])*
        pub struct $name:ident $case:literal { $($(#[$doc:meta])* $field:ident: $type:ty,)+ }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[$doc])* pub $field: Option<$type>,)+
        }

        const _: () = {
            $(#[$meta])*
            #[derive(schemars::JsonSchema)]
            #[schemars(deny_unknown_fields, rename_all = $case, extend("minProperties" = 1))]
            #[expect(dead_code, reason = "only its schema is used")]
            struct Shape {
                $($(#[$doc])* $field: $type,)+
            }

            impl schemars::JsonSchema for $name {
                fn schema_name() -> std::borrow::Cow<'static, str> {
                    stringify!($name).into()
                }
                fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                    let mut schema = Shape::json_schema(generator);
                    schema.remove("required");
                    crate::files::variable::each_alone(&mut schema);
                    schema
                }
            }

            #[derive(serde::Deserialize)]
            #[serde(deny_unknown_fields, rename_all = $case)]
            struct Keys {
                $(#[serde(default, deserialize_with = "crate::files::variable::present")] $field: Option<$type>,)+
            }

            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let Keys { $($field),+ } = Keys::deserialize(deserializer)?;
                    if [$($field.is_some()),+].into_iter().filter(|given| *given).count() != 1 {
                        return Err(serde::de::Error::custom(concat!(
                            "exactly one of", $(" `", stringify!($field), "`",)+ " has to be given"
                        )));
                    }
                    Ok(Self { $($field),+ })
                }
            }
        };
    };
}
pub(super) use one_of;

/// The value of an environment variable: text, a reference of Kubernetes, or a secret that apply resolves.
#[derive(Debug, Clone, PartialEq)]
pub enum Variable {
    /// What is written.
    Text(Text),
    /// Where Kubernetes gets it.
    ValueFrom(Box<ValueFrom>),
    /// Where apply gets it.
    Secret(SecretSetting),
}

/// The map form of a [`Variable`].
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "minProperties" = 1,
    "dependencies" = { "keep": ["secret"], "version": ["secret"], "valueFrom": { "maxProperties": 1 } }
))]
struct VariableKeys {
    /// Where Kubernetes gets the value, in its own words: exactly one reference, passed on and never read.
    #[serde(default, rename = "valueFrom", deserialize_with = "present")]
    #[schemars(with = "ValueFrom")]
    value_from: Option<ValueFrom>,
    /// Where apply gets the value: exactly one of `env`, `file` and `command`. It is never shown.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "SecretFrom")]
    secret: Option<SecretFrom>,
    /// A number of your own. A new one says that the value behind the reference has changed: apply sends it again.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "SecretVersion")]
    version: Option<SecretVersion>,
    /// Leave the running value as it is; what `magus import` writes. Where nothing runs yet, the value comes from `secret`.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "bool")]
    keep: Option<bool>,
}

/// The declared version of a secret.
type SecretVersion = Whole<0, { i64::MAX }>;

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Variable;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("text, `{valueFrom: …}` or `{secret: …}`")
            }
            fn visit_str<E>(self, text: &str) -> Result<Variable, E> {
                Ok(Variable::Text(text.into()))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Variable, A::Error> {
                let VariableKeys { value_from, secret, version, keep } =
                    VariableKeys::deserialize(de::value::MapAccessDeserializer::new(map))?;
                match (value_from, secret, version, keep) {
                    (Some(value_from), None, None, None) => Ok(Variable::ValueFrom(Box::new(value_from))),
                    (None, Some(secret), version, keep) => {
                        Ok(Variable::Secret(SecretSetting { secret, version, keep }))
                    }
                    _ => Err(de::Error::custom("either `valueFrom` or `secret` has to be given")),
                }
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Variable {
    fn schema_name() -> Cow<'static, str> {
        "Variable".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = VariableKeys::json_schema(generator);
        schema.insert("type".to_owned(), json!(["string", "object"]));
        schema.insert(
            "description".to_owned(),
            "The value: text, a reference of Kubernetes (`valueFrom`), or a secret that apply resolves (`secret`). \
             `null` removes what lower layers gave. Numbers and booleans have to be quoted."
                .into(),
        );
        schema
    }
}

/// A secret that apply resolves. Its value is never shown and never stored in the clear.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretSetting {
    /// Where apply gets the value: exactly one of `env`, `file` and `command`. It is never shown.
    pub secret: SecretFrom,
    /// A number of your own. A new one says that the value behind the reference has changed: apply sends it again.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "SecretVersion")]
    pub version: Option<SecretVersion>,
    /// Leave the running value as it is; what `magus import` writes. Where nothing runs yet, the value comes from `secret`.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "bool")]
    pub keep: Option<bool>,
}

one_of! {
    /// Where apply gets the value: exactly one of `env`, `file` and `command`. It is never shown.
    pub struct SecretFrom "snake_case" {
        /// The name of an environment variable of the process that applies.
        env: Text,
        /// A file, relative to this one. Its content, without one final line end, is the value.
        file: Text,
        /// A program and its arguments, run without a shell in the folder of this file. What it prints, without one
        /// final line end, is the value. Only apply runs it.
        command: Words,
    }
}

/// A program and its arguments; at least the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(pub Vec<Text>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Vec::<Text>::deserialize(deserializer)?;
        if words.is_empty() {
            return Err(de::Error::custom("a command needs at least a program"));
        }
        Ok(Self(words))
    }
}

impl JsonSchema for Words {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Words".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "array", "items": { "type": "string" }, "minItems": 1 })
    }
}

one_of! {
    /// Where Kubernetes gets the value: exactly one reference, passed on and never read.
    pub struct ValueFrom "camelCase" {
        /// A key of a Secret in the namespace of the workspace.
        secret_key_ref: ObjectKey,
        /// A key of a ConfigMap in the namespace of the workspace.
        config_map_key_ref: ObjectKey,
        /// A field of the pod, such as `metadata.name`.
        field_ref: FieldKey,
        /// A request or limit of the container, such as `limits.memory`.
        resource_field_ref: ResourceKey,
        /// A key of a file in a volume of the pod.
        file_key_ref: FileKey,
    }
}

/// A key of a Secret or ConfigMap.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectKey {
    /// The name of the Secret or ConfigMap.
    pub name: Text,
    /// The key in it.
    pub key: Text,
    /// Whether the workspace also starts without it.
    pub optional: Option<bool>,
}

/// A field of the pod.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FieldKey {
    /// The path of the field, such as `metadata.name` or `status.podIP`.
    pub field_path: Text,
    /// The version of the schema that the path is written in. Without it, `v1`.
    pub api_version: Option<Text>,
}

/// A request or limit of a container.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ResourceKey {
    /// Which one, such as `limits.memory` or `requests.cpu`.
    pub resource: Text,
    /// The container's name. Without it, this container.
    pub container_name: Option<Text>,
    /// The unit in which it is given, such as `1Mi`. Without it, `1`.
    pub divisor: Option<Amount>,
}

/// A key of a file in a volume of the pod.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FileKey {
    /// The volume that holds the file.
    pub volume_name: Text,
    /// The file in the volume: a relative path without `..`.
    pub path: Text,
    /// The key in the file.
    pub key: Text,
    /// Whether the workspace also starts without it.
    pub optional: Option<bool>,
}
