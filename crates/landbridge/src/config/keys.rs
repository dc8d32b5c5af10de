//! Public keys that a file names.

use std::path::Path;

use landbridge_core::pointer::PublicKey;

/// A key from PEM text, or from the file that has it, relative to `base`; or what is wrong with it.
pub(super) fn read_key(text: &str, base: &Path) -> Result<PublicKey, String> {
    if text.trim_start().starts_with("-----BEGIN") {
        return PublicKey::from_pem(text).map_err(|error| format!("this is {error}"));
    }
    let path = base.join(text);
    let what = format!("`{}`", path.display());
    let pem = std::fs::read_to_string(&path)
        .map_err(|error| format!("{what} cannot be read: {error}"))?;
    PublicKey::from_pem(&pem).map_err(|error| format!("{what} is {error}"))
}
