//! A plan, what was promised to those whom it hits, and what was excepted.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use jiff::Timestamp;
use landbridge_migrate::Move;
use landbridge_migrate::check::{Check, check};
use landbridge_migrate::ledger::Ledger;
use landbridge_migrate::ledger::file::{self, FileError};

use super::read as read_plan;
use crate::cli::PromisedArgs;
use crate::config::{Plan, Promised, Source, load_policy, unknown_stability};
use crate::exit::{Exit, Failure, OrExit as _, Outcome};

/// A plan and the policy that it is held against.
pub(super) struct Held {
    pub(super) moves: Vec<Move>,
    pub(super) promised: Promised,
    pub(super) ledger: Ledger,
}

impl Held {
    /// Holds the one against the other.
    pub(super) fn check(&self, at: Timestamp) -> Check {
        check(&self.promised.policy, &self.moves, &self.ledger, at)
    }
}

/// Reads everything.
pub(super) fn read(args: &PromisedArgs) -> Outcome<Held> {
    let (source, plan) = read_plan(&args.plan)?;
    let policy = read_policy(args, &plan)?;
    held(&source, &plan, policy)
}

/// The same; without a policy nothing was promised, unless one is named.
pub(super) fn read_if_there(args: &PromisedArgs) -> Outcome<Held> {
    let (source, plan) = read_plan(&args.plan)?;
    let is_there = args.policy.is_some() || policy_file(args).exists();
    if is_there {
        return held(&source, &plan, read_policy(args, &plan)?);
    }
    Ok(Held { moves: moves(&plan), promised: Promised::nothing(), ledger: Ledger::default() })
}

fn held(source: &Source, plan: &Plan, promised: Promised) -> Outcome<Held> {
    let rules = &promised.policy.rules;
    let known: Vec<_> = rules.iter().map(|rule| rule.stability.as_str()).collect();
    if let Some(problems) = unknown_stability(source, plan, &known) {
        return Err(problems).or_usage();
    }
    let ledger = ledger(&promised)?;
    Ok(Held { moves: moves(plan), promised, ledger })
}

/// The policy that is named, or the one beside the plan.
fn policy_file(args: &PromisedArgs) -> PathBuf {
    args.policy.clone().unwrap_or_else(|| args.plan.file.with_file_name("policy.yaml"))
}

fn read_policy(args: &PromisedArgs, plan: &Plan) -> Outcome<Promised> {
    let source = Source::read_called("policy", &policy_file(args)).or_usage()?;
    load_policy(&source, plan.releases.clone()).or_usage()
}

/// The ledger of a policy, with which nothing is wrong. What is, is a finding.
fn ledger(promised: &Promised) -> Outcome<Ledger> {
    let (Some(path), Some(keys)) = (&promised.ledger, &promised.policy.approvers) else {
        return Ok(Ledger::default());
    };
    let ledger = file::read(path)
        .and_then(|text| Ok(Ledger::verify(&text, keys, promised.policy.head.as_ref())?));
    ledger.map_err(|error| ledger_failure(error, path))
}

/// A ledger that is not what it was is something that a person should look at.
pub(super) fn ledger_failure(error: FileError, path: &std::path::Path) -> Failure {
    let exit = match &error {
        FileError::Ledger(_) => Exit::Findings,
        FileError::Io(_) | FileError::TooLarge(_) => Exit::Failed,
    };
    let error = anyhow::Error::from(error);
    Failure { exit, error: anyhow!("{}: {error:#}", path.display()) }
}

fn moves(plan: &Plan) -> Vec<Move> {
    let one = |it: &crate::config::Move| Move {
        migration: Arc::clone(&it.migration),
        stability: it.stability.clone().unwrap_or_default(),
    };
    plan.moves.iter().map(one).collect()
}
