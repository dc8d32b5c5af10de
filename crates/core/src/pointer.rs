//! The pointer: the signed act of publication.
//!
//! A pointer says which generation is current. It travels in a DSSE envelope, whose signatures
//! cover the exact bytes, and is not even parsed before enough of them are good: a
//! [`Verified`] pointer cannot be made in any other way. Its sequence never goes back; the
//! generation that it names may.
//!
//! DSSE: <https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md>

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::pkcs8::spki::{DecodePublicKey, EncodePublicKey};
use ed25519_dalek::{Signature, VerifyingKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The `payloadType` of a pointer's envelope.
pub const PAYLOAD_TYPE: &str = "application/vnd.landbridge.pointer.v1+json";
/// The largest envelope that is read, in bytes.
pub const MAX_ENVELOPE_BYTES: usize = 64 << 10;

/// Which generation is current, since when, by whose word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pointer {
    /// The catalog that is published; a pointer of another one is refused.
    pub catalog: String,
    /// After this moment the pointer alarms; it is served on.
    pub expires: Timestamp,
    /// The generation's root.
    pub generation: Digest,
    /// When it was signed.
    pub issued: Timestamp,
    /// Digest of the previous pointer's envelope; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// Why it was published, for people.
    pub reason: String,
    /// Its number, from 1.
    pub sequence: u64,
}

/// Something that was signed by enough trusted keys. Only [`Keys::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    content: T,
    envelope: Digest,
    signers: Vec<String>,
}

impl<T> Verified<T> {
    /// What was signed.
    pub fn content(&self) -> &T {
        &self.content
    }

    /// Digest of the whole envelope, which tells equivocation from repetition.
    pub fn envelope(&self) -> &Digest {
        &self.envelope
    }

    /// Identifiers of the trusted keys whose signatures were good.
    pub fn signers(&self) -> &[String] {
        &self.signers
    }
}

/// A DSSE envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The signed bytes, in base64.
    pub payload: String,
    /// Their type, which is signed too.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// The signatures.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeSignature {
    /// Which key: a hint, never trusted.
    pub keyid: String,
    /// The signature, in base64.
    pub sig: String,
}

/// DSSE's pre-authentication encoding: what is really signed.
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut text =
        format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    text.extend_from_slice(payload);
    text
}

/// A key that may sign pointers.
#[derive(Debug, Clone)]
pub struct PublicKey {
    id: String,
    key: VerifyingKey,
}

impl PublicKey {
    /// Reads a PEM-encoded `SubjectPublicKeyInfo` with an Ed25519 key (RFC 8410).
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        Self::new(VerifyingKey::from_public_key_pem(pem.trim()).map_err(|_| KeyError::NotAKey)?)
    }

    /// A trusted key from the key itself.
    pub fn new(key: VerifyingKey) -> Result<Self, KeyError> {
        let der = key.to_public_key_der().map_err(|_| KeyError::NotAKey)?;
        Ok(Self { id: Digest::sha256_of(der.as_bytes()).hex().to_string(), key })
    }

    /// Hex SHA-256 of the key's DER encoding.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key itself (RFC 8032).
    pub fn to_bytes(&self) -> [u8; 32] {
        self.key.to_bytes()
    }
}

/// Why a text is not a public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not PEM, or not an Ed25519 key.
    #[error("not a PEM-encoded Ed25519 public key (expected `-----BEGIN PUBLIC KEY-----`)")]
    NotAKey,
    /// Nothing could ever be verified.
    #[error("{keys} trusted keys cannot give {threshold} signatures")]
    Threshold {
        /// How many different keys there are.
        keys: usize,
        /// How many signatures are wanted.
        threshold: usize,
    },
}

/// The trusted keys and how many of them must have signed.
#[derive(Debug, Clone)]
pub struct Keys {
    keys: Vec<PublicKey>,
    threshold: usize,
}

