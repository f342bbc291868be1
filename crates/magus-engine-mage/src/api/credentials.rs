//! Who asks, and which server is trusted with knowing it.
//!
//! A declaration names a server, and whoever can open a pull request can change it. Credentials therefore never go to
//! a server only because a declaration names it: the environment has to name the same one.

use std::ffi::OsString;

use magus_engine::{EngineError, EngineErrorKind};
use secrecy::{ExposeSecret, SecretString};

use super::url::ServerUrl;

/// The key that every Mage server has unless somebody changed it: public, in `mage_ai/settings/server.py` as
/// `OAUTH2_APPLICATION_CLIENT_ID`, and in the pages that Mage serves.
const SHIPPED_API_KEY: &str = "zkWlN0PkIKSN0C11CfUHUj84OT5XOJ6tDZ6bDRO2";

/// Names the servers of workspaces that get a login. Without it, none does.
const WORKSPACES: &str = "MAGE_WORKSPACES_URL";
const WORKSPACES_PREFIX: &str = "MAGE_WORKSPACES";
const WORKSPACES_API_KEY: &str = "MAGE_WORKSPACES_API_KEY";

/// How to begin at a server that the user trusts. Its `Debug` shows where, and nothing of who.
pub struct Credentials {
    /// The server, which declaration and environment agree on.
    pub url: ServerUrl,
    /// The API key; without one the key that ships with Mage.
    pub api_key: Option<SecretString>,
    /// How to log in, where the server wants it.
    pub login: Login,
    /// What servers of workspaces get; `None` if they get nothing.
    pub workspaces: Option<WorkspaceLogin>,
    /// What the names of this cluster's variables end with.
    pub suffix: String,
}

/// What servers of workspaces get.
#[derive(Clone)]
pub struct WorkspaceLogin {
    /// Those that get it are at or below one of these addresses.
    pub urls: Vec<ServerUrl>,
    /// The API key; `None` for the one that ships with Mage.
    pub api_key: Option<SecretString>,
    /// How to log in there.
    pub login: Login,
}

/// How to log in.
#[derive(Clone)]
pub enum Login {
    /// Not at all: enough where the server has logins switched off.
    None,
    /// With a session of its own for each run.
    Password {
        /// The e-mail address, or the name of the user.
        email: String,
        /// The password.
        password: SecretString,
    },
    /// With a token of a session that somebody else began: the token itself, or the JWT around it.
    Token(SecretString),
}

/// Reads variables. The environment of the process is an argument.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

impl Credentials {
    /// Nothing, for a server that nobody said is trusted: only what anybody may ask can be asked there.
    pub fn none(url: ServerUrl) -> Self {
        Self { url, api_key: None, login: Login::None, workspaces: None, suffix: String::new() }
    }

    /// Takes the credentials for the server that a cluster declares from the environment.
    ///
    /// The variables are `MAGE_URL`, `MAGE_API_KEY`, either `MAGE_TOKEN` or `MAGE_EMAIL` with `MAGE_PASSWORD`, and the same with
    /// `MAGE_WORKSPACES` for the servers of workspaces. Where
    /// `MAGE_URL_<CLUSTER>` is set (the name of the cluster in capitals, `_` for everything but letters and digits), all
    /// of them are taken with that suffix and none without: credentials of one server never go to another. A token
    /// comes before a password. An empty variable counts as not set, which is what CI makes of a missing secret.
    ///
    /// A plain `http` URL is allowed, because that is how Mage runs inside many company networks; the client warns
    /// about it once where it is not this machine.
    ///
    /// # Errors
    /// [`EngineErrorKind::Refused`] where the declared URL is none, where the environment names no server or another
    /// one, or where a variable is unusable. No request was made then.
    pub fn from_environment(declared: &str, cluster: &str, lookup: Lookup<'_>) -> Result<Self, EngineError> {
        let url = ServerUrl::parse(declared).map_err(|fault| {
            refused(format!("the `url` of the cluster `{cluster}` {fault}"))
                .help("write it as `url: https://mage.example.com`, where the cluster is declared")
        })?;
        let own = format!("_{}", suffix(cluster));
        let set = if variable(lookup, &format!("MAGE_URL{own}"))?.is_some() { own } else { String::new() };
        let read = |name: &str| variable(lookup, &format!("{name}{set}"));

        let trust = format!("MAGE_URL{set}");
        let help = format!(
            "no request was made; if this server is yours, say so where magus runs: `export {trust}={url}`, with \
             `MAGE_EMAIL{set}` and `MAGE_PASSWORD{set}`, or `MAGE_TOKEN{set}`"
        );
        let Some(trusted) = read("MAGE_URL")? else {
            return Err(refused(format!("`{url}` is not trusted: `{trust}` is not set")).help(help));
        };
        let trusted = ServerUrl::parse(&trusted).map_err(|fault| {
            refused(format!("`{url}` is not trusted: the URL in `{trust}` {fault}")).help(help.clone())
        })?;
        if trusted != url {
            return Err(refused(format!("`{url}` is not trusted: `{trust}` is `{trusted}`")).help(help));
        }

        let api_key = header_value(read("MAGE_API_KEY")?, &format!("MAGE_API_KEY{set}"))?;
        let login = login(&read, "MAGE", &set)?;
        let workspaces = workspaces(&read, &set, &login, api_key.as_ref())?;
        Ok(Self { url, api_key, login, workspaces, suffix: set })
    }

