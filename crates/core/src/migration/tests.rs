//! What the plan says, at the moments at which it matters.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

const NETWORK: u64 = 192 << 24 | 2 << 8 | 1;
const SOMEONE: Client<'static> = Client { network: NETWORK, provider: "", region: "" };

fn at(text: &str) -> Timestamp {
    format!("{text}T00:00:00Z").parse().unwrap()
}

fn step(phase: Phase, start: &str) -> Step {
    Step { mode: Mode::Enforce, ..Step::new(phase, at("2022-11-28"), at(start)) }
}

fn announce() -> Step {
    Step { message: "use registry.example.org".into(), ..step(Phase::Announce, "2022-11-28") }
}

fn scope(repositories: &[&str]) -> Scope {
    let repositories = repositories.iter().map(|text| text.parse().unwrap()).collect();
    Scope { repositories, places: Vec::new() }
}

fn shares(points: &[(&str, f64)]) -> Vec<SharePoint> {
    let point = |&(from, percent)| SharePoint {
        from: at(from),
        share: Share::of_percent(percent).unwrap(),
    };
    points.iter().map(point).collect()
}

fn brownout(start: &str, end: &str, windows: &[(&str, &str)]) -> Step {
    let windows = windows.iter().map(|&(start, end)| Window { start: at(start), end: at(end) });
    Step {
        end: Some(at(end)),
        brownout: Some(Brownout {
            windows: windows.collect(),
            refusal: Refusal::Gone,
            cap_pulls: 10,
        }),
        ..step(Phase::Brownout, start)
    }
}

fn migration(steps: Vec<Step>) -> Migration {
    Migration::new("k8s-gcr-io".into(), "registry.example.org".into(), steps).unwrap()
}

fn found(steps: Vec<Step>) -> Vec<(usize, Field, String)> {
    let refused = Migration::new("m".into(), "s".into(), steps).unwrap_err();
    refused.into_iter().map(|it| (it.step, it.field, it.message)).collect()
}

#[test]
fn the_strongest_phase_that_has_begun_decides() {
    let migration = migration(vec![
        announce(),
        step(Phase::Freeze, "2023-04-03"),
        step(Phase::Redirect, "2023-03-20"),
        brownout("2023-06-01", "2023-07-01", &[("2023-06-05", "2023-06-06")]),
        Step { scope: scope(&["old/**"]), ..step(Phase::Tombstone, "2023-08-01") },
        step(Phase::Sunset, "2024-01-01"),
    ]);
    let standing = |day, repository| migration.standing(at(day), &SOMEONE, repository, Steps::NONE);
    let refused = Action::Refuse { refusal: Refusal::Gone, until: at("2023-06-06"), window: 0 };
    for (day, repository, action, by, frozen) in [
        ("2022-01-01", "pause", Action::Serve, None, None),
        ("2023-03-19", "pause", Action::Serve, None, None),
        ("2023-03-20", "pause", Action::Redirect, Some(2), None),
        ("2023-04-03", "pause", Action::Redirect, Some(2), Some(1)),
        ("2023-06-05", "pause", refused, Some(3), Some(1)),
        ("2023-06-06", "pause", Action::Redirect, Some(2), Some(1)),
        ("2023-08-01", "pause", Action::Redirect, Some(2), Some(1)),
        ("2023-08-01", "old/thing", Action::Gone, Some(4), Some(1)),
        ("2024-01-01", "pause", Action::Gone, Some(5), Some(1)),
    ] {
        let expected = Standing { action, by, observed: None, frozen };
        assert_eq!(standing(day, repository), expected, "{day} {repository}");
    }
    let aborted = Steps::NONE.with(2).with(5);
    let taken_back = migration.standing(at("2024-01-01"), &SOMEONE, "pause", aborted);
    assert_eq!((taken_back.action, taken_back.by), (Action::Serve, None));
}

#[test]
fn what_is_observed_is_told_and_not_done() {
    let mut redirect = step(Phase::Redirect, "2023-03-20");
    redirect.mode = Mode::Observe;
    let mut sunset = step(Phase::Sunset, "2024-01-01");
    sunset.mode = Mode::Observe;
    let mut freeze = step(Phase::Freeze, "2023-01-01");
    freeze.mode = Mode::Observe;
    let migration = migration(vec![announce(), redirect, sunset, freeze]);
    let standing = |day| migration.standing(at(day), &SOMEONE, "pause", Steps::NONE);
    assert_eq!(standing("2023-03-19"), Standing::SERVED);
    let observed = Some((Action::Redirect, 1));
    assert_eq!(standing("2023-03-20"), Standing { observed, ..Standing::SERVED });
    let observed = Some((Action::Gone, 2));
    assert_eq!(standing("2024-01-01"), Standing { observed, ..Standing::SERVED });
}

