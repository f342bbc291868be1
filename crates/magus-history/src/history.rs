//! Entries of both places as one list, and an entry that is added to both.

use std::{
    collections::{HashMap, HashSet},
    thread,
    time::Duration,
};

use jiff::Timestamp;
use magus_git::{Record, Remote, Unread};
use magus_model::{Text, history::Entry};
use sha2::{Digest as _, Sha256};

use crate::{
    entries,
    store::{Kept, Store, StoreError},
};

/// How many digits name an entry.
const DIGITS: usize = 12;
/// How often an entry is tried to be appended while others append theirs.
const TRIES: u32 = 20;
/// The first pause between two tries; each next one is longer by as much.
const PAUSE: Duration = Duration::from_millis(20);
/// The file of an entry in its commit.
const FILE: &str = "entry.json";

/// The history of a cluster.
pub struct History {
    cluster: Text,
    /// Nothing where this machine has no place for it.
    store: Option<Store>,
    remote: Option<Remote>,
}

/// Why a history was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// On this machine.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// On the remote.
    #[error(transparent)]
    Remote(#[from] Unread),
    /// Others were always faster.
    #[error("others appended to `{0}` all the time")]
    Busy(String),
    /// There is no place for it.
    #[error("there is no place for the history of cluster `{0}`")]
    Nowhere(Text),
    /// An entry that nobody can read.
    #[error("an entry of the history of cluster `{cluster}` cannot be read: {why}")]
    Damaged {
        /// The cluster.
        cluster: Text,
        /// What is wrong with it.
        why: String,
    },
}

/// What became of an entry.
#[derive(Debug)]
pub enum Recorded {
    /// It is wherever it is to be.
    Everywhere,
    /// It is on this machine, and the next one takes it along to the remote; why it is not there.
    Here(HistoryError),
}

impl History {
    /// The history of a cluster in these places.
    pub fn new(cluster: Text, store: Option<Store>, remote: Option<Remote>) -> Self {
        Self { cluster, store, remote }
    }

    /// Every entry, oldest first: those of the remote, and those of this machine that are not there yet. Where nobody asks
    /// the network, those of the remote are the ones that were fetched last. Of something that has ended, only the end is there.
    ///
    /// # Errors
    /// Where one of the places cannot be read.
    pub fn read(&self, ask: bool) -> Result<Vec<Entry>, HistoryError> {
        Ok(ended(self.read_all(ask)?))
    }

    fn read_all(&self, ask: bool) -> Result<Vec<Entry>, HistoryError> {
        let kept = self.store.as_ref().map(Store::read).transpose()?.unwrap_or_default();
        let Some(remote) = &self.remote else {
            return Ok(kept.into_iter().map(|kept| kept.entry).collect());
        };
        let reference = entries(&self.cluster);
        let head = if ask { remote.fetch(&reference)? } else { remote.known(&reference)? };
        let mut all = self.of_remote(remote, head.as_deref())?;
        let known: HashSet<Text> = all.iter().map(|entry| entry.id.clone()).collect();
        let own = kept.into_iter().filter(|Kept { entry, pushed }| !pushed && !known.contains(&entry.id));
        all.extend(own.map(|kept| kept.entry));
        Ok(all)
    }

    fn of_remote(&self, remote: &Remote, head: Option<&str>) -> Result<Vec<Entry>, HistoryError> {
        let Some(head) = head else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for text in remote.read(head)?.iter().rev() {
            all.push(serde_json::from_str(text).map_err(|error| self.damaged(&error))?);
        }
        Ok(all)
    }

    fn text(&self, entry: &Entry) -> Result<String, HistoryError> {
        serde_json::to_string(entry).map_err(|error| self.damaged(&error))
    }

    fn damaged(&self, error: &serde_json::Error) -> HistoryError {
        HistoryError::Damaged { cluster: self.cluster.clone(), why: error.to_string() }
    }

    /// Adds an entry, whose `id` is worked out here: the entry as it was added, and where it is.
    ///
    /// # Errors
    /// Where it is nowhere afterwards.
    pub fn add(&self, entry: Entry) -> Result<(Entry, Recorded), HistoryError> {
        let entry = Entry { id: id(&entry).map_err(|error| self.damaged(&error))?, ..entry };
        let kept = self.store.as_ref().map(|store| store.add(&entry, self.remote.is_none()));
        let Some(remote) = &self.remote else {
            return match kept {
                Some(kept) => Ok(kept.map(|()| (entry, Recorded::Everywhere))?),
                None => Err(HistoryError::Nowhere(self.cluster.clone())),
            };
        };
        match (self.append(remote, &entry), kept) {
            (Ok(()), _) => Ok((entry, Recorded::Everywhere)),
            (Err(why), Some(Ok(()))) => Ok((entry, Recorded::Here(why))),
            (Err(why), _) => Err(why),
        }
    }

