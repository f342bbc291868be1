//! The lock of a cluster on a remote: a reference that is created only where it is absent, and moves by compare-and-swap.
//!
//! It is held until it is released, or until a while after it was renewed last: nobody waits for a machine that is gone.
//! What is compared is the moment that the record names, so that clocks have to agree within [`GRACE`].

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use magus_git::{Record, Remote, Unread};
use magus_model::{
    Text,
    history::{FORMAT_VERSION, LockRecord},
};

use crate::lock_of;

/// How long a lock holds that nobody renews.
const LIFE: SignedDuration = SignedDuration::from_mins(5);
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(60);
/// How often is looked whether it has expired.
const WATCH: Duration = Duration::from_secs(1);
/// How much the clocks of two machines may differ.
const GRACE: SignedDuration = SignedDuration::from_mins(1);
/// How often a lock that somebody holds is tried again.
const POLL: Duration = Duration::from_millis(500);
/// The file of the record in its commit.
const FILE: &str = "lock.json";

/// Who wants the lock, and for what.
pub struct Claim {
    /// The cluster.
    pub cluster: Text,
    /// The person or machine.
    pub owner: Text,
    /// The machine.
    pub host: Text,
    /// The command.
    pub operation: Text,
    /// How long to wait for it.
    pub wait: Duration,
    /// What time it is.
    pub clock: fn() -> Timestamp,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody holds it.
    #[error("`{}` by {}@{}, since {}", .0.operation, .0.owner, .0.host, .0.started_at)]
    Held(Box<LockRecord>),
    /// The remote was not reached, or refuses it.
    #[error(transparent)]
    Failed(#[from] Unread),
}

/// A lock that is held until it is dropped. One thread renews it, and another one watches that this happens in time.
pub struct Lock {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    cluster: Text,
    clock: fn() -> Timestamp,
    /// Held while the remote is asked, which may take long.
    state: Mutex<State>,
    /// Never held while the remote is asked.
    standing: Mutex<Standing>,
    /// Told when the lock is given back or lost.
    ends: Condvar,
    /// Told why the lock is lost.
    tell: Mutex<Tell>,
}

/// Hears why a lock is lost.
type Tell = Box<dyn Fn(&str) + Send>;

struct State {
    remote: Remote,
    record: LockRecord,
    /// The commit of the record, there.
    at: String,
}

/// Whether the lock is still held.
struct Standing {
    expires: Timestamp,
    lost: Option<String>,
    ending: bool,
}

impl Lock {
    /// Takes the lock of a cluster, waiting for it as long as the claim says. Once it is somebody else's, `lost` is told.
    ///
    /// # Errors
    /// Where somebody else holds it, or the remote cannot be asked.
    pub fn take(
        remote: Remote,
        claim: Claim,
        lost: impl Fn(&str) + Send + 'static,
    ) -> Result<Self, LockError> {
        let Claim { cluster, owner, host, operation, wait, clock } = claim;
        let reference = lock_of(&cluster);
        let started = Instant::now();
        loop {
            let there = remote.fetch(&reference)?;
            let now = clock();
            let held = there.as_deref().map(|at| read(&remote, &cluster, at)).transpose()?;
            if let Some(record) = held.filter(|record| !is_over(record, now)) {
                if started.elapsed() >= wait {
                    return Err(LockError::Held(Box::new(record)));
                }
                thread::sleep(POLL);
                continue;
            }
            let expires = now.saturating_add(LIFE).unwrap_or(Timestamp::MAX);
            let record = LockRecord {
                format_version: FORMAT_VERSION,
                cluster: cluster.clone(),
                owner: owner.clone(),
                host: host.clone(),
                process: std::process::id(),
                operation: operation.clone(),
                started_at: now.to_string().into(),
                expires_at: expires.to_string().into(),
            };
            let at = write(&remote, &record, now)?;
            match remote.swap(&reference, there.as_deref(), Some(&at)) {
                Ok(true) => {}
                // Somebody was faster, and is read the next time around.
                Ok(false) => continue,
                Err(error) => {
                    // Only the answer may be lost: nobody has to wait for a lock that nobody holds.
                    let _ = release(&remote, &record);
                    return Err(error.into());
                }
            }
            let shared = Arc::new(Shared {
                cluster,
                clock,
                state: Mutex::new(State { remote, record, at }),
                standing: Mutex::new(Standing { expires, lost: None, ending: false }),
                ends: Condvar::new(),
                tell: Mutex::new(Box::new(lost)),
            });
            let work: [fn(&Shared); 2] = [Shared::keep, Shared::watch];
            let start = |work: fn(&Shared)| {
                let shared = Arc::clone(&shared);
                thread::Builder::new().name("lock".to_owned()).spawn(move || work(&shared)).ok()
            };
            let threads = work.into_iter().filter_map(start).collect();
            return Ok(Self { shared, threads });
        }
    }

