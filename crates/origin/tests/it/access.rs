//! Access, limits and events as clients meet them, and the token flow by a client that is not ours.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use landbridge_core::Digest;
use landbridge_origin::access::{Access, AccessSettings, Actions, Rule, Scheme, Who};
use landbridge_origin::events::{EventFile, EventSettings, Events};
use landbridge_origin::limits::{LimitMode, LimitSettings};
use landbridge_origin::settings::{Settings, Writes};
use landbridge_sign::LocalKey;
use landbridge_testkit::http::Answer;
use landbridge_testkit::image::Recipe;
use landbridge_testkit::{Layout, Skopeo, run};
use serde_json::Value;
use tempfile::TempDir;

use crate::content;
use crate::served::{Served, Store, expect};

const LIMIT: Duration = Duration::from_mins(1);
const PULL: Actions = Actions { pull: true, ..Actions::NONE };
const ALL: Actions = Actions { pull: true, push: true, delete: true, catalog: true };

fn rule(who: Who, pattern: &str, actions: Actions) -> Rule {
    Rule { who, repositories: vec![pattern.parse().unwrap()], actions }
}

/// `ann` pushes to `team/…` and `open/…`, `root` does everything, anybody pulls `open/…`. Their
/// passwords are their names and `-pw`.
fn access(directory: &Path) -> Access {
    let user = |name: &str| Who::User(name.to_owned());
    let push = Actions { push: true, ..Actions::NONE };
    let lines = ["ann", "root"].map(|name| {
        let hash = bcrypt::hash(format!("{name}-pw"), 4).unwrap();
        format!("{name}:{hash}\n")
    });
    fs::write(directory.join("htpasswd"), lines.concat()).unwrap();
    let access = Access::new(AccessSettings {
        rules: vec![
            rule(Who::Anyone, "open/**", PULL),
            rule(user("ann"), "team/**", push),
            rule(user("ann"), "open/**", push),
            rule(user("root"), "*", ALL),
        ],
        htpasswd: Some(directory.join("htpasswd")),
        issuers: Vec::new(),
        service: "origin.example".to_owned(),
        url: None,
        scheme: Scheme::Http,
        key: Arc::new(LocalKey::open_or_create(&directory.join("token.pem")).unwrap()),
        token_lifetime: Duration::from_mins(5),
    });
    access.unwrap()
}

fn guarded() -> (Served, TempDir) {
    guarded_with(|_| {})
}

fn guarded_with(change: impl Fn(&mut Settings)) -> (Served, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start_with(Store::Memory, |settings| {
        settings.access = access(directory.path());
        change(settings);
    });
    (served, directory)
}

/// `ann:ann-pw`, `root:root-pw`, `ann:wrong`
const ANN: (&str, &str) = ("authorization", "Basic YW5uOmFubi1wdw==");
const ROOT: (&str, &str) = ("authorization", "Basic cm9vdDpyb290LXB3");
const WRONG: (&str, &str) = ("authorization", "Basic YW5uOndyb25n");

fn push_blob(served: &Served, who: (&str, &str), repository: &str, bytes: &[u8]) -> Answer {
    let target = format!("/v2/{repository}/blobs/uploads/?digest={}", Digest::sha256_of(bytes));
    served.ask("POST", &target, &[who], bytes)
}

fn bearer(served: &Served, query: &str, who: &[(&str, &str)]) -> String {
    let answer = served.ask("GET", &format!("/token?{query}"), who, b"");
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    format!("Bearer {}", answer.json().unwrap()["token"].as_str().unwrap())
}

