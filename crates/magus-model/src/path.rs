//! The path of a field: `env.DATABASE_URL`, `container_config.resources.limits.memory`.

use serde::{Deserialize, Serialize};

use crate::Text;

/// A dotted path to a leaf of a workspace's configuration. A key that holds a dot, a bracket or a quote is
/// written `["like.this"]`, so that paths parse back into their keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FieldPath(Text);

impl FieldPath {
    /// The path of a top-level key.
    pub fn key(key: &str) -> Self {
        Self::default().child(key)
    }

    /// The same as `from`, with one text for equal paths: all workspaces have nearly the same ones.
    pub fn shared(path: &str) -> Self {
        Self(crate::shared(path))
    }

    /// The path as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of a key below this one.
    pub fn child(&self, key: &str) -> Self {
        let mut text = String::with_capacity(self.0.len() + key.len() + 5);
        text.push_str(&self.0);
        push_key(&mut text, key);
        Self(text.into())
    }

    /// The keys, outermost first; nothing where a path typed by a person does not parse.
    pub fn keys(&self) -> Option<Vec<String>> {
        let mut keys = Vec::new();
        let mut rest = self.0.as_str();
        while !rest.is_empty() {
            if let Some(quoted) = rest.strip_prefix("[\"") {
                let mut key = String::new();
                let mut chars = quoted.char_indices();
                let end = loop {
                    match chars.next()? {
                        (at, '"') => break at,
                        (_, '\\') => match chars.next()?.1 {
                            'n' => key.push('\n'),
                            c => key.push(c),
                        },
                        (_, c) => key.push(c),
                    }
                };
                keys.push(key);
                rest = quoted[end..].strip_prefix("\"]")?;
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                if end == 0 {
                    return None;
                }
                keys.push(rest[..end].to_owned());
                rest = &rest[end..];
            }
            if let Some(after) = rest.strip_prefix('.') {
                if after.is_empty() {
                    return None;
                }
                rest = after;
            }
        }
        Some(keys)
    }

    /// Whether this is `prefix` or lies below it.
    pub fn is_within(&self, prefix: &str) -> bool {
        self.0.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }
}

/// Appends a key to the text of a path, for those who walk many of them with one buffer.
pub fn push_key(path: &mut String, key: &str) {
    if !key.is_empty() && !key.contains(['.', '[', ']', '"', '\\', '\n']) {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
        return;
    }
    path.push_str("[\"");
    for c in key.chars() {
        match c {
            '"' | '\\' => path.extend(['\\', c]),
            '\n' => path.push_str("\\n"),
            _ => path.push(c),
        }
    }
    path.push_str("\"]");
}

impl Default for FieldPath {
    fn default() -> Self {
        Self(Text::new_static(""))
    }
}

impl From<&str> for FieldPath {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Display for FieldPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_any_character_come_back() {
        for keys in [
            &["env", "DATABASE_URL"][..],
            &["container_config", "nodeSelector", "kubernetes.io/os"],
            &["env", "a\"b\\c\nd", "", "[x]"],
        ] {
            let path = keys.iter().fold(FieldPath::default(), |path, key| path.child(key));
            assert_eq!(
                path.keys().as_deref(),
                Some(&keys.iter().map(|k| k.to_string()).collect::<Vec<_>>()[..]),
                "{path}"
            );
        }
        assert_eq!(FieldPath::from("a..b").keys(), None);
        assert!(FieldPath::from("env[\"a.b\"]").is_within("env"));
        assert!(!FieldPath::from("environment").is_within("env"));
    }
}
