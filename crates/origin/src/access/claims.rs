//! The claims of a signed token, from whoever signed it.
//!
//! Invariant: the algorithm is decided by the key, never by the token alone; what a token says of
//! itself is believed only after its signature was checked.
//!
//! <https://www.rfc-editor.org/rfc/rfc7519#section-4.1>, <https://www.rfc-editor.org/rfc/rfc8725>

use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde_json::{Map, Value};

/// How far two clocks may differ, in seconds.
pub(super) const LEEWAY_SECONDS: u64 = 60;

/// The claims of a token whose signature was right.
pub(super) type Claims = Map<String, Value>;

/// What a token says of itself before anything was checked: good for choosing a key alone.
pub(super) struct Unproven {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    pub(super) issuer: String,
}

/// Reads what is needed to choose a key. `None` if it is no token, or asks for extensions.
pub(super) fn peek(token: &str) -> Option<Unproven> {
    let Header { alg: algorithm, kid: key_id, crit, .. } =
        jsonwebtoken::decode_header(token).ok()?;
    // Critical extensions must be understood, and none is (RFC 7515, section 4.1.11).
    if crit.is_some() {
        return None;
    }
    let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
    let issuer = claims.get("iss")?.as_str()?.to_owned();
    Some(Unproven { algorithm, key_id, issuer })
}

/// The claims of a token, if this key signed it with one of these algorithms, which must all be of
/// the key's kind. Nothing else has been checked yet.
pub(super) fn verify(token: &str, key: &DecodingKey, algorithms: &[Algorithm]) -> Option<Claims> {
    let mut validation = Validation::new(*algorithms.first()?);
    validation.algorithms = algorithms.to_vec();
    // The library would ask the system's clock; here time is an argument.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    jsonwebtoken::decode(token, key, &validation).ok().map(|token| token.claims)
}

/// True if the token was made by `issuer` for `audience` and is in force at `now` (seconds since
/// 1970). `exp` must be there, `nbf` and `iat` count if they are.
pub(super) fn are_in_force(claims: &Claims, issuer: &str, audience: &str, now: u64) -> bool {
    let is_for = match claims.get("aud") {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(audience)),
        _ => false,
    };
    let begun = |name| match claims.get(name) {
        None => true,
        Some(time) => seconds(time).is_some_and(|time| time <= now + LEEWAY_SECONDS),
    };
    let lasts = claims.get("exp").and_then(seconds);
    let lasts = lasts.is_some_and(|end| now < end.saturating_add(LEEWAY_SECONDS));
    let is_from = claims.get("iss").and_then(Value::as_str) == Some(issuer);
    is_from && is_for && lasts && begun("nbf") && begun("iat")
}

/// A `NumericDate`: seconds since 1970, perhaps with a fraction.
fn seconds(value: &Value) -> Option<u64> {
    if let Some(whole) = value.as_u64() {
        return Some(whole);
    }
    let number = value.as_f64().filter(|number| (0.0..1e15).contains(number))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
    Some(number as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is_in_force(changes: &Value) -> bool {
        let mut claims = json!({"iss": "i", "aud": "a", "exp": 2000, "nbf": 1000, "iat": 1000});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let Value::Object(mut claims) = claims else { unreachable!() };
        claims.retain(|_, value| !value.is_null());
        are_in_force(&claims, "i", "a", 1500)
    }

    #[test]
    fn claims_hold_for_one_audience_of_one_issuer_within_their_time() {
        for (changes, expected) in [
            (json!({}), true),
            (json!({"aud": ["b", "a"]}), true),
            (json!({"exp": 1441}), true),
            (json!({"exp": 1440}), false),
            (json!({"exp": 1441.9}), true),
            (json!({"exp": null}), false),
            (json!({"exp": "2000"}), false),
            (json!({"exp": -1}), false),
            (json!({"exp": 1e300}), false),
            (json!({"exp": u64::MAX}), true),
            (json!({"nbf": 1560, "iat": 1560}), true),
            (json!({"nbf": 1561}), false),
            (json!({"iat": 1561}), false),
            (json!({"nbf": "soon"}), false),
            (json!({"nbf": null, "iat": null}), true),
            (json!({"iss": "j"}), false),
            (json!({"iss": ["i"]}), false),
            (json!({"iss": null}), false),
            (json!({"aud": "A"}), false),
            (json!({"aud": []}), false),
            (json!({"aud": null}), false),
            (json!({"aud": {"a": true}}), false),
        ] {
            assert_eq!(is_in_force(&changes), expected, "{changes}");
        }
    }
}
