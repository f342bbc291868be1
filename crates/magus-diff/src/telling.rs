//! Which literals in a cluster must not be shown, because somebody may have typed a secret into it.
//!
//! What is declared is in git for everybody to read, and rule MG301 looks after it there. What is only in the
//! cluster is not, and a plan is a comment under a pull request.

use magus_model::{path::FieldPath, value::Value};

/// Parts of variables' names that tell of a secret.
const PARTS: &[&str] = &[
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "API_KEY",
    "APIKEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "AUTHKEY",
    "AUTH_KEY",
    "CREDENTIAL",
];

/// Whether a literal that was observed may be a secret: all of Mage's own secrets, variables with a telling
/// name, and addresses with a password in them.
pub fn is_secret(path: &FieldPath, value: &Value) -> bool {
    if path.is_within("secrets") {
        return true;
    }
    if !path.is_within("env") {
        return false;
    }
    match value {
        Value::String(text) => {
            let name = path.as_str().to_ascii_uppercase();
            PARTS.iter().any(|part| name.contains(part)) || has_password(text)
        }
        _ => false,
    }
}

/// Whether a text holds `://user:password@`.
fn has_password(text: &str) -> bool {
    text.match_indices("://").any(|(at, mark)| {
        let rest = &text[at + mark.len()..];
        let authority = rest.split(['/', '?', '#', ' ', '\n']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_tell() {
        for (path, value, secret) in [
            ("env.DB_PASSWORD", "x", true),
            ("env.github_token", "x", true),
            ("secrets.anything", "x", true),
            ("env.DATABASE_URL", "postgres://ana:hunter2@db/x", true),
            ("env.DATABASE_URL", "see postgres://db/x or http://ana:pw@db", true),
            ("env.DATABASE_URL", "postgres://db:5432/x", false),
            ("env.DATABASE_URL", "postgres://ana@db/x", false),
            ("env.DATABASE_URL", "http://db/a:b@c", false),
            ("env.ENV", "staging", false),
            ("container_config.TOKEN", "x", false),
        ] {
            assert_eq!(is_secret(&FieldPath::from(path), &Value::string(value)), secret, "{path}={value}");
        }
        assert!(!is_secret(&FieldPath::from("env.TOKEN_COUNT"), &Value::Int(3)));
    }
}