#[test]
fn what_a_stranger_hears_is_the_same_whether_a_repository_exists() {
    let (served, _directory) = guarded();
    assert_eq!(push_blob(&served, ANN, "team/app", b"layer").status, 201);
    let digest = Digest::sha256_of(b"layer");
    let token = bearer(&served, "scope=repository:other/x:pull", &[ANN]);
    for [known, unknown] in [
        ["/v2/team/app/tags/list", "/v2/team/no/tags/list"],
        ["/v2/team/app/manifests/v1", "/v2/team/no/manifests/v1"],
        [&*format!("/v2/team/app/blobs/{digest}"), &*format!("/v2/team/no/blobs/{digest}")],
    ] {
        for (method, who) in [
            ("GET", None),
            ("HEAD", None),
            ("GET", Some(WRONG)),
            ("PUT", None),
            ("DELETE", None),
            ("DELETE", Some(ANN)),
            ("GET", Some(("authorization", &*token))),
        ] {
            let [known, unknown] = [known, unknown].map(|target| {
                let headers: Vec<_> = who.into_iter().collect();
                served.ask(method, target, &headers, b"").to_string()
            });
            assert_eq!(known.replace("team/app", "team/no"), unknown, "{method} {who:?}");
        }
    }
    let refused = served.get("/v2/team/no/tags/list");
    expect(&refused, 401, "UNAUTHORIZED");
    assert_eq!(
        refused.header("www-authenticate"),
        Some(
            "Bearer realm=\"http://test/token\",service=\"origin.example\",\
             scope=\"repository:team/no:pull\""
        )
    );
    expect(&served.ask("GET", "/v2/other/tags/list", &[ANN], b""), 403, "DENIED");
    expect(&served.ask("GET", "/v2/", &[WRONG], b""), 401, "UNAUTHORIZED");
    expect(&served.ask("GET", "/v2/", &[ANN, ROOT], b""), 401, "UNAUTHORIZED");
    assert_eq!(served.ask("GET", "/v2/", &[ANN], b"").status, 200);
}

#[test]
fn a_token_by_form_or_by_query_does_what_was_asked_for() {
    let (served, _directory) = guarded();
    let form = b"grant_type=password&service=origin.example&username=ann&password=ann-pw\
                 &scope=repository:team/app:pull,push";
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let answer = served.ask("POST", "/token", &[kind], form);
    assert_eq!(answer.status, 200, "{answer}");
    let posted = format!("Bearer {}", answer.json().unwrap()["access_token"].as_str().unwrap());
    assert_eq!(push_blob(&served, ("authorization", &posted), "team/app", b"a").status, 201);
    let asked = bearer(&served, "scope=repository:team/app:pull,push", &[ANN]);
    assert_eq!(push_blob(&served, ("authorization", &asked), "team/app", b"b").status, 201);
    let refused = push_blob(&served, ("authorization", &asked), "team/other", b"b");
    expect(&refused, 401, "UNAUTHORIZED");
    assert!(refused.header("www-authenticate").unwrap().contains("insufficient_scope"));
    let delete = format!("/v2/team/app/blobs/{}", Digest::sha256_of(b"a"));
    let asked = bearer(&served, "scope=repository:team/app:delete", &[ANN]);
    let refused = served.ask("DELETE", &delete, &[("authorization", &asked)], b"");
    expect(&refused, 403, "DENIED");

    let refused = served.ask("GET", "/token", &[WRONG], b"");
    expect(&refused, 401, "UNAUTHORIZED");
    assert!(refused.header("www-authenticate").unwrap().starts_with("Basic"));
    let huge = vec![b'a'; 100_000];
    expect(&served.ask("POST", "/token", &[kind], &huge), 413, "BODY_TOO_LARGE");
    let refused = served.ask("PUT", "/token", &[], b"");
    expect(&refused, 405, "UNSUPPORTED");
    assert_eq!(refused.header("allow"), Some("GET, POST"));
    let open = Served::start(Store::Memory);
    expect(&open.get("/token"), 404, "NOT_FOUND");
}

#[test]
fn a_blob_is_mounted_only_from_where_the_caller_may_pull() {
    let (served, _directory) = guarded();
    let digest = Digest::sha256_of(b"secret");
    assert_eq!(push_blob(&served, ROOT, "private/app", b"secret").status, 201);
    for query in [format!("mount={digest}&from=private/app"), format!("mount={digest}")] {
        let target = format!("/v2/team/app/blobs/uploads/?{query}");
        assert_eq!(served.ask("POST", &target, &[ANN], b"").status, 202, "it becomes an upload");
        let target = format!("/v2/other/app/blobs/uploads/?{query}");
        assert_eq!(served.ask("POST", &target, &[ROOT], b"").status, 201);
    }
    let target = format!("/v2/team/app/blobs/{digest}");
    assert_eq!(served.ask("GET", &target, &[ANN], b"").status, 404);
}

