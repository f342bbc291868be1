//! Keeps values that may be secrets out of errors, wherever a server repeats what it was sent.

use std::collections::BTreeMap;

use magus_model::{path::FieldPath, secrecy};

use crate::{api::Client, container::Leaves, mark::StoredSecret};

/// Keeps what is sent, or sent again with a new mark, out of the errors of a client: values of secrets, and literals that look
/// like one.
pub(crate) fn hide(client: &Client, leaves: &Leaves, secrets: &BTreeMap<FieldPath, StoredSecret>) {
    for (path, value) in leaves {
        match value.as_str().filter(|_| secrets.contains_key(path)) {
            Some(text) => client.hide(&text.into()),
            None => secrecy::secret_texts(path, value).into_iter().for_each(|text| client.hide(&text.into())),
        }
    }
}
