//! Tells whether the value of a secret is still the one that was sent, without keeping it.
//!
//! A fingerprint is an HMAC-SHA256 under a key that was made at random once, lies in the store and never leaves it.

use hmac::{Hmac, KeyInit, Mac};
use magus_model::{observed::DigestKey, path::FieldPath};
use magus_secrets::SecretValue;
use rusqlite::{Connection, OptionalExtension};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The length of keys and fingerprints.
const LENGTH: usize = 32;
const PURPOSE: &str = "fingerprints";

/// The key of a store.
pub(crate) struct FingerprintKey(Zeroizing<[u8; LENGTH]>);

/// What is kept of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) [u8; LENGTH]);

impl FingerprintKey {
    /// The store's key, made if it has none. A key that was broken by hand is made anew: all that is lost is the
    /// notice about values that changed until then.
    pub(crate) fn of_store(
        connection: &Connection,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        if let Some(key) = Self::read(connection)? {
            return Ok(key);
        }
        let mut key = Zeroizing::new([0; LENGTH]);
        getrandom::fill(&mut *key)?;
        connection.execute("DELETE FROM fingerprints", [])?;
        connection
            .execute("INSERT OR REPLACE INTO keys (purpose, key) VALUES (?1, ?2)", (PURPOSE, &key[..]))?;
        Ok(Self(key))
    }

    /// The key of a store that is only read; `None` if it has none, or a broken one.
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        let stored: Option<Vec<u8>> = connection
            .query_row("SELECT key FROM keys WHERE purpose = ?1", [PURPOSE], |row| row.get(0))
            .optional()?;
        Ok(stored.and_then(|key| <[u8; LENGTH]>::try_from(key).ok()).map(|key| Self(Zeroizing::new(key))))
    }

    /// A keyed digest of a row. It stands in plan files, and a plain one could be tried against a list of words.
    pub(crate) fn revision(&self, row: &[u8]) -> [u8; LENGTH] {
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&block(&self.0));
        // No path of a fingerprint is so long that it begins like this.
        mac.update(b"revision");
        mac.update(row);
        mac.finalize().into_bytes().into()
    }

    /// A key of its own for digests of desired values in plans.
    pub(crate) fn of_plans(&self) -> DigestKey {
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&block(&self.0));
        mac.update(b"plans");
        DigestKey::new(&mac.finalize().into_bytes())
    }

    /// The fingerprint of a value at a path.
    pub(crate) fn fingerprint(&self, path: &FieldPath, value: &SecretValue) -> Fingerprint {
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&block(&self.0));
        mac.update(&(path.as_str().len() as u64).to_be_bytes());
        mac.update(path.as_str().as_bytes());
        mac.update(value.expose().as_bytes());
        Fingerprint(mac.finalize().into_bytes().into())
    }
}

/// HMAC takes its key padded to a block of the hash, without a way to fail.
fn block(key: &[u8; LENGTH]) -> hmac::digest::Key<Hmac<Sha256>> {
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    block[..LENGTH].copy_from_slice(key);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_value_and_key_all_count() {
        let key = |byte| FingerprintKey(Zeroizing::new([byte; LENGTH]));
        let of = |key: &FingerprintKey, path: &str, value: &str| {
            key.fingerprint(&FieldPath::from(path), &SecretValue::new(value.to_owned()))
        };
        let one = of(&key(1), "env.A", "x");
        assert_eq!(one, of(&key(1), "env.A", "x"));
        for other in [of(&key(2), "env.A", "x"), of(&key(1), "env.B", "x"), of(&key(1), "env.A", "y")] {
            assert_ne!(one, other);
        }
        assert_ne!(of(&key(1), "env.A", "Bx"), of(&key(1), "env.AB", "x"));
    }
}