    /// Renews the lock, and so learns whether it is still held. While a renewal is under way, only the time counts.
    ///
    /// # Errors
    /// If it is lost: why.
    pub fn check(&self) -> Result<(), String> {
        self.shared.check_expiry()?;
        match self.shared.state.try_lock() {
            Ok(mut state) => self.shared.renew(&mut state),
            Err(TryLockError::Poisoned(state)) => self.shared.renew(&mut state.into_inner()),
            Err(TryLockError::WouldBlock) => Ok(()),
        }
    }

    /// Why the lock is lost, as far as is known without asking the remote.
    pub fn lost(&self) -> Option<String> {
        self.shared.check_expiry().err()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let is_lost = {
            let mut standing = self.shared.standing();
            standing.ending = true;
            standing.lost.is_some()
        };
        self.shared.ends.notify_all();
        if !is_lost {
            let state = self.shared.state();
            // If it cannot be released, it expires before long.
            let _ = release(&state.remote, &state.record);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a while; whether the lock is still to be held.
    fn wait(&self, time: Duration) -> bool {
        let is_held = |standing: &mut Standing| !standing.ending && standing.lost.is_none();
        let waited = self.ends.wait_timeout_while(self.standing(), time, is_held);
        is_held(&mut waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Renews the lock until it is given back or lost.
    fn keep(&self) {
        while self.wait(RENEWAL) {
            if let Err(why) = self.renew(&mut self.state()) {
                return self.tell(&why);
            }
        }
    }

    /// Sees whether the lock expires while its renewal stalls, until it is given back or lost.
    fn watch(&self) {
        while self.wait(WATCH) {
            if let Err(why) = self.check_expiry() {
                return self.tell(&why);
            }
        }
    }

    fn tell(&self, why: &str) {
        (self.tell.lock().unwrap_or_else(PoisonError::into_inner))(why);
    }

    /// Whether the lock is lost, or has expired by now, which loses it.
    fn check_expiry(&self) -> Result<(), String> {
        let mut standing = self.standing();
        if standing.lost.is_none() && (self.clock)() >= standing.expires {
            standing.lost = Some(format!(
                "the lock of cluster `{}` could not be renewed before it expired",
                self.cluster
            ));
            self.ends.notify_all();
        }
        standing.lost.clone().map_or(Ok(()), Err)
    }

    fn renew(&self, state: &mut State) -> Result<(), String> {
        self.check_expiry()?;
        let now = (self.clock)();
        let expires = now.saturating_add(LIFE).unwrap_or(Timestamp::MAX);
        let record = LockRecord { expires_at: expires.to_string().into(), ..state.record.clone() };
        let swapped = self.swap(state, &record, now);
        let mut standing = self.standing();
        if let Some(why) = &standing.lost {
            return Err(why.clone());
        }
        let why = match swapped {
            Ok(Some(at)) => {
                (state.record, state.at, standing.expires) = (record, at, expires);
                return Ok(());
            }
            Ok(None) => format!("the lock of cluster `{}` was taken away", self.cluster),
            // Nobody takes it before it is over.
            Err(_) if (self.clock)() < standing.expires => return Ok(()),
            Err(error) => format!("the lock of cluster `{}` could not be renewed: {error}", self.cluster),
        };
        standing.lost = Some(why.clone());
        self.ends.notify_all();
        Err(why)
    }
}

impl Shared {
    /// Puts a new record in the place of ours; its commit. Nothing where ours is not there any more.
    fn swap(&self, state: &mut State, record: &LockRecord, now: Timestamp) -> Result<Option<String>, Unread> {
        let reference = lock_of(&self.cluster);
        let at = write(&state.remote, record, now)?;
        if state.remote.swap(&reference, Some(&state.at), Some(&at))? {
            return Ok(Some(at));
        }
        // An earlier one of ours may be there, whose answer was lost.
        let Some(there) = state.remote.fetch(&reference)? else { return Ok(None) };
        if !is_of_same(&read(&state.remote, &self.cluster, &there)?, record) {
            return Ok(None);
        }
        Ok(state.remote.swap(&reference, Some(&there), Some(&at))?.then_some(at))
    }
}

/// Whether two records are of one holder.
fn is_of_same(one: &LockRecord, other: &LockRecord) -> bool {
    let holder = |record: &LockRecord| {
        (record.started_at.clone(), record.owner.clone(), record.host.clone(), record.process)
    };
    holder(one) == holder(other)
}

/// Whether a lock holds no more. One whose end nobody can read holds until it is released.
fn is_over(record: &LockRecord, now: Timestamp) -> bool {
    let end = record.expires_at.parse::<Timestamp>().ok();
    end.and_then(|end| end.checked_add(GRACE).ok()).is_some_and(|end| end < now)
}

/// What a lock says. One that is not understood, as a later Magus may write it, is somebody's all the same.
fn read(remote: &Remote, cluster: &Text, at: &str) -> Result<LockRecord, Unread> {
    let newest = remote.read(at)?.into_iter().next().unwrap_or_default();
    let unknown = || Text::new_static("unknown");
    Ok(serde_json::from_str(&newest).unwrap_or_else(|_| LockRecord {
        format_version: FORMAT_VERSION,
        cluster: cluster.clone(),
        owner: unknown(),
        host: unknown(),
        process: 0,
        operation: unknown(),
        started_at: unknown(),
        expires_at: unknown(),
    }))
}

fn write(remote: &Remote, record: &LockRecord, now: Timestamp) -> Result<String, Unread> {
    let content = serde_json::to_string(record).map_err(|error| Unread::Failed {
        message: format!("the lock of cluster `{}` cannot be written: {error}", record.cluster),
        help: "report this as a bug of Magus".to_owned(),
    })?;
    remote.write(None, Record { file: FILE, content: &content, title: "lock", time: now.as_second() })
}

/// The lock of each of these clusters that somebody holds, or held and did not give back.
///
/// # Errors
/// Where the remote cannot be asked.
pub fn locks(remote: &Remote, clusters: &[&str]) -> Result<Vec<LockRecord>, Unread> {
    let mut held = Vec::new();
    for cluster in clusters {
        if let Some(at) = remote.fetch(&lock_of(cluster))? {
            held.push(read(remote, &Text::from(*cluster), &at)?);
        }
    }
    Ok(held)
}

/// Gives back a lock that somebody else left, if it is still the one that was seen; whether it was.
///
/// # Errors
/// Where the remote cannot be asked.
pub fn release(remote: &Remote, seen: &LockRecord) -> Result<bool, Unread> {
    let reference = lock_of(&seen.cluster);
    let Some(at) = remote.fetch(&reference)? else { return Ok(false) };
    if is_of_same(&read(remote, &seen.cluster, &at)?, seen) {
        remote.swap(&reference, Some(&at), None)
    } else {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::mpsc};

    use git2::Repository;
    use magus_git::Ssh;

    use super::*;

    fn clone(folder: &Path, name: &str, url: &Path) -> Remote {
        let path = folder.join(name);
        let repository = Repository::init(&path).unwrap();
        let _ = repository.remote("origin", url.to_str().unwrap());
        Remote::of(&path, "origin", Ssh::Usual).unwrap()
    }

    fn claim(owner: &str, clock: fn() -> Timestamp) -> Claim {
        Claim {
            cluster: "acme".into(),
            owner: owner.into(),
            host: "here".into(),
            operation: "magus apply".into(),
            wait: Duration::ZERO,
            clock,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn one_holds_it_and_the_others_are_told_who() {
        let folder = tempfile::tempdir().unwrap();
        let bare = folder.path().join("remote.git");
        Repository::init_bare(&bare).unwrap();
        let remote = |name: &str| clone(folder.path(), name, &bare);
        let held = Lock::take(remote("ana"), claim("ana", || at(0)), |_| {}).unwrap();
        held.check().unwrap();
        held.check().unwrap();
        let refused = Lock::take(remote("bo"), claim("bo", || at(0)), |_| {}).err().unwrap();
        assert_eq!(refused.to_string(), "`magus apply` by ana@here, since 1970-01-01T00:00:00Z");
        assert_eq!(locks(&remote("bo"), &["acme", "other"]).unwrap().len(), 1);
        drop(held);
        assert_eq!(locks(&remote("bo"), &["acme"]).unwrap(), []);
        Lock::take(remote("bo"), claim("bo", || at(0)), |_| {}).unwrap();
    }

    #[test]
    fn a_lock_of_a_machine_that_is_gone_is_over_before_long() {
        let folder = tempfile::tempdir().unwrap();
        let bare = folder.path().join("remote.git");
        Repository::init_bare(&bare).unwrap();
        let remote = |name: &str| clone(folder.path(), name, &bare);
        let gone = Lock::take(remote("ana"), claim("ana", || at(0)), |_| {}).unwrap();
        // Five minutes, and one for the clocks.
        assert!(Lock::take(remote("bo"), claim("bo", || at(359)), |_| {}).is_err());
        let (tell, told) = mpsc::channel();
        let taken =
            Lock::take(remote("bo"), claim("bo", || at(361)), move |why| tell.send(why.to_owned()).unwrap());
        let taken = taken.unwrap();
        assert_eq!(gone.check().unwrap_err(), "the lock of cluster `acme` was taken away");
        // What it lost it does not give back.
        drop(gone);
        taken.check().unwrap();

        let seen = locks(&remote("ana"), &["acme"]).unwrap().remove(0);
        assert!(!release(&remote("ana"), &LockRecord { process: 0, ..seen.clone() }).unwrap());
        assert!(release(&remote("ana"), &seen).unwrap());
        assert!(!release(&remote("ana"), &seen).unwrap());
        assert!(taken.check().is_err());
        drop(taken);
        // What nobody understands is somebody's until it is released by hand.
        let ana = remote("ana");
        let record = Record { file: FILE, content: "{\"format_version\": 9}", title: "lock", time: 0 };
        let at_nine = ana.write(None, record).unwrap();
        assert!(ana.swap(&lock_of("acme"), None, Some(&at_nine)).unwrap());
        assert!(Lock::take(remote("bo"), claim("bo", || at(1_000_000)), |_| {}).is_err());
        let seen = locks(&ana, &["acme"]).unwrap().remove(0);
        assert!(release(&ana, &seen).unwrap());
        assert!(told.recv().is_err(), "who asks is told by the answer");
    }

    #[test]
    fn a_renewal_whose_answer_was_lost_is_no_loss() {
        let folder = tempfile::tempdir().unwrap();
        let bare = folder.path().join("remote.git");
        Repository::init_bare(&bare).unwrap();
        let held = Lock::take(clone(folder.path(), "ana", &bare), claim("ana", || at(0)), |_| {}).unwrap();
        let before = held.shared.state().at.clone();
        held.check().unwrap();
        held.shared.state().at = before;
        held.check().unwrap();
        held.check().unwrap();
        held.shared.state().at = "0".repeat(40);
        drop(held);
        assert_eq!(locks(&clone(folder.path(), "bo", &bare), &["acme"]).unwrap(), []);
    }

    #[test]
    fn a_remote_that_is_away_takes_nothing_before_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let bare = folder.path().join("remote.git");
        Repository::init_bare(&bare).unwrap();
        static NOW: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);
        let clock = || at(NOW.load(std::sync::atomic::Ordering::SeqCst));
        let held = Lock::take(clone(folder.path(), "ana", &bare), claim("ana", clock), |_| {}).unwrap();
        std::fs::rename(&bare, folder.path().join("away")).unwrap();
        NOW.store(299, std::sync::atomic::Ordering::SeqCst);
        held.check().unwrap();
        NOW.store(301, std::sync::atomic::Ordering::SeqCst);
        let lost = held.check().unwrap_err();
        assert!(lost.starts_with("the lock of cluster `acme` could not be renewed"), "{lost}");
    }

    #[test]
    fn a_renewal_that_stalls_does_not_block_once_the_lock_expired() {
        let folder = tempfile::tempdir().unwrap();
        let bare = folder.path().join("remote.git");
        Repository::init_bare(&bare).unwrap();
        static NOW: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);
        let clock = || at(NOW.load(std::sync::atomic::Ordering::SeqCst));
        clone(folder.path(), "ana", &bare);
        let ana = folder.path().join("ana");
        let remote = Remote::of(&ana, "origin", Ssh::OfTheUser).unwrap();
        let (tell, told) = mpsc::channel();
        let held = Lock::take(remote, claim("ana", clock), move |why| tell.send(why.to_owned()).unwrap());
        let held = held.unwrap();
        // From now on the remote never answers.
        let repository = Repository::open(&ana).unwrap();
        repository.remote_set_url("origin", "ssh://nowhere/x").unwrap();
        let started = folder.path().join("started");
        let stalls = format!("touch '{}'; sleep 4; false", started.display());
        repository.config().unwrap().set_str("core.sshCommand", &stalls).unwrap();
        thread::scope(|scope| {
            let renewal = scope.spawn(|| held.check());
            while !started.exists() {
                thread::yield_now();
            }
            held.check().unwrap();
            NOW.store(301, std::sync::atomic::Ordering::SeqCst);
            let expired = "the lock of cluster `acme` could not be renewed before it expired";
            assert_eq!(held.check().unwrap_err(), expired);
            assert!(!renewal.is_finished(), "the renewal still stalls");
            assert_eq!(held.lost().as_deref(), Some(expired));
            assert_eq!(renewal.join().unwrap().unwrap_err(), expired);
        });
        drop(held);
        // The caller was told by the answer.
        assert!(told.recv().is_err());
    }

    #[test]
    fn a_lock_that_expires_without_a_request_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let bare = folder.path().join("remote.git");
        Repository::init_bare(&bare).unwrap();
        static NOW: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);
        let clock = || at(NOW.load(std::sync::atomic::Ordering::SeqCst));
        let (tell, told) = mpsc::channel();
        let lost = move |why: &str| tell.send(why.to_owned()).unwrap();
        let held = Lock::take(clone(folder.path(), "ana", &bare), claim("ana", clock), lost).unwrap();
        NOW.store(301, std::sync::atomic::Ordering::SeqCst);
        let why = told.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(why, "the lock of cluster `acme` could not be renewed before it expired");
        assert_eq!(held.check().unwrap_err(), why);
    }
}
