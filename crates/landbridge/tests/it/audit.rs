//! `landbridge audit`: damage is found, fronts hear of it, and it is repaired.

use std::fs;
use std::path::Path;
use std::process::Command;

use landbridge_testkit::{DockerRegistry, Skopeo, run};

use crate::content::Content;
use crate::running::{Data, Failed, Front, LIMIT, landbridge, run_to_end, until};

/// Somebody in a region of AWS.
const FROM_AWS: [(&str, &str); 1] = [("x-forwarded-for", "3.5.140.1")];

fn audit(data: &Data, arguments: &[&str]) -> Command {
    let mut command = landbridge();
    command.arg("audit").args(arguments).arg("--data").arg(data.path());
    command
}

/// The report without what differs from run to run.
fn told(text: &str, directory: &Path) -> String {
    let text = text.replace(&format!("{}", directory.display()), "DATA");
    text.lines().filter(|line| !line.starts_with("checked: ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn damage_is_found_fronts_stop_sending_there_and_a_repair_brings_them_back() {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let [one, two] = [0, 1].map(|at| &content.amd.layers[at]);
    let blobs = data.path().join("mirrors/aws-us-east-2/blobs/sha256");
    let file = |digest: &str| blobs.join(digest.strip_prefix("sha256:").unwrap());
    let front = Front::over(data.path()).unwrap();
    let served_by = |digest: &str, mirror: &str| {
        let target = format!("/v2/app/blobs/{digest}");
        let start = format!("/-/mirror/{mirror}/");
        until(
            || front.ask("GET", &target, &FROM_AWS),
            |answer| answer.header("location").is_some_and(|to| to.starts_with(&start)),
        )
        .unwrap();
    };
    let clean = run(&mut audit(&data, &["--check", "full"]), LIMIT).unwrap().text();
    assert!(clean.contains("nothing wrong"), "{clean}");
    served_by(&one.digest, "aws-us-east-2");
    served_by(&two.digest, "aws-us-east-2");

    fs::remove_file(file(&one.digest)).unwrap();
    fs::write(file(&two.digest), vec![0; two.bytes.len()]).unwrap();
    let metrics = data.path().join("audit.prom");
    let arguments = ["--check", "full", "--seed", "7", "--prometheus", metrics.to_str().unwrap()];
    let Failed { code, stdout, stderr } = run_to_end(&mut audit(&data, &arguments)).unwrap();
    assert_eq!(code, Some(1), "{stderr}");
    insta::assert_snapshot!("audit of a damaged mirror", told(&stdout, data.path()));
    let metrics = fs::read_to_string(metrics).unwrap();
    let absent = r#"landbridge_audit_findings{copy="aws-us-east-2",kind="absent"} 1"#;
    assert!(metrics.lines().any(|line| line == absent), "{metrics}");
    served_by(&one.digest, "gcp-us-central1");
    served_by(&two.digest, "gcp-us-central1");

    let repair = audit(&data, &["--check", "full", "--repair", "--json"]);
    let Failed { code, stdout, .. } = run_to_end(&mut { repair }).unwrap();
    assert_eq!(code, Some(1), "{stdout}");
    let last: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["copies"][1]["repaired"]), (&"report".into(), &2.into()));
    assert_eq!(fs::read(file(&two.digest)).unwrap(), two.bytes);
    let again = run(&mut audit(&data, &["--check", "full"]), LIMIT).unwrap().text();
    assert!(!again.contains("absent"), "{again}");
    served_by(&one.digest, "aws-us-east-2");
    served_by(&two.digest, "aws-us-east-2");
}

#[test]
fn a_copy_is_asked_through_its_address_and_the_registry_for_its_tags() {
    let content = Content::pack().unwrap();
    let (skopeo, registry) = (Skopeo::new().unwrap(), DockerRegistry::start().unwrap());
    content.push(&skopeo, &registry).unwrap();
    let data = Data::new().unwrap();
    let mut replicate = landbridge();
    replicate.args(["replicate", "--from", &registry.url(), "--data"]).arg(data.path());
    run(&mut replicate, LIMIT).unwrap();
    let front = Front::over(data.path()).unwrap();
    // The same buckets, one of them as the front shows it.
    let file = data.path().join("landbridge.yaml");
    let text = format!(
        "origins:\n\
         - name: prod\n  \
           registry: {{ url: \"{}\", delivery: proxy }}\n  \
           store: {{ url: ./origin, catalog: landbridge-data, keys: [keys/landbridge.pem.pub] }}\n\
         mirrors:\n\
         - name: aws\n  \
           bucket:\n    \
             url: http://{}/-/mirror/aws-us-east-2\n    \
             layout: blobs\n    \
             store: ./mirrors/aws-us-east-2\n\
         sites: [{{ name: all, hosts: [\"*\"], origin: prod }}]\n\
         replicate: {{ signers: [{{ key_file: keys/landbridge.pem }}] }}\n",
        registry.url(),
        front.address,
    );
    fs::write(&file, text).unwrap();
    let audit = |arguments: &[&str]| {
        let mut command = landbridge();
        command.args(["audit", "--check", "full", "--config"]).arg(&file).args(arguments);
        run_to_end(&mut command).unwrap()
    };
    let Failed { code, stdout, stderr } = audit(&[]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let through = format!("aws, through http://{}/-/mirror/aws-us-east-2: ", front.address);
    assert!(stdout.contains(&through), "{stdout}");

    // Another image takes the tag's place, and nobody publishes it.
    skopeo.push(&content.amd.manifest, &[&content.amd], &registry, "app:docker").unwrap();
    let Failed { code, stdout, stderr } = audit(&["--no-mark"]);
    assert_eq!(code, Some(1), "{stdout}{stderr}");
    assert!(stdout.contains("tag_differs"), "{stdout}");

    drop(registry);
    let Failed { code, stdout, .. } = audit(&["--copies-only"]);
    assert_eq!(code, Some(0), "{stdout}");
    let Failed { code, stdout, .. } = audit(&[]);
    assert_eq!(code, Some(3), "{stdout}");
    front.stop().unwrap();
    let Failed { code, stdout, .. } = audit(&["--copies-only"]);
    assert_eq!(code, Some(3), "{stdout}");
    assert!(stdout.contains("could not be asked to the end"), "{stdout}");
}
