//! Where a repository is, and how it is opened.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use git2::{ErrorClass, ErrorCode, Repository};
use magus_model::{git::is_path, shell, userinfo};
use sha2::{Digest as _, Sha256};

use crate::{code::Code, fetch};

/// The protocols that git may use, with nothing that runs a command that the URL names.
const SCHEMES: &[&str] = &["file", "git", "http", "https", "ssh"];

/// A file in a mirror that was fetched at least once: without it, what the mirror lacks was never looked for.
const FETCHED: &str = "magus-fetched";

/// Where a repository is. Its `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder on this machine: a repository, bare or not.
    Folder(PathBuf),
    /// A file on this machine: a bundle.
    Bundle(PathBuf),
    /// A URL that only the network leads to.
    Remote(String),
}

/// Whether a repository on the network is asked for news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetch {
    /// Now.
    Now,
    /// No: what the mirror has is good enough.
    Never,
}

/// Who says how git runs ssh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ssh {
    /// The environment: `GIT_SSH_COMMAND` or `GIT_SSH`.
    OfTheUser,
    /// Nobody there: it is run so that it asks for nothing.
    Usual,
}

/// How a repository is opened.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The user's cache directory for Magus, if there is one. A folder on this machine is read without it.
    pub cache: Option<&'a Path>,
    /// Whether the network is asked.
    pub fetch: Fetch,
    /// How ssh is run.
    pub ssh: Ssh,
}

/// Why a repository was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// Nothing is there.
    #[error("there is no repository at `{0}`")]
    Missing(String),
    /// It is on the network, and was never fetched.
    #[error("`{0}` is on the network, and was not fetched")]
    NotFetched(String),
    /// It is not what git can take.
    #[error("`{url}` {why}")]
    Refused {
        /// The URL, without a password.
        url: String,
        /// The fact.
        why: &'static str,
    },
    /// It cannot be read, or not fetched.
    #[error("{message}")]
    Failed {
        /// What the system or git said, in one line.
        message: String,
        /// What to do.
        help: String,
    },
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => f.debug_tuple("Folder").field(path).finish(),
            Self::Bundle(path) => f.debug_tuple("Bundle").field(path).finish(),
            Self::Remote(url) => f.debug_tuple("Remote").field(&shown(url)).finish(),
        }
    }
}

impl Place {
    /// Reads a URL or path as git does. A path that is not absolute is relative to the working directory.
    ///
    /// # Errors
    /// Where it could be taken for an option, names a protocol that runs commands, or names nothing that is there.
    pub fn parse(url: &str) -> Result<Self, Unread> {
        let refused = |why| Err(Unread::Refused { url: shown(url), why });
        if url.starts_with('-') {
            return refused("begins with `-`, which git takes for an option");
        }
        if url.is_empty() || url.chars().any(char::is_control) {
            return refused("is empty, or has a character that nobody sees");
        }
        let path = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => rest,
            Some((scheme, _)) if SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) => {
                return Ok(Self::Remote(url.to_owned()));
            }
            Some(_) => return refused("has a protocol that is none of file, git, http, https, ssh"),
            // `ext::sh -c …` runs a command.
            None if url.contains("::") => return refused("names a helper program of git"),
            None if !is_path(url) => return Ok(Self::Remote(url.to_owned())),
            None => url,
        };
        let path = PathBuf::from(path);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Ok(Self::Folder(path)),
            Ok(_) => Ok(Self::Bundle(path)),
            Err(_) => Err(Unread::Missing(path.display().to_string())),
        }
    }

    /// What git pushes to; nothing for a bundle, which nobody can push to.
    pub(crate) fn destination(&self) -> Result<Option<String>, Unread> {
        match self {
            Self::Folder(path) => absolute(path).map(Some),
            Self::Bundle(_) => Ok(None),
            Self::Remote(url) => Ok(Some(url.clone())),
        }
    }

    /// Opens it. A bundle is read into its mirror again each time: that asks no network.
    ///
    /// # Errors
    /// Where it is none, cannot be read, or cannot be fetched.
    pub fn open(&self, ask: Ask<'_>) -> Result<Code, Unread> {
        let Ask { cache, fetch, ssh } = ask;
        let (url, again) = match self {
            Self::Folder(path) => {
                let repository = Repository::open(path).map_err(|error| unreadable(path, &error))?;
                return Code::read(repository, path, cache);
            }
            Self::Bundle(path) => (absolute(path)?, true),
            Self::Remote(url) => (url.clone(), fetch == Fetch::Now),
        };
        let Some(cache) = cache else {
            return Err(Unread::Failed {
                message: format!("`{}` cannot be kept: there is no cache directory", shown(&url)),
                help: "set `XDG_CACHE_HOME` to a folder of yours".to_owned(),
            });
        };
        let mirror = cache.join("repositories").join(format!("{}.git", name(&url)));
        if again {
            update(&mirror, &url, ssh)?;
        } else if !mirror.join(FETCHED).exists() {
            return Err(Unread::NotFetched(shown(&url)));
        }
        let repository = Repository::open_bare(&mirror).map_err(|error| unreadable(&mirror, &error))?;
        Code::read(repository, &mirror, Some(cache))
    }
}