    /// Appends an entry to those of the remote, and before it what it lacks of this machine.
    fn append(&self, remote: &Remote, entry: &Entry) -> Result<(), HistoryError> {
        let reference = entries(&self.cluster);
        for again in 1..=TRIES {
            let head = remote.fetch(&reference)?;
            let missing = self.missing(remote, head.as_deref(), entry)?;
            let mut last = head.clone();
            for entry in &missing {
                let content = self.text(entry)?;
                let time = entry.at.parse::<Timestamp>().map_or(0, Timestamp::as_second);
                let record = Record { file: FILE, content: &content, title: entry.operation.as_str(), time };
                last = Some(remote.write(last.as_deref(), record)?);
            }
            if remote.swap(&reference, head.as_deref(), last.as_deref())? {
                if let Some(store) = &self.store {
                    let ids: Vec<&str> = missing.iter().map(|entry| entry.id.as_str()).collect();
                    // Where this is not remembered, they are found there the next time.
                    let _ = store.pushed(&ids);
                }
                return Ok(());
            }
            thread::sleep(PAUSE * again);
        }
        Err(HistoryError::Busy(reference))
    }

    /// What the remote lacks, oldest first.
    fn missing(
        &self,
        remote: &Remote,
        head: Option<&str>,
        entry: &Entry,
    ) -> Result<Vec<Entry>, HistoryError> {
        // A store that cannot be read keeps the new entry from nobody.
        let kept = self.store.as_ref().and_then(|store| store.read().ok()).unwrap_or_default();
        let mut missing: Vec<Entry> =
            kept.into_iter().filter(|kept| !kept.pushed).map(|kept| kept.entry).collect();
        if missing.iter().all(|known| known.id != entry.id) {
            missing.push(entry.clone());
        }
        if missing.len() > 1 {
            let there: HashSet<Text> =
                self.of_remote(remote, head)?.into_iter().map(|entry| entry.id).collect();
            missing.retain(|known| !there.contains(&known.id));
        }
        Ok(missing)
    }
}

/// Without the beginnings of what has ended. Of several ends the last one counts: what was taken for interrupted may have gone on.
fn ended(entries: Vec<Entry>) -> Vec<Entry> {
    let mut last: HashMap<Text, usize> = HashMap::new();
    for (at, entry) in entries.iter().enumerate() {
        if let Some(begun) = &entry.closes {
            last.insert(begun.clone(), at);
        }
    }
    let counts = |at: usize, entry: &Entry| match &entry.closes {
        Some(begun) => last.get(begun) == Some(&at),
        None => !last.contains_key(&entry.id),
    };
    let kept = entries.into_iter().enumerate().filter(|(at, entry)| counts(*at, entry));
    kept.map(|(_, entry)| entry).collect()
}

