//! Who signs what is published.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_URL};
use landbridge_core::pointer::{Envelope, EnvelopeSignature, Keys, pre_authentication_encoding};
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::DecodePrivateKey as _;

use crate::command::{CommandError, KeyCommand};
use crate::local_key::LocalKey;

/// Who signs. `Debug` and `Display` show no secret.
#[derive(Debug)]
pub enum Signer {
    /// An Ed25519 key in this process.
    Ed25519(Box<LocalKey>),
    /// An ECDSA key of P-256 in this process.
    P256(Box<p256::ecdsa::SigningKey>),
    /// A command that has somebody else sign.
    Command(KeyCommand),
}

/// Why there is no signer.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The key's file cannot be read.
    #[error("signing key `{}` cannot be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// What is there is no key.
    #[error(
        "{place} is not a PEM-encoded private key of Ed25519 or ECDSA P-256 in PKCS#8 (expected \
         `-----BEGIN PRIVATE KEY-----`; `openssl pkcs8 -topk8 -nocrypt` makes it from other forms)"
    )]
    NotAKey {
        /// The file or the variable.
        place: String,
    },
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The command did not give one.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Nobody would believe it.
    #[error(
        "what {signer} signed is signed by none of the trusted keys: is its public key among the `keys` of the origin's `store`?"
    )]
    NotTrusted {
        /// Who signed.
        signer: String,
    },
}

impl Signer {
    /// The key in a PKCS#8 PEM text; `place` is where it stands, for people.
    pub fn from_pem(pem: &str, place: &str) -> Result<Self, SignerError> {
        if let Some(key) = LocalKey::from_pem(pem) {
            return Ok(Self::Ed25519(Box::new(key)));
        }
        match p256::ecdsa::SigningKey::from_pkcs8_pem(pem) {
            Ok(key) => Ok(Self::P256(Box::new(key))),
            Err(_) => Err(SignerError::NotAKey { place: place.to_owned() }),
        }
    }

    /// The key in a PKCS#8 PEM file.
    pub fn open(path: &Path) -> Result<Self, SignerError> {
        let pem = std::fs::read(path)
            .map_err(|source| SignerError::Io { path: path.to_owned(), source })?;
        Self::from_pem(&String::from_utf8_lossy(&pem), &path.display().to_string())
    }

    /// A signature of these bytes by one of `keys`.
    async fn sign(&self, message: &[u8], keys: &Keys) -> Result<EnvelopeSignature, SignError> {
        let recognised = match self {
            Self::Ed25519(key) => keys.recognise(message, &key.sign(message)),
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                keys.recognise(message, signature.to_der().as_bytes())
            }
            Self::Command(command) => {
                let printed = command.run(message).await?;
                readings(&printed).find_map(|signature| keys.recognise(message, &signature))
            }
        };
        recognised.ok_or_else(|| SignError::NotTrusted { signer: self.to_string() })
    }
}

/// What a command may mean by what it printed: the signature itself, or its base64 in either
/// alphabet.
fn readings(printed: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let text: Vec<u8> = printed.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    let decoded = [BASE64.decode(&text).ok(), BASE64_URL.decode(&text).ok()];
    [Some(printed.to_vec())].into_iter().chain(decoded).flatten()
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ed25519(_) => f.write_str("the Ed25519 key"),
            Self::P256(_) => f.write_str("the P-256 key"),
            Self::Command(command) => write!(f, "`{command}`"),
        }
    }
}