#[test]
fn a_list_of_repositories_shows_what_the_caller_may_pull() {
    let (served, _directory) = guarded();
    for repository in ["open/a", "team/a", "private/a"] {
        assert_eq!(push_blob(&served, ROOT, repository, b"x").status, 201);
        let manifest = content::encode(&content::index(&[]));
        let headers = [ROOT, ("content-type", "application/vnd.oci.image.index.v1+json")];
        let target = format!("/v2/{repository}/manifests/v1");
        assert_eq!(served.ask("PUT", &target, &headers, &manifest).status, 201);
    }
    let list = served.ask("GET", "/v2/_catalog", &[ROOT], b"").json().unwrap();
    assert_eq!(list["repositories"], serde_json::json!(["open/a", "private/a", "team/a"]));
    expect(&served.ask("GET", "/v2/_catalog", &[ANN], b""), 403, "DENIED");
    expect(&served.get("/v2/_catalog"), 401, "UNAUTHORIZED");
    // A token for the list alone does not show what its bearer could ask for.
    let token = bearer(&served, "scope=registry:catalog:*", &[ROOT]);
    let list = served.ask("GET", "/v2/_catalog", &[("authorization", &token)], b"");
    assert_eq!(list.json().unwrap()["repositories"], serde_json::json!([]));
}

#[test]
fn a_read_only_registry_answers_reads_and_says_why_it_takes_no_pushes() {
    let served = Served::start_with(Store::Memory, |settings| settings.writes = Writes::Refused);
    assert_eq!(served.get("/v2/").status, 200);
    expect(&served.get("/v2/a/manifests/v1"), 404, "MANIFEST_UNKNOWN");
    for (method, target) in [
        ("POST", "/v2/a/blobs/uploads/"),
        ("PUT", "/v2/a/manifests/v1"),
        ("DELETE", "/v2/a/manifests/v1"),
    ] {
        let refused = served.ask(method, target, &[], b"");
        expect(&refused, 405, "UNSUPPORTED");
        assert!(refused.text().contains("read-only"), "{refused}");
    }
}

#[test]
fn a_client_that_asks_too_often_is_told_when_to_come_again() {
    let number = |number| NonZeroU32::new(number).unwrap();
    let limits = LimitSettings {
        mode: LimitMode::Enforce,
        requests_per_second: number(1),
        burst: number(3),
        uploads: number(1),
        clients: 100,
    };
    let served = Served::start_with(Store::Memory, |settings| settings.limits = limits);
    let answers: Vec<_> = (0..20).map(|_| served.get("/v2/")).collect();
    assert!(answers[..3].iter().all(|answer| answer.status == 200));
    let refused = answers.iter().find(|answer| answer.status != 200).unwrap();
    expect(refused, 429, "TOOMANYREQUESTS");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&seconds), "{seconds}");
    // Observed only, nobody is refused.
    let limits = LimitSettings { mode: LimitMode::Observe, ..limits };
    let served = Served::start_with(Store::Memory, |settings| settings.limits = limits);
    assert!((0..20).all(|_| served.get("/v2/").status == 200));
}

