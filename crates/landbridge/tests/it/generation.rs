//! `landbridge generation`: what was published is shown, kept, and deleted when it is old.

use std::process::Command;

use landbridge_testkit::{http, run};

use crate::content::{Content, source};
use crate::running::{Data, Front, LIMIT, landbridge, run_to_end, until};

fn generation(data: &Data, arguments: &[&str]) -> Command {
    let mut command = landbridge();
    command.arg("generation").args(arguments).arg("--data").arg(data.path());
    command
}

#[test]
fn an_old_release_is_described_pinned_and_pruned_while_a_front_serves() {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let (_dir, layout) = content.layout().unwrap();
    let published = run(&mut generation(&data, &["list"]), LIMIT).unwrap().text().lines().count();
    data.import(&source(&layout), "other").unwrap();
    let number = (published + 1).to_string();
    run(
        &mut generation(&data, &["rollback", &published.to_string(), "--reason", "it is bad"]),
        LIMIT,
    )
    .unwrap();

    let shown = run(&mut generation(&data, &["show", &number]), LIMIT).unwrap().text();
    assert!(shown.contains("  other: ") && shown.contains("` has all of it"), "{shown}");
    let shown = run(&mut generation(&data, &["show"]), LIMIT).unwrap().text();
    assert!(shown.contains("and in force") && !shown.contains("  other: "), "{shown}");
    let unknown = run_to_end(&mut generation(&data, &["show", "99"])).unwrap();
    assert_eq!(unknown.code, Some(2), "{}", unknown.stderr);

    let nothing_old = run(&mut generation(&data, &["prune"]), LIMIT).unwrap().text();
    assert!(nothing_old.contains("0 documents, 0 objects"), "{nothing_old}");
    let all = ["prune", "--keep-releases", "0", "--keep-for", "0s"];
    let prune = |data: &Data| run(generation(data, &all).arg("--apply"), LIMIT).unwrap().text();
    run(&mut generation(&data, &["pin", &number, "--reason", "frozen"]), LIMIT).unwrap();
    let listed = run(&mut generation(&data, &["list"]), LIMIT).unwrap().text();
    assert!(listed.contains("(pinned)"), "{listed}");
    let plan = run(&mut generation(&data, &all), LIMIT).unwrap().text();
    assert!(plan.contains("pinned") && plan.contains("--apply does it"), "{plan}");
    let front = Front::over(data.path()).unwrap();
    prune(&data);
    run(&mut generation(&data, &["show", &number]), LIMIT).unwrap();

    run(&mut generation(&data, &["unpin", &number]), LIMIT).unwrap();
    let twice = run_to_end(&mut generation(&data, &["unpin", &number])).unwrap();
    assert_eq!(twice.code, Some(2), "{}", twice.stderr);
    let report = prune(&data);
    assert!(report.contains("goes   sha256:"), "{report}");
    let listed = run(&mut generation(&data, &["list"]), LIMIT).unwrap().text();
    assert!(listed.contains("(pruned)") && !listed.contains("(pinned)"), "{listed}");
    let gone = run_to_end(&mut generation(&data, &["show", &number])).unwrap();
    assert_eq!(gone.code, Some(3), "{}", gone.stderr);

    // Who serves follows the pointer of the prune, and has all that it had.
    let newest = listed.lines().next().unwrap().split('*').next().unwrap().trim().to_owned();
    let follows = |text: &String| {
        let mut lines =
            text.lines().filter(|line| line.starts_with("landbridge_pointer_sequence{"));
        lines.any(|line| line.ends_with(&format!(" {newest}")))
    };
    until(|| Ok(http::get(&front.admin, "/metrics")?.text()), follows).unwrap();
    assert_eq!(front.get("/v2/app/manifests/docker").unwrap().status, 200);
    let layer = &content.docker.layers[0].digest;
    assert_eq!(front.get(&format!("/v2/app/blobs/{layer}")).unwrap().status, 307);
    data.import(&source(&layout), "other").unwrap();
    until(|| front.get("/v2/other/manifests/docker"), |answer| answer.status == 200).unwrap();
}
