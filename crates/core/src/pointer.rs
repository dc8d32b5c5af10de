//! The pointer: the signed act of publication.
//!
//! A pointer says which generation is current. It travels in a DSSE envelope, whose signatures
//! cover the exact bytes, and is not even parsed before enough of them are good: a
//! [`Verified`] pointer cannot be made in any other way. Its sequence never goes back; the
//! generation that it names may.
//!
//! DSSE: <https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md>

mod envelope;
mod keys;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

pub use envelope::{
    Envelope, EnvelopeSignature, MAX_ENVELOPE_BYTES, Verified, VerifyError,
    pre_authentication_encoding,
};
pub use keys::{KeyError, Keys, PublicKey};

/// The `payloadType` of a pointer's envelope.
pub const PAYLOAD_TYPE: &str = "application/vnd.landbridge.pointer.v1+json";

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

impl Pointer {
    /// The bytes to sign, with [`PAYLOAD_TYPE`].
    pub fn encode(&self) -> Vec<u8> {
        // Plain structs of strings and numbers always have an encoding.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Keys {
    /// The pointer in an envelope that enough trusted keys have signed.
    pub fn verify(&self, envelope: &[u8]) -> Result<Verified<Pointer>, VerifyError> {
        self.open(PAYLOAD_TYPE, envelope)
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
    if candidate.content().catalog != catalog {
        return Succession::OtherCatalog;
    }
    let Some(current) = current else { return Succession::Newer };
    match candidate.content().sequence.cmp(&current.content().sequence) {
        Ordering::Greater => Succession::Newer,
        Ordering::Less => Succession::Older,
        Ordering::Equal if candidate.envelope() == current.envelope() => Succession::Same,
        Ordering::Equal => Succession::Equivocation,
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    #[test]
    fn sequence_never_goes_back_and_equivocation_is_told() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let keys = Keys::new(vec![PublicKey::from(key.verifying_key())], 1).unwrap();
        let pointer = |sequence| Pointer {
            catalog: "demo".into(),
            expires: "2027-01-01T00:00:00Z".parse().unwrap(),
            generation: Digest::sha256_of(b"root"),
            issued: "2026-11-22T00:00:00Z".parse().unwrap(),
            previous: None,
            reason: "test".into(),
            sequence,
        };
        let verify = |pointer: &Pointer| {
            keys.verify(&envelope::tests::signed(PAYLOAD_TYPE, &pointer.encode(), &[&key])).unwrap()
        };
        let current = verify(&pointer(5));
        let other = verify(&Pointer { reason: "other".into(), ..pointer(5) });
        assert_eq!(succession("demo", None, &current), Succession::Newer);
        assert_eq!(succession("demo", Some(&current), &verify(&pointer(6))), Succession::Newer);
        assert_eq!(succession("demo", Some(&current), &current.clone()), Succession::Same);
        assert_eq!(succession("demo", Some(&current), &verify(&pointer(4))), Succession::Older);
        assert_eq!(succession("demo", Some(&current), &other), Succession::Equivocation);
        assert_eq!(succession("elsewhere", None, &current), Succession::OtherCatalog);
    }
}