    /// The same for the server of a workspace, which Mage names: whoever may write to the Ingress, or owns the workspace, decides
    /// what answers there. `None` if the environment does not name it.
    pub fn of_workspace(&self, url: ServerUrl) -> Option<Self> {
        let WorkspaceLogin { urls, api_key, login } = self.workspaces.as_ref()?;
        let is_named = urls.iter().any(|named| named.covers(&url));
        is_named.then(|| Self {
            url,
            api_key: api_key.clone(),
            login: login.clone(),
            workspaces: None,
            suffix: String::new(),
        })
    }

    /// The variable that names the servers of workspaces.
    pub fn workspaces_variable(&self) -> String {
        format!("{WORKSPACES}{}", self.suffix)
    }

    /// The API key to send.
    pub(super) fn api_key(&self) -> SecretString {
        self.api_key.clone().unwrap_or_else(|| SecretString::from(SHIPPED_API_KEY))
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("url", &self.url.as_str())
            .field("api_key", &self.api_key.as_ref().map(|_| "***"))
            .field("login", &self.login)
            .finish()
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Login::None => "None",
            Login::Password { .. } => "Password(***)",
            Login::Token(_) => "Token(***)",
        })
    }
}

/// Reads a variable of a cluster by its name without the suffix.
type Read<'a> = &'a dyn Fn(&str) -> Result<Option<String>, EngineError>;

/// The login in `PREFIX_TOKEN`, or `PREFIX_EMAIL` and `PREFIX_PASSWORD`. A token comes first.
fn login(read: Read<'_>, prefix: &str, set: &str) -> Result<Login, EngineError> {
    let name = |what: &str| format!("{prefix}_{what}");
    let token = header_value(read(&name("TOKEN"))?, &format!("{prefix}_TOKEN{set}"))?;
    match (token, read(&name("EMAIL"))?, read(&name("PASSWORD"))?) {
        (Some(token), _, _) => Ok(Login::Token(token)),
        (None, Some(email), Some(password)) => {
            Ok(Login::Password { email, password: SecretString::from(password) })
        }
        (None, None, None) => Ok(Login::None),
        (None, email, _) => {
            let (given, missing) =
                if email.is_some() { ("EMAIL", "PASSWORD") } else { ("PASSWORD", "EMAIL") };
            Err(refused(format!("`{prefix}_{given}{set}` is set, and `{prefix}_{missing}{set}` is not"))
                .help("a login needs both; in CI, a secret that does not exist is an empty variable"))
        }
    }
}