/// The name of an entry: the first digits of a hash over the rest.
fn id(entry: &Entry) -> Result<Text, serde_json::Error> {
    let nameless = Entry { id: Text::default(), ..entry.clone() };
    let text = serde_json::to_vec(&nameless)?;
    let digits: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(digits[..DIGITS].into())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use git2::Repository;
    use magus_git::Ssh;
    use magus_model::history::{Ending, FORMAT_VERSION, Operation};

    use super::*;

    fn entry(by: &str, second: i64) -> Entry {
        Entry {
            format_version: FORMAT_VERSION,
            id: Text::default(),
            cluster: "acme".into(),
            operation: Operation::Apply,
            at: Timestamp::from_second(second).unwrap().to_string().into(),
            by: by.into(),
            result: Ending::Done,
            reason: None,
            revision: None,
            dirty: false,
            plan_digest: None,
            overrides: magus_model::plan::Overrides::default(),
            steps: Vec::new(),
            verification: None,
            managed_by: None,
            process: None,
            closes: None,
        }
    }

    #[test]
    fn an_end_takes_the_place_of_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new("acme".into(), Some(Store::new(folder.path().join("h.db"))), None);
        let of = |history: &History| -> Vec<(Text, Ending)> {
            history.read(true).unwrap().into_iter().map(|entry| (entry.by, entry.result)).collect()
        };
        let begin = |by: &str, second| {
            let running = Entry { result: Ending::Running, process: Some(7), ..entry(by, second) };
            history.add(running).unwrap().0.id
        };
        let end = |by: &str, second, id: &Text, result| {
            history.add(Entry { result, closes: Some(id.clone()), ..entry(by, second) }).unwrap();
        };
        let first = begin("ana", 1);
        assert_eq!(of(&history), [("ana".into(), Ending::Running)]);
        end("ana", 2, &first, Ending::Done);
        let second = begin("bo", 3);
        assert_eq!(of(&history), [("ana".into(), Ending::Done), ("bo".into(), Ending::Running)]);
        end("bo", 4, &second, Ending::Interrupted);
        assert_eq!(of(&history)[1], ("bo".into(), Ending::Interrupted));
        // It was not, and ended later.
        end("bo", 5, &second, Ending::Done);
        assert_eq!(of(&history), [("ana".into(), Ending::Done), ("bo".into(), Ending::Done)]);
    }

    fn clone(folder: &Path, name: &str, url: &Path) -> History {
        let path = folder.join(name);
        let repository = Repository::init(&path).unwrap();
        repository.remote("origin", url.to_str().unwrap()).unwrap();
        let remote = Remote::of(&path, "origin", Ssh::Usual).unwrap();
        History::new("acme".into(), Some(Store::new(path.join("history.db"))), Some(remote))
    }

    fn authors(history: &History, ask: bool) -> Vec<Text> {
        history.read(ask).unwrap().into_iter().map(|entry| entry.by).collect()
    }

    #[test]
    fn what_could_not_be_pushed_goes_with_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let bare = folder.path().join("a remote.git");
        let (ana, bo) = (clone(folder.path(), "ana", &bare), clone(folder.path(), "bo", &bare));
        // Nobody is there yet.
        assert!(matches!(ana.add(entry("ana 1", 1)).unwrap().1, Recorded::Here(HistoryError::Remote(_))));
        assert!(ana.read(true).is_err());
        assert_eq!(authors(&ana, false), ["ana 1"]);
        Repository::init_bare(&bare).unwrap();
        assert!(matches!(bo.add(entry("bo", 2)).unwrap().1, Recorded::Everywhere));
        assert_eq!(authors(&ana, true), ["bo", "ana 1"]);
        assert!(matches!(ana.add(entry("ana 2", 3)).unwrap().1, Recorded::Everywhere));
        // In the order in which they came, each once.
        assert_eq!(authors(&bo, true), ["bo", "ana 1", "ana 2"]);
        assert_eq!(authors(&ana, true), ["bo", "ana 1", "ana 2"]);
        assert_eq!(bo.read(true).unwrap(), ana.read(false).unwrap());
        std::fs::remove_file(folder.path().join("ana/history.db")).unwrap();
        assert_eq!(authors(&ana, true), ["bo", "ana 1", "ana 2"]);
    }

    #[test]
    fn many_at_once_lose_nothing() {
        const MANY: usize = 8;
        let folder = tempfile::tempdir().unwrap();
        let bare = folder.path().join("remote.git");
        Repository::init_bare(&bare).unwrap();
        let writers: Vec<History> =
            (0..MANY).map(|at| clone(folder.path(), &format!("w{at}"), &bare)).collect();
        std::thread::scope(|scope| {
            for (at, writer) in writers.into_iter().enumerate() {
                scope.spawn(move || writer.add(entry(&format!("{at}"), 0)).unwrap());
            }
        });
        let mut all = authors(&clone(folder.path(), "reader", &bare), true);
        all.sort();
        assert_eq!(all, (0..MANY).map(|at| Text::from(format!("{at}"))).collect::<Vec<_>>());
    }

    #[test]
    fn without_a_remote_it_is_on_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("a/b/history.db"));
        let history = History::new("acme".into(), Some(store.clone()), None);
        assert_eq!(history.read(true).unwrap(), []);
        assert!(!store.path().exists(), "reading makes nothing");
        history.add(entry("ana", 1)).unwrap();
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(store.path()).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        history.add(entry("ana", 1)).unwrap();
        let all = history.read(true).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].id.len(), DIGITS);
        std::fs::write(store.path(), "no database, and long enough to be looked at as one").unwrap();
        let damaged = history.read(true).unwrap_err().to_string();
        assert!(damaged.contains("cannot be read"), "{damaged}");
        let nowhere = History::new("acme".into(), None, None).add(entry("ana", 1)).unwrap_err();
        assert_eq!(nowhere.to_string(), "there is no place for the history of cluster `acme`");
    }
}
