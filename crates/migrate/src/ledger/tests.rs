//! What a ledger notices.

use std::fmt::Write as _;
use std::sync::LazyLock;

use landbridge_core::pointer::PublicKey;
use landbridge_sign::{LocalKey, Signer, sign_envelope};
use proptest::prelude::*;

use super::*;
use crate::policy::ReasonClass;

/// Three approvers, of whom two must agree.
struct Approvers {
    signers: Vec<Signer>,
    keys: Keys,
}

impl Approvers {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..3).map(|at| directory.path().join(format!("{at}.pem"))).collect();
        let public: Vec<PublicKey> = (paths.iter())
            .map(|path| LocalKey::open_or_create(path).unwrap().public().clone())
            .collect();
        let signers = paths.iter().map(|path| Signer::open(path).unwrap()).collect();
        Self { signers, keys: Keys::new(public, 2).unwrap() }
    }

    fn sign(&self, draft: &mut Draft, who: &[usize]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for &at in who {
            let signers = &self.signers[at..=at];
            let signed = sign_envelope(signers, &self.keys, PAYLOAD_TYPE, draft.payload());
            let signed = runtime.block_on(signed).unwrap();
            let signed: Envelope = serde_json::from_slice(&signed).unwrap();
            draft.add(signed.signatures);
        }
    }

    /// A ledger of so many entries, and its text.
    fn ledger(&self, entries: u64) -> (Ledger, String) {
        let (mut ledger, mut text) = (Ledger::default(), String::new());
        for number in 1..=entries {
            let mut draft = ledger.propose(day(number), exception(number));
            self.sign(&mut draft, &[0, 1]);
            text += &ledger.append(&draft, &self.keys).unwrap();
            text.push('\n');
        }
        (ledger, text)
    }
}

fn day(number: u64) -> Timestamp {
    format!("2023-02-{:02}T00:00:00Z", number + 5).parse().unwrap()
}

fn exception(number: u64) -> Exception {
    Exception {
        rule: "stable".into(),
        of: "images".into(),
        phase: "freeze".into(),
        start: "2023-04-03T00:00:00Z".parse().unwrap(),
        days_short: 309,
        reason: ReasonClass::Budget,
        evidence: format!("forecast-{number}"),
        mitigation: "the old name redirects".into(),
        expires: "2024-01-01T00:00:00Z".parse().unwrap(),
    }
}

#[test]
fn what_enough_approvers_signed_is_read_back() {
    let approvers = Approvers::new();
    let (ledger, text) = approvers.ledger(4);
    let read = Ledger::verify(&text, &approvers.keys, ledger.head().as_ref()).unwrap();
    let numbers: Vec<_> = read.entries().iter().map(|it| it.content().sequence).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!(read.entries()[2].content().exception, exception(3));
    assert!(Ledger::verify("", &approvers.keys, None).unwrap().head().is_none());
}

#[test]
fn a_signature_short_of_the_quorum_is_found_and_two_of_one_key_are_one() {
    let approvers = Approvers::new();
    let (mut ledger, _) = approvers.ledger(1);
    let mut draft = ledger.propose(day(2), exception(2));
    for who in [&[][..], &[1], &[1]] {
        approvers.sign(&mut draft, who);
        let refused = ledger.append(&draft, &approvers.keys).unwrap_err();
        assert!(matches!(refused.problem, LedgerProblem::Untrusted(_)), "{refused}");
    }
    assert_eq!(draft.signatures(), 1);
    let mut read = Draft::parse(&draft.encode()).unwrap();
    approvers.sign(&mut read, &[2]);
    ledger.append(&read, &approvers.keys).unwrap();
}

#[test]
fn every_way_to_tamper_is_found_with_its_line() {
    let approvers = Approvers::new();
    let (ledger, text) = approvers.ledger(4);
    let lines: Vec<_> = text.lines().collect();
    let head = ledger.head().unwrap();
    // Signed as it should be, but dated before the one before it.
    let mut early = ledger.clone().propose(day(1), exception(5));
    approvers.sign(&mut early, &[0, 2]);
    let early = early.encode();
    // Of a whole quorum, but only one of them is an approver here.
    let strangers = Approvers::new();
    let (_, foreign) = strangers.ledger(1);
    let mut told = String::new();
    for (what, changed, line) in [
        ("removed", vec![lines[0], lines[2], lines[3]], 2),
        ("the first removed", vec![lines[1], lines[2], lines[3]], 1),
        ("the last removed", vec![lines[0], lines[1], lines[2]], 3),
        ("all removed", vec![], 0),
        ("reordered", vec![lines[0], lines[2], lines[1], lines[3]], 2),
        ("repeated", vec![lines[0], lines[0], lines[1], lines[2], lines[3]], 2),
        ("re-dated", vec![lines[0], lines[1], lines[2], lines[3], &early], 5),
        ("by others", vec![foreign.trim(), lines[1], lines[2], lines[3]], 1),
        ("another last one", vec![lines[0], lines[1], lines[2], &early], 4),
        ("an empty line", vec![lines[0], "", lines[1], lines[2], lines[3]], 2),
    ] {
        let error = Ledger::verify(&changed.join("\n"), &approvers.keys, Some(&head)).unwrap_err();
        assert_eq!(error.line, line, "{what}: {error}");
        writeln!(told, "{what}: {error}").unwrap();
    }
    insta::assert_snapshot!(told);
}

/// The keys of approvers, and a ledger of three entries.
static THREE: LazyLock<(Keys, Ledger, String)> = LazyLock::new(|| {
    let approvers = Approvers::new();
    let (ledger, text) = approvers.ledger(3);
    (approvers.keys, ledger, text)
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever byte is changed, the ledger is refused or says the same as before.
    #[test]
    fn any_changed_byte_is_noticed(at: prop::sample::Index, with: u8) {
        let (keys, ledger, text) = &*THREE;
        let mut bytes = text.clone().into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != with);
        bytes[at] = with;
        let Ok(changed) = String::from_utf8(bytes) else { return Ok(()) };
        // A line that ends otherwise is the same line.
        prop_assume!(!changed.lines().eq(text.lines()));
        let head = ledger.head();
        prop_assert!(Ledger::verify(&changed, keys, head.as_ref()).is_err());
    }

    /// Of the lines none may be missing, moved or repeated.
    #[test]
    fn only_the_whole_in_order_is_believed(order in prop::collection::vec(0_usize..3, 0..5)) {
        let (keys, ledger, text) = &*THREE;
        let lines: Vec<_> = text.lines().collect();
        let changed: Vec<_> = order.iter().map(|&at| lines[at]).collect();
        let verdict = Ledger::verify(&changed.join("\n"), keys, ledger.head().as_ref());
        prop_assert_eq!(verdict.is_ok(), order == [0, 1, 2]);
    }
}
