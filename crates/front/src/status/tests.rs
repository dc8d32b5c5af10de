use http::HeaderValue;

use super::*;

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn copy(name: &str, state: CopyWord) -> CopyLine {
    CopyLine {
        name: name.to_owned(),
        provider: "aws".to_owned(),
        region: "us-east-2".to_owned(),
        state,
        since: None,
        share: 1.0,
        holds: Some(Holds { sequence: 41, is_newest: true }),
        last_probe: None,
    }
}

fn release() -> Release {
    Release {
        origin: "releases".to_owned(),
        sequence: 41,
        generation: "sha256:ab".to_owned(),
        issued: moment("2026-11-20T10:00:00Z"),
        age_seconds: 269_000,
        expires: moment("2026-12-20T10:00:00Z"),
        is_expired: false,
        is_confirmed: true,
        is_stale: false,
    }
}

#[test]
fn the_form_follows_the_path_and_what_is_accepted() {
    let wanted = |path, accept: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(ACCEPT, HeaderValue::from_static(value));
        }
        Form::wanted(path, &headers)
    };
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let (html, json) = (Some(Form::Html), Some(Form::Json));
    assert_eq!(wanted("/status", &[]), html);
    assert_eq!(wanted("/status", &["*/*"]), html);
    assert_eq!(wanted("/status", &[browser]), html);
    assert_eq!(wanted("/status", &["application/json"]), json);
    assert_eq!(wanted("/status", &["text/plain", "application/json;q=0.9"]), json);
    assert_eq!(wanted("/status", &["application/json, text/html"]), html);
    assert_eq!(wanted("/status.json", &[browser]), json);
    assert_eq!(wanted("/status/", &[]), None);
    assert_eq!(wanted("/", &["application/json"]), None);
}

#[test]
fn the_word_is_the_worst_that_users_feel() {
    use CopyWord::{Drained, Empty, Failing, Forced, Healthy, Out, Returning, Unknown};
    let overall = |words: &[CopyWord], release: Option<Release>| {
        let copies: Vec<_> = words.iter().map(|word| copy("a", *word)).collect();
        let (overall, problems) = judge(&copies, release.as_ref(), false);
        assert_eq!(problems.is_empty(), overall == Overall::Ok, "{problems:?}");
        overall
    };
    let with = |change: fn(&mut Release)| {
        let mut release = release();
        change(&mut release);
        Some(release)
    };
    for words in [[Healthy, Healthy], [Healthy, Unknown], [Drained, Healthy], [Forced, Unknown]] {
        assert_eq!(overall(&words, Some(release())), Overall::Ok, "{words:?}");
    }
    for words in [
        [Healthy, Out],
        [Healthy, Returning],
        [Failing, Forced],
        [Empty, Unknown],
        [Drained, Returning],
    ] {
        assert_eq!(overall(&words, Some(release())), Overall::Degraded, "{words:?}");
    }
    for words in [[Out, Out], [Drained, Failing], [Empty, Out]] {
        assert_eq!(overall(&words, Some(release())), Overall::Down, "{words:?}");
    }
    assert_eq!(overall(&[Healthy], None), Overall::Down);
    assert_eq!(judge(&[copy("a", Healthy)], None, true).0, Overall::Ok, "a live registry");
    assert_eq!(overall(&[Healthy], with(|it| it.is_expired = true)), Overall::Degraded);
    assert_eq!(overall(&[Healthy], with(|it| it.is_stale = true)), Overall::Degraded);
    assert_eq!(overall(&[Healthy], with(|it| it.is_confirmed = false)), Overall::Degraded);
}

#[test]
fn a_page_is_made_once_a_second_for_each_site() {
    let pages = StatusPages::new(2);
    let start = Instant::now();
    let mut made = 0_u8;
    let mut ask = |site, millis| {
        let page = pages.get(site, start + Duration::from_millis(millis), || {
            made += 1;
            Made { html: vec![made].into(), json: vec![made + 100].into() }
        });
        (page.clone().form(Form::Html)[0], page.form(Form::Json)[0])
    };
    assert_eq!(ask(0, 0), (1, 101));
    assert_eq!(ask(0, 999), (1, 101));
    assert_eq!(ask(1, 999), (2, 102));
    assert_eq!(ask(0, 1_000), (3, 103));
    assert_eq!(ask(0, 1_500), (3, 103));
    assert_eq!(ask(1, 1_500), (2, 102));
}

#[test]
fn what_providers_call_a_version_may_be_a_date() {
    assert_eq!(date_of("1700000000"), Some(moment("2023-11-14T22:13:20Z")));
    assert_eq!(date_of("1700000000123"), Some(moment("2023-11-14T22:13:20Z")));
    assert_eq!(date_of("317"), None);
    assert_eq!(date_of("2023-11-14"), None);
}

#[test]
fn no_name_is_ever_markup() {
    let hostile = "<script>alert(\"1\")</script>&'><b>";
    let mut line = copy(hostile, CopyWord::Out);
    (line.provider, line.region) = (hostile.to_owned(), hostile.to_owned());
    let status = Status {
        site: hostile.to_owned(),
        at: moment("2026-11-23T12:00:00Z"),
        overall: Overall::Degraded,
        problems: vec![hostile.to_owned()],
        copies: vec![line],
        is_live: false,
        release: Some(Release {
            origin: hostile.to_owned(),
            generation: hostile.to_owned(),
            ..release()
        }),
        migration: None,
        ranges: vec![RangesLine {
            name: hostile.to_owned(),
            version: Some(hostile.to_owned()),
            date: None,
            prefixes: 1,
        }],
    };
    let html = page::html(&status);
    assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
    let escaped = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;&gt;&lt;b&gt;";
    assert_eq!(html.matches(escaped).count(), 10, "{html}");
}

#[test]
fn the_page_says_it_in_words() {
    let probe =
        |is_good| Some(Probe { at: moment("2026-11-23T11:59:58Z"), milliseconds: 12, is_good });
    let status = Status {
        site: "registry".to_owned(),
        at: moment("2026-11-23T12:00:00Z"),
        overall: Overall::Degraded,
        problems: vec!["Copy gcp-1 is out: its checks fail.".to_owned()],
        copies: vec![
            CopyLine { last_probe: probe(true), ..copy("aws-1", CopyWord::Healthy) },
            CopyLine {
                since: Some(moment("2026-11-23T11:00:00Z")),
                share: 0.0,
                holds: Some(Holds { sequence: 40, is_newest: false }),
                last_probe: probe(false),
                ..copy("gcp-1", CopyWord::Out)
            },
            CopyLine { share: 0.25, ..copy("azure-1", CopyWord::Returning) },
        ],
        is_live: false,
        release: Some(release()),
        migration: None,
        ranges: vec![RangesLine {
            name: "aws".to_owned(),
            version: Some("1700000000".to_owned()),
            date: date_of("1700000000"),
            prefixes: 8_000,
        }],
    };
    let html = page::html(&status);
    insta::assert_snapshot!(html.split_once("</style>").unwrap().1);
    insta::assert_snapshot!(serde_json::to_string_pretty(&status).unwrap());
}
