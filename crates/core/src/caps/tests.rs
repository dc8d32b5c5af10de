use proptest::prelude::*;

use super::*;

const GB: u64 = 1_000_000_000;

fn bytes(bytes: u64) -> Amount {
    Amount { bytes, micros: 0 }
}

fn terms(hour: u64, day: u64) -> Terms {
    let limit = |bytes| Amount { bytes, micros: u64::MAX };
    Terms {
        cap: Cap { hour: limit(hour), day: limit(day) },
        reserve_permille: 50,
        pull: Duration::from_mins(10),
        pulls: 100,
    }
}

#[test]
fn a_pull_that_was_let_in_ends_well_and_the_next_one_is_not_let_in() {
    let terms = terms(100 * GB, 1_000 * GB);
    let mut ledger = Ledger::default();
    assert_eq!(ledger.room(1, bytes(70 * GB), &terms, 0), Room::Free);
    ledger.admit(1, bytes(70 * GB), &terms, 0);
    assert_eq!(ledger.room(2, bytes(40 * GB), &terms, 0), Room::Spent, "70 are promised");
    assert!(!ledger.take(2, bytes(40 * GB), &terms, 0), "nor without asking");
    assert!(ledger.take(1, bytes(70 * GB), &terms, 1));
    assert_eq!(ledger.room(2, bytes(30 * GB), &terms, 2), Room::Spent, "to the last byte");
    assert!(matches!(ledger.room(2, bytes(25 * GB), &terms, 2), Room::Slowing(_)));
    ledger.admit(2, bytes(25 * GB), &terms, 2);
    assert!(ledger.take(2, bytes(25 * GB), &terms, 3));
    assert!(ledger.take(2, bytes(9 * GB), &terms, 3), "into the reserve");
    assert!(!ledger.take(2, bytes(2 * GB), &terms, 3), "and not beyond it");
    assert_eq!(ledger.room(3, bytes(1), &terms, HOUR - 1), Room::Spent);
    assert_eq!(ledger.room(3, bytes(1), &terms, HOUR), Room::Free, "another hour");
    assert_eq!(ledger.reopens(&terms, 5), HOUR);
}

#[test]
fn what_was_promised_and_not_taken_is_given_back_when_the_pull_must_be_over() {
    let terms = terms(100, 1_000);
    let mut ledger = Ledger::default();
    ledger.admit(1, bytes(90), &terms, 0);
    assert_eq!(ledger.room(2, bytes(50), &terms, 599), Room::Spent);
    assert_eq!(ledger.under_way(599), 1);
    assert_eq!(ledger.room(2, bytes(50), &terms, 600), Room::Free);
    assert_eq!(ledger.under_way(600), 0);
}

#[test]
fn the_nearer_the_cap_the_more_are_slowed() {
    let terms = terms(1_000, 100_000);
    let share = |spent| {
        let hour = Window { number: 0, spent: bytes(spent) };
        match Ledger::new(Spent { hour, day: Window::default() }).room(1, bytes(0), &terms, 9) {
            Room::Free => 0,
            Room::Slowing(share) => u32::from(share),
            Room::Spent => 65_536,
        }
    };
    assert_eq!((share(800), share(900), share(1_000)), (0, 32_767, 65_536));
    assert!((0..1_000).all(|spent| share(spent) <= share(spent + 1)));
}

#[test]
fn who_does_not_know_what_was_spent_counts_the_time_that_has_passed() {
    let terms = terms(3_600, 86_400);
    let Spent { hour, day } = Spent::unknown(terms.cap, 3 * HOUR + 900);
    assert_eq!((hour.spent.bytes, day.spent.bytes), (900, 3 * 3_600 + 900));
    // Ten minutes without a word are counted; in a new hour only what has passed of it.
    let known = Spent { hour: Window { number: 3, spent: bytes(100) }, day };
    let later = known.since(3 * HOUR + 900, terms.cap, 3 * HOUR + 1_500);
    assert_eq!((later.hour.spent.bytes, later.day.spent.bytes), (700, 3 * 3_600 + 1_500));
    let next = known.since(3 * HOUR + 900, terms.cap, 4 * HOUR + 60);
    assert_eq!((next.hour.number, next.hour.spent.bytes), (4, 60));
    // Money that is not capped is not spent.
    assert_eq!(later.hour.spent.micros, 0);
}

