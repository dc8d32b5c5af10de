//! A real issuer on loopback: keys made here, documents served over HTTP, requests counted.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

use super::super::claims::peek;
use super::*;

/// Seconds since 1970 of the tests' now.
pub(in crate::access) const NOW: u64 = 1_800_000_000;

pub(in crate::access) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A key that signs tokens.
pub(in crate::access) enum TestKey {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl TestKey {
    pub(in crate::access) fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub(in crate::access) fn ec() -> Self {
        Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(in crate::access) fn ed() -> Self {
        Self::Ed(Ed25519KeyPair::generate().unwrap())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
        }
    }

    fn public(&self) -> &[u8] {
        match self {
            Self::Rsa(key) => key.public_key().as_ref(),
            Self::Ec(key) => key.public_key().as_ref(),
            Self::Ed(key) => key.public_key().as_ref(),
        }
    }

    /// The key as an issuer's list has it.
    pub(in crate::access) fn jwk(&self, id: &str) -> Value {
        let public = self.public();
        let part = |range: std::ops::Range<usize>| BASE64.encode(&public[range]);
        let mut jwk = match self {
            // SEQUENCE { INTEGER of 257 bytes, INTEGER 65537 }
            Self::Rsa(_) => json!({"kty": "RSA", "n": part(9..265), "e": "AQAB"}),
            Self::Ec(_) => {
                json!({"kty": "EC", "crv": "P-256", "x": part(1..33), "y": part(33..65)})
            }
            Self::Ed(_) => json!({"kty": "OKP", "crv": "Ed25519", "x": part(0..32)}),
        };
        jwk["kid"] = id.into();
        jwk["use"] = "sig".into();
        jwk
    }

    fn sign(&self, algorithm: &str, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let padding =
                    if algorithm == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, text, &mut signature).unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&random, text).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(text).as_ref().to_vec(),
        }
    }

    /// A token whose header names this algorithm and key.
    pub(in crate::access) fn token_as(
        &self,
        algorithm: &str,
        id: Option<&str>,
        claims: &Value,
    ) -> String {
        let mut header = json!({"alg": algorithm, "typ": "JWT"});
        if let Some(id) = id {
            header["kid"] = id.into();
        }
        let part = |value: &Value| BASE64.encode(value.to_string());
        let text = format!("{}.{}", part(&header), part(claims));
        let signature = BASE64.encode(self.sign(algorithm, text.as_bytes()));
        format!("{text}.{signature}")
    }

    pub(in crate::access) fn token(&self, id: &str, claims: &Value) -> String {
        self.token_as(self.algorithm(), Some(id), claims)
    }
}

/// An issuer that answers on loopback until the test's runtime ends.
pub(in crate::access) struct TestIssuer {
    pub(in crate::access) url: String,
    pub(in crate::access) keys: Mutex<Vec<Value>>,
    /// Replaces the configuration document.
    configuration: Mutex<Option<Value>>,
    is_down: std::sync::atomic::AtomicBool,
    /// Requests for the list of keys.
    pub(in crate::access) asked: AtomicUsize,
}

