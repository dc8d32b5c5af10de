//! Reload and drain under load: nothing that a client asked is lost.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use landbridge_testkit::Signal;
use landbridge_testkit::http::{self, Wire};
use landbridge_testkit::image::{Packing, Recipe};

use crate::content::{Content, single, source};
use crate::running::{Data, Front, Records, until};

/// Asks over and over, on connections that are kept and on new ones, until `stop`; how often it was answered.
fn load(address: &str, stop: &AtomicBool, answered: &AtomicUsize) -> Result<()> {
    let mut kept = Wire::connect(address)?;
    while !stop.load(Ordering::SeqCst) {
        kept.send(b"GET /v2/app/manifests/v1 HTTP/1.1\r\nHost: load\r\n\r\n")?;
        let answer = kept.answer("GET")?;
        ensure!(answer.as_ref().is_some_and(|answer| answer.status == 200), "{answer:?}");
        let answer = http::get(address, "/v2/app/tags/list")?;
        ensure!(answer.status == 200, "{answer}");
        answered.fetch_add(2, Ordering::SeqCst);
    }
    Ok(())
}

#[test]
fn a_reload_under_load_loses_no_request_and_a_bad_file_changes_nothing() {
    let data = Content::pack().unwrap().data().unwrap();
    let shown = data.shown().unwrap();
    assert!(shown.contains("pages: {}"), "{shown}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("landbridge.yaml");
    let with_page =
        |text: &str| shown.replace("pages: {}", &format!("pages: {{ /page: {{ text: {text} }} }}"));
    fs::write(&file, with_page("first")).unwrap();
    let front = Front::configured(&file).unwrap();
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let loads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| load(&front.address, &stop, &answered))).collect();
        let page = || Ok(front.get("/page")?.text());
        for round in 0..5 {
            let text = format!("round{round}");
            fs::write(&file, with_page(&text)).unwrap();
            front.signal(Signal::HUP).unwrap();
            until(page, |found| *found == text).unwrap();
            let before = answered.load(Ordering::SeqCst);
            until(|| Ok(answered.load(Ordering::SeqCst)), |now| *now > before + 20).unwrap();
        }
        fs::write(&file, "sites: nonsense\n").unwrap();
        front.signal(Signal::HUP).unwrap();
        front.wait_for("landbridge.yaml:1:8").unwrap();
        assert_eq!(page().unwrap(), "round4");
        // A file that changed is read without a signal too.
        fs::write(&file, with_page("again")).unwrap();
        until(page, |found| *found == "again").unwrap();
        stop.store(true, Ordering::SeqCst);
        for load in loads {
            load.join().unwrap().unwrap();
        }
    });
}

#[test]
fn a_term_signal_lets_answers_end_and_writes_the_last_records() {
    // More than what lies in buffers on the way, so that the answer is under way for as long as nobody reads it.
    let image =
        Recipe { layers: 1, layer_bytes: 32 << 20, packing: Packing::Plain, ..Recipe::default() };
    let image = image.pack().unwrap();
    let (_dir, layout) = single(&image).unwrap();
    let data = Data::new().unwrap();
    data.import(&source(&layout), "app:v1").unwrap();
    let mut front = Front::over(data.path()).unwrap();
    let redirect = front.get(&format!("/v2/app/blobs/{}", image.layers[0].digest)).unwrap();
    let location = redirect.header("location").unwrap();
    let mut slow = Wire::connect(&front.address).unwrap();
    slow.send(
        format!("GET {location} HTTP/1.1\r\nHost: x\r\nUser-Agent: slow/1.0\r\n\r\n").as_bytes(),
    )
    .unwrap();
    slow.peek().unwrap();
    let mut kept = Wire::connect(&front.address).unwrap();
    kept.send(b"GET /v2/ HTTP/1.1\r\nHost: kept\r\n\r\n").unwrap();
    assert_eq!(kept.answer("GET").unwrap().unwrap().status, 200);

    front.signal(Signal::TERM).unwrap();
    until(|| Ok(Wire::connect(&front.address).is_err()), |refused| *refused).unwrap();
    // A connection between two requests is closed, one with an answer under way is not.
    assert_eq!(kept.rest().unwrap(), b"");
    let answer =
        slow.answer("GET").unwrap_or_else(|error| panic!("{error:#}\n{}", front.log())).unwrap();
    assert!(answer.body == image.layers[0].bytes, "{} bytes", answer.body.len());
    assert!(front.ended().unwrap().success());
    let records = Records::read(&data.path().join("records")).unwrap();
    let records = records.all().unwrap();
    let last = records.iter().find(|record| record.agent == "slow").unwrap();
    assert_eq!((&*last.kind, last.status, last.bytes), ("mirror", 200, answer.body.len() as u64));
}