#[test]
fn a_clock_that_goes_back_gives_nothing_back() {
    let terms = terms(100, 1_000);
    let mut ledger = Ledger::default();
    assert!(ledger.take(1, bytes(100), &terms, 5 * HOUR));
    assert!(!ledger.take(1, bytes(6), &terms, 4 * HOUR));
    assert_eq!(ledger.spent(4 * HOUR).hour.number, 5);
}

#[test]
fn a_cap_is_shared_without_anything_left_over() {
    let cap = Cap { hour: Amount { bytes: 10, micros: u64::MAX }, day: Amount::UNLIMITED };
    let one = cap.for_one_of(3);
    assert_eq!((one.hour.bytes, one.hour.micros, one.day), (3, u64::MAX, Amount::UNLIMITED));
    assert_eq!(cap.for_one_of(0), cap, "at least this one is there");
}

/// What clients may do to an account.
#[derive(Debug, Clone)]
enum Step {
    Ask { key: u64, expected: u64 },
    Take { key: u64, bytes: u64 },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..20_u64, 0..400_u64).prop_map(|(key, expected)| Step::Ask { key, expected }),
        (0..20_u64, 0..400_u64).prop_map(|(key, bytes)| Step::Take { key, bytes }),
        (0..900_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn whatever_clients_do_the_cap_and_its_reserve_hold_and_promises_add_up(
        steps in proptest::collection::vec(step(), 0..300),
    ) {
        let terms = terms(1_000, 5_000);
        let mut ledger = Ledger::default();
        let mut now = 0;
        // A naive twin: everything that was taken, when.
        let mut taken: Vec<(u64, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Ask { key, expected } => {
                    if ledger.room(key, bytes(expected), &terms, now) != Room::Spent {
                        ledger.admit(key, bytes(expected), &terms, now);
                    }
                }
                Step::Take { key, bytes: size } => {
                    if ledger.take(key, bytes(size), &terms, now) {
                        taken.push((now, size));
                    }
                }
                Step::Wait(seconds) => now += seconds,
            }
            let within = |length: u64| {
                taken.iter().filter(|(at, _)| at / length == now / length).map(|(_, size)| size).sum::<u64>()
            };
            prop_assert!(within(HOUR) <= 1_050 && within(DAY) <= 5_250);
            let spent = ledger.spent(now);
            prop_assert_eq!((spent.hour.spent.bytes, spent.day.spent.bytes), (within(HOUR), within(DAY)));
            let left = ledger.promises.values().map(|promise| promise.left.bytes).sum::<u64>();
            prop_assert_eq!(ledger.promised.bytes, left);
        }
    }

    #[test]
    fn who_was_let_in_and_takes_what_it_said_is_never_cut_off(
        pulls in proptest::collection::vec((1..200_u64, 1..5_u64), 1..60),
    ) {
        let terms = terms(1_000, 100_000);
        let mut ledger = Ledger::default();
        let mut under_way = Vec::new();
        for (key, (size, parts)) in pulls.into_iter().enumerate() {
            let key = key as u64;
            if ledger.room(key, bytes(size * parts), &terms, 0) != Room::Spent {
                ledger.admit(key, bytes(size * parts), &terms, 0);
                under_way.push((key, size, parts));
            }
        }
        for round in 0..5 {
            for &(key, size, parts) in &under_way {
                if round < parts {
                    prop_assert!(ledger.take(key, bytes(size), &terms, 60 + round));
                }
            }
        }
    }
}
