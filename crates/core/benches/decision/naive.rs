//! The naive twin: the same decision as one would first write it.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;

use ipnet::IpNet;
use landbridge_core::client_address::ClientNetwork;
use landbridge_core::place::PlaceId;
use landbridge_core::route::{Reason, Tier};
use landbridge_core::topology::{CopyId, CopySet};

use crate::scene::{Ask, COPIES, Scene};

pub(crate) struct Naive {
    /// By length, the longest first.
    tables: Vec<HashMap<IpNet, PlaceId>>,
    objects: HashMap<String, (u64, CopySet)>,
}

impl Naive {
    pub(crate) fn new(scene: &Scene) -> Self {
        let mut tables = vec![HashMap::new(); 129];
        for (prefix, place) in scene.ranges.iter() {
            let place = scene.places.find(place.provider, place.region);
            let place = place.unwrap_or(PlaceId::UNKNOWN);
            tables[128 - usize::from(prefix.prefix_len())].insert(prefix, place);
        }
        let objects = scene.objects.iter();
        let objects = objects.map(|(digest, size, copies)| (digest.to_string(), (*size, *copies)));
        Self { tables, objects: objects.collect() }
    }

    pub(crate) fn locate(&self, ask: &Ask) -> (PlaceId, ClientNetwork) {
        let last = ask.forwarded_for.split(',').next_back();
        let client: Option<IpAddr> = last.and_then(|entry| entry.trim().parse().ok());
        let client = client.unwrap_or(ask.address);
        let host = IpNet::from(client);
        let found = (0..=host.prefix_len()).rev().find_map(|length| {
            let prefix = IpNet::new(client, length).ok()?.trunc();
            self.tables[128 - usize::from(length)].get(&prefix)
        });
        (found.copied().unwrap_or(PlaceId::UNKNOWN), ClientNetwork::of(client))
    }

    /// The number of the copy, and why it is the best. It spreads clients by another hash than
    /// the real one, so that only the reason must agree.
    pub(crate) fn decide(&self, scene: &Scene, ask: &Ask) -> Option<(usize, Reason)> {
        let (place, network) = self.locate(ask);
        let (repository, digest) = understand(&ask.path)?;
        let (_, holders) = self.objects.get(&digest)?;
        let best = |tier: &Tier| {
            let copy = best(scene, *tier, network, &repository, *holders)?;
            Some((copy, tier.reason))
        };
        scene.routes.tiers(place).iter().find_map(best)
    }
}

/// The best of a tier's copies, all of which are scored and sorted.
fn best(
    scene: &Scene,
    tier: Tier,
    network: ClientNetwork,
    repository: &str,
    holders: CopySet,
) -> Option<usize> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut scored: Vec<(f64, usize)> = (0..COPIES)
        .filter(|&at| CopyId::new(at).is_some_and(|copy| tier.copies.and(holders).contains(copy)))
        .map(|at| {
            let draw = hasher.hash_one((network.key(), repository, at));
            let unit = (draw as f64 + 1.0) / (u64::MAX as f64 + 2.0);
            (-unit.ln() / f64::from(scene.weights[at]), at)
        })
        .collect();
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    scored.first().map(|(_, at)| *at)
}

/// Repository and digest of a blob's path.
pub(crate) fn understand(path: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = path.split('/').collect();
    let [_, "v2", name @ .., "blobs", digest] = parts.as_slice() else { return None };
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    let hex = digest.strip_prefix("sha256:")?;
    let is_digest = hex.len() == 64 && hex.bytes().all(|b| b"0123456789abcdef".contains(&b));
    (name.iter().all(|part| part.bytes().all(is_plain)) && is_digest)
        .then(|| (name.join("/"), (*digest).to_owned()))
}
