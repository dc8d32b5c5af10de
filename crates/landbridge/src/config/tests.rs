mod failover;
mod legacy;
mod limits;
mod own;
mod plan;
mod policy;

use std::path::Path as FilePath;

use landbridge_front::settings::{Face, OriginKind};

use super::*;

/// A source whose relative paths lead to this crate.
fn source(text: &str) -> Source {
    let base = FilePath::new(env!("CARGO_MANIFEST_DIR")).to_owned();
    Source { name: "landbridge.yaml".to_owned(), text: text.to_owned(), base }
}

fn load(source: &Source, overrides: &[Override], secrets: Secrets) -> Result<Settings, Problems> {
    super::load(source, overrides, secrets).map(|config| config.front.unwrap())
}

fn problems(text: &str) -> String {
    match load(&source(text), &[], Secrets::Skip) {
        Ok(settings) => panic!("nothing is wrong: {settings:#?}"),
        Err(problems) => problems.to_string().replace(env!("CARGO_MANIFEST_DIR"), "BASE"),
    }
}

const GOOD: &str = "
origins:
  - name: upstream
    registry: {url: https://registry.example.org}
mirrors:
  - name: ohio
    provider: aws
    region: us-east-2
    bucket: {url: https://ohio.example.org/, layout: containers-images}
sites:
  - name: main
    hosts: [Registry.Example.org]
    origin: upstream
    routes:
      - {provider: aws, copies: [ohio]}
    default:
      - {copy: ohio, weight: 3}
      - {copy: upstream}
    pages:
      /: {redirect: https://example.org/}
";

#[test]
fn a_good_file_becomes_settings() {
    let settings = load(&source(GOOD), &[], Secrets::Skip).unwrap();
    let site = &settings.sites[0];
    assert_eq!(site.hosts, ["registry.example.org"]);
    assert_eq!((site.origin, &site.mirrors[..]), (0, &[1][..]));
    assert_eq!(site.defaults, [(1, 3), (0, 1)]);
    assert_eq!(site.neighbours[0].copies, [1]);
    let faces = settings.copies.iter().map(|copy| match &copy.face {
        Face::Bucket { url, layout } => format!("{}: bucket {url}, {layout:?}", copy.name),
        Face::Registry { url, repository_prefix } => {
            format!("{}: registry {url}, `{repository_prefix}`", copy.name)
        }
        face => panic!("{face:?}"),
    });
    assert_eq!(
        faces.collect::<Vec<_>>(),
        [
            "upstream: registry https://registry.example.org/, ``",
            "ohio: bucket https://ohio.example.org/, ContainersImages",
        ]
    );
}

#[test]
fn an_origin_with_a_bucket_and_a_registry_is_two_copies() {
    let key = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let store = format!("store: {{url: bucket, catalog: c, keys: [{key:?}]}}");
    let text = GOOD.replacen("registry:", &format!("{store}\n    registry:"), 1);
    let settings = load(&source(&text), &[], Secrets::Skip).unwrap();
    let names: Vec<_> = settings.copies.iter().map(|copy| copy.name.as_str()).collect();
    assert_eq!(names, ["upstream", "upstream/registry", "ohio"]);
    let OriginKind::Store { registry: Some(registry), .. } = &settings.origins[0].kind else {
        panic!("{:?}", settings.origins);
    };
    assert_eq!((settings.origins[0].copy, registry.copy), (0, 1));
    let site = &settings.sites[0];
    assert_eq!((&site.mirrors[..], &site.defaults[..]), (&[2][..], &[(2, 3), (0, 1)][..]));
}

#[test]
fn every_mistake_of_a_file_is_named_at_once_with_its_place() {
    insta::assert_snapshot!(problems(include_str!("tests/bad.yaml")));
}

#[test]
fn what_is_no_yaml_is_said_with_its_place() {
    insta::assert_snapshot!(problems("listen:\n  address: [127.0.0.1\nsites: []\n"));
    insta::assert_snapshot!(problems("- a\n- b\n"));
}

#[test]
fn an_empty_file_says_what_is_needed() {
    insta::assert_snapshot!(problems(""));
}

#[test]
fn a_later_source_wins_and_is_blamed_for_its_mistakes() {
    let set = [
        Override::flag("LANDBRIDGE_LISTEN_ADDRESS", "listen.address", "127.0.0.1:1"),
        Override::flag("--listen", "listen.address", "127.0.0.1:2"),
    ];
    let settings = load(&source(GOOD), &set, Secrets::Skip).unwrap();
    assert_eq!(settings.listen.address.port(), 2);

    let wrong = [Override::flag("LANDBRIDGE_RECORDS_MODE", "records.mode", "eech")];
    let refused = load(&source(GOOD), &wrong, Secrets::Skip).unwrap_err().to_string();
    assert_eq!(
        refused,
        "LANDBRIDGE_RECORDS_MODE: records.mode: `eech` is none of `each`, `minute`, `off`; did you mean `each`?"
    );
}

#[test]
fn passwords_are_read_only_when_asked_and_never_printed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, "hunter2\n").unwrap();
    let login =
        format!("credentials: {{username: u, password_file: {}}}, delivery: proxy", file.display());
    let text = GOOD.replace(
        "url: https://registry.example.org",
        &format!("url: https://registry.example.org, {login}"),
    );
    let settings = load(&source(&text), &[], Secrets::Read).unwrap();
    let OriginKind::Registry(registry) = &settings.origins[0].kind else {
        panic!("{:?}", settings.origins);
    };
    assert_eq!(registry.credentials.as_ref().unwrap().password.expose(), "hunter2");
    assert!(!format!("{settings:?}").contains("hunter2"));

    std::fs::remove_file(&file).unwrap();
    load(&source(&text), &[], Secrets::Skip).unwrap();
    let refused = load(&source(&text), &[], Secrets::Read).unwrap_err().to_string();
    assert!(refused.contains("origins[0].registry.credentials.password_file: "), "{refused}");
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let printed = effective(&source(GOOD), &[]).unwrap();
    assert_eq!(effective(&source(&printed), &[]).unwrap(), printed);
    let mut both = Vec::new();
    for text in [GOOD, &printed] {
        both.push(format!("{:?}", load(&source(text), &[], Secrets::Skip).unwrap()));
    }
    assert_eq!(both[0], both[1]);
}

/// Whatever the types are, the shape that is read from their schema must know it: text without a
/// format is listed here by hand.
#[test]
fn the_shape_knows_every_type() {
    fn collect(shape: &Shape, at: &str, free: &mut Vec<String>) {
        match shape.inner() {
            Shape::Mapping(fields) => {
                for field in fields {
                    assert!(!field.doc.is_empty(), "{at}.{} is documented", field.name);
                    collect(&field.shape, &format!("{at}.{}", field.name), free);
                }
            }
            Shape::Text(None) => free.push(at.to_owned()),
            _ => {}
        }
    }
    let free_texts = |shape: &Shape| {
        let mut free = Vec::new();
        collect(shape, "", &mut free);
        free.sort();
        free
    };
    let free = free_texts(&Shape::of_file::<Raw>());
    assert_eq!(
        free,
        [
            ".failover.fronts_command",
            ".mirrors.override.reason",
            ".origin.access.issuers.audience",
            ".origin.access.issuers.url",
            ".origin.access.tokens.service",
            ".origin.events.webhooks.secret_variable",
            ".origin.events.webhooks.url_variable",
            ".origins.override.reason",
            ".origins.registry.credentials.password_variable",
            ".origins.registry.credentials.username",
            ".origins.store.catalog",
            ".origins.store.keys",
            ".replicate.signers.command",
            ".replicate.signers.key_variable",
            ".sites.pages.text",
        ]
    );
    assert_eq!(
        free_texts(&Shape::of_file::<raw::plan::RawPlan>()),
        [
            ".moves.phases.abort.command",
            ".moves.phases.entry.evidence",
            ".moves.phases.entry.gate",
            ".moves.phases.exit.evidence",
            ".moves.phases.exit.gate",
            ".moves.phases.message",
        ]
    );
    assert_eq!(free_texts(&Shape::of_file::<raw::policy::RawPolicy>()), [".approvers.keys"]);
}

#[test]
fn the_reference_names_fields_as_they_are_asked_for() {
    let explain = |path| explain(File::Landbridge, path);
    insta::assert_snapshot!(explain("sites.routes").unwrap());
    insta::assert_snapshot!(explain("records.mode").unwrap());
    insta::assert_snapshot!(explain("record.mode").unwrap_err());
    assert_eq!(explain("sites[0].routes").unwrap(), explain("sites.routes").unwrap());
}
