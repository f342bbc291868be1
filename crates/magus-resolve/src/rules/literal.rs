//! MG301: whether a text looks like a secret.
//!
//! Three signs, from certain to likely: the form of a known token or key, a password in an address, and what looks
//! random under a name that speaks of a secret. Nothing here ever returns a part of the text.

/// What a text looks like, with its article: `a GitHub token`.
pub(crate) type Resemblance = &'static str;

/// What a text looks like; nothing where it looks like no secret. `name` is the variable or key that holds it.
pub(crate) fn resemblance(name: Option<&str>, text: &str) -> Option<Resemblance> {
    if text.len() >= SHORTEST_TOKEN
        && let Some(found) = known_form(text)
    {
        return Some(found);
    }
    if let Some(found) = name.and_then(kind_of_name).and_then(|kind| under_telling_name(kind, text)) {
        return Some(found);
    }
    assignment(text).and_then(|(name, value)| under_telling_name(kind_of_name(name)?, value))
}

/// No token, and no address with a password, is shorter.
const SHORTEST_TOKEN: usize = 12;

/// The forms of tokens: how they begin, which characters follow, and at least how many.
const TOKENS: &[(&str, Alphabet, usize, Resemblance)] = &[
    ("AKIA", Alphabet::Capitals, 16, "an AWS access key"),
    ("ASIA", Alphabet::Capitals, 16, "an AWS access key"),
    ("AGE-SECRET-KEY-1", Alphabet::Capitals, 50, "an age key"),
    ("AIza", Alphabet::Url, 35, "a Google API key"),
    ("AccountKey=", Alphabet::Base64, 40, "an Azure storage key"),
    ("GOCSPX-", Alphabet::Url, 20, "a Google client secret"),
    ("SG.", Alphabet::Dotted, 60, "a SendGrid key"),
    ("dapi", Alphabet::Hex, 32, "a Databricks token"),
    ("dop_v1_", Alphabet::Hex, 60, "a DigitalOcean token"),
    ("eyJ", Alphabet::Dotted, 30, "a JSON Web Token"),
    ("ghp_", Alphabet::Letters, 36, "a GitHub token"),
    ("gho_", Alphabet::Letters, 36, "a GitHub token"),
    ("ghu_", Alphabet::Letters, 36, "a GitHub token"),
    ("ghs_", Alphabet::Letters, 36, "a GitHub token"),
    ("ghr_", Alphabet::Letters, 36, "a GitHub token"),
    ("github_pat_", Alphabet::Url, 22, "a GitHub token"),
    ("glpat-", Alphabet::Url, 20, "a GitLab token"),
    ("gldt-", Alphabet::Url, 20, "a GitLab token"),
    ("glrt-", Alphabet::Url, 20, "a GitLab token"),
    ("hf_", Alphabet::Letters, 30, "a Hugging Face token"),
    ("hooks.slack.com/services/", Alphabet::Base64, 30, "a Slack webhook, which lets anybody post"),
    ("npm_", Alphabet::Letters, 36, "an npm token"),
    ("pypi-", Alphabet::Url, 50, "a PyPI token"),
    ("rk_live_", Alphabet::Letters, 16, "a Stripe key"),
    ("sk_live_", Alphabet::Letters, 16, "a Stripe key"),
    ("shpat_", Alphabet::Hex, 32, "a Shopify token"),
    ("sk-", Alphabet::Url, 32, "an API key"),
    ("tskey-", Alphabet::Url, 20, "a Tailscale key"),
    ("whsec_", Alphabet::Letters, 24, "a webhook's signing key"),
    ("xapp-", Alphabet::Url, 20, "a Slack token"),
    ("xoxa-", Alphabet::Url, 10, "a Slack token"),
    ("xoxb-", Alphabet::Url, 10, "a Slack token"),
    ("xoxe-", Alphabet::Url, 10, "a Slack token"),
    ("xoxe.", Alphabet::Url, 10, "a Slack token"),
    ("xoxp-", Alphabet::Url, 10, "a Slack token"),
    ("xoxr-", Alphabet::Url, 10, "a Slack token"),
    ("xoxs-", Alphabet::Url, 10, "a Slack token"),
    ("ya29.", Alphabet::Url, 20, "a Google token"),
];

