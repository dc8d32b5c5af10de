//! The move of 2022 to 2024, for tests: images from one cloud's registry to a name of the project's
//! own, packages from one company's servers to the community's, with their true dates.
//!
//! <https://kubernetes.io/blog/2022/11/28/registry-k8s-io-faster-cheaper-ga/>,
//! <https://kubernetes.io/blog/2023/02/06/k8s-gcr-io-freeze-announcement/>,
//! <https://kubernetes.io/blog/2023/03/10/image-registry-redirect/>,
//! <https://kubernetes.io/blog/2023/08/31/legacy-package-repository-deprecation/>

use std::sync::Arc;

use jiff::Timestamp;
use landbridge_core::migration::{Migration, Mode, Phase, Step};

use crate::Move;
use crate::policy::{Policy, Rule};

pub(crate) fn at(day: &str) -> Timestamp {
    format!("{day}T00:00:00Z").parse().unwrap()
}

fn step(phase: Phase, announced: &str, start: &str) -> Step {
    Step { mode: Mode::Enforce, ..Step::new(phase, at(announced), at(start)) }
}

pub(crate) fn moves() -> Vec<Move> {
    let images = vec![
        Step {
            message: "k8s.gcr.io is being replaced by registry.k8s.io".into(),
            ..step(Phase::Announce, "2022-11-28", "2022-11-28")
        },
        step(Phase::Freeze, "2023-02-06", "2023-04-03"),
        step(Phase::Redirect, "2023-03-10", "2023-03-20"),
    ];
    let packages = vec![
        step(Phase::Announce, "2023-08-31", "2023-08-31"),
        step(Phase::Freeze, "2023-08-31", "2023-09-13"),
        step(Phase::Sunset, "2023-08-31", "2024-03-04"),
    ];
    let one = |name: &str, successor: &str, steps| Move {
        migration: Arc::new(Migration::new(name.into(), successor.into(), steps).unwrap()),
        stability: "stable".into(),
    };
    vec![one("images", "registry.k8s.io", images), one("packages", "pkgs.k8s.io", packages)]
}

/// As its deprecation policy says of what is stable. The releases are v1.26 to v1.31.
pub(crate) fn policy() -> Policy {
    let rule = |name: &str, days, releases| Rule {
        name: name.into(),
        stability: name.into(),
        phases: Vec::new(),
        days: Some(days),
        releases,
    };
    let releases =
        ["2022-12-09", "2023-04-11", "2023-08-15", "2023-12-13", "2024-04-17", "2024-08-13"];
    Policy {
        rules: vec![rule("stable", 365, Some(3)), rule("beta", 270, None)],
        releases: releases.map(at).to_vec(),
        approvers: None,
        head: None,
    }
}
