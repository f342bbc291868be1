//! The URL of a server, in one spelling.
//!
//! Whether a server is trusted is decided by comparing two of these, so that two spellings of one place are equal and
//! nothing that a URL can hold survives which a shell, a terminal or a log would take for something else.

use std::net::{IpAddr, Ipv6Addr};

/// Where the API of a server begins: `https://host`, `https://host:6789/base/path`. Without user, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerUrl {
    text: String,
    tls: bool,
    host: String,
    port: u16,
}

/// Why a text is no URL of a server. Never holds the text: it may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// Neither `http://` nor `https://`.
    #[error("begins with neither `https://` nor `http://`")]
    Scheme,
    /// `user@` or `user:password@` before the host.
    #[error("holds a user or a password, which belong into variables of their own")]
    UserInfo,
    /// No host, or one with characters that no host has.
    #[error("names no host that can be looked up")]
    Host,
    /// The port is no number from 1 to 65535.
    #[error("has a port that is no number from 1 to 65535")]
    Port,
    /// A path with `.`, `..`, an empty part or characters that have to be percent-encoded.
    #[error("has a path with parts that are empty, `.` or `..`, or with characters that are not plain")]
    Path,
    /// `?…` or `#…`.
    #[error("has a query or a fragment, where only a path may be")]
    Query,
}

impl ServerUrl {
    /// Reads a URL and brings it into the one spelling: scheme and host in lower case, no default port, no slash at
    /// the end.
    ///
    /// # Errors
    /// Where it is not one that requests could be sent to as it stands.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlFault::Scheme)?;
        let (tls, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "https" => (true, 443),
            "http" => (false, 80),
            _ => return Err(UrlFault::Scheme),
        };
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(UrlFault::UserInfo);
        }
        if path.contains(['?', '#']) {
            return Err(UrlFault::Query);
        }
        let (host, port) = split_port(authority)?;
        let port = match port {
            None | Some("") => default_port,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|port| *port != 0).ok_or(UrlFault::Port)?
            }
            Some(_) => return Err(UrlFault::Port),
        };
        let host = host_name(host)?;
        let path = plain_path(path)?;
        let scheme = if tls { "https" } else { "http" };
        let port_text = if port == default_port { String::new() } else { format!(":{port}") };
        Ok(Self { text: format!("{scheme}://{host}{port_text}{path}"), tls, host, port })
    }

    /// The URL in its one spelling, without a slash at the end. Safe to show, and to paste into a shell.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether another URL is this one or below it: whoever trusts this one trusts it too.
    pub fn covers(&self, other: &Self) -> bool {
        other.text.strip_prefix(self.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Where the server begins, without a path.
    pub fn origin(&self) -> Self {
        let Self { text, tls, host, port } = self;
        let begin = text.find("://").map_or(0, |at| at + 3);
        let end = text[begin..].find('/').map_or(text.len(), |at| begin + at);
        Self { text: text[..end].to_owned(), tls: *tls, host: host.clone(), port: *port }
    }

    /// Whether what is sent is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.tls
    }

    /// The host: a name in lower case, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also where it is the default.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host as an address, where it is one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// Whether it is this machine: nothing that is sent there leaves it.
    pub fn is_loopback(&self) -> bool {
        match self.address() {
            Some(address) => address.is_loopback(),
            None => self.host == "localhost" || self.host.ends_with(".localhost"),
        }
    }
}

impl std::fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Host and port as they stand. The colons of an IPv6 address are inside brackets.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), UrlFault> {
    let end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']').ok_or(UrlFault::Host)? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(end);
    match rest.strip_prefix(':') {
        Some(port) => Ok((host, Some(port))),
        None if rest.is_empty() => Ok((host, None)),
        None => Err(UrlFault::Host),
    }
}

fn host_name(host: &str) -> Result<String, UrlFault> {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().map_err(|_| UrlFault::Host)?;
        return Ok(format!("[{address}]"));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    // One dot at the end is the same name, written in full.
    let host = host.strip_suffix('.').unwrap_or(host);
    let parts = host.split('.').all(|part| !part.is_empty() && !part.starts_with('-'));
    if host.bytes().all(plain) && parts { Ok(host.to_ascii_lowercase()) } else { Err(UrlFault::Host) }
}

/// The path without slashes at its end.
fn plain_path(path: &str) -> Result<&str, UrlFault> {
    let path = path.trim_end_matches('/');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let mut parts = path.split('/');
    let first_is_empty = parts.next().is_none_or(str::is_empty);
    let good = |part: &str| !part.is_empty() && part != "." && part != ".." && part.bytes().all(plain);
    if first_is_empty && parts.all(good) { Ok(path) } else { Err(UrlFault::Path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_place_are_equal() {
        for (text, expect) in [
            ("https://mage.acme.dev", "https://mage.acme.dev"),
            ("HTTPS://Mage.Acme.DEV:443//", "https://mage.acme.dev"),
            ("https://mage.acme.dev./", "https://mage.acme.dev"),
            ("https://mage.acme.dev:", "https://mage.acme.dev"),
            ("http://mage:80/", "http://mage"),
            ("http://mage:443", "http://mage:443"),
            ("https://mage:06789/Base/Path/", "https://mage:6789/Base/Path"),
            ("http://[0:0::1]:6789", "http://[::1]:6789"),
            ("http://127.0.0.1:6789", "http://127.0.0.1:6789"),
        ] {
            assert_eq!(ServerUrl::parse(text).map(|url| url.to_string()).as_deref(), Ok(expect), "{text}");
        }
    }

    #[test]
    fn what_is_no_server_is_refused() {
        use UrlFault::*;
        for (text, expect) in [
            ("mage.acme.dev", Scheme),
            ("ftp://mage", Scheme),
            ("", Scheme),
            ("https://", Host),
            ("https://:6789", Host),
            ("https://ma ge", Host),
            ("https://mage..dev", Host),
            ("https://-oProxyCommand", Host),
            ("https://mäge.dev", Host),
            ("https://$(id)", Host),
            ("https://[::1", Host),
            ("https://[::1]x", Host),
            ("https://[mage]", Host),
            ("https://user@mage", UserInfo),
            ("https://user:pass@mage", UserInfo),
            ("https://mage:0", Port),
            ("https://mage:65536", Port),
            ("https://mage:+80", Port),
            ("https://mage:80:80", Port),
            ("https://mage?api_key=x", Query),
            ("https://mage/a#b", Query),
            ("https://mage/../x", Path),
            ("https://mage/a//b", Path),
            ("https://mage/a;id", Path),
            ("https://mage/a%2Fb", Path),
            ("https://mage\\@evil", Path),
            ("https://mage\\evil", Path),
            ("https://mage\n", Host),
        ] {
            assert_eq!(ServerUrl::parse(text), Err(expect), "{text}");
        }
    }

    #[test]
    fn this_machine_is_recognised() {
        for (text, expect) in [
            ("http://localhost:6789", true),
            ("http://a.localhost", true),
            ("http://127.9.9.9", true),
            ("http://[::1]", true),
            ("http://localhost.evil.dev", false),
            ("http://127.0.0.1.evil.dev", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(ServerUrl::parse(text).map(|url| url.is_loopback()), Ok(expect), "{text}");
        }
    }
}
