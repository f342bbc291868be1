//! The mark on a workspace: one line of comment, the first of its container_config text.
//!
//! Mage stores the text byte for byte and reads a comment as nothing, so that the mark survives create, patch and
//! read-back and restarts nothing (MAGE.md 4.18). It is JSON on one line behind `# magus: `. Whoever may see the workspace
//! sees it, and it holds no value: digests, and the references of secrets as they are declared.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac as _};
use magus_model::{
    Text,
    name::WorkspaceName,
    observed::Mark,
    path::FieldPath,
    source::ProjectSource,
    value::{SecretReference, Value},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What the line begins with.
const PREFIX: &str = "# magus: ";
/// The version of the form that is written.
const VERSION: u32 = 1;
/// Characters of a check: 80 bits.
const CHECK_LENGTH: usize = 20;

/// A mark and what Mage cannot remember itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    /// The mark.
    pub(crate) mark: Mark,
    /// Which variables came from which secrets, and which secrets of its own server Magus made.
    pub(crate) secrets: BTreeMap<FieldPath, StoredSecret>,
    /// Whether Kubernetes let its volume grow: then Mage shows the size that it was made with.
    pub(crate) grown: bool,
    /// What is known of its code.
    pub(crate) code: StoredCode,
    /// Keys the digests of this workspace that leave the server, as in plan files. Marks of older versions have none.
    pub(crate) key: Option<Text>,
}

/// A new key; `None` if the system gives no random bytes: digests then leave out what may be secret.
pub(crate) fn new_key() -> Option<Text> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).ok()?;
    Some(hex(&key).into())
}

/// A digest under the key of a mark.
pub(crate) fn keyed(key: &str, bytes: &[u8]) -> String {
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    let digest = Sha256::digest(key.as_bytes());
    block[..digest.len()].copy_from_slice(&digest);
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block);
    mac.update(bytes);
    hex(&mac.finalize().into_bytes())
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is known of the code of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct StoredCode {
    /// Whether Magus made the workspace: what was in it then is nobody's work.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) made: bool,
    /// The full number of the commit that it was told to run last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<Text>,
    /// Whether Magus stopped it, and it had no uncommitted changes then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) clean: bool,
}

impl StoredCode {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Stored {
    /// What is remembered of a workspace with another mark, and these secrets.
    pub(crate) fn after(
        before: Option<&Self>,
        mark: Mark,
        secrets: BTreeMap<FieldPath, StoredSecret>,
    ) -> Self {
        let (grown, code) = before.map(|before| (before.grown, before.code.clone())).unwrap_or_default();
        let key = before.and_then(|before| before.key.clone()).or_else(new_key);
        Self { mark, secrets, grown, code, key }
    }
}

/// A variable that came from a secret, or a secret of the workspace's own server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredSecret {
    /// What was declared.
    pub(crate) reference: SecretReference,
    /// [`check`] of the value that was sent; nothing for what whoever sees the mark does not see.
    pub(crate) check: Option<Text>,
}

/// The line as JSON.
#[derive(Serialize, Deserialize)]
struct Line {
    version: u32,
    /// The workspace that the mark was made for: on another one it is a copy, and means nothing.
    name: Text,
    managed_by: Text,
    environment: Text,
    workspace: Text,
    protected: bool,
    applied: BTreeMap<FieldPath, Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<ProjectSource>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    resume: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    secrets: BTreeMap<FieldPath, SecretLine>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    grown: bool,
    #[serde(default, skip_serializing_if = "StoredCode::is_nothing")]
    code: StoredCode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    declarations: Option<Text>,
}

#[derive(Serialize, Deserialize)]
struct SecretLine {
    reference: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    check: Option<Text>,
}

/// The line, without its end.
pub(crate) fn write(name: &WorkspaceName, stored: &Stored) -> Result<String, String> {
    let Stored { mark, secrets, grown, code, key } = stored;
    let Mark { managed_by, environment, workspace, protected, source, applied, resume, declarations } =
        mark.clone();
    let secrets = secrets.iter().map(|(path, StoredSecret { reference, check })| {
        (path.clone(), SecretLine { reference: reference.to_value(), check: check.clone() })
    });
    let line = Line {
        version: VERSION,
        name: name.as_str().into(),
        managed_by,
        environment,
        workspace,
        protected,
        applied,
        source,
        resume,
        secrets: secrets.collect(),
        grown: *grown,
        code: code.clone(),
        key: key.clone(),
        declarations,
    };
    let json = serde_json::to_string(&line).map_err(|error| error.to_string())?;
    Ok(format!("{PREFIX}{}", ascii(&json)))
}

/// JSON with everything but ASCII escaped: nothing is left that a page, a proxy or a database could change.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

/// A text without its mark, and every other byte as it was.
pub(crate) fn remove(text: &str) -> String {
    let is_mark = |one: &&str| one.trim().strip_prefix(PREFIX.trim_end()).is_some();
    let rest: String = text.split_inclusive('\n').filter(|one| !is_mark(one)).collect();
    // Mage refuses an empty text.
    if rest.trim().is_empty() { "{}\n".to_owned() } else { rest }
}

/// A text with another mark, or its first one, and every other byte as it was.
pub(crate) fn replace(text: &str, line: &str) -> String {
    let is_mark = |one: &&str| one.trim().strip_prefix(PREFIX.trim_end()).is_some();
    let rest: String = text.split_inclusive('\n').filter(|one| !is_mark(one)).collect();
    // A text of nothing but comments is refused by Mage.
    let says_nothing = rest.lines().all(|one| one.trim().is_empty() || one.trim_start().starts_with('#'));
    let end = if says_nothing && !rest.is_empty() && !rest.ends_with('\n') { "\n" } else { "" };
    if says_nothing { format!("{line}\n{rest}{end}{{}}\n") } else { format!("{line}\n{rest}") }
}

