//! A secret in memory.

use secrecy::{ExposeSecret, SecretString};

/// The value of a secret: wiped when dropped, and in no `Debug` output.
pub struct SecretValue(SecretString);

impl SecretValue {
    /// Takes a value over.
    pub fn new(value: String) -> Self {
        Self(SecretString::from(value))
    }

    /// The value itself: for the place that it is meant for, and nothing else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretValue(***)")
    }
}
