//! A key for tests that publish with a configuration.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// Makes `key.pem` and its public half `key.pub` in a directory; the `signers` that use it.
pub(crate) fn make(directory: &Path) -> Value {
    let key = landbridge_sign::LocalKey::open_or_create(&directory.join("key.pem")).unwrap();
    fs::write(directory.join("key.pub"), key.public_pem()).unwrap();
    json!([{ "key_file": "key.pem" }])
}