/// Why an envelope is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Not an envelope, or the payload is not a pointer though it was signed.
    #[error("pointer is malformed: {0}")]
    Malformed(String),
    /// Signed as something else.
    #[error("envelope holds `{0}`, not a pointer")]
    WrongType(String),
    /// Too few good signatures.
    #[error(
        "pointer has {good} good signatures of trusted keys, {wanted} wanted: it was signed by somebody else or changed on the way"
    )]
    Untrusted {
        /// Good signatures of different trusted keys.
        good: usize,
        /// The threshold.
        wanted: usize,
    },
}

impl Keys {
    /// Keys of which `threshold` different ones must have signed; at least one.
    pub fn new(keys: Vec<PublicKey>, threshold: usize) -> Result<Self, KeyError> {
        let different: BTreeSet<_> = keys.iter().map(PublicKey::id).collect();
        let count = different.len();
        if threshold == 0 || threshold > count {
            return Err(KeyError::Threshold { keys: count, threshold });
        }
        Ok(Self { keys, threshold })
    }

    /// Checks the signatures over the exact bytes, and only then parses them.
    pub fn verify(&self, envelope: &[u8]) -> Result<Verified<Pointer>, VerifyError> {
        if envelope.len() > MAX_ENVELOPE_BYTES {
            let size = envelope.len();
            return Err(VerifyError::Malformed(format!(
                "{size} bytes, limit {MAX_ENVELOPE_BYTES}"
            )));
        }
        let malformed = |error: serde_json::Error| VerifyError::Malformed(error.to_string());
        let parsed: Envelope = serde_json::from_slice(envelope).map_err(malformed)?;
        if parsed.payload_type != PAYLOAD_TYPE {
            return Err(VerifyError::WrongType(parsed.payload_type.chars().take(80).collect()));
        }
        let payload = BASE64
            .decode(&parsed.payload)
            .map_err(|_| VerifyError::Malformed("payload is not base64".to_owned()))?;
        let signers = self.signers(&parsed, &payload);
        if signers.len() < self.threshold {
            return Err(VerifyError::Untrusted { good: signers.len(), wanted: self.threshold });
        }
        Ok(Verified {
            content: serde_json::from_slice(&payload).map_err(malformed)?,
            envelope: Digest::sha256_of(envelope),
            signers: signers.into_iter().map(str::to_owned).collect(),
        })
    }

    fn signers(&self, envelope: &Envelope, payload: &[u8]) -> BTreeSet<&str> {
        let message = pre_authentication_encoding(&envelope.payload_type, payload);
        let mut good = BTreeSet::new();
        for signature in &envelope.signatures {
            let Ok(bytes) = BASE64.decode(&signature.sig) else { continue };
            let Ok(bytes) = Signature::from_slice(&bytes) else { continue };
            // The key's name in the envelope is a hint: a wrong one must not help a wrong key.
            let signer = self.keys.iter().find(|key| {
                key.id == signature.keyid && key.key.verify_strict(&message, &bytes).is_ok()
            });
            good.extend(signer.map(PublicKey::id));
        }
        good
    }
}

/// What a pointer that was just read is to the one in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Succession {
    /// Newer: take it.
    Newer,
    /// The very same: nothing to do.
    Same,
    /// Older: a replay, or a copy that lags. Keep what is in force.
    Older,
    /// The same sequence with other bytes: keep what is in force, and alarm.
    Equivocation,
    /// Of another catalog: keep what is in force, and alarm.
    OtherCatalog,
}