/// The characters of a token after its beginning.
#[derive(Debug, Clone, Copy)]
enum Alphabet {
    /// `0-9a-f`.
    Hex,
    /// `0-9A-Z`.
    Capitals,
    /// Letters and digits.
    Letters,
    /// Letters, digits, `-` and `_`.
    Url,
    /// Letters, digits, `+`, `/` and `=`.
    Base64,
    /// Those and dots, of which two at least.
    Dotted,
}

impl Alphabet {
    fn has(self, byte: u8) -> bool {
        match self {
            Alphabet::Hex => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
            Alphabet::Capitals => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
            Alphabet::Letters => byte.is_ascii_alphanumeric(),
            Alphabet::Url => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
            Alphabet::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
            Alphabet::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'),
        }
    }
}

/// A key or token of a known form, or an address with a password, anywhere in the text.
///
/// One pass, because every text of every file comes through here: a word's first two characters decide whether any
/// form is looked at.
fn known_form(text: &str) -> Option<Resemblance> {
    let bytes = text.as_bytes();
    let mut inside_word = false;
    for (at, byte) in bytes.iter().enumerate() {
        let rest = &bytes[at..];
        if *byte == b':' && rest.starts_with(b"://") {
            if password_in_address(&text[at + 3..]) {
                return Some("an address with a password");
            }
        } else if !inside_word {
            if *byte == b'-' && rest.starts_with(b"-----BEGIN ") {
                let line = text[at..].lines().next().unwrap_or("");
                if line.contains("PRIVATE KEY") {
                    return Some("a private key");
                }
            } else if let Some(found) = token(rest) {
                return Some(found);
            }
        }
        inside_word = byte.is_ascii_alphanumeric() || *byte == b'_';
    }
    None
}

/// A token at the beginning of a text.
fn token(bytes: &[u8]) -> Option<Resemblance> {
    let [first, second, ..] = bytes else { return None };
    let may_be = match first {
        b'A' => b"KSGIc".contains(second),
        b'G' => *second == b'O',
        b'S' => *second == b'G',
        b'd' => b"ao".contains(second),
        b'e' => *second == b'y',
        b'g' => b"hil".contains(second),
        b'h' => b"fo".contains(second),
        b'n' => *second == b'p',
        b'p' => *second == b'y',
        b'r' => *second == b'k',
        b's' => b"kh".contains(second),
        b't' => *second == b's',
        b'w' => *second == b'h',
        b'x' => b"ao".contains(second),
        b'y' => *second == b'a',
        _ => false,
    };
    if !may_be {
        return None;
    }
    let (begin, alphabet, least, what) =
        TOKENS.iter().find(|(begin, ..)| bytes.starts_with(begin.as_bytes()))?;
    let rest = &bytes[begin.len()..];
    let length = rest.iter().take_while(|byte| alphabet.has(**byte)).count();
    let body = &rest[..length];
    let enough = length >= *least;
    let random = body.iter().any(u8::is_ascii_digit) && body.iter().any(u8::is_ascii_alphabetic);
    let dotted = !matches!(alphabet, Alphabet::Dotted) || body.contains(&b'.');
    let whole = !matches!(alphabet, Alphabet::Capitals | Alphabet::Hex)
        || !rest.get(length).is_some_and(u8::is_ascii_alphanumeric);
    (enough && random && dotted && whole).then_some(*what)
}

/// Whether what follows `scheme://` is `user:password@host`.
fn password_in_address(rest: &str) -> bool {
    let end = rest.find(['/', '?', '#', ' ', '\t', '\n', '"', '\'', ',', '>']).unwrap_or(rest.len());
    // A password may hold any of these characters where somebody forgot to escape it.
    let authority =
        if rest[..end].contains('@') { &rest[..end] } else { rest.split_whitespace().next().unwrap_or("") };
    let Some((user, password)) = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':')) else {
        return false;
    };
    // `host:8080/path@…`, and `host/a:b@…`.
    let port = password.split_once('/').is_some_and(|(port, _)| port.bytes().all(|b| b.is_ascii_digit()));
    let is_path = port || user.contains(['/', '?', '#']);
    // A word such as `password` is one too: what stands here is sent.
    !password.is_empty() && !is_path && !is_placeholder(password)
}

/// What a name says about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameKind {
    /// People choose it: little is enough to tell.
    Password,
    /// A machine made it.
    Key,
}

