//! `landbridge drill`, from files of records to an exit code.

use std::fs;

use crate::program::landbridge;

const RECORDS: &str = r#"{"time":"2026-06-10T12:00:00.000Z","site":"registry.example","method":"GET","kind":"manifest","repository":"a/b","provider":"aws","region":"us-east-1","status":200,"bytes":900,"answers":60}
{"time":"2026-06-10T12:00:00.000Z","site":"registry.example","method":"GET","kind":"blob","repository":"a/b","provider":"aws","region":"us-east-1","copy":"s3-us-east-1","status":307,"bytes":60000000000,"answers":240}
{"time":"2026-06-10T12:01:00.000Z","site":"registry.example","method":"GET","kind":"blob","repository":"a/b","provider":"aws","region":"us-east-1","copy":"s3-us-east-1","status":307,"bytes":60000000000,"answers":240}
"#;

#[test]
fn an_outage_is_played_told_and_drawn() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (records, svg) = (path("access.jsonl"), path("plot.svg"));
    fs::write(&records, RECORDS).unwrap();
    let drill = |more: &[&str]| {
        let mut args =
            vec!["drill", "--config", "examples/drill.yaml", "--until", "2026-06-10T12:30Z"];
        args.extend(more);
        landbridge(&args)
    };
    let outage = ["--fail", "region=aws/us-east-1", "--from", "2026-06-10T12:01Z"];
    let all = [
        &[&*records, "--compare", "examples/drill-without-caps.yaml", "--svg", &*svg],
        &outage[..],
    ];
    let ran = drill(&all.concat());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    for told in ["over edges", "aws to s3-us-west-2", "What records cannot tell", "not noticed yet"]
    {
        assert!(ran.stdout.contains(told), "{told}: {}", ran.stdout);
    }
    assert!(fs::read_to_string(&svg).unwrap().starts_with("<svg "));

    let ran = drill(&[&[&*records, "--json"], &outage[..]].concat());
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let seen = &report["plays"][0]["seen"];
    let bytes = |name: &str| seen[name]["bytes"].as_u64().unwrap();
    assert_eq!(bytes("blobs") + bytes("unnoticed"), 60_000_000_000, "{seen}");

    assert_eq!(drill(&[&[&*path("none")], &outage[..]].concat()).code, 3);
    let ran = drill(&[&*records, "--fail", "copy=s3", "--from", "2026-06-10T12:01Z"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("s3-us-east-1 (aws/us-east-1)"), "{}", ran.stderr);
    assert_eq!(drill(&[&*records, "--fail", "planet=mars", "--from", "2026-06-10"]).code, 2);

    fs::write(&records, format!("{RECORDS}no record\n")).unwrap();
    let ran = drill(&[&[&*records], &outage[..]].concat());
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("access.jsonl:4: no record"), "{}", ran.stdout);
}
