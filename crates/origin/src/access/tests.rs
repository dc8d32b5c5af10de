//! What is decided about requests, with real passwords, tokens and an issuer on loopback.

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use landbridge_sign::LocalKey;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::oidc::tests::{NOW, TestIssuer, TestKey, at};
use super::*;

const PULL: Actions = Actions { pull: true, ..Actions::NONE };
const PUSH: Actions = Actions { push: true, ..Actions::NONE };
const ALL: Actions = Actions { pull: true, push: true, delete: true, catalog: true };

fn rule(who: Who, pattern: &str, actions: Actions) -> Rule {
    Rule { who, repositories: vec![pattern.parse().unwrap()], actions }
}

fn user(name: &str) -> Who {
    Who::User(name.to_owned())
}

/// `ann` pushes to `team/…`, `root` does everything, anybody pulls `open/…`.
fn settings(directory: &TempDir) -> AccessSettings {
    let path = directory.path().join("htpasswd");
    let line = |name: &str| format!("{name}:{}\n", bcrypt::hash(format!("{name}-pw"), 4).unwrap());
    fs::write(&path, line("ann") + &line("root")).unwrap();
    AccessSettings {
        rules: vec![
            rule(Who::Anyone, "open/**", PULL),
            rule(user("ann"), "team/**", PUSH),
            rule(user("root"), "*", ALL),
        ],
        htpasswd: Some(path),
        issuers: Vec::new(),
        service: "origin.example".to_owned(),
        url: None,
        scheme: Scheme::Http,
        key: Arc::new(LocalKey::generate().unwrap()),
        token_lifetime: Duration::from_mins(5),
    }
}

fn basic(user: &str, password: &str) -> Vec<u8> {
    format!("Basic {}", BASE64.encode(format!("{user}:{password}"))).into_bytes()
}

fn bearer(token: &str) -> Vec<u8> {
    format!("Bearer {token}").into_bytes()
}

