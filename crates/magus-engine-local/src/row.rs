//! A row of the table `workspaces` as it lies in the database, its revision, and what it says.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use magus_model::{
    Text,
    name::WorkspaceName,
    observed::{Mark, ObservedCode, ObservedField, ObservedWorkspace},
    path::FieldPath,
    secrecy,
    source::ProjectSource,
};
use rusqlite::{Row, types::ValueRef};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    fingerprint::FingerprintKey,
    record::{self, Record},
};

/// The columns of a row, in the order in which [`RawRow::read`] takes them.
pub(crate) const COLUMNS: &str =
    "name, record, managed_by, environment, workspace, protected, applied, id, declarations";

/// The same in a store of version 1, which did not have all of them.
pub(crate) const COLUMNS_OF_VERSION_1: &str =
    "name, record, managed_by, environment, workspace, protected, applied, NULL, NULL";

/// A value as it lies in a column; people may have put anything there.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A row that was read and not yet looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RawRow {
    name: Cell,
    record: Cell,
    managed_by: Cell,
    environment: Cell,
    workspace: Cell,
    protected: Cell,
    applied: Cell,
    /// Tells it from another workspace of the same name that was there before. Not part of the revision: it says nothing about
    /// how the workspace is.
    id: Cell,
    /// The commit of the declarations. Not part of the revision either.
    declarations: Cell,
}

impl Cell {
    fn read(row: &Row<'_>, at: usize) -> rusqlite::Result<Self> {
        Ok(match row.get_ref(at)? {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(value) => Cell::Int(value),
            ValueRef::Real(value) => Cell::Real(value),
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Cell::Text(text.to_owned()),
                Err(_) => Cell::Bytes(bytes.to_vec()),
            },
            ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
        })
    }

    /// Feeds kind, length and content, so that no two rows feed the same.
    fn feed(&self, fed: &mut Vec<u8>) {
        let (kind, bytes): (u8, &[u8]) = match self {
            Cell::Null => (0, &[]),
            Cell::Int(value) => (1, &value.to_be_bytes()),
            Cell::Real(value) => (2, &value.to_be_bytes()),
            Cell::Text(text) => (3, text.as_bytes()),
            Cell::Bytes(bytes) => (4, bytes),
        };
        fed.push(kind);
        fed.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        fed.extend_from_slice(bytes);
    }

    fn text(&self, column: &str) -> Result<&str, String> {
        match self {
            Cell::Text(text) => Ok(text),
            _ => Err(format!("its column `{column}` is not text")),
        }
    }
}

