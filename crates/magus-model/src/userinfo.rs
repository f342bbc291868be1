//! Users and passwords in URLs, which nobody is to see.

/// A URL that has a user or a password, without them: what is before them, and what comes after their `@`. Nothing where
/// it has none.
pub fn split(url: &str) -> Option<(&str, &str)> {
    let begin = url.find("://")? + 3;
    let end = url[begin..].find(['/', '?', '#']).map_or(url.len(), |at| begin + at);
    let at = begin + url[begin..end].rfind('@')?;
    Some((&url[..begin], &url[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_before_the_host_is_found() {
        for (url, expect) in [
            ("https://ana:canary@a.dev/b", Some(("https://", "a.dev/b"))),
            ("https://token@a.dev", Some(("https://", "a.dev"))),
            ("https://a@b@c.dev?x@y", Some(("https://", "c.dev?x@y"))),
            ("'https://a:b@c.dev/'", Some(("'https://", "c.dev/'"))),
            ("https://a.dev/b@c", None),
            ("git@a.dev:b", None),
            ("a", None),
        ] {
            assert_eq!(split(url), expect, "{url}");
        }
    }
}