fn headers_of(authorization: Option<&[u8]>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("h:1"));
    if let Some(value) = authorization {
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

async fn decide(
    access: &Access,
    authorization: Option<&[u8]>,
    action: Action<'_>,
    now: u64,
) -> Result<Caller, Refused> {
    let headers = headers_of(authorization);
    access.decide(&Asked { headers: &headers, authority: None, now: at(now) }, action).await
}

/// What a client sees of a decision.
async fn seen(access: &Access, authorization: Option<&[u8]>, action: Action<'_>) -> String {
    match decide(access, authorization, action, NOW).await {
        Ok(caller) => format!("allowed {}", caller.actor()),
        Err(Refused { error, challenge: None }) => error.code.status().to_string(),
        Err(Refused { error, challenge: Some(header) }) => {
            let begin = r#"Bearer realm="http://h:1/token",service="origin.example""#;
            let rest = header.to_str().unwrap().strip_prefix(begin).unwrap();
            format!("{}{rest}", error.code.status())
        }
    }
}

async fn token(access: &Access, form: &str, authorization: Option<&[u8]>) -> (u16, Value) {
    let is_post = form.contains("grant_type");
    let headers = headers_of(authorization);
    let request = TokenRequest { form: form.as_bytes(), is_post, headers: &headers };
    let answer = access.answer_token(request, at(NOW)).await.unwrap();
    assert_eq!(answer.challenge.is_some(), answer.status == 401);
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

async fn token_for(access: &Access, scope: &str, authorization: Option<&[u8]>) -> Vec<u8> {
    let form = format!("service=origin.example&scope={scope}&account=x");
    let (status, answer) = token(access, &form, authorization).await;
    assert_eq!(status, 200, "{answer}");
    bearer(answer["token"].as_str().unwrap())
}

#[tokio::test]
async fn names_and_passwords_let_in_and_lack_of_a_right_is_a_403() {
    let directory = tempfile::tempdir().unwrap();
    let access = Access::new(settings(&directory)).unwrap();
    let (ann, wrong) = (basic("ann", "ann-pw"), basic("ann", "ann-pw "));
    let eve = basic("eve", "ann-pw");
    let challenge = r#"401,scope="repository:team/a:pull,push""#;
    let invalid = format!(r#"{challenge},error="invalid_token""#);
    for (authorization, action, expected) in [
        (None, Action::Pull("open/a"), "allowed anonymous"),
        (None, Action::Push("team/a"), challenge),
        (None, Action::Ping, "401"),
        (None, Action::Catalog, r#"401,scope="registry:catalog:*""#),
        (Some(&ann), Action::Push("team/a"), "allowed user:ann"),
        (Some(&ann), Action::Pull("team/a"), "allowed user:ann"),
        (Some(&ann), Action::Pull("open/a"), "allowed user:ann"),
        (Some(&ann), Action::Ping, "allowed user:ann"),
        (Some(&ann), Action::Push("other/a"), "403"),
        (Some(&ann), Action::Delete("team/a"), "403"),
        (Some(&ann), Action::Catalog, "403"),
        (Some(&basic("root", "root-pw")), Action::Catalog, "allowed user:root"),
        (Some(&wrong), Action::Push("team/a"), &invalid),
        (Some(&eve), Action::Push("team/a"), &invalid),
        (Some(&basic("oidc", "x")), Action::Push("team/a"), &invalid),
        (Some(&b"Basic \xff".to_vec()), Action::Push("team/a"), &invalid),
        (Some(&b"Negotiate abc".to_vec()), Action::Push("team/a"), &invalid),
        (Some(&vec![b'a'; 1 << 20]), Action::Push("team/a"), &invalid),
        // A wrong credential is never as good as none.
        (
            Some(&wrong),
            Action::Pull("open/a"),
            r#"401,scope="repository:open/a:pull",error="invalid_token""#,
        ),
    ] {
        assert_eq!(seen(&access, authorization.map(Vec::as_slice), action).await, expected);
    }
}

#[tokio::test]
async fn tokens_carry_what_was_allowed_and_tell_what_to_ask_for() {
    let directory = tempfile::tempdir().unwrap();
    let access = Access::new(settings(&directory)).unwrap();
    let ann = basic("ann", "ann-pw");
    let scope =
        "repository:team/a:pull,push%20repository:other/a:push&scope=repository:open/a:pull";
    let ticket = token_for(&access, scope, Some(&ann)).await;
    let delete = Action::Delete("team/a");
    for (action, expected) in [
        (Action::Ping, "allowed user:ann"),
        (Action::Push("team/a"), "allowed user:ann"),
        (Action::Pull("open/a"), "allowed user:ann"),
        (Action::Push("other/a"), "403"),
        // Not asked for: the client should.
        (
            Action::Push("team/b"),
            r#"401,scope="repository:team/b:pull,push",error="insufficient_scope""#,
        ),
        (delete, r#"401,scope="repository:team/a:pull,delete",error="insufficient_scope""#),
    ] {
        assert_eq!(seen(&access, Some(&ticket), action).await, expected);
    }
    let caller = decide(&access, Some(&ticket), Action::Ping, NOW).await.unwrap();
    assert!(
        access.allows(&caller, Action::Pull("open/a"))
            && !access.allows(&caller, Action::Pull("open/b"))
    );

    // Nobody gets a token for nothing much, which says 401 where a credential would help.
    let nobody = token_for(&access, "repository:team/a:pull,push", None).await;
    assert_eq!(seen(&access, Some(&nobody), Action::Ping).await, "allowed anonymous");
    assert_eq!(
        seen(&access, Some(&nobody), Action::Push("team/a")).await,
        r#"401,scope="repository:team/a:pull,push",error="insufficient_scope""#
    );
    let late = decide(&access, Some(&ticket), Action::Ping, NOW + 361).await;
    assert_eq!(late.unwrap_err().error.code, Code::Unauthorized, "a token ends");
}

#[tokio::test]
async fn the_token_endpoint_takes_what_clients_send() {
    let directory = tempfile::tempdir().unwrap();
    let access = Access::new(settings(&directory)).unwrap();
    let ann = basic("ann", "ann-pw");
    let (status, answer) = token(&access, "", Some(&ann)).await;
    assert_eq!((status, &answer["expires_in"]), (200, &json!(300)));
    assert_eq!(answer["issued_at"], "2027-01-15T08:00:00Z");
    assert_eq!(answer["token"], answer["access_token"]);

    let form = "grant_type=password&client_id=c&service=origin.example\
                &scope=repository:team/a:push&username=ann&password=ann-pw";
    let (status, answer) = token(&access, form, None).await;
    assert_eq!(status, 200);
    let posted = bearer(answer["access_token"].as_str().unwrap());
    assert_eq!(seen(&access, Some(&posted), Action::Push("team/a")).await, "allowed user:ann");

    let old = posted.clone();
    let (wrong, bad) = (basic("ann", "x"), b"Basic".to_vec());
    let scopes = "scope=repository:a:pull&".repeat(101);
    let huge = "x".repeat(70_000);
    for (form, authorization, expected) in [
        ("", Some(&wrong), 401),
        ("", Some(&bad), 401),
        ("", Some(&old), 401),
        ("service=other.example", Some(&ann), 400),
        ("grant_type=refresh_token&refresh_token=x", None, 400),
        ("grant_type=password&username=ann", None, 400),
        ("grant_type=password&username=ann&password=x", None, 401),
        ("grant_type=password&username=&password=x", None, 401),
        // Of a query, a password is not taken.
        ("username=ann&password=ann-pw&scope=repository:team/a:push", None, 200),
        (&scopes, None, 400),
        (&huge, None, 413),
    ] {
        let (status, answer) = token(&access, form, authorization.map(Vec::as_slice)).await;
        assert_eq!(status, expected, "{form}: {answer}");
        if status == 401 {
            assert_eq!(answer["errors"][0]["code"], "UNAUTHORIZED");
        }
    }
}

#[tokio::test]
async fn a_ci_systems_own_identity_may_push() {
    let directory = tempfile::tempdir().unwrap();
    let key = TestKey::rsa();
    let issuer = TestIssuer::start(vec![key.jwk("k")]).await;
    let mut settings = settings(&directory);
    settings.issuers = vec![issuer.settings()];
    let who = Who::Oidc {
        issuer: "ci".to_owned(),
        subject: "repo:k/app:ref:refs/tags/*".parse().unwrap(),
        claims: vec![("environment".to_owned(), "release".parse().unwrap())],
    };
    settings.rules.push(rule(who, "k/*", PUSH));
    settings.rules.push(rule(Who::AnyUser, "users/**", PUSH));
    let access = Access::new(settings).unwrap();

    let actor = "allowed oidc:ci:repo:k/app:ref:refs/tags/v1";
    let text = key.token("k", &issuer.claims());
    let direct = bearer(&text);
    assert_eq!(seen(&access, Some(&direct), Action::Push("k/app")).await, actor);
    assert_eq!(seen(&access, Some(&direct), Action::Push("users/x")).await, "403", "it is no user");
    let password = basic("oidc", &text);
    assert_eq!(seen(&access, Some(&password), Action::Push("k/app")).await, actor);
    let ticket = token_for(&access, "repository:k/app:pull,push", Some(&password)).await;
    assert_eq!(seen(&access, Some(&ticket), Action::Push("k/app")).await, actor);
    let ticket = token_for(&access, "repository:k/app:push", Some(&direct)).await;
    assert_eq!(seen(&access, Some(&ticket), Action::Push("k/app")).await, actor);

    let mut claims = issuer.claims();
    claims["environment"] = "pull-request".into();
    let other = bearer(&key.token("k", &claims));
    assert_eq!(seen(&access, Some(&other), Action::Push("k/app")).await, "403");
    claims["exp"] = (NOW - 100).into();
    let ended = bearer(&key.token("k", &claims));
    let invalid = r#"401,scope="repository:k/app:pull,push",error="invalid_token""#;
    assert_eq!(seen(&access, Some(&ended), Action::Push("k/app")).await, invalid);
}

#[tokio::test]
async fn two_credentials_at_once_are_none() {
    let directory = tempfile::tempdir().unwrap();
    let access = Access::new(settings(&directory)).unwrap();
    let mut headers = HeaderMap::new();
    for user in ["ann", "root"] {
        let header = basic(user, &format!("{user}-pw"));
        headers.append(AUTHORIZATION, HeaderValue::from_bytes(&header).unwrap());
    }
    let asked = Asked { headers: &headers, authority: Some("h"), now: at(NOW) };
    let refused = access.decide(&asked, Action::Pull("team/a")).await.unwrap_err();
    assert_eq!(refused.error.code, Code::Unauthorized);
}

#[tokio::test]
async fn where_no_credential_could_help_none_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    (settings.htpasswd, settings.rules) = (None, vec![rule(Who::Anyone, "**", PULL)]);
    let access = Access::new(settings).unwrap();
    assert_eq!(seen(&access, None, Action::Ping).await, "allowed anonymous");
    assert_eq!(seen(&access, None, Action::Pull("a")).await, "allowed anonymous");
    assert_eq!(seen(&access, None, Action::Push("a")).await, "403");
    let basic = basic("ann", "ann-pw");
    assert!(seen(&access, Some(&basic), Action::Pull("a")).await.starts_with("401"));
}

#[tokio::test]
async fn without_rules_everybody_may_do_everything_and_only_loopback_is_listened_on() {
    let access = Access::Open;
    let delete = Action::Delete("a");
    assert_eq!(seen(&access, None, delete).await, "allowed anonymous");
    assert_eq!(seen(&access, Some(b"\xff"), Action::Ping).await, "allowed anonymous");
    let request = TokenRequest { form: b"", is_post: false, headers: &HeaderMap::new() };
    assert!(access.answer_token(request, at(NOW)).await.is_none());

    for (address, expected) in [
        ("127.0.0.1:5000", true),
        ("127.1.2.3:1", true),
        ("[::1]:5000", true),
        ("[::ffff:127.0.0.1]:5000", true),
        ("0.0.0.0:5000", false),
        ("[::]:5000", false),
        ("10.0.0.1:5000", false),
        ("[::ffff:10.0.0.1]:1", false),
        ("203.0.113.9:443", false),
    ] {
        let address: std::net::SocketAddr = address.parse().unwrap();
        assert_eq!(Access::Open.may_listen_on(address.ip()), expected, "{address}");
    }
    let directory = tempfile::tempdir().unwrap();
    let guarded = Access::new(settings(&directory)).unwrap();
    assert!(guarded.may_listen_on(std::net::Ipv4Addr::UNSPECIFIED.into()));
}

#[test]
fn settings_that_contradict_themselves_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |change: &dyn Fn(&mut AccessSettings)| {
        let mut settings = settings(&directory);
        change(&mut settings);
        Access::new(settings).unwrap_err()
    };
    let issuer = |name: &str, url: &str| IssuerSettings {
        name: name.to_owned(),
        url: url.to_owned(),
        audience: "a".to_owned(),
    };
    let unknown = Who::Oidc { issuer: "x".into(), subject: "**".parse().unwrap(), claims: vec![] };
    let error = refused(&|settings| settings.rules.push(rule(unknown.clone(), "*", PULL)));
    assert!(matches!(error, AccessError::UnknownIssuer(_)), "{error}");
    for (name, url) in [("b", "https://a.example"), ("a", "https://b.example")] {
        let both = vec![issuer("a", "https://a.example"), issuer(name, url)];
        let error = refused(&|settings| settings.issuers.clone_from(&both));
        assert!(matches!(error, AccessError::IssuerTwice(_)), "{error}");
    }
    for service in ["", "a\"b", "https://a.example", "a b"] {
        let error = refused(&|settings| service.clone_into(&mut settings.service));
        assert!(matches!(error, AccessError::Service(_)), "{error}");
    }
}

#[tokio::test]
async fn nothing_that_is_printed_holds_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory);
    let hash = fs::read_to_string(directory.path().join("htpasswd")).unwrap();
    let hash = hash.lines().next().unwrap().split_once(':').unwrap().1.to_owned();
    let mut shown = vec![format!("{settings:?}")];
    let access = Access::new(settings).unwrap();
    let header = basic("ann", "ann-pw");
    let decision = decide(&access, Some(&header), Action::Push("team/a"), NOW).await;
    shown.push(format!("{access:?} {decision:?}"));
    let form = "grant_type=password&username=ann&password=ann-pw";
    let headers = headers_of(Some(&header));
    let request = TokenRequest { form: form.as_bytes(), is_post: true, headers: &headers };
    let answer = access.answer_token(request, at(NOW)).await.unwrap();
    shown.push(format!("{request:?} {answer:?}"));
    let shown = shown.concat();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    for secret in ["ann-pw", &*hash, answer["token"].as_str().unwrap(), "YW5uOmFubi1wdw"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