/// Words of a name after which it speaks about a secret, and does not hold one.
const ABOUT: &[&str] = &[
    "ALGORITHM",
    "ARN",
    "AUDIENCE",
    "BACKEND",
    "CLASS",
    "COUNT",
    "DAYS",
    "DIR",
    "DIRECTORY",
    "DISABLED",
    "ENABLED",
    "ENDPOINT",
    "EXPIRATION",
    "EXPIRY",
    "FILE",
    "FOLDER",
    "FORMAT",
    "HEADER",
    "HOST",
    "ID",
    "ISSUER",
    "KIND",
    "LENGTH",
    "LIMIT",
    "MANAGER",
    "METHOD",
    "MINUTES",
    "MODE",
    "NAME",
    "NAMESPACE",
    "PATH",
    "POLICY",
    "PORT",
    "PREFIX",
    "PROVIDER",
    "REF",
    "REGION",
    "REQUIRED",
    "ROTATION",
    "SCOPE",
    "SECONDS",
    "SIZE",
    "STORE",
    "TTL",
    "TYPE",
    "URI",
    "URL",
    "USER",
    "USERNAME",
    "VERSION",
];

/// What a name says about its value; nothing where it speaks of no secret.
pub(crate) fn kind_of_name(name: &str) -> Option<NameKind> {
    if !may_be_telling(name) {
        return None;
    }
    let words = words(name);
    let last = words.last()?;
    if ABOUT.contains(&last.as_str()) {
        return None;
    }
    let has = |word: &str| words.iter().any(|w| w == word);
    let pair = |first: &str| words.windows(2).any(|pair| pair[0] == first && pair[1] == "KEY");
    let password =
        ["PASSWORD", "PASSWD", "PASSPHRASE", "PWD", "PASS", "PASSWORT"].iter().any(|word| has(word))
            || last.ends_with("PASSWORD");
    if password {
        return Some(NameKind::Password);
    }
    let key = [
        "SECRET",
        "TOKEN",
        "APIKEY",
        "CREDENTIAL",
        "CREDENTIALS",
        "AUTHKEY",
        "PRIVATEKEY",
        "SECRETKEY",
        "ACCESSKEY",
    ]
    .iter()
    .any(|word| has(word))
        || [
            "API",
            "ACCESS",
            "PRIVATE",
            "SECRET",
            "AUTH",
            "ENCRYPTION",
            "SIGNING",
            "ACCOUNT",
            "MASTER",
            "FERNET",
        ]
        .iter()
        .any(|word| pair(word));
    key.then_some(NameKind::Key)
}

/// Whether a name has the beginning of any telling word: most have not, and need not be taken apart.
fn may_be_telling(name: &str) -> bool {
    let begins = [b"pas", b"pwd", b"sec", b"tok", b"key", b"cre"];
    name.len() <= 200
        && name
            .as_bytes()
            .windows(3)
            .any(|three| begins.iter().any(|begin| three.eq_ignore_ascii_case(*begin)))
}

/// The words of `SNAKE_CASE`, `kebab-case`, `dotted.names` and `camelCase`, in capitals.
fn words(name: &str) -> Vec<String> {
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

/// `NAME=value` and `--name=value`.
fn assignment(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim_start_matches('-');
    let plain = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    plain.then_some((name, value))
}

fn under_telling_name(kind: NameKind, text: &str) -> Option<Resemblance> {
    let value = text.trim();
    if is_placeholder(value) || is_reference(value) || value.contains(char::is_whitespace) {
        return None;
    }
    match kind {
        NameKind::Password => {
            let random = value.len() >= 6 && !is_words(value, 0) && classes(value) >= 2;
            random.then_some("a password")
        }
        NameKind::Key => {
            let random =
                value.len() >= 12 && !is_words(value, 2) && classes(value) >= 2 && entropy(value) >= 3.0;
            random.then_some("a key or token")
        }
    }
}

/// Whether a text only holds the place of a value, as examples and templates do.
fn is_placeholder(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let marks = [
        "${",
        "$(",
        "{{",
        "***",
        "...",
        "changeme",
        "change-me",
        "change_me",
        "example",
        "placeholder",
        "dummy",
    ];
    let words = ["redacted", "your-", "your_", "replace", "xxxx", "todo"];
    let wrapped = |open, close| text.starts_with(open) && text.ends_with(close);
    let variable = text.strip_prefix('$').is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    });
    let same = text.chars().next().is_none_or(|first| text.chars().all(|c| c == first));
    same || variable
        || wrapped('<', '>')
        || wrapped('[', ']')
        || wrapped('%', '%')
        || marks.iter().chain(&words).any(|mark| lower.contains(mark))
}

