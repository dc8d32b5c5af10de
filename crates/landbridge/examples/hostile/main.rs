//! Hostile traffic and honest clients, each as a program of its own: see `bench/hostile.sh`.
//!
//!     hostile attack KIND ADDRESS CONNECTIONS SECONDS SHARE [TARGET]
//!     hostile honest ADDRESS PER-SECOND SECONDS FROM TARGET STATUS [TARGET STATUS]...
//!
//! An attack prints what became of it; an honest client how many answers it had, its 50th and 99th percentile of
//! waiting in microseconds, and how many new connections were closed without an answer.

#![allow(clippy::print_stdout, reason = "it is what it is for")]

use std::env;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use landbridge_testkit::Honest;
use landbridge_testkit::attack::Attack;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn main() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match &arguments[..] {
        ["attack", kind, address, connections, seconds, share, rest @ ..] => {
            let attacker = attack(kind, rest.first())?;
            let attacker = attacker.start(address, connections.parse()?, share.parse()?)?;
            thread::sleep(Duration::from_secs(seconds.parse()?));
            println!("{:?}", attacker.stop());
        }
        ["honest", address, per_second, seconds, from, targets @ ..] => {
            let targets = targets.chunks(2).map(|pair| match pair {
                [target, status] => Ok(((*target).to_owned(), status.parse()?)),
                _ => bail!("a target has no status"),
            });
            let targets = targets.collect::<Result<Vec<_>>>()?;
            let honest = Honest::start(address, from, &targets, per_second.parse()?)?;
            thread::sleep(Duration::from_secs(seconds.parse()?));
            let waited = honest.stop()?;
            let [median, p99] = [500, 990].map(|permille| waited.permille(permille).as_micros());
            println!("{} {median} {p99} {}", waited.answers(), waited.refused);
        }
        _ => bail!("hostile attack | honest: see the top of its source"),
    }
    Ok(())
}

fn attack(kind: &str, target: Option<&&str>) -> Result<Attack> {
    let target = || target.map(|target| (*target).to_owned()).context("a target is missing");
    Ok(match kind {
        "slow-heads" => Attack::SlowHeads,
        "slow-reads" => Attack::SlowReads(target()?),
        "rapid-reset" => Attack::RapidReset(target()?),
        "continuation" => Attack::Continuation,
        "idle" => Attack::Idle,
        "networks" => Attack::Networks(target()?, None),
        "forged" => Attack::Networks(target()?, Some("203.0.113.9".to_owned())),
        _ => bail!("no attack is called {kind}"),
    })
}