/// The mark in a text; nothing where there is none, where it is damaged, or where it was made for another workspace.
///
/// # Errors
/// Where a newer Magus wrote it: then nobody can say whose the workspace is.
pub(crate) fn read(name: &WorkspaceName, text: &str) -> Result<Option<Stored>, String> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let Some(json) = text.lines().find_map(|line| line.trim().strip_prefix(PREFIX.trim_end())) else {
        return Ok(None);
    };
    match serde_json::from_str::<Version>(json) {
        Ok(Version { version }) if version > VERSION => {
            return Err(format!("its mark has version {version}, and this Magus knows {VERSION}"));
        }
        Ok(_) => {}
        Err(_) => return Ok(None),
    }
    let Ok(line) = serde_json::from_str::<Line>(json) else { return Ok(None) };
    if line.name.as_str() != name.as_str() {
        return Ok(None);
    }
    let Line {
        version: _,
        name: _,
        managed_by,
        environment,
        workspace,
        protected,
        applied,
        source,
        resume,
        secrets,
        grown,
        code,
        key,
        declarations,
    } = line;
    let secrets = secrets.into_iter().filter_map(|(path, SecretLine { reference, check })| {
        Some((path, StoredSecret { reference: SecretReference::from_value(&reference)?, check }))
    });
    Ok(Some(Stored {
        mark: Mark { managed_by, environment, workspace, protected, source, applied, resume, declarations },
        secrets: secrets.collect(),
        grown,
        code,
        key,
    }))
}

/// Tells whether a value is the one that was sent. It is of no use to anybody who does not see the value anyway: the
/// text that holds the check holds the value too, and who guesses one has to guess for this variable of this workspace.
pub(crate) fn check(name: &WorkspaceName, path: &FieldPath, value: &str) -> Text {
    let mut hasher = Sha256::new();
    for part in ["magus secret 1", name.as_str(), path.as_str(), value] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let hash = hasher.finalize();
    let hex: String = hash.iter().take(CHECK_LENGTH / 2).map(|byte| format!("{byte:02x}")).collect();
    hex.into()
}

/// The same without what a list of words could be tried against: for a digest without a key.
pub(crate) fn without_values(stored: &Stored) -> Stored {
    let mut stored = stored.clone();
    stored.mark.applied.clear();
    stored.secrets.values_mut().for_each(|secret| secret.check = None);
    stored
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Stored {
        let reference = SecretReference::from_value(
            &serde_json::from_str(r#"{"secret": {"env": "KEY"}, "version": 2}"#).unwrap(),
        )
        .unwrap();
        let name = WorkspaceName::observed("ana-dev");
        let path = FieldPath::from("env.KEY");
        let check = check(&name, &path, "hunter2");
        Stored {
            mark: Mark {
                managed_by: "acme ü\n--- 😀".into(),
                environment: "development".into(),
                workspace: "ana".into(),
                protected: true,
                source: Some(ProjectSource { repository: "a.dev/b".into(), ..ProjectSource::default() }),
                applied: BTreeMap::from([(FieldPath::from("env[\"a.b\"]"), "0123".into())]),
                resume: true,
                declarations: Some("4f1c".into()),
            },
            secrets: BTreeMap::from([(path, StoredSecret { reference, check: Some(check) })]),
            grown: true,
            code: StoredCode { made: true, at: Some("3a57".into()), clean: true },
            key: Some("00112233445566778899aabbccddeeff".into()),
        }
    }

    #[test]
    fn a_mark_is_one_line_of_ascii_and_comes_back() {
        let name = WorkspaceName::observed("ana-dev");
        let line = write(&name, &stored()).unwrap();
        assert!(line.is_ascii() && line.lines().count() == 1, "{line}");
        assert!(!line.contains("hunter2"));
        for text in [
            format!("{line}\nimage: a\n"),
            format!("image: a\n{line}"),
            format!("# of a person\r\n  {line}\r\nimage: a\r\n"),
        ] {
            assert_eq!(read(&name, &text), Ok(Some(stored())), "{text}");
        }
        let yaml: serde_yaml::Value = serde_yaml::from_str(&format!("{line}\n{{}}\n")).unwrap();
        assert!(yaml.as_mapping().is_some_and(|map| map.is_empty()));
    }

    #[test]
    fn what_is_no_mark_of_this_workspace_means_nothing() {
        let name = WorkspaceName::observed("ana-dev");
        let line = write(&name, &stored()).unwrap();
        for text in [
            "image: a".to_owned(),
            "# magus: nonsense".to_owned(),
            "# magus: {\"version\": 1}".to_owned(),
            line.replace("\"name\":\"ana-dev\"", "\"name\":\"bob-dev\""),
            line.replace("\"protected\":true", "\"protected\":1"),
        ] {
            assert_eq!(read(&name, &text), Ok(None), "{text}");
        }
    }

    #[test]
    fn a_newer_mark_is_not_guessed_at() {
        let name = WorkspaceName::observed("ana-dev");
        let line = write(&name, &stored()).unwrap().replace("\"version\":1", "\"version\":2");
        assert!(read(&name, &line).is_err_and(|reason| reason.contains("version 2")));
    }

    #[test]
    fn a_check_is_of_one_variable_of_one_workspace() {
        let of = |name: &str, path: &str, value: &str| {
            check(&WorkspaceName::observed(name), &FieldPath::from(path), value)
        };
        let all =
            [of("a", "env.X", "v"), of("a", "env.Y", "v"), of("b", "env.X", "v"), of("a", "env.X", "w")];
        assert_eq!(all[0].len(), 20);
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one));
        }
    }
}