/// Makes a bare repository of what a bundle holds. Its head is the bundle's `main`.
///
/// # Errors
/// Where one of them cannot be read or written.
pub fn unbundle(bundle: &Path, repository: &Path) -> Result<(), Unread> {
    let made = Repository::init_bare(repository).map_err(|error| unreadable(repository, &error))?;
    fetch::fetch(repository, &absolute(bundle)?, Ssh::Usual)?;
    made.set_head("refs/heads/main").map_err(|error| unreadable(repository, &error))
}

/// Brings a mirror up to date, or makes it; one process at a time.
fn update(mirror: &Path, url: &str, ssh: Ssh) -> Result<(), Unread> {
    let failed = |what: &Path, error: &io::Error| Unread::Failed {
        message: format!("the mirror of `{}` cannot be written: {error}", shown(url)),
        help: format!("make `{}` writable, or set `XDG_CACHE_HOME` to a folder that is", what.display()),
    };
    let folder = mirror.parent().unwrap_or(mirror);
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    let lock = mirror.with_extension("lock");
    let file = File::create(&lock).map_err(|error| failed(&lock, &error))?;
    file.lock().map_err(|error| failed(&lock, &error))?;
    if !mirror.join("HEAD").exists() {
        Repository::init_bare(mirror).map_err(|error| unreadable(mirror, &error))?;
    }
    fetch::fetch(mirror, url, ssh)?;
    let fetched = mirror.join(FETCHED);
    File::create(&fetched).map(drop).map_err(|error| failed(&fetched, &error))
}

fn absolute(path: &Path) -> Result<String, Unread> {
    let whole = fs::canonicalize(path).map_err(|_| Unread::Missing(path.display().to_string()))?;
    whole
        .into_os_string()
        .into_string()
        .map_err(|path| Unread::Refused { url: path.to_string_lossy().into_owned(), why: "is no UTF-8" })
}

