//! Tokens that the origin signs itself: what their bearer may do, for a few minutes.
//!
//! Whoever holds the key file can make them, so all processes of an origin share it. A token
//! carries what was granted when it was issued, and what was asked for and refused: so a later
//! request can tell a client that should ask for a further token from one that need not try.
//!
//! Invariant: what a token grants was allowed by the rules when it was issued; it is never looked
//! up again.
//!
//! <https://distribution.github.io/distribution/spec/auth/jwt/>

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey};
use landbridge_sign::LocalKey;
use serde_json::{Value, json};

use super::claims::{Claims, Unproven, are_in_force, verify};
use super::scope::Grants;

/// Makes and reads the origin's own tokens.
pub(super) struct Tokens {
    key: Arc<LocalKey>,
    public: DecodingKey,
    /// Issuer and audience in one: tokens are made by an origin for itself.
    service: Box<str>,
    lifetime: Duration,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ticket {
    /// Who asked for it, as [`super::rules::Identity::actor`] writes it.
    pub(super) actor: Box<str>,
    pub(super) is_anonymous: bool,
    pub(super) granted: Grants,
    pub(super) refused: Grants,
}

impl Tokens {
    pub(super) fn new(key: Arc<LocalKey>, service: &str, lifetime: Duration) -> Self {
        let public = DecodingKey::from_ed_der(&key.public_bytes());
        Self { key, public, service: service.into(), lifetime }
    }

    /// How long a token lasts.
    pub(super) const fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// A token, from `now` on, in seconds since 1970. `id` should be random.
    pub(super) fn issue(&self, ticket: &Ticket, now: u64, id: &str) -> String {
        let Ticket { actor, is_anonymous, granted, refused } = ticket;
        let claims = json!({
            "iss": self.service,
            "aud": self.service,
            "sub": actor,
            "jti": id,
            "iat": now,
            "nbf": now,
            "exp": now.saturating_add(self.lifetime.as_secs()),
            "anonymous": is_anonymous,
            "access": granted.to_json(),
            "refused": refused.to_json(),
        });
        self.key.sign_token(claims.to_string().as_bytes())
    }

    /// True if the token says that it is one of ours.
    pub(super) fn claims_to_be_ours(&self, token: &Unproven) -> bool {
        *token.issuer == *self.service
    }

    /// What a token of ours says, if it is one and in force at `now`.
    pub(super) fn read(&self, token: &str, now: u64) -> Option<Ticket> {
        let claims: Claims = verify(token, &self.public, &[Algorithm::EdDSA])?;
        if !are_in_force(&claims, &self.service, &self.service, now) {
            return None;
        }
        let grants = |name| claims.get(name).map(Grants::from_json).unwrap_or_default();
        Some(Ticket {
            actor: claims.get("sub")?.as_str()?.into(),
            is_anonymous: claims.get("anonymous").is_some_and(|is| *is != Value::Bool(false)),
            granted: grants("access"),
            refused: grants("refused"),
        })
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, service, lifetime, .. } = self;
        let mut shown = f.debug_struct("Tokens");
        shown.field("key", key).field("service", service).field("lifetime", lifetime);
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    use jsonwebtoken::{EncodingKey, Header};

    use super::super::claims::peek;
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn tokens() -> Tokens {
        let key = Arc::new(LocalKey::generate().unwrap());
        Tokens::new(key, "registry.example", Duration::from_mins(5))
    }

    fn ticket() -> Ticket {
        let grants = |text| Grants::parse([text].into_iter()).unwrap();
        Ticket {
            actor: "user:ann".into(),
            is_anonymous: false,
            granted: grants("repository:a:pull,push"),
            refused: grants("repository:a:delete"),
        }
    }

    fn token(header: &Value, claims: &Value, signature: &[u8]) -> String {
        let part = |bytes: &[u8]| BASE64.encode(bytes);
        let (header, claims) = (header.to_string(), claims.to_string());
        format!("{}.{}.{}", part(header.as_bytes()), part(claims.as_bytes()), part(signature))
    }

    #[test]
    fn a_token_says_what_it_was_issued_for_until_it_ends() {
        let tokens = tokens();
        let text = tokens.issue(&ticket(), NOW, "1");
        assert!(tokens.claims_to_be_ours(&peek(&text).unwrap()));
        for at in [NOW - 60, NOW, NOW + 359] {
            assert_eq!(tokens.read(&text, at), Some(ticket()));
        }
        for at in [0, NOW - 61, NOW + 360, u64::MAX - 100] {
            assert_eq!(tokens.read(&text, at), None);
        }
    }

    #[test]
    fn processes_that_share_the_key_file_believe_one_another_and_others_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token.pem");
        let open = |service| {
            let key = Arc::new(LocalKey::open_or_create(&path).unwrap());
            Tokens::new(key, service, Duration::from_mins(5))
        };
        let text = open("registry.example").issue(&ticket(), NOW, "1");
        assert_eq!(open("registry.example").read(&text, NOW), Some(ticket()));
        assert_eq!(open("other.example").read(&text, NOW), None, "another audience");
        assert_eq!(tokens().read(&text, NOW), None, "another key");
    }

    #[test]
    fn forged_tokens_are_refused() {
        let tokens = tokens();
        let good = tokens.issue(&ticket(), NOW, "1");
        let claims = json!({
            "iss": "registry.example", "aud": "registry.example", "sub": "user:root",
            "exp": NOW + 300, "access": [{"type": "repository", "name": "a", "actions": ["push"]}],
        });
        let public = tokens.key.public_bytes();
        let pem = tokens.key.public_pem();
        let mut forged =
            vec![String::new(), ".".into(), "..".into(), "a.b.c".into(), "....".into()];
        for algorithm in ["none", "None", "NONE", "", "HS256", "EdDSA", "RS256", "ES256"] {
            forged.push(token(&json!({"alg": algorithm, "typ": "JWT"}), &claims, b""));
            forged.push(token(&json!({"alg": algorithm, "typ": "JWT"}), &claims, &[0; 64]));
        }
        // The public key taken for a shared secret.
        for secret in [&public[..], pem.as_bytes(), pem.trim().as_bytes()] {
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let key = EncodingKey::from_secret(secret);
                forged.push(jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).unwrap());
            }
        }
        // Another's claims under a good signature, and a good token that was cut.
        let parts: Vec<_> = good.split('.').collect();
        let other = token(&json!({"alg": "EdDSA"}), &claims, b"x");
        let others: Vec<_> = other.split('.').collect();
        forged.push(format!("{}.{}.{}", parts[0], others[1], parts[2]));
        forged.push(format!("{}.{}.{}", others[0], parts[1], parts[2]));
        forged.push(format!("{}.{}.", parts[0], parts[1]));
        forged.push(format!("{}.{}", parts[0], parts[1]));
        forged.push(good[..good.len() - 2].to_owned());
        forged.push(format!("{good}.{}", parts[2]));
        for text in forged {
            assert_eq!(tokens.read(&text, NOW), None, "{text}");
        }
    }

    #[test]
    fn a_token_with_critical_extensions_is_not_looked_at() {
        let claims = json!({"iss": "registry.example"});
        assert!(peek(&token(&json!({"alg": "EdDSA"}), &claims, b"x")).is_some());
        assert!(peek(&token(&json!({"alg": "EdDSA", "crit": ["b64"]}), &claims, b"x")).is_none());
    }
}
