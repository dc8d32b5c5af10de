//! An Ed25519 key in a file: enough for a project that signs on one machine, and for trying things
//! out. It signs pointers and JSON web tokens; neither can be taken for the other.
//!
//! Invariant: the secret never leaves this file's code but into the key's own file, and is never
//! printed.
//!
//! JSON web tokens: <https://www.rfc-editor.org/rfc/rfc7519>, their Ed25519:
//! <https://www.rfc-editor.org/rfc/rfc8037>.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_URL};
use ed25519_dalek::pkcs8::spki::EncodePublicKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use ed25519_dalek::{Signer as _, SigningKey};
use landbridge_core::pointer::{
    Envelope, EnvelopeSignature, PAYLOAD_TYPE, Pointer, PublicKey, pre_authentication_encoding,
};
use tempfile::NamedTempFile;

/// An Ed25519 key that signs on this machine. `Debug` shows its public identifier only.
pub struct LocalKey {
    secret: SigningKey,
    public: PublicKey,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("signing key `{}` cannot be {doing}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "{} is not a PKCS#8 PEM file with an Ed25519 key: restore it from a backup, or move it \
         away to have a new one made, which must then be trusted in place of the old one",
        path.display()
    )]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no random bytes.
    #[error("no random bytes for a new signing key")]
    Random(#[source] getrandom::Error),
}

impl LocalKey {
    /// A new key, which exists in memory alone.
    pub fn generate() -> Result<Self, KeyFileError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(KeyFileError::Random)?;
        Ok(Self::new(SigningKey::from_bytes(&seed)))
    }

    /// The key in `path`.
    pub fn open(path: &Path) -> Result<Self, KeyFileError> {
        let not_a_key = || KeyFileError::NotAKey { path: path.to_owned() };
        match fs::read_to_string(path) {
            Ok(pem) => Self::from_pem(&pem).ok_or_else(not_a_key),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(not_a_key()),
            Err(source) => Err(KeyFileError::Io { path: path.to_owned(), doing: "read", source }),
        }
    }

    /// The key in `path`, which is made with mode 0600 if it is absent, the public key beside it
    /// as `PATH.pub`.
    ///
    /// The file appears whole or not at all, and of several processes that make it at once all
    /// get the same key. What is there is never overwritten.
    pub fn open_or_create(path: &Path) -> Result<Self, KeyFileError> {
        let io = |doing| move |source| KeyFileError::Io { path: path.to_owned(), doing, source };
        let not_a_key = || KeyFileError::NotAKey { path: path.to_owned() };
        let key = match Self::open(path) {
            Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let new = Self::generate()?;
                let pem = new.secret.to_pkcs8_pem(LineEnding::LF).map_err(|_| not_a_key())?;
                publish(path, pem.as_bytes(), 0o600, Existing::Keep).map_err(io("written"))?;
                // Whoever was first has made it.
                Self::open(path)?
            }
            opened => opened?,
        };
        let public = public_path(path);
        let pem = key.public_pem();
        if !fs::read_to_string(&public).is_ok_and(|found| found == pem) {
            publish(&public, pem.as_bytes(), 0o644, Existing::Replace).map_err(io("completed"))?;
        }
        Ok(key)
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The public half's 32 bytes (RFC 8032).
    pub fn public_bytes(&self) -> [u8; 32] {
        self.secret.verifying_key().to_bytes()
    }

    /// The public half as a PEM-encoded `SubjectPublicKeyInfo` (RFC 8410).
    pub fn public_pem(&self) -> String {
        // A key of fixed length always has an encoding.
        self.secret.verifying_key().to_public_key_pem(LineEnding::LF).unwrap_or_default()
    }

    /// The pointer in an envelope that this key signed.
    pub fn sign_pointer(&self, pointer: &Pointer) -> Vec<u8> {
        let payload = pointer.encode();
        let message = pre_authentication_encoding(PAYLOAD_TYPE, &payload);
        let signature = EnvelopeSignature {
            keyid: self.public.id().to_owned(),
            sig: BASE64.encode(self.sign(&message)),
        };
        Envelope::new(PAYLOAD_TYPE, &payload, vec![signature]).encode()
    }

    /// The signature of these bytes.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.secret.sign(message).to_bytes()
    }

    /// A JSON web token with these claims, a JSON object. Its header names the algorithm (`EdDSA`)
    /// and the key by [`PublicKey::id`].
    ///
    /// What is signed are two texts in base64 with a dot between, which never begin as a DSSE
    /// envelope's do: so no claims make a signature that is good for a pointer.
    pub fn sign_token(&self, claims: &[u8]) -> String {
        let header = format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"JWT"}}"#, self.public.id());
        let mut token = BASE64_URL.encode(header);
        token.push('.');
        BASE64_URL.encode_string(claims, &mut token);
        let signature = self.secret.sign(token.as_bytes());
        token.push('.');
        BASE64_URL.encode_string(signature.to_bytes(), &mut token);
        token
    }

    fn new(secret: SigningKey) -> Self {
        let public = secret.verifying_key().into();
        Self { secret, public }
    }

    pub(crate) fn from_pem(pem: &str) -> Option<Self> {
        Some(Self::new(SigningKey::from_pkcs8_pem(pem).ok()?))
    }
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalKey({})", self.public.id())
    }
}

fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

#[derive(Clone, Copy)]
enum Existing {
    Keep,
    Replace,
}

/// Makes `path` appear with these bytes, whole and synced. Drafts are of mode 0600.
fn publish(path: &Path, bytes: &[u8], mode: u32, existing: Existing) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let mut draft = NamedTempFile::new_in(directory)?;
    draft.write_all(bytes)?;
    draft.as_file().set_permissions(Permissions::from_mode(mode))?;
    draft.as_file().sync_all()?;
    match existing {
        Existing::Replace => drop(draft.persist(path)?),
        Existing::Keep => match draft.persist_noclobber(path) {
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
            kept => drop(kept?),
        },
    }
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use landbridge_core::Digest;
    use landbridge_core::pointer::Keys;

    use super::*;

    fn pointer() -> Pointer {
        Pointer {
            catalog: "demo".into(),
            expires: "2027-01-01T00:00:00Z".parse().unwrap(),
            generation: Digest::sha256_of(b"root"),
            issued: "2026-01-01T00:00:00Z".parse().unwrap(),
            previous: None,
            reason: "test".into(),
            sequence: 1,
        }
    }

    #[test]
    fn what_it_signs_is_believed_with_the_public_key_from_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        let key = LocalKey::open_or_create(&path).unwrap();
        let pem = fs::read_to_string(directory.path().join("key.pem.pub")).unwrap();
        let keys = Keys::new(vec![PublicKey::from_pem(&pem).unwrap()], 1).unwrap();
        assert_eq!(keys.verify(&key.sign_pointer(&pointer())).unwrap().content(), &pointer());

        let again = LocalKey::open_or_create(&path).unwrap();
        assert_eq!(again.public().id(), key.public().id());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "no draft is left");
    }

    #[test]
    fn a_token_is_signed_over_its_header_and_claims() {
        let key = LocalKey::generate().unwrap();
        let token = key.sign_token(br#"{"sub":"a"}"#);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = BASE64_URL.decode(signature).unwrap();
        let signature = ed25519_dalek::Signature::from_slice(&signature).unwrap();
        key.secret.verifying_key().verify_strict(signed.as_bytes(), &signature).unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        assert_eq!(BASE64_URL.decode(claims).unwrap(), br#"{"sub":"a"}"#);
        let header: serde_json::Value =
            serde_json::from_slice(&BASE64_URL.decode(header).unwrap()).unwrap();
        assert_eq!(header["alg"], "EdDSA");
        assert_eq!(header["kid"], key.public().id());
    }

    #[test]
    fn all_who_make_it_at_once_get_the_same_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        let ids = std::thread::scope(|scope| {
            let open = || LocalKey::open_or_create(&path).unwrap().public().id().to_owned();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }

    #[test]
    fn a_broken_key_file_is_named_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        let good = LocalKey::open_or_create(&path).unwrap();
        let pem = fs::read(&path).unwrap();
        for broken in [&pem[..pem.len() / 2], b"", b"\xff\xfe", good.public_pem().as_bytes()] {
            fs::write(&path, broken).unwrap();
            let error = LocalKey::open_or_create(&path).unwrap_err();
            assert!(matches!(error, KeyFileError::NotAKey { .. }), "{error}");
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
            assert_eq!(fs::read(&path).unwrap(), broken);
        }
    }

    #[test]
    fn a_lost_public_key_is_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        let key = LocalKey::open_or_create(&path).unwrap();
        let public = public_path(&path);
        fs::remove_file(&public).unwrap();
        LocalKey::open_or_create(&path).unwrap();
        assert_eq!(fs::read_to_string(public).unwrap(), key.public_pem());
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = LocalKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("LocalKey({})", key.public().id()));
    }
}