/// A name of a mirror: another one for every spelling, so that nobody reads what somebody else's URL fetched.
fn name(url: &str) -> String {
    Sha256::digest(url).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// A URL without user and password.
pub(crate) fn shown(url: &str) -> String {
    userinfo::split(url).map_or_else(|| url.to_owned(), |(before, after)| format!("{before}{after}"))
}

/// The command that trusts a repository of another user. Git compares whole paths, so that a relative one would change nothing.
fn trust(path: &Path) -> String {
    let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    format!(
        "if you trust it: `git config --global --add safe.directory {}`",
        shell::word(&whole.to_string_lossy())
    )
}

/// The repository that holds a folder, of another user. Git looks for it in the folders above.
pub(crate) fn untrusted(folder: &Path) -> Unread {
    let whole = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let repository = whole.ancestors().find(|above| above.join(".git").exists()).unwrap_or(&whole);
    Unread::Failed {
        message: format!("`{}` belongs to another user, and git does not trust it", folder.display()),
        help: trust(repository),
    }
}

fn unreadable(path: &Path, error: &git2::Error) -> Unread {
    let shown = path.display();
    let (message, help) = match (error.code(), error.class()) {
        (ErrorCode::Owner, _) => return untrusted(path),
        (ErrorCode::NotFound, _) => (
            format!("`{shown}` is no git repository"),
            "name the repository of the pipelines' code".to_owned(),
        ),
        // Partial clones and reftables announce themselves as extensions (`git help gitrepository-layout`).
        (_, ErrorClass::Repository) if error.message().contains("extension") => (
            format!("`{shown}` has a format that is not understood: {}", error.message().to_lowercase()),
            format!(
                "name a full clone: `git clone --bare {} pipelines.git`",
                shell::word(&shown.to_string())
            ),
        ),
        _ => (
            format!("`{shown}` cannot be read: {}", error.message().to_lowercase()),
            format!("`git -C {} fsck` tells more", shell::word(&shown.to_string())),
        ),
    };
    Unread::Failed { message, help }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_could_run_or_take_for_an_option_is_refused() {
        for url in ["--upload-pack=touch x", "-u", "ext::sh -c touch% x", "ext://a", "a\nb", "", "fd::17"] {
            assert!(matches!(Place::parse(url), Err(Unread::Refused { .. })), "{url}");
        }
        for url in ["https://a.dev/b.git", "SSH://git@a/b", "git@a.dev:b/c.git", "http://a", "git://a/b"] {
            assert_eq!(Place::parse(url), Ok(Place::Remote(url.to_owned())));
        }
        let missing = Place::parse("../no/such place").unwrap_err();
        assert_eq!(missing.to_string(), "there is no repository at `../no/such place`");
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        for (url, expect) in [
            ("https://ana:canary@a.dev/b", "https://a.dev/b"),
            ("https://token-canary@a.dev", "https://a.dev"),
            ("https://a.dev/b@c", "https://a.dev/b@c"),
            ("git@a.dev:b", "git@a.dev:b"),
        ] {
            assert_eq!(shown(url), expect);
        }
        let remote = Place::parse("https://ana:canary@a.dev/b").unwrap();
        assert_eq!(format!("{remote:?}"), "Remote(\"https://a.dev/b\")");
        let never = Place::Remote("https://ana:canary@a.dev/b".to_owned());
        let folder = tempfile::tempdir().unwrap();
        let error = never
            .open(Ask { cache: Some(folder.path()), fetch: Fetch::Never, ssh: Ssh::Usual })
            .err()
            .unwrap();
        assert_eq!(error, Unread::NotFetched("https://a.dev/b".to_owned()));
    }

    #[test]
    fn help_for_a_repository_of_another_user_names_the_whole_path() {
        let folder = tempfile::tempdir().unwrap();
        let whole = fs::canonicalize(folder.path()).unwrap();
        let owner = git2::Error::new(ErrorCode::Owner, ErrorClass::Config, "not owned by current user");
        let Unread::Failed { message, help } = unreadable(&folder.path().join("."), &owner) else {
            panic!("it failed")
        };
        assert!(message.ends_with("belongs to another user, and git does not trust it"), "{message}");
        let command = format!("`git config --global --add safe.directory {}`", whole.display());
        assert_eq!(help, format!("if you trust it: {command}"));
    }

    #[test]
    fn a_folder_needs_no_cache_and_a_remote_says_that_it_does() {
        let folder = tempfile::tempdir().unwrap();
        Repository::init(folder.path()).unwrap();
        let ask = Ask { cache: None, fetch: Fetch::Now, ssh: Ssh::Usual };
        let place = Place::parse(folder.path().to_str().unwrap()).unwrap();
        assert_eq!(place.open(ask).unwrap().branches().count(), 0);
        let Err(Unread::Failed { message, help }) = Place::Remote("https://a.dev/b".to_owned()).open(ask)
        else {
            panic!("it failed")
        };
        assert_eq!(message, "`https://a.dev/b` cannot be kept: there is no cache directory");
        assert_eq!(help, "set `XDG_CACHE_HOME` to a folder of yours");
    }

    #[test]
    fn mirrors_are_told_apart() {
        assert_ne!(name("https://a/b"), name("https://a/b/"));
        assert_eq!(name("x").len(), 32);
    }
}
