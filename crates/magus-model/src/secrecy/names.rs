//! What the name of a variable or key says about its value.

/// What a name says about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A person chose it: a short text is enough.
    Password,
    /// A machine made it.
    Key,
}

/// Last words of a name that is about a secret, and does not hold one.
const ABOUT: &[&str] = &[
    "AGE",
    "ALGORITHM",
    "ARN",
    "AUDIENCE",
    "AUTHENTICATION",
    "BACKEND",
    "CLASS",
    "COLUMN",
    "COUNT",
    "DAYS",
    "DIR",
    "DIRECTORY",
    "DISABLED",
    "ENABLED",
    "ENCRYPTION",
    "ENDPOINT",
    "EXPIRATION",
    "EXPIRES",
    "EXPIRY",
    "FIELD",
    "FILE",
    "FOLDER",
    "FORMAT",
    "HEADER",
    "HOST",
    "ID",
    "IDS",
    "INTERVAL",
    "ISSUER",
    "KIND",
    "LABEL",
    "LEEWAY",
    "LENGTH",
    "LIFETIME",
    "LIMIT",
    "MANAGER",
    "MAX",
    "METHOD",
    "MIN",
    "MINUTES",
    "MODE",
    "NAME",
    "NAMES",
    "NAMESPACE",
    "PATH",
    "PATTERN",
    "POLICY",
    "PORT",
    "PREFIX",
    "PROVIDER",
    "REF",
    "REFS",
    "REGEX",
    "REGION",
    "REQUIRED",
    "RETRIES",
    "ROTATION",
    "SCOPE",
    "SCOPES",
    "SECONDS",
    "SIZE",
    "STORE",
    "STRATEGY",
    "TIMEOUT",
    "TTL",
    "TYPE",
    "URI",
    "URL",
    "USER",
    "USERNAME",
    "VERSION",
];

const PASSWORDS: &[&str] = &["PASSWORD", "PASSWORDS", "PASSWD", "PASSPHRASE", "PWD", "PASS", "PASSWORT"];

const KEYS: &[&str] = &[
    "SECRET",
    "SECRETS",
    "TOKEN",
    "APIKEY",
    "APITOKEN",
    "CREDENTIAL",
    "CREDENTIALS",
    "CREDS",
    "AUTHKEY",
    "AUTHTOKEN",
    "PRIVATEKEY",
    "SECRETKEY",
    "ACCESSKEY",
    "ACCOUNTKEY",
];

/// Words before `KEY`.
const BEFORE_KEY: &[&str] = &[
    "ACCESS",
    "ACCOUNT",
    "API",
    "AUTH",
    "COOKIE",
    "CRYPT",
    "CRYPTO",
    "DEPLOY",
    "ENCRYPTION",
    "FERNET",
    "HMAC",
    "JWT",
    "LICENSE",
    "MASTER",
    "PRIVATE",
    "SECRET",
    "SESSION",
    "SHARED",
    "SIGNING",
    "SSH",
    "STORAGE",
    "WEBHOOK",
];

/// What a name says about its value; `None` if it is not the name of a secret.
pub fn kind_of_name(name: &str) -> Option<NameKind> {
    if !may_be_telling(name) {
        return None;
    }
    let words = words(name);
    let last = words.last()?.as_str();
    let is_about = ABOUT.contains(&last) || words.iter().any(|word| word == "PUBLIC");
    if is_about {
        return None;
    }
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    if has(PASSWORDS) || last.ends_with("PASSWORD") || last.ends_with("PASSWD") {
        return Some(NameKind::Password);
    }
    let pair = words.windows(2).any(|pair| pair[1] == "KEY" && BEFORE_KEY.contains(&pair[0].as_str()));
    // `GITHUB_PAT`, and not `PAT` alone.
    let personal = last == "PAT" && words.len() > 1;
    (has(KEYS) || pair || personal).then_some(NameKind::Key)
}

/// Whether a name has the beginning of any telling word: most have none, and need not be taken apart.
pub(super) fn may_be_telling(name: &str) -> bool {
    const BEGINNINGS: [&[u8; 3]; 7] = [b"pas", b"pwd", b"sec", b"tok", b"key", b"cre", b"pat"];
    name.len() <= 200
        && name
            .as_bytes()
            .windows(3)
            .any(|three| BEGINNINGS.iter().any(|one| three.eq_ignore_ascii_case(*one)))
}

/// The words of `SNAKE_CASE`, `kebab-case`, `dotted.names` and `camelCase`, in capitals.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for c in name.chars() {
        let separates = !c.is_alphanumeric();
        let camel = lower_before && c.is_uppercase();
        if (separates || camel) && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if !separates && let Some(word) = words.last_mut() {
            word.extend(c.to_uppercase());
        }
        lower_before = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}