/// Whether a text says where something is: a path, an address, an ARN, a reference of another tool.
fn is_reference(text: &str) -> bool {
    let begins = ["/", "./", "../", "~/", "arn:", "vault:", "ref+", "projects/", "env:", "file:"];
    let address = text.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty()
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    });
    let path = text.contains('/') && text.split('/').all(|part| part.is_empty() || is_words(part, 2));
    let drive = text.as_bytes().get(1..3) == Some(b":\\");
    address || path || drive || begins.iter().any(|begin| text.starts_with(begin))
}

/// Whether a text is made of words and small numbers, as names are: `warehouse-prod`, `key_2`. A word may end in so
/// many digits.
fn is_words(text: &str, digits: usize) -> bool {
    text.split(['-', '_', '.', ':', ',', ' ']).all(|part| {
        let letters = part.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = part.len() - letters.len();
        let word = letters.chars().all(char::is_alphabetic) && letters.chars().count() <= 20;
        let case = letters == letters.to_lowercase()
            || letters == letters.to_uppercase()
            || letters.chars().skip(1).filter(|c| c.is_uppercase()).count() * 4 <= letters.chars().count();
        let fits = if letters.is_empty() { number <= 4 } else { number <= digits };
        word && case && fits
    })
}

/// How many of lower case, capitals, digits and everything else are there.
fn classes(text: &str) -> usize {
    let has = |class: fn(char) -> bool| usize::from(text.chars().any(class));
    has(|c| c.is_lowercase())
        + has(|c| c.is_uppercase())
        + has(|c| c.is_ascii_digit())
        + has(|c| !c.is_alphanumeric())
}

