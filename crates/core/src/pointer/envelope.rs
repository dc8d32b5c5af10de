//! DSSE envelopes: something signed, with its signatures.
//!
//! Invariant: what is in an envelope is parsed only after enough trusted keys turned out to have
//! signed its exact bytes.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::keys::Keys;
use crate::digest::Digest;

/// The largest envelope that is read, in bytes.
pub const MAX_ENVELOPE_BYTES: usize = 64 << 10;

/// Something that was signed by enough trusted keys. Only [`Keys::open`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    content: T,
    bytes: Arc<[u8]>,
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

    /// The whole envelope: with it other keys can be asked whether they believe it as well.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
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

impl Envelope {
    /// An envelope around `payload`, whose pre-authentication encoding these signatures sign.
    pub fn new(payload_type: &str, payload: &[u8], signatures: Vec<EnvelopeSignature>) -> Self {
        let payload = BASE64.encode(payload);
        Self { payload, payload_type: payload_type.to_owned(), signatures }
    }

    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        // Strings always have an encoding.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Why an envelope is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Not an envelope, or the payload is not what its type says though it was signed.
    #[error("envelope is malformed: {0}")]
    Malformed(String),
    /// Signed as something else.
    #[error("envelope holds `{found}`, not `{wanted}`")]
    WrongType {
        /// What it is signed as, cut to 80 characters.
        found: String,
        /// What it was read as.
        wanted: &'static str,
    },
    /// Too few good signatures.
    #[error(
        "{good} good signatures of trusted keys, {wanted} wanted: it was signed by somebody else or changed on the way"
    )]
    Untrusted {
        /// Good signatures of different trusted keys.
        good: usize,
        /// The threshold.
        wanted: usize,
    },
}

impl Keys {
    /// Checks the signatures over the exact bytes, and only then parses them.
    pub fn open<T: DeserializeOwned>(
        &self,
        payload_type: &'static str,
        envelope: &[u8],
    ) -> Result<Verified<T>, VerifyError> {
        if envelope.len() > MAX_ENVELOPE_BYTES {
            let size = envelope.len();
            return Err(VerifyError::Malformed(format!(
                "{size} bytes, limit {MAX_ENVELOPE_BYTES}"
            )));
        }
        let malformed = |error: serde_json::Error| VerifyError::Malformed(error.to_string());
        let parsed: Envelope = serde_json::from_slice(envelope).map_err(malformed)?;
        if parsed.payload_type != payload_type {
            let found = parsed.payload_type.chars().take(80).collect();
            return Err(VerifyError::WrongType { found, wanted: payload_type });
        }
        let payload = BASE64
            .decode(&parsed.payload)
            .map_err(|_| VerifyError::Malformed("payload is not base64".to_owned()))?;
        let message = pre_authentication_encoding(payload_type, &payload);
        let signers = self.signers(&message, &parsed.signatures);
        if signers.len() < self.threshold() {
            return Err(VerifyError::Untrusted { good: signers.len(), wanted: self.threshold() });
        }
        Ok(Verified {
            content: serde_json::from_slice(&payload).map_err(malformed)?,
            bytes: envelope.into(),
            envelope: Digest::sha256_of(envelope),
            signers: signers.into_iter().map(str::to_owned).collect(),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;
    use crate::pointer::keys::PublicKey;

    const TYPE: &str = "application/vnd.landbridge.test";

    pub(in crate::pointer) fn signed(
        payload_type: &str,
        payload: &[u8],
        keys: &[&SigningKey],
    ) -> Vec<u8> {
        let message = pre_authentication_encoding(payload_type, payload);
        let signature = |key: &&SigningKey| EnvelopeSignature {
            keyid: PublicKey::from(key.verifying_key()).id().to_owned(),
            sig: BASE64.encode(ed25519_dalek::Signer::sign(*key, &message).to_bytes()),
        };
        Envelope::new(payload_type, payload, keys.iter().map(signature).collect()).encode()
    }

    fn key(seed: u8) -> (SigningKey, PublicKey) {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let public = PublicKey::from(key.verifying_key());
        (key, public)
    }

    fn open(keys: &Keys, envelope: &[u8]) -> Result<Verified<u64>, VerifyError> {
        keys.open(TYPE, envelope)
    }

    #[test]
    fn only_enough_signatures_of_different_trusted_keys_are_believed() {
        let ((a, a_public), (b, b_public), (stranger, _)) = (key(1), key(2), key(3));
        // The same key twice in the configuration is one key.
        let configured = vec![a_public.clone(), b_public, a_public.clone()];
        let two = Keys::new(configured, 2).unwrap();
        let one = Keys::new(vec![a_public], 1).unwrap();
        assert_eq!(*open(&one, &signed(TYPE, b"7", &[&a])).unwrap().content(), 7);
        assert_eq!(open(&two, &signed(TYPE, b"7", &[&a, &b])).unwrap().signers().len(), 2);
        for keys in [&[&a][..], &[&a, &a], &[&a, &stranger], &[]] {
            let verdict = open(&two, &signed(TYPE, b"7", keys));
            assert!(matches!(verdict, Err(VerifyError::Untrusted { .. })), "{verdict:?}");
        }
        let other = open(&one, &signed("text/plain", b"7", &[&a]));
        assert!(matches!(other, Err(VerifyError::WrongType { .. })), "{other:?}");
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed() {
        let (a, public) = key(1);
        let keys = Keys::new(vec![public], 1).unwrap();
        let good = signed(TYPE, b"7", &[&a]);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            if let Ok(verified) = open(&keys, &bad) {
                // Only JSON's own freedom may change: the content may not.
                assert_eq!(*verified.content(), 7);
            }
        }
    }

    #[test]
    fn both_kinds_of_keys_count_and_ecdsa_is_taken_in_both_of_its_encodings() {
        let secret = p256::ecdsa::SigningKey::from_slice(&[5; 32]).unwrap();
        let ecdsa = PublicKey::from(*secret.verifying_key());
        let (ed, ed_public) = key(1);
        let keys = Keys::new(vec![ecdsa.clone(), ed_public], 2).unwrap();
        let message = pre_authentication_encoding(TYPE, b"7");
        let raw: p256::ecdsa::Signature = secret.sign(&message);
        for bytes in [raw.to_bytes().to_vec(), raw.to_der().as_bytes().to_vec()] {
            let found = keys.recognise(&message, &bytes).unwrap();
            assert_eq!(found.keyid, ecdsa.id());
            let second = keys.recognise(&message, &ed.sign(&message).to_bytes()).unwrap();
            let envelope = Envelope::new(TYPE, b"7", vec![found, second]).encode();
            assert_eq!(*open(&keys, &envelope).unwrap().content(), 7);
            assert!(keys.recognise(b"something else", &bytes).is_none());
        }
    }
}
