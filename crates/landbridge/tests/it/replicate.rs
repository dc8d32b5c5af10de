//! `landbridge replicate`: what a registry holds becomes a release.

mod counted;
mod project;
mod whole;

use std::fs;

use landbridge_testkit::{DockerRegistry, Platforms, Skopeo, run};

use crate::content::{Content, single, source};
use crate::running::{Data, Failed, Front, LIMIT, landbridge, run_to_end, until};

const NOTHING: Vec<String> = Vec::new();

#[test]
fn debians_registry_becomes_a_release_and_is_not_needed_any_more() {
    let content = Content::pack().unwrap();
    let (skopeo, registry) = (Skopeo::new().unwrap(), DockerRegistry::start().unwrap());
    content.push(&skopeo, &registry).unwrap();
    let data = Data::new().unwrap();
    let replicate = || {
        let mut command = landbridge();
        command.args(["replicate", "--from", &registry.url(), "--data"]).arg(data.path());
        command
    };

    let planned = run(replicate().arg("--dry-run"), LIMIT).unwrap().text();
    assert!(planned.contains("app:v1 is new"), "{planned}");
    assert!(planned.contains("aws-us-east-2: write"), "{planned}");
    let published = run(&mut replicate(), LIMIT).unwrap().text();
    assert!(published.contains("published as 1: sha256:"), "{published}");
    let again = run(&mut replicate(), LIMIT).unwrap().text();
    assert!(again.contains("0 of 0 objects read"), "{again}");
    assert!(again.contains("nothing new to publish"), "{again}");

    drop(registry);
    let front = Front::over(data.path()).unwrap();
    let pulled = skopeo.pull(&front.reference("app:v1"), Platforms::All).unwrap();
    assert_eq!((pulled.lacks(&content.amd), pulled.lacks(&content.arm)), (NOTHING, NOTHING));
    let pulled = skopeo.pull(&front.reference("app:docker"), Platforms::One).unwrap();
    assert_eq!(pulled.lacks(&content.docker), NOTHING);
}

#[test]
fn what_was_pushed_to_the_local_origin_is_served_by_the_mirrors_after_it() {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let front = Front::over(data.path()).unwrap();
    let origin = front.origin().unwrap();
    let skopeo = Skopeo::new().unwrap();
    let images = [&content.amd, &content.arm];
    skopeo.push_to(&content.index, &images, &format!("{origin}/team/demo:1"), None).unwrap();

    let from = format!("http://{origin}");
    let mut command = landbridge();
    command.args(["replicate", "--from", &from, "--repository", "team/demo", "--data"]);
    let report = run(command.arg(data.path()), LIMIT).unwrap().text();
    assert!(report.contains("team/demo:1 is sha256:"), "{report}");
    // Published, it is redirected to whichever mirror is near; before, the front streamed it.
    let target = format!("/v2/team/demo/blobs/{}", content.amd.layers[0].digest);
    let answer = until(|| front.get(&target), |answer| answer.status == 307).unwrap();
    assert!(answer.header("location").unwrap().starts_with("/-/mirror/"), "{answer}");
}

