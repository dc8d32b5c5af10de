//! The keys of an issuer, as its list has them.
//!
//! Invariant: a key is only ever used with the algorithms of its kind, and shared secrets are no
//! keys: so a public key can never be taken for one.
//!
//! <https://www.rfc-editor.org/rfc/rfc7517>, <https://www.rfc-editor.org/rfc/rfc7518#section-6>

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::super::claims::Unproven;

/// The most keys of one issuer.
const MAX_KEYS: usize = 100;

const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
const P256: [Algorithm; 1] = [Algorithm::ES256];
const P384: [Algorithm; 1] = [Algorithm::ES384];
const ED25519: [Algorithm; 1] = [Algorithm::EdDSA];

/// A key and what it may be used for.
pub(super) struct IssuerKey {
    pub(super) key: DecodingKey,
    id: Option<String>,
    algorithms: Vec<Algorithm>,
}

/// All keys that can be used.
#[derive(Clone, Default)]
pub(super) struct KeySet(Vec<Arc<IssuerKey>>);

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// True if any key could be used with this algorithm. No HMAC: who can check it can make it.
pub(super) fn is_known_algorithm(algorithm: Algorithm) -> bool {
    [&RSA[..], &P256, &P384, &ED25519].iter().any(|kind| kind.contains(&algorithm))
}

impl KeySet {
    /// Takes what it understands of a list; issuers may have keys for other purposes beside.
    pub(super) fn read(list: Vec<Value>) -> Self {
        let keys = list.into_iter().take(MAX_KEYS);
        let keys = keys.filter_map(|key| serde_json::from_value(key).ok().and_then(key_of));
        Self(keys.map(Arc::new).collect())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The key for a token: of the name that it gives, or the only one that fits.
    pub(super) fn find(&self, token: &Unproven) -> Option<Arc<IssuerKey>> {
        let mut fitting = self.0.iter().filter(|key| key.algorithms.contains(&token.algorithm));
        let found = match &token.key_id {
            Some(id) => fitting.find(|key| key.id.as_ref() == Some(id))?,
            None => fitting.next().filter(|_| fitting.next().is_none())?,
        };
        Some(Arc::clone(found))
    }
}

fn key_of(jwk: Jwk) -> Option<IssuerKey> {
    if jwk.usage.is_some_and(|usage| usage != "sig") {
        return None;
    }
    let curve = jwk.crv.as_deref();
    let (key, algorithms) = match (&*jwk.kty, curve) {
        ("RSA", None) => (DecodingKey::from_rsa_components(&jwk.n?, &jwk.e?), &RSA[..]),
        ("EC", Some("P-256")) => (DecodingKey::from_ec_components(&jwk.x?, &jwk.y?), &P256[..]),
        ("EC", Some("P-384")) => (DecodingKey::from_ec_components(&jwk.x?, &jwk.y?), &P384[..]),
        ("OKP", Some("Ed25519")) => (DecodingKey::from_ed_components(&jwk.x?), &ED25519[..]),
        _ => return None,
    };
    let named = |algorithm: &Algorithm| match &jwk.alg {
        None => true,
        Some(name) => name.parse::<Algorithm>().is_ok_and(|only| only == *algorithm),
    };
    let algorithms: Vec<_> = algorithms.iter().copied().filter(named).collect();
    (!algorithms.is_empty()).then_some(IssuerKey { key: key.ok()?, id: jwk.kid, algorithms })
}