/// Compares a candidate with the pointer in force for `catalog`.
pub fn succession(
    catalog: &str,
    current: Option<&Verified<Pointer>>,
    candidate: &Verified<Pointer>,
) -> Succession {
    use std::cmp::Ordering;
    if candidate.content.catalog != catalog {
        return Succession::OtherCatalog;
    }
    let Some(current) = current else { return Succession::Newer };
    match candidate.content.sequence.cmp(&current.content.sequence) {
        Ordering::Greater => Succession::Newer,
        Ordering::Less => Succession::Older,
        Ordering::Equal if candidate.envelope == current.envelope => Succession::Same,
        Ordering::Equal => Succession::Equivocation,
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    fn pointer(sequence: u64) -> Pointer {
        Pointer {
            catalog: "demo".into(),
            expires: "2027-01-01T00:00:00Z".parse().unwrap(),
            generation: Digest::sha256_of(b"root"),
            issued: "2026-11-22T00:00:00Z".parse().unwrap(),
            previous: None,
            reason: "test".into(),
            sequence,
        }
    }

    fn signed(pointer: &Pointer, keys: &[&SigningKey]) -> Vec<u8> {
        let payload = serde_json::to_vec(pointer).unwrap();
        let message = pre_authentication_encoding(PAYLOAD_TYPE, &payload);
        let signatures = keys
            .iter()
            .map(|key| EnvelopeSignature {
                keyid: PublicKey::new(key.verifying_key()).unwrap().id().to_owned(),
                sig: BASE64.encode(key.sign(&message).to_bytes()),
            })
            .collect();
        let payload = BASE64.encode(payload);
        serde_json::to_vec(&Envelope { payload, payload_type: PAYLOAD_TYPE.into(), signatures })
            .unwrap()
    }

    fn key(seed: u8) -> (SigningKey, PublicKey) {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let public = PublicKey::new(key.verifying_key()).unwrap();
        (key, public)
    }

    #[test]
    fn only_enough_signatures_of_different_trusted_keys_are_believed() {
        let ((a, a_public), (b, b_public), (stranger, _)) = (key(1), key(2), key(3));
        let two = Keys::new(vec![a_public.clone(), b_public], 2).unwrap();
        let one = Keys::new(vec![a_public], 1).unwrap();
        assert_eq!(one.verify(&signed(&pointer(1), &[&a])).unwrap().content().sequence, 1);
        assert_eq!(two.verify(&signed(&pointer(1), &[&a, &b])).unwrap().signers().len(), 2);
        for keys in [&[&a][..], &[&a, &a], &[&a, &stranger], &[]] {
            let verdict = two.verify(&signed(&pointer(1), keys));
            assert!(matches!(verdict, Err(VerifyError::Untrusted { .. })), "{verdict:?}");
        }
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed() {
        let (a, public) = key(1);
        let keys = Keys::new(vec![public], 1).unwrap();
        let good = signed(&pointer(7), &[&a]);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            if let Ok(verified) = keys.verify(&bad) {
                // Only JSON's own freedom may change: the content may not.
                assert_eq!(verified.content(), &pointer(7));
            }
        }
    }

    #[test]
    fn sequence_never_goes_back_and_equivocation_is_told() {
        let (a, public) = key(1);
        let keys = Keys::new(vec![public], 1).unwrap();
        let verify = |pointer: &Pointer| keys.verify(&signed(pointer, &[&a])).unwrap();
        let current = verify(&pointer(5));
        let other = verify(&Pointer { reason: "other".into(), ..pointer(5) });
        assert_eq!(succession("demo", None, &current), Succession::Newer);
        assert_eq!(succession("demo", Some(&current), &verify(&pointer(6))), Succession::Newer);
        assert_eq!(succession("demo", Some(&current), &current.clone()), Succession::Same);
        assert_eq!(succession("demo", Some(&current), &verify(&pointer(4))), Succession::Older);
        assert_eq!(succession("demo", Some(&current), &other), Succession::Equivocation);
        assert_eq!(succession("elsewhere", None, &current), Succession::OtherCatalog);
    }

    #[test]
    fn impossible_thresholds_and_texts_are_refused() {
        let (_, public) = key(1);
        assert!(Keys::new(vec![public.clone(), public.clone()], 2).is_err());
        assert!(Keys::new(vec![public], 0).is_err());
        assert!(
            PublicKey::from_pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----")
                .is_err()
        );
    }
}
