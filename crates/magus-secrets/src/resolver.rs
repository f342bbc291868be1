//! From a reference to its value, at most once in a run.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use magus_model::value::{SecretReference, SecretSource};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    Fault, LONGEST_VALUE, SecretError, SecretValue,
    command::{self, CommandRun},
    redact::Redactions,
};

/// Looks up a variable of the process that applies.
pub type Environment = Box<dyn Fn(&str) -> Option<OsString> + Send + Sync>;

type Outcome = Result<Arc<SecretValue>, SecretError>;

/// Resolves references. Each source is asked at most once in the life of a resolver, also when it fails and when
/// several threads ask at once.
pub struct Resolver {
    root: PathBuf,
    environment: Environment,
    command_timeout: Duration,
    outcomes: Mutex<HashMap<SecretSource, Arc<OnceLock<Outcome>>>>,
    redactions: RwLock<Redactions>,
}

impl Resolver {
    /// A resolver for the declarations in `declarations_root`, to which files and folders of commands are relative.
    pub fn new(declarations_root: PathBuf, environment: Environment) -> Self {
        Self {
            root: declarations_root,
            environment,
            command_timeout: Duration::from_secs(60),
            outcomes: Mutex::default(),
            redactions: RwLock::default(),
        }
    }

    /// The same with another time after which a command is stopped. Without it 60 s.
    #[must_use]
    pub fn with_command_timeout(mut self, timeout: Duration) -> Self {
        self.command_timeout = timeout;
        self
    }

    /// The value of a reference. Its version and `keep` do not matter here: both say when a value is sent, not what
    /// it is.
    ///
    /// # Errors
    /// Where the source has no usable value; always the same error for the same source.
    pub fn resolve(&self, reference: &SecretReference) -> Result<Arc<SecretValue>, SecretError> {
        let slot = {
            let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(outcomes.entry(reference.source.clone()).or_default())
        };
        slot.get_or_init(|| {
            let outcome = self.fetch(&reference.source);
            tracing::debug!(source = %subject(&reference.source), resolved = outcome.is_ok(), "secret");
            let value = Arc::new(SecretValue::new(outcome?));
            self.redactions.write().unwrap_or_else(PoisonError::into_inner).add(value.expose());
            Ok(value)
        })
        .clone()
    }

    /// The text with every value that was resolved so far replaced by `***`, also where it is encoded as base64, for
    /// a URL or as JSON, and each longer line of a value of several lines. Values of less than four bytes stay:
    /// replacing each `a` of a text tells more than it hides.
    pub fn redact(&self, text: &str) -> String {
        self.redactions.read().unwrap_or_else(PoisonError::into_inner).apply(text)
    }

    fn fetch(&self, source: &SecretSource) -> Result<String, SecretError> {
        let bytes = match source {
            SecretSource::Env(name) => match (self.environment)(name) {
                Some(value) => value.into_encoded_bytes(),
                None => return Err(fault(source, Fault::NotSet, None)),
            },
            SecretSource::File(path) => read_file(source, &self.root.join(path.as_str()))?,
            SecretSource::Command { words, folder } => {
                let run = CommandRun {
                    words,
                    folder: &self.root.join(folder.as_str()),
                    timeout: self.command_timeout,
                };
                command::run(&run).map_err(|(what, cause)| fault(source, what, cause))?
            }
        };
        let cut = !matches!(source, SecretSource::Env(_));
        into_text(bytes, cut).map_err(|what| fault(source, what, None))
    }
}

/// Shows how many references were asked for, and no value.
impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("root", &self.root).finish_non_exhaustive()
    }
}

fn fault(source: &SecretSource, fault: Fault, cause: Option<io::Error>) -> SecretError {
    SecretError { subject: subject(source), fault, source: cause.map(Arc::new) }
}

/// How messages name a source. The words of a command stand in the declarations, and are no secret.
fn subject(source: &SecretSource) -> String {
    match source {
        SecretSource::Env(name) => format!("environment variable `{name}`"),
        SecretSource::File(path) => format!("file `{path}`"),
        SecretSource::Command { words, .. } => {
            let line = words.join(" ");
            let mut shown: String =
                line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(120).collect();
            if shown.len() < line.len() {
                shown.push('…');
            }
            format!("command `{shown}`")
        }
    }
}

fn read_file(source: &SecretSource, path: &Path) -> Result<Vec<u8>, SecretError> {
    let unreadable = |error: io::Error| {
        let what = if error.kind() == io::ErrorKind::NotFound { Fault::NoFile } else { Fault::Unreadable };
        let cause = (what == Fault::Unreadable).then_some(error);
        fault(source, what, cause)
    };
    // A pipe without a writer would wait for ever.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(fault(source, Fault::NotRegular, None));
    }
    let mut bytes = Vec::new();
    let limit = LONGEST_VALUE as u64 + 3;
    let outcome = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    match outcome {
        Ok(_) => Ok(bytes),
        Err(error) => {
            bytes.zeroize();
            Err(unreadable(error))
        }
    }
}

/// A value that a workspace can have: text, not empty, not too long. One final line end belongs to the file or the
/// program and not to the value.
fn into_text(bytes: Vec<u8>, cut_line_end: bool) -> Result<String, Fault> {
    let bytes = Zeroizing::new(bytes);
    let mut value = bytes.as_slice();
    if cut_line_end && let Some(line) = value.strip_suffix(b"\n") {
        value = line.strip_suffix(b"\r").unwrap_or(line);
    }
    if value.is_empty() {
        return Err(Fault::Empty);
    }
    if value.len() > LONGEST_VALUE {
        return Err(Fault::TooLong);
    }
    if value.contains(&0) {
        return Err(Fault::Nul);
    }
    std::str::from_utf8(value).map(str::to_owned).map_err(|_| Fault::NotText)
}

#[cfg(test)]
#[path = "resolver_tests.rs"]
mod tests;