/// An envelope around `payload`, signed by all `signers`, one after the other, each with a key of
/// `keys`. Whether they are enough, whoever opens it says.
pub async fn sign_envelope(
    signers: &[Signer],
    keys: &Keys,
    payload_type: &str,
    payload: &[u8],
) -> Result<Vec<u8>, SignError> {
    let message = pre_authentication_encoding(payload_type, payload);
    let mut signatures = Vec::with_capacity(signers.len());
    for signer in signers {
        signatures.push(signer.sign(&message, keys).await?);
    }
    Ok(Envelope::new(payload_type, payload, signatures).encode())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use landbridge_core::pointer::PublicKey;
    use p256::pkcs8::spki::der::pem::LineEnding;
    use p256::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _};

    use super::*;

    const TYPE: &str = "application/vnd.landbridge.test";

    /// A directory with `p256.pem` and `ed25519.pem`, and the keys that are trusted for them.
    fn keys(threshold: usize) -> (tempfile::TempDir, Keys) {
        let directory = tempfile::tempdir().unwrap();
        let local = LocalKey::open_or_create(&directory.path().join("ed25519.pem")).unwrap();
        let secret = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
        let pem = secret.to_pkcs8_pem(LineEnding::LF).unwrap();
        std::fs::write(directory.path().join("p256.pem"), pem.as_bytes()).unwrap();
        let public = secret.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
        let trusted = vec![local.public().clone(), PublicKey::from_pem(&public).unwrap()];
        (directory, Keys::new(trusted, threshold).unwrap())
    }

    fn command(script: &str, argument: &Path, limit: Duration) -> Signer {
        let words = ["sh", "-c", script, &argument.display().to_string()].map(str::to_owned);
        Signer::Command(KeyCommand::new(&words, limit).unwrap())
    }

    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn two_keys_of_two_kinds_sign_one_envelope() {
        let (directory, keys) = keys(2);
        let open = |name: &str| Signer::open(&directory.path().join(name)).unwrap();
        let both = [open("ed25519.pem"), open("p256.pem")];
        let envelope = sign_envelope(&both, &keys, TYPE, b"7").await.unwrap();
        let opened = keys.open::<u64>(TYPE, &envelope).unwrap();
        assert_eq!((*opened.content(), opened.signers().len()), (7, 2));
        // The same key twice is one signer.
        let twice = [open("p256.pem"), open("p256.pem")];
        let envelope = sign_envelope(&twice, &keys, TYPE, b"7").await.unwrap();
        keys.open::<u64>(TYPE, &envelope).unwrap_err();
    }

    #[tokio::test]
    async fn what_openssl_signs_as_a_key_management_service_would_is_believed() {
        let (directory, keys) = keys(1);
        let sign = r#"openssl dgst -sha256 -sign "$0""#;
        for script in [sign.to_owned(), format!("{sign} | base64"), format!("{sign} | base64 -w0")]
        {
            let signer = command(&script, &directory.path().join("p256.pem"), LONG);
            let envelope = sign_envelope(&[signer], &keys, TYPE, b"7").await.unwrap();
            assert_eq!(*keys.open::<u64>(TYPE, &envelope).unwrap().content(), 7);
        }
    }

    #[tokio::test]
    async fn a_command_that_does_not_sign_says_why() {
        let (_directory, keys) = keys(1);
        let table = [
            ("echo no access to the key >&2; exit 3", LONG, "exit status: 3: no access to the key"),
            ("echo signed", LONG, "none of the trusted keys"),
            ("true", LONG, "none of the trusted keys"),
            ("cat /dev/zero | head -c 100000", LONG, "none of the trusted keys"),
            ("echo waiting >&2; exec sleep 600", Duration::from_millis(300), "within 300ms"),
        ];
        for (script, limit, expected) in table {
            let signer = command(script, Path::new("unused"), limit);
            let error = sign_envelope(&[signer], &keys, TYPE, b"7").await.unwrap_err();
            assert!(error.to_string().contains(expected), "{script}: {error}");
        }
        let absent = KeyCommand::new(&["/nonexistent/sign".to_owned()], LONG).unwrap();
        let error = sign_envelope(&[Signer::Command(absent)], &keys, TYPE, b"7").await.unwrap_err();
        assert!(error.to_string().contains("/nonexistent/sign"), "{error}");
        assert!(KeyCommand::new(&[], LONG).is_none());
    }

    #[test]
    fn a_text_that_is_no_private_key_is_named() {
        let (directory, _) = keys(1);
        let public = directory.path().join("ed25519.pem.pub");
        let error = Signer::open(&public).unwrap_err().to_string();
        assert!(error.contains("ed25519.pem.pub"), "{error}");
        assert!(Signer::from_pem("", "the variable `KEY`").is_err());
        assert!(matches!(Signer::open(Path::new("/nonexistent")), Err(SignerError::Io { .. })));
    }
}