/// What servers of workspaces get: a login of their own, or else the main one.
fn workspaces(
    read: Read<'_>,
    set: &str,
    main: &Login,
    main_key: Option<&SecretString>,
) -> Result<Option<WorkspaceLogin>, EngineError> {
    let own = login(read, WORKSPACES_PREFIX, set)?;
    let own_key = header_value(read(WORKSPACES_API_KEY)?, &format!("{WORKSPACES_API_KEY}{set}"))?;
    let Some(list) = read(WORKSPACES)? else {
        if matches!(own, Login::None) && own_key.is_none() {
            return Ok(None);
        }
        return Err(refused(format!(
            "a login for the servers of workspaces is set, and `{WORKSPACES}{set}` is not"
        ))
        .help(format!("name the servers that get it: `export {WORKSPACES}{set}=https://mage.example.com`")));
    };
    let urls = list
        .split_whitespace()
        .map(|one| {
            ServerUrl::parse(one).map_err(|fault| {
                refused(format!("a URL in `{WORKSPACES}{set}` {fault}"))
                    .help("name the servers of workspaces with a space between them, such as `https://mage.example.com`")
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(Some(match own {
        Login::None => {
            WorkspaceLogin { urls, api_key: own_key.or_else(|| main_key.cloned()), login: main.clone() }
        }
        login => WorkspaceLogin { urls, api_key: own_key, login },
    }))
}

fn refused(message: String) -> EngineError {
    EngineError::new(EngineErrorKind::Refused, message)
}

/// `acme-eu` → `ACME_EU`.
fn suffix(cluster: &str) -> String {
    cluster.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// A variable that is set and not empty.
fn variable(lookup: Lookup<'_>, name: &str) -> Result<Option<String>, EngineError> {
    match lookup(name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value).filter(|value| !value.is_empty())),
        Some(Err(_)) => Err(refused(format!("`{name}` is not UTF-8")).help("set it to what Mage gave you")),
    }
}

/// A value that can be sent in a header as it is.
fn header_value(value: Option<String>, name: &str) -> Result<Option<SecretString>, EngineError> {
    let Some(value) = value.map(SecretString::from) else { return Ok(None) };
    if value.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Some(value));
    }
    Err(refused(format!("`{name}` holds a space, a line end or a letter that is not ASCII"))
        .help("set it again without what was pasted along"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(declared: &str, cluster: &str, set: &[(&str, &str)]) -> Result<Credentials, EngineError> {
        Credentials::from_environment(declared, cluster, &|name| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
    }

    fn refusal(declared: &str, cluster: &str, set: &[(&str, &str)]) -> (String, String) {
        let error = from(declared, cluster, set).unwrap_err();
        assert_eq!(error.kind, EngineErrorKind::Refused);
        assert!(error.source.is_none());
        (error.message, error.help.unwrap_or_default())
    }

    #[test]
    fn the_server_of_the_environment_is_trusted_in_any_spelling() {
        let set = [
            ("MAGE_URL", "HTTPS://Mage.Acme.dev:443/"),
            ("MAGE_EMAIL", "ana@acme.dev"),
            ("MAGE_PASSWORD", "p w"),
        ];
        let credentials = from("https://mage.acme.dev", "acme", &set).unwrap();
        assert_eq!(credentials.url.as_str(), "https://mage.acme.dev");
        assert!(credentials.api_key.is_none());
        assert_eq!(credentials.api_key().expose_secret(), SHIPPED_API_KEY);
        let Login::Password { email, password } = &credentials.login else { panic!("{credentials:?}") };
        assert_eq!((email.as_str(), password.expose_secret()), ("ana@acme.dev", "p w"));
    }

    #[test]
    fn another_server_is_not_trusted() {
        let (message, help) = refusal("https://evil.dev", "acme", &[("MAGE_URL", "https://mage.acme.dev")]);
        assert_eq!(message, "`https://evil.dev` is not trusted: `MAGE_URL` is `https://mage.acme.dev`");
        assert!(help.contains("`export MAGE_URL=https://evil.dev`"), "{help}");
        let (message, _) = refusal("https://mage.acme.dev/", "acme", &[]);
        assert_eq!(message, "`https://mage.acme.dev` is not trusted: `MAGE_URL` is not set");
        for other in ["http://mage.acme.dev", "https://mage.acme.dev:6789", "https://mage.acme.dev/x"] {
            let (message, _) = refusal(other, "acme", &[("MAGE_URL", "https://mage.acme.dev")]);
            assert!(message.contains("not trusted"), "{message}");
        }
    }

    #[test]
    fn variables_with_the_name_of_the_cluster_come_first_and_alone() {
        let set = [
            ("MAGE_URL_ACME_EU", "https://eu.acme.dev"),
            ("MAGE_API_KEY_ACME_EU", "eu-key"),
            ("MAGE_URL", "https://us.acme.dev"),
            ("MAGE_API_KEY", "us-key"),
            ("MAGE_TOKEN", "us-token"),
        ];
        let eu = from("https://eu.acme.dev", "acme-eu", &set).unwrap();
        assert_eq!(eu.api_key().expose_secret(), "eu-key");
        assert!(matches!(eu.login, Login::None), "the token belongs to the other server");
        let us = from("https://us.acme.dev", "acme-us", &set).unwrap();
        assert_eq!(us.api_key().expose_secret(), "us-key");
        assert!(matches!(&us.login, Login::Token(token) if token.expose_secret() == "us-token"));
        // The server of the plain variables is not trusted for a cluster that has its own.
        let (message, help) = refusal("https://us.acme.dev", "acme-eu", &set);
        assert_eq!(
            message,
            "`https://us.acme.dev` is not trusted: `MAGE_URL_ACME_EU` is `https://eu.acme.dev`"
        );
        assert!(help.contains("MAGE_PASSWORD_ACME_EU"), "{help}");
    }

    #[test]
    fn the_server_of_a_workspace_is_trusted_where_the_environment_says_so() {
        let url = |text: &str| ServerUrl::parse(text).unwrap();
        let trusts = |set: &[(&str, &str)], of: &str| {
            from("https://m.dev/mage", "c", set).unwrap().of_workspace(url(of)).is_some()
        };
        let main = ("MAGE_URL", "https://m.dev/mage");
        for (of, trusted) in [
            ("https://m.dev/ana", true),
            ("https://M.dev:443/ana/x", true),
            ("http://m.dev/ana", false),
            ("https://m.dev:8443/ana", false),
            ("https://m.dev.evil.dev/ana", false),
            ("https://other.dev/ana", false),
        ] {
            assert!(!trusts(&[main], of), "without being named, no server of a workspace gets a login: {of}");
            assert_eq!(trusts(&[main, (WORKSPACES, "https://m.dev")], of), trusted, "{of}");
        }
        let named = [main, (WORKSPACES, " https://w.dev/a  http://10.0.0.1:6789/ ")];
        for (of, trusted) in [
            ("https://w.dev/a", true),
            ("https://w.dev/a/ana", true),
            ("https://w.dev/ab", false),
            ("https://w.dev", false),
            ("http://10.0.0.1:6789/ana", true),
            ("https://m.dev/ana", false),
        ] {
            assert_eq!(trusts(&named, of), trusted, "{of}");
        }
        let credentials = from(
            "https://m.dev/mage",
            "c",
            &[main, ("MAGE_TOKEN", "t"), ("MAGE_API_KEY", "k"), (WORKSPACES, "https://w.dev")],
        );
        let own = credentials.unwrap().of_workspace(url("https://w.dev/ana")).unwrap();
        assert_eq!((own.url.as_str(), own.api_key().expose_secret()), ("https://w.dev/ana", "k"));
        assert!(matches!(&own.login, Login::Token(token) if token.expose_secret() == "t"));
        let (message, help) = refusal("https://m.dev/mage", "c", &[main, (WORKSPACES, "w.dev https://a@b")]);
        assert_eq!(message, "a URL in `MAGE_WORKSPACES_URL` begins with neither `https://` nor `http://`");
        assert!(help.contains("https://mage.example.com"), "{help}");
        // Another cluster's are not taken.
        let eu = [("MAGE_URL_C", "https://m.dev/mage"), main, (WORKSPACES, "https://w.dev")];
        assert!(!trusts(&eu, "https://w.dev/ana") && !trusts(&eu, "https://m.dev/ana"));
        assert_eq!(
            from("https://m.dev/mage", "c", &eu).unwrap().workspaces_variable(),
            "MAGE_WORKSPACES_URL_C"
        );
    }

    #[test]
    fn servers_of_workspaces_get_a_login_of_their_own_if_there_is_one() {
        let main = [
            ("MAGE_URL", "https://m.dev"),
            ("MAGE_EMAIL", "owner@m.dev"),
            ("MAGE_PASSWORD", "p"),
            ("MAGE_API_KEY", "k"),
            (WORKSPACES, "https://w.dev"),
        ];
        let url = || ServerUrl::parse("https://w.dev/ana").unwrap();
        let of = |more: &[(&str, &str)]| {
            from("https://m.dev", "c", &[&main[..], more].concat()).unwrap().of_workspace(url()).unwrap()
        };
        let own = of(&[("MAGE_WORKSPACES_EMAIL", "viewer@m.dev"), ("MAGE_WORKSPACES_PASSWORD", "q")]);
        let Login::Password { email, password } = &own.login else { panic!("{own:?}") };
        assert_eq!((email.as_str(), password.expose_secret()), ("viewer@m.dev", "q"));
        assert_eq!(own.api_key().expose_secret(), SHIPPED_API_KEY, "the key of the main server stays there");
        let own = of(&[("MAGE_WORKSPACES_TOKEN", "t"), (WORKSPACES_API_KEY, "wk")]);
        assert!(matches!(&own.login, Login::Token(token) if token.expose_secret() == "t"));
        assert_eq!(own.api_key().expose_secret(), "wk");
        // Named servers get the main login if they have none of their own.
        let shared = of(&[]);
        assert!(matches!(&shared.login, Login::Password { email, .. } if email == "owner@m.dev"));
        assert_eq!(shared.api_key().expose_secret(), "k");
        let url = ("MAGE_URL", "https://m.dev");
        let refusal = |set: &[(&str, &str)]| refusal("https://m.dev", "c", set).0;
        assert_eq!(
            refusal(&[url, ("MAGE_WORKSPACES_TOKEN", "t")]),
            "a login for the servers of workspaces is set, and `MAGE_WORKSPACES_URL` is not"
        );
        assert_eq!(
            refusal(&[url, ("MAGE_WORKSPACES_EMAIL", "a"), (WORKSPACES, "https://w.dev")]),
            "`MAGE_WORKSPACES_EMAIL` is set, and `MAGE_WORKSPACES_PASSWORD` is not"
        );
    }

    #[test]
    fn half_a_login_and_unusable_values_are_refused() {
        let url = ("MAGE_URL", "https://m.dev");
        let of = |set: &[(&str, &str)]| refusal("https://m.dev", "c", set).0;
        assert_eq!(of(&[url, ("MAGE_EMAIL", "a")]), "`MAGE_EMAIL` is set, and `MAGE_PASSWORD` is not");
        assert_eq!(
            of(&[url, ("MAGE_EMAIL", ""), ("MAGE_PASSWORD", "p")]),
            "`MAGE_PASSWORD` is set, and `MAGE_EMAIL` is not"
        );
        let message = of(&[url, ("MAGE_TOKEN", "canary\n")]);
        assert_eq!(message, "`MAGE_TOKEN` holds a space, a line end or a letter that is not ASCII");
        assert!(of(&[url, ("MAGE_API_KEY", "kéy")]).starts_with("`MAGE_API_KEY` holds"));
    }

    #[test]
    fn a_url_with_a_password_is_shown_nowhere() {
        let declared = "https://ana:canary@m.dev";
        let (message, help) = refusal(declared, "c", &[("MAGE_URL", declared)]);
        assert!(message.contains("holds a user or a password"), "{message}");
        assert!(!format!("{message}{help}").contains("canary"));
        let (message, help) = refusal("https://m.dev", "c", &[("MAGE_URL", declared)]);
        assert!(message.contains("the URL in `MAGE_URL` holds a user or a password"), "{message}");
        assert!(!format!("{message}{help}").contains("canary"));
    }

    #[test]
    fn debug_shows_no_value() {
        let set = [("MAGE_URL", "https://m.dev"), ("MAGE_API_KEY", "canary"), ("MAGE_TOKEN", "canary")];
        let shown = format!("{:?}", from("https://m.dev", "c", &set).unwrap());
        assert_eq!(
            shown,
            "Credentials { url: \"https://m.dev\", api_key: Some(\"***\"), login: Token(***) }"
        );
        let login = Login::Password { email: "canary".into(), password: SecretString::from("canary") };
        assert_eq!(format!("{login:?}"), "Password(***)");
    }
}
