//! The worked example, and what excuses it.

use landbridge_core::pointer::{Envelope, Keys};
use landbridge_sign::{LocalKey, Signer, sign_envelope};

use super::*;
use crate::example::{at, moves, policy};
use crate::ledger::PAYLOAD_TYPE;
use crate::policy::ReasonClass;

fn exception(phase: &str, start: &str, days_short: u32, expires: &str) -> Exception {
    Exception {
        rule: "stable".into(),
        of: "images".into(),
        phase: phase.into(),
        start: at(start),
        days_short,
        reason: ReasonClass::Budget,
        evidence: "forecast-2023-02".into(),
        mitigation: "the old name redirects".into(),
        expires: at(expires),
    }
}

fn ledger(exceptions: Vec<Exception>) -> Ledger {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.pem");
    let key = LocalKey::open_or_create(&file).unwrap();
    let keys = Keys::new(vec![key.public().clone()], 1).unwrap();
    let signers = [Signer::open(&file).unwrap()];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut ledger = Ledger::default();
    for exception in exceptions {
        let mut draft = ledger.propose(at("2023-02-01"), exception);
        let signed = sign_envelope(&signers, &keys, PAYLOAD_TYPE, draft.payload());
        let signed: Envelope = serde_json::from_slice(&runtime.block_on(signed).unwrap()).unwrap();
        draft.add(signed.signatures);
        ledger.append(&draft, &keys).unwrap();
    }
    ledger
}

#[test]
fn the_move_of_2022_to_2024_was_short_of_its_notice_by_so_many_days() {
    let check = check(&policy(), &moves(), &Ledger::default(), at("2023-03-01"));
    let short: Vec<_> = (check.changes.iter())
        .filter_map(|it| match it.verdict {
            Verdict::Short { days_short, .. } => Some((it.of.as_str(), it.phase, days_short)),
            _ => None,
        })
        .collect();
    assert_eq!(
        short,
        [
            ("images", "freeze", 309),
            ("images", "redirect", 355),
            ("packages", "freeze", 352),
            ("packages", "sunset", 179),
        ]
    );
    assert_eq!(check.findings().count(), 4);
    insta::assert_snapshot!(check.to_string());
}

#[test]
fn only_an_exception_for_this_very_change_in_time_excuses_it() {
    let verdict = |exception: Exception, now: &str| {
        let check = check(&policy(), &moves(), &ledger(vec![exception]), at(now));
        check.changes[0].verdict.clone()
    };
    let good = || exception("freeze", "2023-04-03", 309, "2023-06-01");
    let excused = Verdict::Excused { days_short: 309, entry: 1 };
    assert_eq!(verdict(good(), "2023-03-01"), excused);
    assert_eq!(verdict(good(), "2024-03-01"), excused, "what was begun in time stays so");
    let why = |exception, now| match verdict(exception, now) {
        Verdict::Short { exceptions, .. } => exceptions.join("; "),
        other => panic!("{other:?}"),
    };
    let table = [
        (exception("freeze", "2023-04-04", 309, "2023-06-01"), "is for a start on 2023-04-04"),
        (exception("freeze", "2023-04-03", 308, "2023-06-01"), "excuses 308 days, not 309"),
        (exception("freeze", "2023-04-03", 309, "2023-02-28"), "has expired on 2023-02-28"),
    ];
    for (exception, expected) in table {
        let why = why(exception, "2023-03-01");
        assert!(why.contains(expected), "{why}");
    }
    assert_eq!(why(exception("redirect", "2023-04-03", 309, "2023-06-01"), "2023-03-01"), "");
}

#[test]
fn what_nobody_promised_or_has_no_date_yet_is_told_apart() {
    let mut moves = moves();
    moves[0].stability = "alpha".into();
    let mut policy = policy();
    policy.rules[0].releases = Some(9);
    let check = check(&policy, &moves, &Ledger::default(), at("2023-03-01"));
    let verdicts: Vec<_> = check.changes.iter().map(|it| it.verdict.clone()).collect();
    let expected = [Verdict::NoRule, Verdict::NoRule, Verdict::Unknown, Verdict::Unknown];
    assert_eq!(verdicts, expected);
}