impl TestIssuer {
    pub(in crate::access) async fn start(keys: Vec<Value>) -> Arc<Self> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let issuer = Arc::new(Self {
            url,
            keys: Mutex::new(keys),
            configuration: Mutex::new(None),
            is_down: false.into(),
            asked: AtomicUsize::new(0),
        });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/keys", get(key_list))
            .with_state(Arc::clone(&issuer));
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        issuer
    }

    pub(in crate::access) fn settings(&self) -> IssuerSettings {
        IssuerSettings { name: "ci".into(), url: self.url.clone(), audience: "origin".into() }
    }

    pub(in crate::access) fn claims(&self) -> Value {
        json!({
            "iss": self.url, "aud": "origin", "sub": "repo:k/app:ref:refs/tags/v1",
            "exp": NOW + 600, "iat": NOW, "nbf": NOW, "environment": "release",
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

type Answer = (StatusCode, axum::Json<Value>);

async fn configuration(State(issuer): State<Arc<TestIssuer>>) -> Answer {
    let changed = issuer.configuration.lock().unwrap().clone();
    let usual = json!({"issuer": issuer.url, "jwks_uri": format!("{}/keys", issuer.url)});
    (StatusCode::OK, axum::Json(changed.unwrap_or(usual)))
}

async fn key_list(State(issuer): State<Arc<TestIssuer>>) -> Answer {
    issuer.asked.fetch_add(1, Ordering::SeqCst);
    if issuer.is_down.load(Ordering::SeqCst) {
        return (StatusCode::BAD_GATEWAY, axum::Json(json!({})));
    }
    let keys = issuer.keys.lock().unwrap().clone();
    (StatusCode::OK, axum::Json(json!({"keys": keys})))
}

async fn identify(issuer: &Issuer, token: &str, now: u64) -> Result<Identity, OidcRefusal> {
    match peek(token) {
        Some(unproven) if issuer.is_named_by(&unproven) => {
            issuer.identify(token, &unproven, at(now)).await
        }
        _ => Err(OidcRefusal::Wrong),
    }
}

#[tokio::test]
async fn tokens_of_every_kind_of_key_are_believed() {
    let keys = [("rsa", TestKey::rsa()), ("ec", TestKey::ec()), ("ed", TestKey::ed())];
    let mut list: Vec<_> = keys.iter().map(|(id, key)| key.jwk(id)).collect();
    // What other software may have in its list is passed over.
    list.extend([json!({"kty": "oct", "k": "AAAA", "kid": "s"}), json!("x"), json!({"kty": "EC"})]);
    let served = TestIssuer::start(list).await;
    let issuer = Issuer::new(served.settings()).unwrap();
    for (id, key) in &keys {
        let identity = identify(&issuer, &key.token(id, &served.claims()), NOW).await.unwrap();
        assert_eq!(identity.actor(), "oidc:ci:repo:k/app:ref:refs/tags/v1");
        let unnamed = key.token_as(key.algorithm(), None, &served.claims());
        assert!(identify(&issuer, &unnamed, NOW).await.is_ok(), "the only key that fits");
    }
    let pss = keys[0].1.token_as("PS256", Some("rsa"), &served.claims());
    assert!(identify(&issuer, &pss, NOW).await.is_ok());
    assert_eq!(served.asked(), 1, "the keys are fetched once");
}

#[tokio::test]
async fn hostile_tokens_are_refused() {
    let (rsa, ec, other) = (TestKey::rsa(), TestKey::ec(), TestKey::rsa());
    let served = TestIssuer::start(vec![rsa.jwk("rsa"), ec.jwk("ec")]).await;
    let issuer = Issuer::new(served.settings()).unwrap();
    let good = served.claims();
    assert!(identify(&issuer, &rsa.token("rsa", &good), NOW).await.is_ok());

    let changed = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let mut hostile = vec![
        other.token("rsa", &good),
        rsa.token("ec", &good),
        ec.token("rsa", &good),
        rsa.token_as("ES256", Some("ec"), &good),
        rsa.token_as("RS512", Some("rsa"), &good),
        rsa.token_as("none", Some("rsa"), &good),
        rsa.token("rsa", &changed("aud", "somebody".into())),
        rsa.token("rsa", &changed("exp", (NOW - 60).into())),
        rsa.token("rsa", &changed("nbf", (NOW + 61).into())),
        rsa.token("rsa", &changed("iss", "https://evil.example".into())),
        rsa.token("rsa", &changed("iss", format!("{}/", served.url).into())),
        rsa.token("rsa", &changed("sub", Value::Null)),
        rsa.token("rsa", &changed("sub", "".into())),
        rsa.token("rsa", &changed("sub", "a\nb".into())),
        rsa.token("rsa", &changed("sub", "a".repeat(1025).into())),
        rsa.token("rsa", &json!([])),
    ];
    // The public key as a shared secret: as it is, as DER and as it stands in the list.
    let jwk = rsa.jwk("rsa");
    let modulus = jwk["n"].as_str().unwrap();
    let raw = BASE64.decode(modulus).unwrap();
    for secret in [rsa.public(), &raw, modulus.as_bytes(), b""] {
        for (name, algorithm) in
            [("HS256", aws_lc_rs::hmac::HMAC_SHA256), ("HS512", aws_lc_rs::hmac::HMAC_SHA512)]
        {
            let header = json!({"alg": name, "typ": "JWT", "kid": "rsa"}).to_string();
            let text = format!("{}.{}", BASE64.encode(header), BASE64.encode(good.to_string()));
            let key = aws_lc_rs::hmac::Key::new(algorithm, secret);
            let tag = aws_lc_rs::hmac::sign(&key, text.as_bytes());
            hostile.push(format!("{text}.{}", BASE64.encode(tag)));
        }
    }
    // A key that the token brings along itself.
    let brought = json!({"alg": "RS256", "kid": "rsa", "jwk": other.jwk("rsa")}).to_string();
    let text = format!("{}.{}", BASE64.encode(brought), BASE64.encode(good.to_string()));
    let signature = BASE64.encode(other.sign("RS256", text.as_bytes()));
    hostile.push(format!("{text}.{signature}"));

    for token in hostile {
        assert_eq!(identify(&issuer, &token, NOW).await, Err(OidcRefusal::Wrong), "{token}");
    }
    assert_eq!(served.asked(), 1, "none of them made the issuer be asked");
}

#[tokio::test]
async fn a_new_key_is_fetched_but_not_for_every_name_that_is_made_up() {
    let (old, new) = (TestKey::ed(), TestKey::ed());
    let served = TestIssuer::start(vec![old.jwk("old")]).await;
    let issuer = Issuer::new(served.settings()).unwrap();
    let (old, token) = (old.token("old", &served.claims()), new.token("new", &served.claims()));
    assert!(identify(&issuer, &old, NOW).await.is_ok());

    *served.keys.lock().unwrap() = vec![new.jwk("new")];
    for _ in 0..5 {
        assert_eq!(identify(&issuer, &token, NOW + 29).await, Err(OidcRefusal::Wrong));
    }
    assert_eq!(served.asked(), 1, "not twice within half a minute");
    let all = (0..20).map(|_| identify(&issuer, &token, NOW + 30));
    let answers = futures::future::join_all(all).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(served.asked(), 2, "all wait for one attempt");
    assert_eq!(identify(&issuer, &old, NOW + 31).await, Err(OidcRefusal::Wrong), "withdrawn");
}

#[tokio::test]
async fn an_issuer_that_is_away_is_waited_for_a_day_and_not_hammered() {
    let key = TestKey::ed();
    let served = TestIssuer::start(vec![key.jwk("a")]).await;
    let issuer = Issuer::new(served.settings()).unwrap();
    let mut claims = served.claims();
    claims["exp"] = (NOW + 1_000_000).into();
    let token = key.token("a", &claims);

    served.is_down.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(identify(&issuer, &token, NOW).await, Err(OidcRefusal::Unreachable));
    }
    assert_eq!(served.asked(), 1);
    served.is_down.store(false, Ordering::SeqCst);
    assert!(identify(&issuer, &token, NOW + 30).await.is_ok());

    served.is_down.store(true, Ordering::SeqCst);
    let fetched = NOW + 30;
    assert!(identify(&issuer, &token, fetched + 3599).await.is_ok());
    assert_eq!(served.asked(), 2, "keys are fresh for an hour");
    assert!(identify(&issuer, &token, fetched + 3600).await.is_ok());
    assert!(identify(&issuer, &token, fetched + 3601).await.is_ok());
    assert_eq!(served.asked(), 3, "then they are asked for again, and used meanwhile");
    let late = fetched + 24 * 3600;
    assert_eq!(identify(&issuer, &token, late).await, Err(OidcRefusal::Unreachable));
}

#[tokio::test]
async fn a_configuration_of_another_issuer_or_with_keys_elsewhere_in_the_clear_is_refused() {
    let key = TestKey::ed();
    let served = TestIssuer::start(vec![key.jwk("a")]).await;
    let token = key.token("a", &served.claims());
    let keys = format!("{}/keys", served.url);
    for configuration in [
        json!({"issuer": "https://other.example", "jwks_uri": keys}),
        json!({"issuer": format!("{}/", served.url), "jwks_uri": keys}),
        json!({"issuer": served.url, "jwks_uri": "http://192.0.2.1/keys"}),
        json!({"issuer": served.url, "jwks_uri": "file:///etc/passwd"}),
        json!({"issuer": served.url, "jwks_uri": "keys"}),
        json!({"issuer": served.url}),
        json!({"issuer": served.url, "jwks_uri": keys, "filler": "x".repeat(1 << 20)}),
    ] {
        *served.configuration.lock().unwrap() = Some(configuration);
        let issuer = Issuer::new(served.settings()).unwrap();
        assert_eq!(identify(&issuer, &token, NOW).await, Err(OidcRefusal::Unreachable));
    }
    assert_eq!(served.asked(), 0);
}

#[test]
fn issuers_are_asked_with_https_or_on_loopback() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let issuer = |url: &str, audience: &str| {
        let (name, url, audience) = ("ci".into(), url.into(), audience.into());
        Issuer::new(IssuerSettings { name, url, audience })
    };
    for url in [
        "https://token.example",
        "https://token.example/path/",
        "http://127.0.0.1:80",
        "http://127.9.9.9",
        "http://[::1]:1",
        "http://localhost:8080/x",
    ] {
        assert!(issuer(url, "a").is_ok(), "{url}");
    }
    for url in [
        "http://token.example",
        "http://10.0.0.1",
        "http://localhost.evil.example",
        "",
        "x",
        "ftp://127.0.0.1",
        "https://user@token.example",
        "https://token.example/?a=b",
        "https://token.example/#a",
    ] {
        assert!(matches!(issuer(url, "a"), Err(IssuerError::Address { .. })), "{url}");
    }
    assert!(matches!(issuer("https://token.example", ""), Err(IssuerError::Audience(_))));
}