/// Bits for each character, by how often each occurs.
fn entropy(text: &str) -> f64 {
    let mut counts = [0u32; 256];
    for byte in text.bytes() {
        counts[usize::from(byte)] += 1;
    }
    let total = text.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / total)
        .map(|p| -p * p.log2())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Put together here, so that no scanner takes this file for a leak.
    fn made(parts: &[&str]) -> String {
        parts.concat()
    }

    #[test]
    fn secrets_are_seen_wherever_they_stand() {
        let jwt = made(&["eyJ", "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.", "dozjgNryP4J3jVmNHl0w5N"]);
        for (name, text, what) in [
            ("X", made(&["AK", "IAIOSFODNN7QWERTY12"]), "an AWS access key"),
            ("X", made(&["gh", "p_1234567890abcdefghijABCDEFGHIJ123456"]), "a GitHub token"),
            ("X", made(&["--header=x ", "github", "_pat_11ABCDEFG0abcdefghijkl_mnop"]), "a GitHub token"),
            ("X", made(&["gl", "pat-abcdefghij0123456789"]), "a GitLab token"),
            ("X", made(&["xo", "xb-123456789012-abcdef"]), "a Slack token"),
            ("X", made(&["AI", "zaSyA1234567890abcdefghijklmnopqrstuv"]), "a Google API key"),
            ("X", made(&["sk", "_live_4eC39HqLyjWDarjtT1zdp7dc"]), "a Stripe key"),
            ("X", made(&["np", "m_abcdefghijklmnopqrstuvwxyz0123456789"]), "an npm token"),
            (
                "X",
                made(&["py", "pi-AgEIcHlwaS5vcmcCJDAxMjM0NTY3LTg5YWItY2RlZi0wMTIzLTQ1Njc4OWFiY2RlZg"]),
                "a PyPI token",
            ),
            ("X", made(&["s", "k-proj-abcdefghijklmnopqrstuvwxyz0123456789"]), "an API key"),
            ("X", made(&["da", "pi0123456789abcdef0123456789abcdef"]), "a Databricks token"),
            ("X", made(&["Bearer ", &jwt]), "a JSON Web Token"),
            ("X", made(&["-----BEGIN RSA PRIV", "ATE KEY-----\nMII"]), "a private key"),
            ("X", made(&["a\n-----BEGIN OPENSSH PRIV", "ATE KEY-----"]), "a private key"),
            ("X", "postgresql://mage:s3cr3t@db.internal:5432/x".to_owned(), "an address with a password"),
            ("X", "see https://a.b/ and amqp://u:p/w@host/".to_owned(), "an address with a password"),
            ("X", "postgres://user:password@localhost/x".to_owned(), "an address with a password"),
            (
                "X",
                "AccountName=x;AccountKey=abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ==".to_owned(),
                "an Azure storage key",
            ),
            ("DB_PASSWORD", "hunter2!".to_owned(), "a password"),
            ("DB_PASSWORD", "mage123".to_owned(), "a password"),
            ("dbPassword", "Tr0ub4dor&3".to_owned(), "a password"),
            ("API_KEY", "550e8400-e29b-41d4-a716-446655440000".to_owned(), "a key or token"),
            ("CLIENT_SECRET", "q9X2mZ7rT4bV1nK8".to_owned(), "a key or token"),
            ("X", "--db-password=xK9mQ2".to_owned(), "a password"),
            ("X", "SLACK_TOKEN=q9X2mZ7rT4bV1nK8".to_owned(), "a key or token"),
        ] {
            assert_eq!(resemblance(Some(name), &text), Some(what), "{name}");
        }
    }

    #[test]
    fn every_form_is_looked_at() {
        for (begin, alphabet, least, what) in TOKENS {
            let (one, two) =
                if matches!(alphabet, Alphabet::Capitals) { ("A1", "A1") } else { ("a1", "a.1a") };
            let body = if matches!(alphabet, Alphabet::Dotted) { two } else { one }.repeat(*least);
            let end =
                if matches!(alphabet, Alphabet::Capitals | Alphabet::Hex) { &body[..*least] } else { &body };
            assert_eq!(resemblance(None, &format!("x {begin}{end}")), Some(*what), "{begin}");
        }
    }

    #[test]
    fn what_is_no_secret_is_left_alone() {
        for (name, text) in [
            ("DATABASE_URL", "prod-warehouse.company.com"),
            ("DATABASE_URL", "postgresql://mage@db:5432/x"),
            ("DATABASE_URL", "postgresql://mage:${DB_PASSWORD}@db/x"),
            ("DATABASE_URL", "postgresql://mage:$(DB_PASSWORD)@db/x"),
            ("DATABASE_URL", "postgresql://mage:{{ env_var('P') }}@db/x"),
            ("DATABASE_URL", "https://host:8080/path/user@example.com"),
            ("DB_PASSWORD", ""),
            ("DB_PASSWORD", "changeme"),
            ("DB_PASSWORD", "changeme123"),
            ("DB_PASSWORD", "********"),
            ("DB_PASSWORD", "<the password>"),
            ("DB_PASSWORD", "${DB_PASSWORD}"),
            ("DB_PASSWORD", "$DB_PASSWORD"),
            ("DB_PASSWORD", "postgres"),
            ("DB_PASSWORD", "/run/secrets/db1"),
            ("DB_PASSWORD_FILE", "q9X2mZ7rT4bV1nK8"),
            ("SECRET_NAME", "warehouse-q9X2mZ7rT4bV1nK8"),
            ("SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf"),
            ("TOKEN_URL", "https://login.company.com/oauth2/v2.0/token"),
            ("AUTH_TOKEN", "https://login.company.com/oauth2/v2.0/token"),
            ("API_KEY", "warehouse-prod-2"),
            ("MAX_TOKENS", "4096"),
            ("TOKENIZER", "q9X2mZ7rT4bV1nK8"),
            ("PASSWORD", "12"),
            ("KEY", "q9X2mZ7rT4bV1nK8"),
            ("API_KEY", "ab12ab12ab12ab12ab"),
            ("X", "sk-this-is-a-long-name-without-any-number-in-it"),
            ("X", "skip-this-very-long-name-with-2-numbers-in-it-please"),
            ("X", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
            ("X", "eyJust a text that begins like one"),
            ("X", "mageai/mageai:0.9.80"),
            ("X", "-----BEGIN CERTIFICATE-----\nMIIB"),
        ] {
            assert_eq!(resemblance(Some(name), text), None, "{name}: {text}");
        }
    }

    #[test]
    fn names_are_taken_apart() {
        assert_eq!(words("dbPassword.fooBAR-x_y"), ["DB", "PASSWORD", "FOO", "BAR", "X", "Y"]);
        assert_eq!(kind_of_name("TS_AUTHKEY"), Some(NameKind::Key));
        assert_eq!(kind_of_name("apiKey"), Some(NameKind::Key));
        assert_eq!(kind_of_name("GIT_ACCESS_TOKEN"), Some(NameKind::Key));
        assert_eq!(kind_of_name("PGPASSWORD"), Some(NameKind::Password));
        assert_eq!(kind_of_name("COMPASS"), None);
    }
}
