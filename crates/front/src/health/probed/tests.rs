use landbridge_core::health::HealthSettings;

use super::*;

const HEALTH: HealthSettings =
    HealthSettings { fall: 2, rise: 2, return_over: Duration::from_secs(100) };

fn id(at: usize) -> CopyId {
    CopyId::new(at).unwrap()
}

/// Three copies, of which the last two are one provider's.
fn probed(mode: Mode, operator: Option<Override>) -> Probed {
    let copy = |(name, provider): (&str, &str), operator| {
        Mutex::new(Copy {
            name: name.to_owned(),
            provider: Some(provider.to_owned()),
            face: Face::Streamed,
            operator,
            health: CopyHealth::new(HEALTH),
            since: None,
            last: None,
        })
    };
    let copies = [("a", "aws"), ("b", "gcp"), ("c", "gcp")].map(|it| copy(it, None));
    if let Some(operator) = operator {
        copies[0].lock().unwrap().operator = Some(operator);
    }
    Probed { mode, copies: Box::new(copies), ..Probed::none() }
}

fn note(probed: &Probed, copy: usize, error: Option<&str>, seconds: u64) -> Option<Change> {
    let probe = LastProbe {
        at: Timestamp::from_second(1_000).unwrap(),
        latency: Duration::ZERO,
        error: error.map(str::to_owned),
    };
    probed.note(id(copy), probe, probed.start + Duration::from_secs(seconds))
}

fn usable(probed: &Probed, network: u64) -> CopySet {
    probed.usable(CopySet::ALL, || StickyKey::new(network << 8, "a"))
}

#[test]
fn who_is_out_gets_nobody_and_who_returns_keeps_whom_it_got() {
    let probed = probed(Mode::Enforce, None);
    assert_eq!(usable(&probed, 1), CopySet::ALL);
    for copy in [1, 2] {
        assert!(note(&probed, copy, None, 0).is_none());
    }
    assert!(note(&probed, 0, Some("refused"), 1).is_none());
    let change = note(&probed, 0, Some("refused"), 2).unwrap();
    assert_eq!((change.state, change.provider_out.as_deref()), (CopyState::Out, Some("aws")));
    assert_eq!(usable(&probed, 1), CopySet::ALL.without(id(0)));
    note(&probed, 0, None, 3);
    assert_eq!(note(&probed, 0, None, 4).unwrap().state, CopyState::Returning);
    let mut had = 0;
    for seconds in [4, 29, 54, 79, 103] {
        probed.publish(probed.start + Duration::from_secs(seconds), Timestamp::now());
        let has = (0..1_000).filter(|&network| usable(&probed, network).contains(id(0)));
        let has = has.count();
        assert!(has > had, "{has} after {had}");
        had = has;
    }
    assert!(had > 950);
    probed.publish(probed.start + Duration::from_secs(104), Timestamp::now());
    assert!((0..1_000).all(|network| usable(&probed, network) == CopySet::ALL));
}

#[test]
fn when_nobody_answers_any_more_clients_go_by_what_was_known_before() {
    let probed = probed(Mode::Enforce, None);
    for copy in 0..3 {
        note(&probed, copy, None, 0);
    }
    // One was out for long.
    note(&probed, 1, Some("gone"), 1);
    note(&probed, 1, Some("gone"), 2);
    for seconds in [1_000, 1_001] {
        for copy in [0, 2] {
            note(&probed, copy, Some("no route"), seconds);
        }
    }
    assert_eq!(usable(&probed, 1), CopySet::ALL.without(id(1)));
    assert!(probed.is_provider_out("gcp") && probed.is_provider_out("aws"));
}

#[test]
fn probes_move_nobody_in_observe_mode_but_an_operator_does_until_it_ends() {
    let drain = Override {
        state: OverrideState::Drain,
        until: Timestamp::from_second(2_000).unwrap(),
        reason: "maintenance".to_owned(),
    };
    let probed = probed(Mode::Observe, Some(drain));
    note(&probed, 1, Some("gone"), 1);
    assert_eq!(note(&probed, 1, Some("gone"), 2).unwrap().state, CopyState::Out);
    let at = |seconds| {
        probed.publish(probed.start, Timestamp::from_second(seconds).unwrap());
        usable(&probed, 1)
    };
    assert_eq!(at(1_999), CopySet::ALL.without(id(0)));
    assert_eq!(at(2_000), CopySet::ALL);
    let says = |seconds| {
        let clock = Timestamp::from_second(seconds).unwrap();
        probed.statuses(probed.start, clock)[0].in_words()
    };
    assert_eq!(says(1_999).unwrap(), "drained until 1970-01-01T00:33:20Z: maintenance");
    assert_eq!(says(2_000), None);
}

#[test]
fn reads_that_mostly_fail_are_evidence_once() {
    let probed = probed(Mode::Enforce, None);
    assert!(!probed.reads_fail(id(0)));
    for is_good in [true, false, false] {
        probed.witness(id(0), is_good);
    }
    assert!(!probed.reads_fail(id(1)), "another copy's");
    assert!(probed.reads_fail(id(0)));
    assert!(!probed.reads_fail(id(0)));
    for is_good in [true, true, false] {
        probed.witness(id(0), is_good);
    }
    assert!(!probed.reads_fail(id(0)));
}

#[test]
fn who_is_forced_gets_its_clients_whatever_anybody_finds() {
    let force = Override {
        state: OverrideState::Force,
        until: Timestamp::MAX,
        reason: "probes are wrong".to_owned(),
    };
    let probed = probed(Mode::Enforce, Some(force));
    note(&probed, 1, None, 0);
    for seconds in [1, 2] {
        note(&probed, 0, Some("refused"), seconds);
    }
    let working = CopySet::ALL.without(id(0));
    assert!(probed.usable(working, || StickyKey::new(1 << 8, "a")).contains(id(0)));
}
