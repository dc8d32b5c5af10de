//! The keys whose signatures are believed.
//!
//! Ed25519 (RFC 8032) and ECDSA over P-256 with SHA-256 (FIPS 186-5), which every key management
//! service has. A key is known by the SHA-256 of its DER encoding, so that the same key counts once
//! however often and in whatever form it is configured.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::pkcs8::Document;
use ed25519_dalek::pkcs8::spki::{DecodePublicKey as _, EncodePublicKey};
use p256::ecdsa::signature::Verifier as _;

use super::envelope::EnvelopeSignature;
use crate::digest::Digest;

/// A key whose signatures are believed.
#[derive(Debug, Clone)]
pub struct PublicKey {
    id: String,
    key: Key,
}

#[derive(Debug, Clone)]
enum Key {
    Ed25519(ed25519_dalek::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
}

impl PublicKey {
    /// Reads a PEM-encoded `SubjectPublicKeyInfo` with an Ed25519 key (RFC 8410) or one of P-256
    /// (RFC 5480).
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let pem = pem.trim();
        if let Ok(key) = ed25519_dalek::VerifyingKey::from_public_key_pem(pem) {
            return Ok(key.into());
        }
        match p256::ecdsa::VerifyingKey::from_public_key_pem(pem) {
            Ok(key) => Ok(key.into()),
            Err(_) => Err(KeyError::NotAKey),
        }
    }

    /// Hex SHA-256 of the key's DER encoding.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it made this signature: 64 bytes, or for ECDSA their DER encoding too.
    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            Key::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Key::P256(key) => p256::ecdsa::Signature::from_der(signature)
                .or_else(|_| p256::ecdsa::Signature::from_slice(signature))
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }
}

impl From<ed25519_dalek::VerifyingKey> for PublicKey {
    fn from(key: ed25519_dalek::VerifyingKey) -> Self {
        Self { id: id(&key), key: Key::Ed25519(key) }
    }
}

impl From<p256::ecdsa::VerifyingKey> for PublicKey {
    fn from(key: p256::ecdsa::VerifyingKey) -> Self {
        Self { id: id(&key), key: Key::P256(key) }
    }
}

fn id(key: &impl EncodePublicKey) -> String {
    // Keys of fixed length always have an encoding.
    let der = key.to_public_key_der().map(Document::into_vec).unwrap_or_default();
    Digest::sha256_of(&der).hex().to_string()
}

/// Why a text is not a public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not PEM, or a key of another kind.
    #[error(
        "not a PEM-encoded public key of Ed25519 or ECDSA P-256 (expected `-----BEGIN PUBLIC KEY-----`)"
    )]
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

    /// How many different keys must have signed.
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// The entry of an envelope for this signature, in any encoding, if a trusted key made it.
    pub fn recognise(&self, message: &[u8], signature: &[u8]) -> Option<EnvelopeSignature> {
        let key = self.keys.iter().find(|key| key.has_signed(message, signature))?;
        Some(EnvelopeSignature { keyid: key.id.clone(), sig: BASE64.encode(signature) })
    }

    /// The different trusted keys that have signed `message`.
    pub(super) fn signers(
        &self,
        message: &[u8],
        signatures: &[EnvelopeSignature],
    ) -> BTreeSet<&str> {
        let mut good = BTreeSet::new();
        for signature in signatures {
            let Ok(bytes) = BASE64.decode(&signature.sig) else { continue };
            // The key's name in the envelope is a hint: a wrong one must not help a wrong key.
            let named = self.keys.iter().find(|key| key.id == signature.keyid);
            good.extend(named.filter(|key| key.has_signed(message, &bytes)).map(PublicKey::id));
        }
        good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_thresholds_and_texts_are_refused() {
        let key: PublicKey = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key().into();
        assert!(Keys::new(vec![key.clone(), key.clone()], 2).is_err());
        assert!(Keys::new(vec![key], 0).is_err());
        let nonsense = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----";
        assert_eq!(PublicKey::from_pem(nonsense).unwrap_err(), KeyError::NotAKey);
    }
}