#[test]
fn a_step_concerns_whom_its_scope_has() {
    let places = vec![
        ClientPlace { provider: "aws".into(), region: Some("us-east-2".into()) },
        ClientPlace { provider: String::new(), region: None },
    ];
    let scope = Scope { places, ..scope(&["pause", "etcd/**"]) };
    let client = |provider, region| Client { network: 1, provider, region };
    for (provider, region, repository, expected) in [
        ("aws", "us-east-2", "pause", true),
        ("aws", "us-east-1", "pause", false),
        ("", "", "etcd/etcd", true),
        ("", "", "etcd", false),
        ("gcp", "us-central1", "pause", false),
        ("", "", "", true),
    ] {
        let had = scope.has(&client(provider, region), repository);
        assert_eq!(had, expected, "{provider}/{region} {repository}");
    }
}

#[test]
fn a_shut_gate_keeps_a_step_and_what_follows_it_from_beginning() {
    let gate = |passed: Option<&str>| Gate {
        name: "every mirror holds the frozen generation".into(),
        passed: passed.map(at),
        evidence: "audit-17".into(),
    };
    let plan = |entry, exit| {
        migration(vec![
            announce(),
            Step { exit: vec![gate(exit)], ..step(Phase::Redirect, "2023-03-20") },
            Step { entry: vec![gate(entry)], ..step(Phase::Sunset, "2024-01-01") },
        ])
    };
    let sunset = |entry, exit| plan(entry, exit).begins(2);
    assert_eq!(sunset(None, Some("2023-05-01")), None);
    assert_eq!(sunset(Some("2023-05-01"), None), None);
    assert_eq!(sunset(Some("2023-05-01"), Some("2023-06-01")), Some(at("2024-01-01")));
    assert_eq!(sunset(Some("2024-02-01"), Some("2024-03-01")), Some(at("2024-03-01")));
    let shut = plan(None, Some("2023-05-01"));
    let late = shut.standing(at("2025-01-01"), &SOMEONE, "pause", Steps::NONE);
    assert_eq!(late.action, Action::Redirect);
    assert!(shut.changes_after(at("2023-05-02"), Steps::NONE).is_empty());
}

#[test]
fn among_100_000_clients_the_share_is_within_half_a_point_and_nobody_goes_back() {
    let points: Vec<_> =
        (1..=10).map(|day| (format!("2023-03-{day:02}"), f64::from(day) / 10.0 * 100.0)).collect();
    let points: Vec<_> = points.iter().map(|(day, percent)| (day.as_str(), *percent)).collect();
    let migration = migration(vec![
        announce(),
        Step { shares: shares(&points), ..step(Phase::Redirect, "2023-03-01") },
    ]);
    let mut moved = vec![false; 100_000];
    let mut previous = 0;
    for &(day, percent) in &points {
        for (number, was_moved) in moved.iter_mut().enumerate() {
            let client = Client { network: (number as u64) << 8 | 1, ..SOMEONE };
            let standing = migration.standing(at(day), &client, "pause", Steps::NONE);
            let is_moved = standing.action == Action::Redirect;
            assert!(is_moved || !*was_moved, "client {number} was sent back on {day}");
            *was_moved = is_moved;
        }
        let count = moved.iter().filter(|is_moved| **is_moved).count();
        let share = count as f64 / 1_000.0;
        assert!((share - percent).abs() <= 0.5, "{day}: {share} % instead of {percent} %");
        assert!(count >= previous);
        previous = count;
    }
    assert_eq!(previous, 100_000);
}

#[test]
fn a_later_step_with_a_larger_share_takes_in_those_that_an_earlier_one_had() {
    let first = Step {
        end: Some(at("2023-04-01")),
        shares: shares(&[("2023-03-01", 10.0)]),
        ..step(Phase::Redirect, "2023-03-01")
    };
    let second =
        Step { shares: shares(&[("2023-04-01", 30.0)]), ..step(Phase::Redirect, "2023-04-01") };
    let migration = migration(vec![announce(), first, second]);
    for number in 0..10_000 {
        let client = Client { network: number << 8 | 1, ..SOMEONE };
        let action = |day| migration.standing(at(day), &client, "pause", Steps::NONE).action;
        assert!(action("2023-03-31") == Action::Serve || action("2023-04-01") == Action::Redirect);
    }
}