#[test]
fn pushes_mounts_and_deletions_are_told_with_who_did_them() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("events");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (mut served, _directory) = guarded_with(|settings| {
        let file = EventFile { directory: place.clone(), rotate_bytes: 1 << 20, keep_files: 1 };
        let _inside = runtime.enter();
        let settings_of_events = EventSettings { file: Some(file), webhooks: Vec::new() };
        settings.events = Events::open(settings_of_events).unwrap();
    });
    assert_eq!(push_blob(&served, ANN, "team/a", b"x").status, 201);
    let digest = Digest::sha256_of(b"x");
    let mount = format!("/v2/team/b/blobs/uploads/?mount={digest}&from=team/a");
    assert_eq!(served.ask("POST", &mount, &[ANN], b"").status, 201);
    let index = "application/vnd.oci.image.index.v1+json";
    let manifest = content::encode(&content::index(&[]));
    let headers = [ANN, ("content-type", index)];
    assert_eq!(served.ask("PUT", "/v2/team/a/manifests/v1", &headers, &manifest).status, 201);
    assert_eq!(served.ask("DELETE", "/v2/team/a/manifests/v1", &[ROOT], b"").status, 202);
    expect(&push_blob(&served, WRONG, "team/a", b"y"), 401, "UNAUTHORIZED");
    served.stop();

    let text = fs::read_to_string(place.join("events.jsonl")).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            ["action", "kind", "repository", "actor"].map(|field| event[field].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        told,
        [
            ["push", "blob", "team/a", "user:ann"],
            ["mount", "blob", "team/b", "user:ann"],
            ["push", "manifest", "team/a", "user:ann"],
            ["delete", "tag", "team/a", "user:root"],
        ]
    );
    assert_eq!(events[0]["digest"], digest.to_string());
    assert_eq!(events[2]["mediaType"], index);
    assert_eq!((&events[2]["tag"], &events[2]["size"]), (&"v1".into(), &manifest.len().into()));
    let ids: BTreeSet<_> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 4);
}

/// skopeo with a file of credentials of its own.
struct Client {
    skopeo: Skopeo,
    directory: TempDir,
    address: String,
}

impl Client {
    fn new(served: &Served) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(directory.path().join("layout")).unwrap();
        let image = Recipe::default().pack().unwrap();
        layout.put_image(&image).unwrap();
        layout.tag("v1", &image.manifest).unwrap();
        Self { skopeo: Skopeo::new().unwrap(), directory, address: served.address.to_string() }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.skopeo.command().unwrap();
        command.args(words).arg("--authfile").arg(self.directory.path().join("auth.json"));
        command
    }

    fn login(&self, user: &str, password: &str) -> anyhow::Result<()> {
        let mut command = self.command(&["login", "--tls-verify=false"]);
        command.args(["--username", user, "--password", password, &*self.address]);
        run(&mut command, LIMIT).map(drop)
    }

    fn push(&self, name: &str) -> anyhow::Result<()> {
        let mut command = self.command(&["copy", "--quiet", "--dest-tls-verify=false"]);
        command.arg(format!("oci:{}:v1", self.directory.path().join("layout").display()));
        run(command.arg(format!("docker://{}/{name}", self.address)), LIMIT).map(drop)
    }

    fn pull(&self, name: &str) -> anyhow::Result<()> {
        let target = tempfile::tempdir_in(self.directory.path()).unwrap();
        let mut command = self.command(&["copy", "--quiet", "--src-tls-verify=false"]);
        command.arg(format!("docker://{}/{name}", self.address));
        run(command.arg(format!("dir:{}", target.path().display())), LIMIT).map(drop)
    }

    fn delete(&self, name: &str) -> anyhow::Result<()> {
        let mut command = self.command(&["delete", "--tls-verify=false"]);
        run(command.arg(format!("docker://{}/{name}", self.address)), LIMIT).map(drop)
    }
}

#[test]
fn skopeo_logs_in_pushes_pulls_and_deletes_as_the_rules_allow() {
    let (served, _directory) = guarded();
    let nobody = Client::new(&served);
    let refused = format!("{:#}", nobody.push("team/app:v1").unwrap_err());
    assert!(refused.contains("HTTP 401"), "{refused}");

    let ann = Client::new(&served);
    assert!(ann.login("ann", "wrong").is_err());
    assert!(ann.login("eve", "ann-pw").is_err());
    ann.login("ann", "ann-pw").unwrap();
    ann.push("team/app:v1").unwrap();
    ann.push("open/app:v1").unwrap();
    ann.pull("team/app:v1").unwrap();
    let refused = format!("{:#}", ann.push("private/app:v1").unwrap_err());
    assert!(refused.contains("403"), "{refused}");
    ann.delete("team/app:v1").unwrap_err();
    ann.pull("team/app:v1").unwrap();

    nobody.pull("open/app:v1").unwrap();
    nobody.pull("team/app:v1").unwrap_err();

    let root = Client::new(&served);
    root.login("root", "root-pw").unwrap();
    root.delete("team/app:v1").unwrap();
    ann.pull("team/app:v1").unwrap_err();
}
