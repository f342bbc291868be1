//! Where the code of a workspace comes from. Together with a commit, this is the identity of the code.

use serde::{Deserialize, Serialize};

use crate::{Text, git, userinfo};

/// The source of a workspace's code. Two workspaces run the same code only if their sources and their commits are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct ProjectSource {
    /// The repository in the form of [`repository`], which holds no credentials.
    pub repository: Text,
    /// The folder of the Mage project in the repository, in the form of [`directory`]; `.` for the whole repository.
    pub directory: Text,
    /// The deployment of Mage Pro that delivers the code, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Deployment>,
}

/// A deployment of Mage Pro: Mage moves a branch to the commit, and workspaces with this `ENV` take it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Deployment {
    /// The deployment settings.
    pub setting: Text,
    /// The branch that Mage deploys to.
    pub branch: Text,
    /// The environment, as Mage is told.
    pub environment: Text,
    /// The folder of the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_directory: Option<Text>,
}

impl ProjectSource {
    /// Whether both name the same project, however it is delivered. Stages of promotion deliver the same project
    /// through deployments of their own.
    pub fn is_same_project(&self, other: &Self) -> bool {
        let Self { repository, directory, deployment: _ } = self;
        *repository == other.repository && *directory == other.directory
    }
}

/// The comparable form of a repository's address. Spellings of one address become equal: user and password, scheme,
/// default port, the case of the host and a final `.git` do not count. A commit is the same whatever protocol it is
/// fetched with. A path stays a path, relative to the folder of the declarations, and begins with `/` or `.`.
pub fn repository(url: &str) -> Text {
    if let Some(path) = url.strip_prefix("file://") {
        let path = path.find('/').map_or(path, |at| &path[at..]);
        return path_form(path);
    }
    if git::is_path(url) {
        return path_form(url);
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        // `user@host:path` is ssh; see `git-fetch`, section "Git URLs".
        let host_begins = url.rfind('@').map_or(0, |at| at + 1);
        let rest = &url[host_begins..];
        let colon = rest.rfind(']').map_or(0, |at| at + 1);
        let colon = rest[colon..].find(':').map(|at| colon + at);
        return match colon {
            Some(at) => host_form(&rest[..at], "", &rest[at + 1..]),
            None => url.into(),
        };
    };
    let rest = userinfo::split(url).map_or(rest, |(_, rest)| rest);
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let default_port = match scheme.to_ascii_lowercase().as_str() {
        "https" => ":443",
        "http" => ":80",
        "ssh" | "git+ssh" | "ssh+git" => ":22",
        "git" => ":9418",
        _ => "",
    };
    host_form(authority, default_port, path)
}

/// The comparable form of a folder in a repository: no empty and no `.` parts; `.` for the whole repository.
pub fn directory(folder: &str) -> Text {
    let parts: Vec<&str> = folder.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.is_empty() { Text::new_static(".") } else { parts.join("/").into() }
}

fn host_form(authority: &str, default_port: &str, path: &str) -> Text {
    let host = authority.to_ascii_lowercase();
    let host = host.strip_suffix(default_port).unwrap_or(&host);
    let path = path.trim_matches('/');
    format!("{host}/{}", path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/')).into()
}

fn path_form(path: &str) -> Text {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_absolute => {}
            _ => parts.push(part),
        }
    }
    let begin = match parts.first() {
        _ if is_absolute => "/",
        Some(&"..") => "",
        _ => "./",
    };
    format!("{begin}{}", parts.join("/")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_one_repository() {
        let spellings = [
            "https://git.acme.dev/acme/pipelines",
            "https://git.acme.dev/acme/pipelines.git",
            "https://git.acme.dev/acme/pipelines/",
            "https://ana:canary@git.acme.dev/acme/pipelines.git",
            "https://token@GIT.acme.dev:443/acme/pipelines",
            "http://git.acme.dev:80/acme/pipelines.git/",
            "ssh://git@git.acme.dev/acme/pipelines.git",
            "ssh://git@git.acme.dev:22/acme/pipelines.git",
            "git@git.acme.dev:acme/pipelines.git",
            "git.acme.dev:/acme/pipelines",
            "git://git.acme.dev:9418/acme/pipelines",
        ];
        for spelling in spellings {
            assert_eq!(repository(spelling), "git.acme.dev/acme/pipelines", "{spelling}");
        }
        for (path, expect) in [
            ("../pipelines.git", "../pipelines.git"),
            ("../envs/../pipelines/", "../pipelines"),
            ("./pipelines", "./pipelines"),
            ("pipelines", "./pipelines"),
            ("..", ".."),
            (".", "./"),
            ("/srv//git/./a/../pipelines.git/", "/srv/git/pipelines.git"),
            ("file:///srv/git/pipelines.git", "/srv/git/pipelines.git"),
            ("file://localhost/srv/git", "/srv/git"),
        ] {
            assert_eq!(repository(path), expect, "{path}");
        }
    }

    #[test]
    fn other_addresses_are_other_repositories() {
        let all = [
            "https://git.acme.dev/acme/pipelines",
            "https://git.acme.dev/acme/Pipelines",
            "https://git.acme.dev:8443/acme/pipelines",
            "ssh://git@git.acme.dev:2222/acme/pipelines",
            "git@[::1]:acme/pipelines",
            "https://git.acme.org/acme/pipelines",
            "git.acme.dev/acme/pipelines",
            "/git.acme.dev/acme/pipelines",
        ];
        for (at, one) in all.iter().enumerate() {
            for other in &all[at + 1..] {
                assert_ne!(repository(one), repository(other), "{one} {other}");
            }
        }
        assert_eq!(repository("git@[::1]:acme/pipelines"), "[::1]/acme/pipelines");
    }

    #[test]
    fn no_form_holds_a_password() {
        for url in [
            "https://ana:canary@a.dev/b",
            "https://canary@a.dev",
            "canary@a.dev:b/c",
            "https://x@canary@a.dev/",
        ] {
            assert!(!repository(url).contains("canary"), "{url}");
        }
    }

    #[test]
    fn a_folder_has_one_form() {
        for (folder, expect) in
            [("", "."), (".", "."), ("./", "."), ("/", "."), ("etl", "etl"), ("./etl//daily/", "etl/daily")]
        {
            assert_eq!(directory(folder), expect, "{folder}");
        }
    }
}
