//! `landbridge withdraw`: gone at once, from every release and every copy.

use std::process::Command;

use landbridge_testkit::{Skopeo, run};

use crate::content::{Content, source};
use crate::running::{Data, Front, LIMIT, landbridge, run_to_end, until};

fn withdraw(data: &Data, arguments: &[&str]) -> Command {
    let mut command = landbridge();
    command.arg("withdraw").args(arguments).arg("--data").arg(data.path());
    command
}

#[test]
fn a_front_obeys_at_its_next_poll_by_tag_and_by_digest_and_in_every_list() {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let front = Front::over(data.path()).unwrap();
    let gone = |target: &str| {
        until(|| front.get(target), |answer| answer.status == 404).unwrap();
    };
    let (docker, layer) = (&content.docker.manifest.digest, &content.docker.layers[0].digest);
    assert_eq!(front.get("/v2/app/manifests/docker").unwrap().status, 200);
    let tags = front.get("/v2/app/tags/list").unwrap().text();
    assert!(tags.contains("docker"), "{tags}");

    let answer = run(&mut withdraw(&data, &[docker, "--reason", "a key is in it"]), LIMIT).unwrap();
    let text = answer.text();
    assert_eq!(text, "list 1 of withdrawals is in force: 1 digests are withdrawn");
    gone("/v2/app/manifests/docker");
    gone(&format!("/v2/app/manifests/{docker}"));
    let tags = front.get("/v2/app/tags/list").unwrap().text();
    assert!(!tags.contains("docker") && tags.contains("v1"), "{tags}");
    // Its layer is still there, until it is withdrawn too, here and where clients are sent.
    assert_eq!(front.get(&format!("/v2/app/blobs/{layer}")).unwrap().status, 307);
    let hex = layer.strip_prefix("sha256:").unwrap();
    let direct = format!("/-/mirror/aws-us-east-2/blobs/sha256/{hex}");
    assert_eq!(front.get(&direct).unwrap().status, 200);
    run(&mut withdraw(&data, &[layer, "--reason", "that one"]), LIMIT).unwrap();
    gone(&format!("/v2/app/blobs/{layer}"));
    gone(&direct);
    let listed = run(&mut withdraw(&data, &["--list"]), LIMIT).unwrap().text();
    assert!(listed.contains("a key is in it") && listed.lines().count() == 2, "{listed}");

    // One image of an index: the rest of it stays.
    let amd = &content.amd.manifest.digest;
    run(&mut withdraw(&data, &[amd, "--reason", "broken"]), LIMIT).unwrap();
    gone(&format!("/v2/app/manifests/{amd}"));
    assert_eq!(front.get("/v2/app/manifests/v1").unwrap().status, 200);
    let arm = format!("/v2/app/manifests/{}", content.arm.manifest.digest);
    assert_eq!(front.get(&arm).unwrap().status, 200);

    // What is published next does not bring it back, and an older release neither.
    let (_dir, layout) = content.layout().unwrap();
    let report = data.import(&source(&layout), "app").unwrap().text();
    assert!(report.contains("`app:docker` is withdrawn"), "{report}");
    let mut back = landbridge();
    back.args(["generation", "rollback", "1", "--reason", "a test", "--data"]).arg(data.path());
    run(&mut back, LIMIT).unwrap();
    gone("/v2/app/manifests/docker");
    drop(front);
    let front = Front::over(data.path()).unwrap();
    assert_eq!(front.get(&format!("/v2/app/manifests/{docker}")).unwrap().status, 404);
    assert_eq!(front.get("/v2/app/manifests/docker").unwrap().status, 404);
    let ended = run_to_end(&mut withdraw(&data, &[docker])).unwrap();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}

#[test]
fn what_was_pushed_and_not_published_is_withdrawn_too() {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let front = Front::over(data.path()).unwrap();
    let origin = front.origin().unwrap();
    let skopeo = Skopeo::new().unwrap();
    // Of two things that are withdrawn, one is pushed again.
    let images = [&content.amd, &content.arm];
    skopeo.push_to(&content.index, &images, &format!("{origin}/team/demo:1"), None).unwrap();
    let (tag, index) = ("/v2/team/demo/manifests/1", &content.index.digest);
    until(|| front.get(tag), |answer| answer.status == 200).unwrap();
    run(&mut withdraw(&data, &[index, "--reason", "a test"]), LIMIT).unwrap();
    until(|| front.get(tag), |answer| answer.status == 404).unwrap();
    skopeo.push_to(&content.index, &images, &format!("{origin}/team/demo:2"), None).unwrap();
    for reference in [index.as_str(), "2"] {
        let answer = front.get(&format!("/v2/team/demo/manifests/{reference}")).unwrap();
        assert_eq!(answer.status, 404, "{answer}");
    }
}
