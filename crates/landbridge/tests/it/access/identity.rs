//! A CI system's own identity pushes.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use landbridge_sign::LocalKey;
use landbridge_testkit::image::Recipe;
use landbridge_testkit::{Finished, Layout, Skopeo, http, run};
use serde_json::{Value, json};

use super::Place;
use crate::receiver::Receiver;
use crate::running::{LIMIT, OwnOrigin};

/// An issuer with one key.
struct Ci {
    key: LocalKey,
    server: Receiver,
}

impl Ci {
    fn start() -> Result<Self> {
        let key = LocalKey::generate()?;
        let public = URL_SAFE_NO_PAD.encode(key.public_bytes());
        let keys = json!({"keys": [{
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": key.public().id(), "x": public,
        }]});
        let server = Receiver::start(move |request| {
            let host = request.header("host").unwrap_or_default();
            let answer = match request.target.as_str() {
                "/.well-known/openid-configuration" => json!({
                    "issuer": format!("http://{host}"), "jwks_uri": format!("http://{host}/keys"),
                }),
                "/keys" => keys.clone(),
                _ => return (404, String::new()),
            };
            (200, answer.to_string())
        })?;
        Ok(Self { key, server })
    }

    /// The identity of a job, with some claims changed.
    fn token(&self, subject: &str, changes: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({
            "iss": format!("http://{}", self.server.address), "aud": "registry.example.org",
            "sub": subject, "iat": now, "exp": now + 600, "environment": "release",
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.key.sign_token(claims.to_string().as_bytes())
    }
}

const TAGGED: &str = "repo:k/app:ref:refs/tags/v1";

#[test]
fn a_job_pushes_what_its_identity_may_and_nothing_else() {
    let ci = Ci::start().unwrap();
    let place = Place::new().unwrap();
    let access = format!(
        "    issuers: [{{name: ci, url: \"http://{}\", audience: registry.example.org}}]\n    \
         rules:\n      - {{who: [anyone], repositories: [\"*\"], may: [pull]}}\n      \
         - who: [\"oidc:ci:repo:k/app:ref:refs/tags/v*\"]\n        \
           claims: {{environment: release}}\n        \
           repositories: [app]\n        may: [push]\n",
        ci.server.address
    );
    let origin = OwnOrigin::configured(&place.write_with(&access, "").unwrap()).unwrap();

    let layout = Layout::create(place.path("layout")).unwrap();
    let image = Recipe { seed: 80, ..Recipe::default() }.pack().unwrap();
    layout.put_image(&image).unwrap();
    layout.tag("v1", &image.manifest).unwrap();
    let skopeo = Skopeo::new().unwrap();
    let push = |name: &str, token: &str| -> Result<Finished> {
        let mut command = skopeo.command()?;
        command.args(["copy", "--quiet", "--dest-tls-verify=false"]);
        command.arg(format!("--dest-creds=oidc:{token}"));
        command.arg(format!("oci:{}:v1", place.path("layout").display()));
        run(command.arg(format!("docker://{}", origin.reference(name))), LIMIT)
    };
    push("app:v1", &ci.token(TAGGED, &json!({}))).unwrap();
    let answer = http::get(&origin.address, "/v2/app/manifests/v1").unwrap();
    assert_eq!((answer.status, answer.body), (200, image.manifest.bytes));

    // Known, but not for this.
    for (name, subject, changes) in [
        ("other:v1", TAGGED, json!({})),
        ("app:v2", "repo:k/app:ref:refs/heads/main", json!({})),
        ("app:v2", "repo:k/fork:ref:refs/tags/v1", json!({})),
        ("app:v2", TAGGED, json!({"environment": "staging"})),
    ] {
        let refused = push(name, &ci.token(subject, &changes)).unwrap_err().to_string();
        assert!(refused.contains("this is not allowed"), "{subject} {changes}: {refused}");
    }
    // Not to be believed.
    let another = Ci { key: LocalKey::generate().unwrap(), server: Ci::start().unwrap().server };
    for token in [
        ci.token(TAGGED, &json!({"aud": "another.example.org"})),
        ci.token(TAGGED, &json!({"exp": 1_700_000_000})),
        another.token(TAGGED, &json!({"iss": format!("http://{}", ci.server.address)})),
        another.token(TAGGED, &json!({})),
    ] {
        let refused = push("app:v2", &token).unwrap_err().to_string();
        assert!(refused.contains("the credential is not right"), "{refused}");
    }
    assert_eq!(http::get(&origin.address, "/v2/app/manifests/v2").unwrap().status, 404);
    assert!(another.server.received().is_empty(), "who is not configured was asked");

    // A client that is no container tool sends the token as it is.
    let bearer = format!("Bearer {}", ci.token(TAGGED, &json!({})));
    let headers = [("Authorization", bearer.as_str()), ("Content-Length", "0")];
    let target = "/v2/app/blobs/uploads/";
    let begun = http::ask(&origin.address, "POST", target, &headers).unwrap();
    assert_eq!(begun.status, 202, "{begun}");
}