#[test]
fn what_a_plan_cannot_keep_is_refused_with_the_step_and_the_field() {
    let cases: Vec<(&str, Vec<Step>, usize, Field)> = vec![
        (
            "overlapping phases",
            vec![
                announce(),
                step(Phase::Redirect, "2023-03-20"),
                step(Phase::Redirect, "2023-05-01"),
            ],
            2,
            Field::Start,
        ),
        (
            "a sunset before its deprecation",
            vec![announce(), step(Phase::Sunset, "2022-11-28")],
            1,
            Field::Start,
        ),
        ("nothing is announced", vec![step(Phase::Sunset, "2024-01-01")], 0, Field::Step),
        (
            "a window outside of its brownout",
            vec![announce(), brownout("2023-06-01", "2023-07-01", &[("2023-06-30", "2023-07-02")])],
            1,
            Field::Window(0),
        ),
        (
            "windows that overlap",
            vec![
                announce(),
                brownout(
                    "2023-06-01",
                    "2023-07-01",
                    &[("2023-06-02", "2023-06-04"), ("2023-06-03", "2023-06-05")],
                ),
            ],
            1,
            Field::Window(1),
        ),
        (
            "a brownout without windows",
            vec![announce(), step(Phase::Brownout, "2023-06-01")],
            1,
            Field::Windows,
        ),
        (
            "a share that goes down",
            vec![
                announce(),
                Step {
                    shares: shares(&[("2023-03-20", 50.0), ("2023-03-21", 20.0)]),
                    ..step(Phase::Redirect, "2023-03-20")
                },
            ],
            1,
            Field::Share(1),
        ),
        (
            "shares out of order",
            vec![
                announce(),
                Step {
                    shares: shares(&[("2023-03-20", 5.0), ("2023-03-20", 20.0)]),
                    ..step(Phase::Redirect, "2023-03-20")
                },
            ],
            1,
            Field::Share(1),
        ),
        (
            "told afterwards",
            vec![
                announce(),
                Step { announced: at("2023-03-21"), ..step(Phase::Redirect, "2023-03-20") },
            ],
            1,
            Field::Announced,
        ),
        (
            "an end before its start",
            vec![
                announce(),
                Step { end: Some(at("2023-03-20")), ..step(Phase::Redirect, "2023-03-20") },
            ],
            1,
            Field::End,
        ),
        (
            "a redirect that outlives the name",
            vec![
                announce(),
                Step { end: Some(at("2024-02-01")), ..step(Phase::Redirect, "2023-03-20") },
                step(Phase::Sunset, "2024-01-01"),
            ],
            2,
            Field::Start,
        ),
        (
            "a tombstone when all is gone",
            vec![
                announce(),
                step(Phase::Tombstone, "2024-01-01"),
                step(Phase::Sunset, "2024-01-01"),
            ],
            1,
            Field::Start,
        ),
        (
            "too many words",
            vec![
                Step { message: "m".repeat(2_100), ..announce() },
                Step { message: "m".repeat(2_100), ..step(Phase::Redirect, "2023-03-20") },
            ],
            1,
            Field::Message,
        ),
        (
            "what no header can say",
            vec![Step { message: "Zürich".into(), ..announce() }],
            0,
            Field::Message,
        ),
        (
            "a generation where nothing is frozen",
            vec![Step { generation: Some(Digest::sha256_of(b"")), ..announce() }],
            0,
            Field::Generation,
        ),
        (
            "a comparison without anything to compare with",
            vec![
                announce(),
                Step {
                    abort: Some(AbortRule {
                        margin: 20,
                        minimum_requests: 100,
                        window_seconds: 600,
                        command: Vec::new(),
                    }),
                    ..step(Phase::Redirect, "2023-03-20")
                },
            ],
            1,
            Field::Abort,
        ),
    ];
    let mut told = String::new();
    for (what, steps, place, field) in cases {
        let found = found(steps);
        assert!(
            found.iter().any(|(step, at, _)| (*step, *at) == (place, field)),
            "{what}: {found:?}"
        );
        for (step, field, message) in found {
            writeln!(told, "{what}: phases[{step}] {field:?}: {message}").unwrap();
        }
    }
    insta::assert_snapshot!(told);
    assert!(Share::of_percent(100.1).is_err() && Share::of_percent(f64::NAN).is_err());
}

