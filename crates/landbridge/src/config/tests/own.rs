//! The `origin` section.

use landbridge_origin::access::Who;
use landbridge_origin::gc::Order;
use landbridge_origin::limits::LimitMode;
use landbridge_origin::settings::Writes;

use super::*;

fn own(text: &str) -> crate::own::OwnSettings {
    own_with(text, Secrets::Skip).unwrap()
}

fn own_with(text: &str, secrets: Secrets) -> Result<crate::own::OwnSettings, Problems> {
    super::super::load(&source(text), &[], secrets).map(|config| config.own.unwrap())
}

fn own_problems(text: &str) -> String {
    let refused = super::super::load(&source(text), &[], Secrets::Skip).unwrap_err();
    refused.to_string().replace(env!("CARGO_MANIFEST_DIR"), "BASE")
}

#[test]
fn every_mistake_of_an_origin_is_named_at_once_with_its_place() {
    insta::assert_snapshot!(own_problems(include_str!("bad_origin.yaml")));
}

#[test]
fn an_origin_that_everyone_could_write_to_is_refused_where_its_address_was_given() {
    let text = "origin: {store: bucket, listen: {address: \"192.0.2.1:5000\"}}\n";
    insta::assert_snapshot!(own_problems(text), @"landbridge.yaml:1:43: origin.listen.address: `192.0.2.1:5000` is no loopback address, and without access rules everyone could push and delete there: say who may in `origin.access.rules`, or listen on 127.0.0.1");
    let set = [Override::flag("--listen", "origin.listen.address", "[::]:5000")];
    let refused = super::super::load(&source("origin: {store: bucket}\n"), &set, Secrets::Skip);
    let refused = refused.unwrap_err().to_string();
    assert!(refused.starts_with("--listen: origin.listen.address: `[::]:5000` is no loopback"));
    own("origin: {store: bucket, listen: {address: \"[::1]:5000\"}}\n");
    let nobody = own_problems("origin: {store: bucket, access: {rules: []}}\n");
    assert!(nobody.contains("origin.access.rules: is empty, so nobody could do"), "{nobody}");
    own(
        "origin: {store: bucket, listen: {address: \"0.0.0.0:5000\"}, access: {rules: [{who: [anyone], repositories: [\"*\"], may: [pull]}]}}\n",
    );
}

#[test]
fn access_rules_become_one_for_each_of_those_whom_they_are_about() {
    let settings = own("
origin:
  store: bucket
  writes: refused
  clients: {mode: enforce, burst: 7}
  access:
    htpasswd: absent/htpasswd
    issuers: [{name: ci, url: \"https://ci.example.org\", audience: registry}]
    tokens: {url: \"https://registry.example.org:8443\", key: token.pem, lifetime: 10m}
    rules:
      - {who: [\"user:ann\", any-user], repositories: [team/**, app], may: [push, delete]}
      - who: [\"oidc:ci:repo:team/*:ref:refs/tags/v*\"]
        claims: {environment: release, ref_protected: \"true\"}
        repositories: [team/app]
        may: [push]
  gc:
    retention: {tags: [{repositories: \"*\", tags: ci-*, keep: 5, order: pushed}], untagged: 30d}
");
    let access = settings.access.unwrap();
    assert_eq!((settings.writes, settings.limits.mode), (Writes::Refused, LimitMode::Enforce));
    assert_eq!((settings.limits.burst.get(), settings.limits.uploads.get()), (7, 32));
    assert_eq!(access.service, "registry.example.org");
    assert_eq!(access.url.unwrap().as_str(), "https://registry.example.org:8443/");
    assert_eq!(access.token_lifetime.as_secs(), 600);
    assert!(access.key.unwrap().ends_with("token.pem"));
    let [ann, any, ci] = &access.rules[..] else { panic!("{:?}", access.rules) };
    assert_eq!((&ann.who, &any.who), (&Who::User("ann".to_owned()), &Who::AnyUser));
    assert_eq!((&ann.repositories, ann.actions), (&any.repositories, any.actions));
    assert_eq!((ann.repositories.len(), ann.actions.push, ann.actions.pull), (2, true, false));
    let Who::Oidc { issuer, subject, claims } = &ci.who else { panic!("{ci:?}") };
    assert_eq!((issuer.as_str(), &*subject.to_string()), ("ci", "repo:team/*:ref:refs/tags/v*"));
    assert_eq!(claims.len(), 2);
    let rule = &settings.retention.tags[0];
    assert_eq!((rule.keep, rule.order), (5, Order::Pushed));
    assert_eq!(settings.retention.untagged.unwrap().as_secs(), 30 * 24 * 60 * 60);
}

#[test]
fn secrets_of_webhooks_are_read_only_when_asked_and_never_printed() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("url"), "https://hooks.example.org/hunter2?token=hunter2\n").unwrap();
    std::fs::write(path("key"), "hunter2\n").unwrap();
    let text = format!(
        "origin:\n  store: bucket\n  events: {{webhooks: [{{name: chat, url_file: {}, secret_file: {}}}]}}\n",
        path("url").display(),
        path("key").display(),
    );
    let settings = own_with(&text, Secrets::Read).unwrap();
    let webhook = &settings.events.webhooks[0];
    assert_eq!(webhook.url.path(), "/hunter2");
    assert_eq!(webhook.secret.as_ref().unwrap().reveal(), "hunter2");
    assert!(!format!("{settings:?}").contains("hunter2"));

    std::fs::write(path("url"), "hunter2").unwrap();
    std::fs::remove_file(path("key")).unwrap();
    let refused = own_with(&text, Secrets::Read).unwrap_err().to_string();
    assert!(refused.contains("webhooks[0].url_file: what it holds is no `http`"), "{refused}");
    assert!(!refused.contains("hunter2"), "{refused}");
    own(&text);
}

#[test]
fn the_registry_of_a_site_that_is_an_origin_with_tls_needs_its_name() {
    let certificate = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let text = format!(
        "
origin: {{store: bucket, listen: {{tls: {{certificate: {certificate}, key: {certificate}}}}}}}
origins: [{{name: own, registry: {{delivery: proxy}}}}]
sites: [{{name: main, hosts: [\"*\"], origin: own}}]
"
    );
    insta::assert_snapshot!(own_problems(&text), @"landbridge.yaml:3:33: origins[0].registry.url: the `origin` speaks TLS, and its certificate is for a name: write `https://NAME:PORT`");
}
