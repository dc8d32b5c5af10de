//! An origin with rules beside a front.

use std::fs;

use anyhow::Result;
use landbridge_testkit::image::Recipe;
use landbridge_testkit::{Platforms, Signal, Skopeo, http};

use super::{ANN, Place, ROOT, basic};
use crate::running::{Front, until};

/// `serve` with the place's origin, whose images everybody may pull through the front.
fn serve(place: &Place, access: &str, origin: &str) -> Result<std::path::PathBuf> {
    let file = place.write(access, &format!("  listen: {{address: \"127.0.0.1:0\"}}\n{origin}"))?;
    let text = fs::read_to_string(&file)?;
    fs::write(place.path("password"), ROOT.password)?;
    let front = "origins:\n\
        - name: own\n\
        \x20 registry: {delivery: proxy, credentials: {username: root, password_file: password}}\n\
        sites: [{name: all, hosts: [\"*\"], origin: own}]\n\
        records: {directory: records}\n";
    fs::write(&file, format!("{front}{text}"))?;
    Ok(file)
}

#[test]
fn a_front_reads_from_its_private_origin_with_a_password_and_takes_other_rules() {
    let place = Place::new().unwrap();
    let front = Front::configured(&serve(&place, "", "").unwrap()).unwrap();
    let origin = front.origin().unwrap();
    let image = Recipe { seed: 96, ..Recipe::default() }.pack().unwrap();
    let skopeo = Skopeo::new().unwrap();
    let there = format!("{origin}/team/app:v1");
    skopeo.push_to(&image.manifest, &[&image], &there, Some(ANN)).unwrap();
    let pulled = skopeo.pull(&front.reference("team/app:v1"), Platforms::One).unwrap();
    assert_eq!(pulled.lacks(&image), Vec::<String>::new());
    assert_eq!(http::get(&origin, "/v2/team/app/manifests/v1").unwrap().status, 401);

    let everybody = "      - {who: [anyone], repositories: [\"team/**\"], may: [pull]}\n";
    serve(&place, everybody, "  writes: refused\n").unwrap();
    front.signal(Signal::HUP).unwrap();
    let open = || http::get(&origin, "/v2/team/app/manifests/v1");
    until(open, |answer| answer.status == 200).unwrap();
    let root = basic(ROOT);
    let refused =
        http::ask(&origin, "DELETE", "/v2/team/app/manifests/v1", &[("Authorization", &*root)]);
    assert_eq!(refused.unwrap().status, 405);
    serve(&place, "", "  gc: {grace: 2h}\n").unwrap();
    front.signal(Signal::HUP).unwrap();
    front.wait_for("`origin.gc.grace` can only be changed by a restart").unwrap();
    assert_eq!(open().unwrap().status, 200);
    front.stop().unwrap();
}

#[test]
fn what_an_origin_counts_is_among_the_metrics_of_the_front_beside_it() {
    let place = Place::new().unwrap();
    let clients = "  clients: {requests_per_second: 1, burst: 1}\n";
    let front = Front::configured(&serve(&place, "", clients).unwrap()).unwrap();
    let origin = front.origin().unwrap();
    let metric = |name: &str| -> u64 {
        let text = http::get(&front.admin, "/metrics").unwrap().text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse().unwrap()
    };
    assert_eq!(metric("landbridge_origin_events_dropped_total"), 0);
    let before = metric("landbridge_origin_over_limit_total");
    assert!((0..20).all(|_| http::get(&origin, "/v2/").unwrap().status == 401));
    assert!(metric("landbridge_origin_over_limit_total") > before);
}
