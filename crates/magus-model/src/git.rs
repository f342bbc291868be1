//! What git takes for the place of a repository.

/// Whether git would take this for a path on this machine: it has no scheme, and no slash comes before its first colon
/// where it has one (`host:path` is ssh; see `git-fetch`, section "Git URLs"). What begins with `-` is an option to git.
pub fn is_path(url: &str) -> bool {
    if url.contains("://") || url.starts_with('-') {
        return false;
    }
    match (url.find(':'), url.find('/')) {
        (Some(colon), Some(slash)) => slash < colon,
        (Some(_), None) => false,
        (None, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_git_takes_for_one() {
        for path in ["../pipelines.git", "/srv/git/a:b", "pipelines", "./a:b", "C/a"] {
            assert!(is_path(path), "{path}");
        }
        for other in
            ["https://a/b", "ssh://a/b", "git@host:a/b.git", "host:b", "file:///a", "--upload-pack=x/y"]
        {
            assert!(!is_path(other), "{other}");
        }
    }
}