#[test]
fn a_configuration_names_the_key_the_registry_and_where_to() {
    let content = Content::pack().unwrap();
    let (skopeo, registry) = (Skopeo::new().unwrap(), DockerRegistry::start().unwrap());
    content.push(&skopeo, &registry).unwrap();
    // For a key and its public half.
    let data = content.data().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("landbridge.yaml");
    let keys = data.path().join("keys");
    let write = |replicate: &str| {
        let text = format!(
            "origins:\n\
             - name: prod\n  \
               registry: {{ url: \"{}\", delivery: proxy }}\n  \
               store: {{ url: ./authority, catalog: prod, keys: [{keys}/landbridge.pem.pub] }}\n\
             mirrors:\n\
             - {{ name: east, embedded: {{ store: ./east }}, prices: {{ writes: 1 USD/1000 }} }}\n\
             - {{ name: west, embedded: {{ store: ./west, layout: containers-images }} }}\n\
             sites: [{{ name: all, hosts: [\"*\"], origin: prod }}]\n\
             {replicate}",
            registry.url(),
            keys = keys.display(),
        );
        fs::write(&file, text).unwrap();
    };
    let failed = |expected: &str| {
        let Failed { code, stderr, .. } =
            run_to_end(landbridge().args(["replicate", "--config"]).arg(&file)).unwrap();
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    };
    write("");
    failed("has no `replicate`");
    write("replicate: { signers: [{ key_file: ./none.pem }] }");
    failed("none.pem` cannot be read");
    write(&format!(
        "replicate: {{ signers: [{{ key_file: {}/landbridge.pem }}], origin: nobody }}",
        keys.display()
    ));
    failed("`nobody` is no origin with a `registry` and a `store`");

    write(&format!(
        "replicate: {{ signers: [{{ key_file: {}/landbridge.pem }}], repositories: [app] }}",
        keys.display()
    ));
    let replicate = |arguments: &[&str]| {
        let mut command = landbridge();
        command.args(["replicate", "--config"]).arg(&file).args(arguments);
        command
    };
    let planned = run(&mut replicate(&["--dry-run", "--json"]), LIMIT).unwrap().text();
    let planned: serde_json::Value = serde_json::from_str(&planned).unwrap();
    let costs = &planned["costs"];
    assert_eq!((&planned["event"], &costs["edges"][0]["flow"]), (&"plan".into(), &"read".into()));
    let total = costs["total"].as_str().unwrap();
    let refused = |arguments: &[&str]| {
        let Failed { code, stderr, .. } = run_to_end(&mut replicate(arguments)).unwrap();
        assert!(code == Some(1) && stderr.contains("here -> east: write"), "{stderr}");
        assert!(stderr.contains(&format!("the plan costs {total}, more than the 0.001 USD")));
        assert!(!dir.path().join("east/blobs").exists());
    };
    refused(&["--max-cost", "0.001 USD"]);
    refused(&["--max-cost", "0.001 USD", "--dry-run"]);
    let euros = run_to_end(&mut replicate(&["--max-cost", "1 EUR"])).unwrap();
    assert_eq!(euros.code, Some(2), "{}", euros.stderr);
    let report = run(&mut replicate(&["--max-cost", total]), LIMIT).unwrap().text();
    assert!(report.contains("published as 1"), "{report}");
    let layer = &content.amd.layers[0].digest;
    let hex = layer.strip_prefix("sha256:").unwrap();
    assert!(dir.path().join(format!("east/blobs/sha256/{hex}")).is_file());
    assert!(dir.path().join(format!("west/containers/images/{layer}")).is_file());
}

#[test]
fn a_release_is_listed_compared_and_gone_back_to() {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let (_dir, layout) = single(&content.docker).unwrap();
    data.import(&source(&layout), "app:v1").unwrap();
    let generation = |arguments: &[&str]| {
        let mut command = landbridge();
        command.arg("generation").args(arguments).arg("--data").arg(data.path());
        command
    };
    let answer = |arguments: &[&str]| run(&mut generation(arguments), LIMIT).unwrap().text();

    let listed = answer(&["list"]);
    let lines: Vec<_> = listed.lines().collect();
    assert!(lines[0].starts_with("2* ") && lines[1].starts_with("     1  "), "{listed}");
    let (index, docker) = (&content.index.digest, &content.docker.manifest.digest);
    let moved = answer(&["diff", "1"]);
    assert!(moved.starts_with(&format!("~ app:v1 {index} -> {docker}\n0 objects more")), "{moved}");

    let front = Front::over(data.path()).unwrap();
    let tag = |digest: &str| {
        until(
            || front.get("/v2/app/manifests/v1"),
            |answer| answer.header("docker-content-digest") == Some(digest),
        )
        .unwrap();
    };
    tag(docker);
    let back = answer(&["rollback", "1", "--reason", "a test"]);
    assert!(back.starts_with("published as 3: sha256:") && back.lines().count() == 1, "{back}");
    tag(index);
    assert!(answer(&["list"]).contains("a test"));
    assert_eq!(answer(&["diff", "1", "3"]), "0 objects more (0 B)\n0 objects less (0 B)");

    let ended = run_to_end(&mut generation(&["diff", "7"])).unwrap();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("`7` is none of the releases"), "{}", ended.stderr);
}
