//! Ports, range files, origins and configurations that are not as they should be.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use landbridge_testkit::DockerRegistry;
use tempfile::TempDir;

use crate::content::Content;
use crate::running::{Failed, Front, landbridge, run_to_end, until};

const ANYWHERE: [&str; 4] = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

/// A configuration, in which `<DIR>` is the directory that it lies in: with brackets, for a key's
/// text may have those letters.
fn written(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("landbridge.yaml");
    let text = text.replace("<DIR>", &dir.path().display().to_string());
    fs::write(&file, text).unwrap();
    (dir, file)
}

fn serve(file: &Path) -> Failed {
    run_to_end(landbridge().arg("serve").args(ANYWHERE).arg("--config").arg(file)).unwrap()
}

#[test]
fn a_port_in_use_is_named() {
    let data = Content::pack().unwrap().data().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flag, other) in [("--listen", "--admin"), ("--admin", "--listen")] {
        let failed = run_to_end(
            landbridge()
                .args(["serve", flag, &address, other, "127.0.0.1:0"])
                .args(["--origin-listen", "127.0.0.1:0", "--data"])
                .arg(data.path()),
        )
        .unwrap();
        assert_eq!(failed.code, Some(2), "{failed:?}");
        assert!(failed.stderr.contains(&address), "{failed:?}");
        assert!(failed.stderr.contains("Address already in use"), "{failed:?}");
        assert_eq!(failed.stdout, "", "nothing is announced that does not run");
    }
}