impl RawRow {
    /// Reads a row of [`COLUMNS`].
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            name: Cell::read(row, 0)?,
            record: Cell::read(row, 1)?,
            managed_by: Cell::read(row, 2)?,
            environment: Cell::read(row, 3)?,
            workspace: Cell::read(row, 4)?,
            protected: Cell::read(row, 5)?,
            applied: Cell::read(row, 6)?,
            id: Cell::read(row, 7)?,
            declarations: Cell::read(row, 8)?,
        })
    }

    /// A row as this engine writes it.
    pub(crate) fn new(name: &WorkspaceName, record: String, mark: Option<&Mark>) -> Result<Self, String> {
        let row = Self {
            name: Cell::Text(name.to_string()),
            record: Cell::Text(record),
            managed_by: Cell::Null,
            environment: Cell::Null,
            workspace: Cell::Null,
            protected: Cell::Int(0),
            applied: Cell::Null,
            id: Cell::Null,
            declarations: Cell::Null,
        };
        match mark {
            Some(mark) => row.with_mark(mark),
            None => Ok(row),
        }
    }

    /// The same with a mark.
    pub(crate) fn with_mark(&self, mark: &Mark) -> Result<Self, String> {
        let text = |text: &str| Cell::Text(text.to_owned());
        // A restart here is one commit, which leaves nothing to be started.
        let Mark { managed_by, environment, workspace, protected, source, applied, resume: _, declarations } =
            mark;
        let applied = Applied { digests: applied.clone().into_iter().collect(), source: source.clone() };
        Ok(Self {
            name: self.name.clone(),
            record: self.record.clone(),
            managed_by: text(managed_by),
            environment: text(environment),
            workspace: text(workspace),
            protected: Cell::Int((*protected).into()),
            applied: Cell::Text(applied.to_json().map_err(|error| error.to_string())?),
            id: self.id.clone(),
            declarations: declarations.as_ref().map_or(Cell::Null, |commit| text(commit)),
        })
    }

    /// The same without a mark.
    pub(crate) fn without_mark(&self) -> Self {
        Self {
            managed_by: Cell::Null,
            environment: Cell::Null,
            workspace: Cell::Null,
            protected: Cell::Int(0),
            applied: Cell::Null,
            declarations: Cell::Null,
            ..self.clone()
        }
    }

    /// The same with the id of another row: what it was before a change.
    pub(crate) fn with_id_of(self, before: Option<&Self>) -> Self {
        Self { id: before.map_or(Cell::Null, |before| before.id.clone()), ..self }
    }

    /// The id, if it has one.
    pub(crate) fn identity(&self) -> Option<Text> {
        self.id.text("id").ok().filter(|id| !id.is_empty()).map(Text::from)
    }

    /// The values in the order of [`COLUMNS`].
    pub(crate) fn values(&self) -> [rusqlite::types::Value; 9] {
        let Self { name, record, managed_by, environment, workspace, protected, applied, id, declarations } =
            self;
        [name, record, managed_by, environment, workspace, protected, applied, id, declarations].map(|cell| {
            match cell.clone() {
                Cell::Null => rusqlite::types::Value::Null,
                Cell::Int(value) => value.into(),
                Cell::Real(value) => value.into(),
                Cell::Text(text) => text.into(),
                Cell::Bytes(bytes) => bytes.into(),
            }
        })
    }

    /// The name, as far as it is one.
    pub(crate) fn name(&self) -> WorkspaceName {
        WorkspaceName::observed(match &self.name {
            Cell::Null => Text::new_static(""),
            Cell::Int(value) => value.to_string().into(),
            Cell::Real(value) => value.to_string().into(),
            Cell::Text(text) => text.into(),
            Cell::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
        })
    }

    /// Changes whenever anything in the row does. Without a key, values that may be secret do not count.
    pub(crate) fn revision(&self, key: Option<&FingerprintKey>) -> Text {
        let mut fed = Zeroizing::new(Vec::with_capacity(2048));
        let Self {
            name,
            record,
            managed_by,
            environment,
            workspace,
            protected,
            applied,
            id: _,
            declarations: _,
        } = self;
        for cell in [name, managed_by, environment, workspace, protected] {
            cell.feed(&mut fed);
        }
        let (begin, hash) = match key {
            Some(key) => {
                record.feed(&mut fed);
                applied.feed(&mut fed);
                ("hmac-sha256:", key.revision(&fed))
            }
            None => {
                let shown = record.text("record").and_then(record::parse).map(shown).unwrap_or_default();
                Cell::Text(shown).feed(&mut fed);
                ("sha256:", Sha256::digest(&fed).into())
            }
        };
        let mut text = String::with_capacity(begin.len() + 64);
        text.push_str(begin);
        for byte in hash {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
            }
        }
        text.into()
    }

    /// What the row says; the reason where it says nothing that can be understood.
    pub(crate) fn parse(&self, key: Option<&FingerprintKey>) -> Result<ObservedWorkspace, String> {
        self.name.text("name")?;
        let record = record::parse(self.record.text("record")?)?;
        Ok(ObservedWorkspace {
            name: self.name(),
            state: record.state,
            fields: record.fields,
            lost: Vec::new(),
            missing: Vec::new(),
            code: ObservedCode::default(),
            mark: self.mark()?,
            identity: self.identity(),
            copy: None,
            sensitive: BTreeSet::new(),
            revision: self.revision(key),
        })
    }

    fn mark(&self) -> Result<Option<Mark>, String> {
        if self.managed_by == Cell::Null {
            return Ok(None);
        }
        let Applied { digests, source } = match &self.applied {
            Cell::Null => Applied::default(),
            applied => serde_json::from_str(applied.text("applied")?)
                .map_err(|error| format!("its column `applied` is not valid: {error}"))?,
        };
        Ok(Some(Mark {
            managed_by: self.managed_by.text("managed_by")?.into(),
            environment: self.environment.text("environment")?.into(),
            workspace: self.workspace.text("workspace")?.into(),
            protected: match self.protected {
                Cell::Int(value) => value != 0,
                _ => return Err("its column `protected` is neither 0 nor 1".to_owned()),
            },
            source,
            // From a list that is in order, as it nearly always is, a map is made without spare room.
            applied: digests.into_iter().collect(),
            resume: false,
            declarations: self.declarations.text("declarations").ok().map(Text::from),
        }))
    }
}

/// A record without values that may be secret.
fn shown(record: Record) -> String {
    let Record { state, fields } = record;
    let mut text = state.as_str().to_owned();
    for ObservedField { path, value } in fields {
        text.push_str(&format!("\n{path}={}", secrecy::shown(&path, &value)));
    }
    text
}

/// The key in the column `applied` under which the source of the code is kept, as JSON in a string. Every value there is a
/// string, so that a Magus that does not know the key reads the column too.
const SOURCE: &str = "code.source";

/// The column `applied`.
#[derive(Debug, Default)]
struct Applied {
    digests: Vec<(FieldPath, Text)>,
    source: Option<ProjectSource>,
}

impl Applied {
    fn to_json(&self) -> serde_json::Result<String> {
        let Self { digests, source } = self;
        let mut entries: BTreeMap<&str, Cow<'_, str>> =
            digests.iter().map(|(path, digest)| (path.as_str(), Cow::Borrowed(digest.as_str()))).collect();
        if let Some(source) = source {
            entries.insert(SOURCE, serde_json::to_string(source)?.into());
        }
        serde_json::to_string(&entries)
    }
}

impl<'de> Deserialize<'de> for Applied {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Applied;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of digests")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Applied, A::Error> {
                let mut applied = Applied { digests: Vec::with_capacity(48), source: None };
                while let Some((path, digest)) = map.next_entry::<String, Text>()? {
                    match path.as_str() {
                        // What cannot be read is not known: it is recorded again by the next apply.
                        SOURCE => applied.source = serde_json::from_str(&digest).ok(),
                        _ => applied.digests.push((FieldPath::shared(&path), digest)),
                    }
                }
                Ok(applied)
            }
        }

        deserializer.deserialize_map(Entries)
    }
}
