//! The proxy between here and the server, as the environment names it.

use std::{collections::BTreeMap, ffi::OsString, net::IpAddr};

use magus_engine::{EngineError, EngineErrorKind};
use secrecy::SecretString;

use super::url::ServerUrl;

/// A proxy: HTTP or HTTPS with CONNECT, or SOCKS. Its `Debug` shows host and port only.
#[derive(Clone)]
pub struct Proxy {
    pub(super) inner: ureq::Proxy,
}

impl Proxy {
    /// The proxy for a server: `HTTPS_PROXY` or `HTTP_PROXY` by the scheme of the server, then `ALL_PROXY`, each in
    /// capitals or small letters, the small ones first. None for this machine, and none for what `NO_PROXY` names: `*`,
    /// hosts (with all their subdomains), addresses, and ranges of addresses (`10.0.0.0/8`), each with a port or not.
    ///
    /// # Errors
    /// [`EngineErrorKind::Unreachable`] where the variable is no URL of a proxy.
    pub fn from_environment(
        server: &ServerUrl,
        lookup: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Option<Self>, EngineError> {
        let Some((value, name)) = named(server, lookup) else { return Ok(None) };
        let inner = value.to_str().and_then(|url| ureq::Proxy::new(url).ok()).ok_or_else(|| {
            EngineError::new(EngineErrorKind::Unreachable, format!("`{name}` is no URL of a proxy")).help(
                format!(
                    "write `{name}=http://proxy.example.com:3128`, or take `{server}` out with `NO_PROXY`"
                ),
            )
        })?;
        Ok(Some(Self { inner }))
    }

    /// What must not be shown.
    pub(super) fn password(&self) -> Option<SecretString> {
        self.inner.password().map(SecretString::from)
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({}:{})", self.inner.host(), self.inner.port())
    }
}

/// The variables that [`Proxy::from_environment`] reads, for servers that are not known yet.
pub(crate) fn variables(lookup: &dyn Fn(&str) -> Option<OsString>) -> BTreeMap<String, OsString> {
    let names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
    let both = names.into_iter().flat_map(|name| [name.to_ascii_lowercase(), name.to_owned()]);
    both.filter_map(|name| lookup(&name).map(|value| (name, value))).collect()
}

/// The value and the name of the variable that says which proxy leads to a server, as [`Proxy::from_environment`] reads
/// them.
pub(crate) fn named(
    server: &ServerUrl,
    lookup: &dyn Fn(&str) -> Option<OsString>,
) -> Option<(OsString, String)> {
    let first = |name: &str| {
        [name.to_ascii_lowercase(), name.to_owned()]
            .into_iter()
            .find_map(|name| Some((lookup(&name).filter(|value| !value.is_empty())?, name)))
    };
    if server.is_loopback() {
        return None;
    }
    if let Some((excepted, _)) = first("NO_PROXY")
        && excepted.to_string_lossy().split([',', ' ']).any(|entry| excepts(entry.trim(), server))
    {
        return None;
    }
    first(if server.is_encrypted() { "HTTPS_PROXY" } else { "HTTP_PROXY" }).or_else(|| first("ALL_PROXY"))
}

/// Whether an entry of `NO_PROXY` names the server.
fn excepts(entry: &str, server: &ServerUrl) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((network, bits)) = entry.split_once('/')
        && let (Ok(network), Ok(bits), Some(address)) =
            (network.parse::<IpAddr>(), bits.parse::<u32>(), server.address())
    {
        return contains(network, bits, address);
    }
    let entry = match entry.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            if port.parse() != Ok(server.port()) {
                return false;
            }
            host
        }
        _ => entry,
    };
    let bare = |host: &str| host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let entry = bare(entry.trim_start_matches('*').trim_start_matches('.'));
    if let Ok(address) = entry.parse::<IpAddr>() {
        return server.address() == Some(address);
    }
    let host = server.host();
    !entry.is_empty()
        && (host == entry || host.strip_suffix(&*entry).is_some_and(|before| before.ends_with('.')))
}

/// Whether the first bits of two addresses are the same.
fn contains(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        (IpAddr::V6(network), IpAddr::V6(address)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(server: &str, set: &[(&str, &str)]) -> Result<Option<String>, String> {
        let server = ServerUrl::parse(server).unwrap();
        Proxy::from_environment(&server, &|name| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
        .map(|proxy| proxy.map(|proxy| format!("{proxy:?}")))
        .map_err(|error| error.message)
    }

    #[test]
    fn the_scheme_decides_which_variable_counts() {
        let set =
            [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "http://p:2"), ("ALL_PROXY", "socks5://a:3")];
        assert_eq!(proxy("https://m.dev", &set), Ok(Some("Proxy(s:1)".into())));
        assert_eq!(proxy("http://m.dev", &set), Ok(Some("Proxy(p:2)".into())));
        assert_eq!(proxy("http://m.dev", &set[2..]), Ok(Some("Proxy(a:3)".into())));
        assert_eq!(proxy("http://m.dev", &[("HTTP_PROXY", "")]), Ok(None));
        assert_eq!(proxy("http://127.0.0.1:6789", &set), Ok(None));
    }

    #[test]
    fn exceptions_are_honoured() {
        for (server, no_proxy, excepted) in [
            ("https://m.acme.dev", "*", true),
            ("https://m.acme.dev", "acme.dev", true),
            ("https://m.acme.dev", "a, .ACME.dev", true),
            ("https://m.acme.dev", "*.acme.dev", true),
            ("https://m.acme.dev", "me.dev", false),
            ("https://m.acme.dev", "", false),
            ("https://m.acme.dev", ",.,", false),
            ("https://m.acme.dev", "m.acme.dev:443", true),
            ("https://m.acme.dev", "m.acme.dev:6789", false),
            ("https://10.1.2.3", "10.0.0.0/8", true),
            ("https://10.1.2.3", "10.1.2.4/31", false),
            ("https://10.1.2.3", "0.0.0.0/0", true),
            ("https://10.1.2.3", "10.1.2.3", true),
            ("https://[fd00::1]", "fd00::/8", true),
            ("https://[fd00::1]", "[fd00::1]:443", true),
            ("https://[fd00::1]", "fd00::1", true),
            ("https://[fd00::1]", "fd00::2", false),
        ] {
            let set = [("HTTPS_PROXY", "http://s:1"), ("NO_PROXY", no_proxy)];
            assert_eq!(proxy(server, &set).map(|proxy| proxy.is_none()), Ok(excepted), "{server} {no_proxy}");
        }
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let shown = proxy("https://m.dev", &[("HTTPS_PROXY", "http://ana:canary@s:1")]);
        assert_eq!(shown, Ok(Some("Proxy(s:1)".into())));
        let message = proxy("https://m.dev", &[("https_proxy", "gopher://ana:canary@s:1")]);
        assert_eq!(message, Err("`https_proxy` is no URL of a proxy".into()));
    }
}