const LOCAL: &str = "\
ranges: [{ name: ours, format: csv, file: <DIR>/ranges.csv, refresh: 1s }]
trusted_proxies: { cidrs: [127.0.0.0/8] }
origins: [{ name: origin, registry: { url: \"REGISTRY\" } }]
sites: [{ name: all, hosts: [\"*\"], origin: origin }]
records: { directory: <DIR>/records }
";

#[test]
fn a_broken_range_file_is_refused_at_start_and_the_old_one_stays_while_running() {
    let registry = DockerRegistry::start().unwrap();
    let (dir, file) = written(&LOCAL.replace("REGISTRY", &registry.url()));
    let ranges = dir.path().join("ranges.csv");
    for (content, says) in [
        ("nonsense", "`ours` is refused: line 1: not the three fields"),
        ("192.0.2.0/33,aws,us-east-1\n", "192.0.2.0/33"),
        ("0.0.0.0/0,aws,us-east-1\n", "0.0.0.0/0"),
        ("::/16,aws,us-east-1\n", "::/16"),
        ("", "`ours` is refused: no prefix in it"),
    ] {
        fs::write(&ranges, content).unwrap();
        let failed = serve(&file);
        assert_eq!(failed.code, Some(2), "{content:?}: {failed:?}");
        assert!(failed.stderr.contains(says), "{content:?}: {failed:?}");
        assert_eq!(failed.stdout, "", "{content:?}: nothing is announced that does not run");
    }
    fs::remove_file(&ranges).unwrap();
    let failed = serve(&file);
    assert!(failed.stderr.contains("ranges.csv"), "{failed:?}");

    let lines = |provider: &str| -> String {
        let lines = (0..10).map(|n| format!("198.51.{n}.0/24,{provider},somewhere\n"));
        lines.collect::<Vec<_>>().concat()
    };
    fs::write(&ranges, lines("ours")).unwrap();
    let front = Front::configured(&file).unwrap();
    let place = || -> anyhow::Result<String> {
        let explained = run_to_end(landbridge().args([
            "explain",
            "app:v1",
            "--from",
            "198.51.3.1",
            "--json",
            "--server",
            &format!("http://{}", front.admin),
        ]))?;
        Ok(explained.stdout + &explained.stderr)
    };
    // The registry is empty, so that nothing can be explained; the front itself is alive.
    assert!(place().unwrap().contains("MANIFEST_UNKNOWN"), "{}", place().unwrap());
    for broken in ["nonsense".to_owned(), lines("theirs"), lines("ours")[..40].to_owned()] {
        fs::write(&ranges, &broken).unwrap();
        let before = front.log().matches("stay").count();
        until(|| Ok(front.log().matches("stay").count()), |now| *now > before)
            .unwrap_or_else(|error| panic!("{broken:?}: {error}\n{}", front.log()));
        assert_eq!(front.get("/v2/").unwrap().status, 200);
    }
}

#[test]
fn an_origin_that_cannot_be_reached_is_said_to_be_so_and_asked_again() {
    // A port that was free a moment ago, and on which nothing listens.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = LOCAL
        .replace("REGISTRY", &format!("http://{address}"))
        .replace("format: csv, file: <DIR>/ranges.csv, refresh: 1s", "demonstration: true");
    let (_dir, file) = written(&text);
    let front = Front::configured(&file).unwrap();
    assert_eq!(front.get("/v2/").unwrap().status, 200);
    for target in ["/v2/app/manifests/v1", "/v2/app/tags/list"] {
        let answer = front.get(target).unwrap();
        let code = answer.error_code();
        assert_eq!(
            (answer.status, code.as_deref()),
            (503, Some("UNAVAILABLE")),
            "{target}: {answer}"
        );
        assert!(answer.header("retry-after").is_some(), "{answer}");
        assert!(
            !answer.text().contains(&address.to_string()),
            "an operator's address is no client's business"
        );
    }
    let log = front.wait_for("a live origin does not answer").map(|_| front.log()).unwrap();
    assert!(log.contains("origin=\"origin\"") && log.contains("Connection refused"), "{log}");
    for place in [
        ["--config".to_owned(), file.display().to_string()],
        ["--server".to_owned(), format!("http://{}", front.admin)],
    ] {
        let mut explain = landbridge();
        explain.args(["explain", "app:v1", "--from", "192.0.2.1"]).args(&place);
        let failed = run_to_end(&mut explain).unwrap();
        assert_eq!(failed.code, Some(3), "{place:?}: {failed:?}");
        assert!(failed.stderr.contains("origin"), "{place:?}: {failed:?}");
    }
    let nobody = run_to_end(landbridge().args([
        "explain",
        "app:v1",
        "--from",
        "192.0.2.1",
        "--server",
        &format!("http://{address}"),
    ]));
    assert_eq!(nobody.unwrap().code, Some(3));
}

#[test]
fn stores_that_are_not_there_yet_are_waited_for() {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let origin = data.path().join("origin");
    // One that takes pushes would make the directory.
    let own = format!("store: {}\n", origin.display());
    let shown = data.shown().unwrap().replace(&own, "store: pushes\n");
    let (_dir, file) = written(&shown);
    let places = [origin, data.path().join("mirrors")];
    let away = |place: &Path| place.with_extension("away");
    // Mirrors have all that a front needs.
    fs::rename(&places[0], away(&places[0])).unwrap();
    let front = Front::configured(&file).unwrap();
    let answer = front.get("/v2/app/manifests/v1").unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    drop(front);

    // Neither has the next one what the first one kept.
    fs::remove_dir_all(data.path().join("cache")).unwrap();
    fs::rename(&places[1], away(&places[1])).unwrap();
    let front = Front::configured(&file).unwrap();
    let answer = front.get("/v2/app/manifests/v1").unwrap();
    assert_eq!(
        (answer.status, answer.error_code().as_deref()),
        (503, Some("UNAVAILABLE")),
        "{answer}"
    );
    let ready = landbridge_testkit::http::get(&front.admin, "/readyz").unwrap();
    assert_eq!(ready.status, 503, "{ready}");
    for place in &places {
        // Opening a directory makes it.
        fs::remove_dir_all(place).ok();
        fs::rename(away(place), place).unwrap();
    }
    until(|| front.get("/v2/app/manifests/v1"), |answer| answer.status == 200).unwrap();
    assert_eq!(landbridge_testkit::http::get(&front.admin, "/readyz").unwrap().status, 200);
}

#[test]
fn a_pointer_that_somebody_else_signed_is_no_pointer() {
    let (ours, theirs) =
        (Content::pack().unwrap().data().unwrap(), Content::pack().unwrap().data().unwrap());
    // Their authority and their mirrors, but our keys.
    let [our_path, their_path] = [&ours, &theirs].map(|data| data.path().display().to_string());
    let text = ours.shown().unwrap().replace(&our_path, &their_path);
    let text = text.replace(&format!("{their_path}/keys"), &format!("{our_path}/keys"));
    let (_dir, file) = written(&text);
    let front = Front::configured(&file).unwrap();
    let answer = front.get("/v2/app/manifests/v1").unwrap();
    assert_eq!(
        (answer.status, answer.error_code().as_deref()),
        (503, Some("UNAVAILABLE")),
        "{answer}"
    );
    assert!(front.log().contains("signature"), "{}", front.log());
}

#[test]
fn a_wrong_command_line_or_file_is_a_matter_of_usage() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.yaml");
    for arguments in [
        vec!["serve", "--listen", "nowhere"],
        vec!["serve", "--nonsense"],
        vec!["serve", "--config", missing.to_str().unwrap()],
        vec!["explain", "app:v1"],
        vec!["explain", "app:v1", "--from", "nobody"],
        vec!["explain", "APP", "--from", "192.0.2.1"],
        vec!["nonsense"],
        vec![],
    ] {
        let mut command = landbridge();
        command.args(&arguments).env("LANDBRIDGE_DATA", dir.path().join("data"));
        let failed = run_to_end(&mut command).unwrap();
        assert_eq!(failed.code, Some(2), "{arguments:?}: {failed:?}");
        assert!(!failed.stderr.is_empty(), "{arguments:?}");
    }
}