#[test]
fn disjoint_scopes_and_times_do_not_contradict() {
    let apart = |names: [&[&str]; 2]| {
        let [one, two] =
            names.map(|names| Step { scope: scope(names), ..step(Phase::Tombstone, "2024-01-01") });
        Migration::new("m".into(), "s".into(), vec![announce(), one, two]).is_ok()
    };
    assert!(apart([&["pause"], &["etcd"]]));
    assert!(apart([&["pause"], &["etcd/**"]]));
    assert!(!apart([&["etcd/etcd"], &["etcd/**"]]));
    assert!(!apart([&["pause"], &[]]));
}

#[test]
fn every_change_is_foreseen_in_order() {
    let migration = migration(vec![
        announce(),
        Step {
            shares: shares(&[("2023-03-20", 5.0), ("2023-04-01", 100.0)]),
            ..step(Phase::Redirect, "2023-03-20")
        },
        brownout("2023-06-01", "2023-07-01", &[("2023-06-05", "2023-06-06")]),
        Step { aborted: Some(at("2024-06-01")), ..step(Phase::Sunset, "2024-01-01") },
    ]);
    let changes = |from, aborted| {
        let text = |change: Change| {
            let day = change.at.to_string();
            format!("{} {} {:?}", &day[..10], change.step, change.kind)
        };
        migration.changes_after(at(from), aborted).into_iter().map(text).collect::<Vec<_>>()
    };
    insta::assert_snapshot!(changes("2022-01-01", Steps::NONE).join("\n"), @r"
    2022-11-28 0 Begins
    2023-03-20 1 Begins
    2023-04-01 1 Share
    2023-06-01 2 Begins
    2023-06-05 2 WindowOpens
    2023-06-06 2 WindowCloses
    2023-07-01 2 Ends
    2024-01-01 3 Begins
    2024-06-01 3 Aborted
    ");
    assert_eq!(changes("2024-01-01", Steps::NONE), ["2024-06-01 3 Aborted"]);
    assert_eq!(changes("2023-04-01", Steps::NONE.with(2)).len(), 2);
}

#[test]
fn where_it_stands_is_told_in_words() {
    let gate =
        Gate { name: "the mirrors are audited".into(), passed: None, evidence: String::new() };
    let migration = migration(vec![
        announce(),
        Step {
            generation: Some(Digest::sha256_of(b"root")),
            announced: at("2023-02-06"),
            ..step(Phase::Freeze, "2023-04-03")
        },
        Step {
            announced: at("2023-03-10"),
            shares: shares(&[("2023-03-20", 5.0), ("2023-04-10", 100.0)]),
            ..step(Phase::Redirect, "2023-03-20")
        },
        Step { entry: vec![gate], ..step(Phase::Sunset, "2024-01-01") },
    ]);
    let told = ["2022-01-01", "2023-03-21", "2023-04-04", "2024-02-01"]
        .map(|day| migration.progress(at(day), Steps::NONE).to_string());
    let aborted = migration.progress(at("2023-04-04"), Steps::NONE.with(2)).to_string();
    insta::assert_snapshot!(format!("{}\n{aborted}", told.join("\n")));
}

#[test]
fn headers_are_as_their_specifications_write_them() {
    let migration = migration(vec![
        Step { message: "say \"registry.example.org\"".into(), ..announce() },
        step(Phase::Sunset, "2024-01-01"),
    ]);
    let deprecation = migration.deprecation().unwrap();
    assert_eq!(deprecation.deprecation, "@1669593600");
    assert_eq!(deprecation.sunset.unwrap(), "Mon, 01 Jan 2024 00:00:00 GMT");
    assert_eq!(migration.steps()[0].warning().unwrap(), r#"299 - "say \"registry.example.org\"""#);
    assert_eq!(migration.steps()[1].warning(), None);
    let told = |day| migration.told(at(day), &SOMEONE, "pause", Steps::NONE).collect::<Vec<_>>();
    assert_eq!(told("2022-11-27"), Vec::<usize>::new());
    assert_eq!(told("2022-11-28"), [0]);
    assert_eq!(migration.steps()[1].notice_days(), 399);
}

/// The naive twin: looks at every step, one after the other, at this very moment.
fn naive(
    migration: &Migration,
    moment: Timestamp,
    client: &Client<'_>,
    repository: &str,
    aborted: Steps,
) -> Standing {
    let mut places: Vec<usize> = (0..migration.steps().len()).collect();
    places.sort_by_key(|&at| {
        let step = &migration.steps()[at];
        std::cmp::Reverse((step.phase, step.start))
    });
    let key = StickyKey::new(client.network, repository);
    let mut standing = Standing::SERVED;
    let mut is_decided = false;
    for at in places {
        let step = &migration.steps()[at];
        let concerns = migration.is_under_way(at, moment, aborted)
            && step.scope.has(client, repository)
            && migration.is_in_share(at, moment, key);
        if !concerns {
            continue;
        }
        let action = match step.phase {
            Phase::Announce | Phase::Dual => continue,
            Phase::Freeze => {
                if step.mode == Mode::Enforce {
                    standing.frozen = standing.frozen.or(Some(at));
                }
                continue;
            }
            Phase::Redirect => Action::Redirect,
            Phase::Brownout => {
                let Some((window, Window { end: until, .. })) = step.window(moment) else {
                    continue;
                };
                let refusal = step.brownout.as_ref().unwrap().refusal;
                Action::Refuse { refusal, until, window }
            }
            Phase::Tombstone | Phase::Sunset => Action::Gone,
        };
        if is_decided {
            continue;
        }
        if step.mode == Mode::Enforce {
            (standing.action, standing.by, is_decided) = (action, Some(at), true);
        } else {
            standing.observed = standing.observed.or(Some((action, at)));
        }
    }
    standing.observed = standing.observed.filter(|(action, _)| *action != standing.action);
    standing
}

proptest! {
    #[test]
    fn it_stands_as_the_naive_twin_says(
        network: u64, hour in 0_i64..21_600, modes in 0_u32..64, aborted in 0_u64..64, gate in 0_i64..900,
    ) {
        let passed = Timestamp::from_second(at("2022-11-28").as_second() + gate * 86_400).unwrap();
        let gates = vec![Gate { name: "g".into(), passed: Some(passed), evidence: String::new() }];
        let mut steps = vec![
            announce(),
            step(Phase::Freeze, "2023-04-03"),
            Step {
                shares: shares(&[("2023-03-20", 5.0), ("2023-04-01", 40.0), ("2023-09-01", 90.0)]),
                aborted: Some(at("2023-12-01")),
                ..step(Phase::Redirect, "2023-03-20")
            },
            brownout("2023-06-01", "2023-07-01", &[("2023-06-05", "2023-06-09"), ("2023-06-20", "2023-06-21")]),
            Step { scope: scope(&["old/**"]), entry: gates, ..step(Phase::Tombstone, "2023-08-01") },
            Step { aborted: Some(at("2025-01-01")), ..step(Phase::Sunset, "2024-01-01") },
        ];
        for (place, step) in steps.iter_mut().enumerate() {
            if modes >> place & 1 == 1 {
                step.mode = Mode::Observe;
            }
        }
        let migration = migration(steps);
        let moment = Timestamp::from_second(at("2022-11-01").as_second() + hour * 3_600).unwrap();
        let client = Client { network, ..SOMEONE };
        for repository in ["pause", "old/thing", ""] {
            let aborted = Steps::from_bits(aborted);
            prop_assert_eq!(
                migration.standing(moment, &client, repository, aborted),
                naive(&migration, moment, &client, repository, aborted),
            );
        }
    }

    /// The order in which the steps are written changes nothing but their numbers.
    #[test]
    fn the_order_of_steps_does_not_matter(network: u64, day in 0_i64..900, rotation in 0_usize..6) {
        let mut steps = vec![
            announce(),
            step(Phase::Freeze, "2023-04-03"),
            Step {
                shares: shares(&[("2023-03-20", 5.0), ("2023-04-01", 40.0)]),
                ..step(Phase::Redirect, "2023-03-20")
            },
            brownout("2023-06-01", "2023-07-01", &[("2023-06-05", "2023-06-09")]),
            Step { scope: scope(&["old/**"]), ..step(Phase::Tombstone, "2023-08-01") },
            step(Phase::Sunset, "2024-01-01"),
        ];
        let one = migration(steps.clone());
        steps.rotate_left(rotation);
        let other = migration(steps);
        let moment = Timestamp::from_second(at("2022-11-01").as_second() + day * 86_400).unwrap();
        let client = Client { network, ..SOMEONE };
        for repository in ["pause", "old/thing"] {
            let [one, other] =
                [&one, &other].map(|it| it.standing(moment, &client, repository, Steps::NONE));
            prop_assert_eq!(one.action, other.action);
            prop_assert_eq!(one.frozen.is_some(), other.frozen.is_some());
        }
    }
}
