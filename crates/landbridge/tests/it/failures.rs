//! What goes wrong: a clear message, the right exit code, and nothing lost.

mod disks;
mod interrupted;
mod layouts;
mod surroundings;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use landbridge_testkit::image::{Algorithm, digest};
use serde_json::Value;

use crate::running::Front;

/// Pulls everything that a front lists, by every tag, and checks each byte: what each tag of each repository means.
///
/// Nothing may dangle: what is listed is there.
fn pull_everything(front: &Front) -> Result<BTreeMap<String, String>> {
    let mut tags = BTreeMap::new();
    let repositories = front.get("/v2/_catalog")?.json()?;
    for repository in strings(&repositories["repositories"])? {
        let list = front.get(&format!("/v2/{repository}/tags/list"))?.json()?;
        for tag in strings(&list["tags"])? {
            let digest =
                pull(front, &repository, &tag).with_context(|| format!("{repository}:{tag}"))?;
            tags.insert(format!("{repository}:{tag}"), digest);
        }
    }
    Ok(tags)
}

fn pull(front: &Front, repository: &str, reference: &str) -> Result<String> {
    let answer = front.get(&format!("/v2/{repository}/manifests/{reference}"))?;
    ensure!(answer.status == 200, "manifest {reference}: {answer}");
    let own = digest(Algorithm::Sha256, &answer.body);
    ensure!(
        answer.header("docker-content-digest") == Some(&own),
        "manifest {reference} is another one"
    );
    let manifest = answer.json()?;
    for child in manifest["manifests"].as_array().into_iter().flatten() {
        pull(front, repository, child["digest"].as_str().unwrap_or_default())?;
    }
    let layers = manifest["layers"].as_array().into_iter().flatten();
    for descriptor in layers.chain(manifest.get("config")) {
        let wanted = descriptor["digest"].as_str().unwrap_or_default();
        for client in ["3.5.140.1", "34.28.0.1"] {
            let target = format!("/v2/{repository}/blobs/{wanted}");
            let blob = front.follow("GET", &target, &[("X-Forwarded-For", client)])?;
            ensure!(blob.status == 200, "blob {wanted}: {blob}");
            ensure!(
                digest(Algorithm::Sha256, &blob.body) == wanted,
                "blob {wanted} has other bytes"
            );
        }
    }
    Ok(own)
}

fn strings(list: &Value) -> Result<Vec<String>> {
    let list = list.as_array().context("not a list")?;
    list.iter().map(|entry| Ok(entry.as_str().context("not a text")?.to_owned())).collect()
}
