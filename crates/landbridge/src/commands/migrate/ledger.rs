//! `landbridge migrate ledger`: exceptions from the policy, proposed, signed and kept.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use jiff::Timestamp;
use landbridge_core::migration::Phase;
use landbridge_core::pointer::{Envelope, Keys, Verified};
use landbridge_migrate::check::{ChangeCheck, Verdict};
use landbridge_migrate::ledger::{Draft, Entry, Head, PAYLOAD_TYPE, file};
use landbridge_migrate::policy::Exception;
use landbridge_sign::{Signer, sign_envelope};

use super::promised::{self, Held, ledger_failure};
use super::write_whole;
use crate::cli::{LedgerCommand, ProposeArgs};
use crate::exit::{Exit, OrExit as _, Outcome};
use crate::output;
use crate::runtime;

pub(super) fn run(command: &LedgerCommand) -> Outcome {
    match command {
        LedgerCommand::Show { promised, json } => show(&promised::read(promised)?, *json),
        LedgerCommand::Propose(args) => propose(args),
        LedgerCommand::Sign { draft, key, promised } => {
            sign(draft, key, &promised::read(promised)?)
        }
        LedgerCommand::Append { draft, promised } => append(draft, &promised::read(promised)?),
    }
}

fn show(held: &Held, json: bool) -> Outcome {
    let entries: Vec<&Entry> = held.ledger.entries().iter().map(Verified::content).collect();
    let head = held.ledger.head();
    if json {
        let json = serde_json::json!({ "entries": entries, "head": head });
        output::print_line(&serde_json::to_string_pretty(&json).or_failed()?)?;
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    for entry in entries {
        text += &described(entry);
        text.push('\n');
    }
    text += &match head {
        Some(head) => head_line(&head),
        None => "there are no exceptions\n".to_owned(),
    };
    output::print(&text)?;
    Ok(Exit::Done)
}

/// An exception for whoever is to judge it.
fn described(entry: &Entry) -> String {
    let it = &entry.exception;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "exception {}, of {}: the {} of `{}` that starts at {} comes up to {} days too early for the rule `{}`",
        entry.sequence, entry.date, it.phase, it.of, it.start, it.days_short, it.rule
    );
    let _ = writeln!(text, "  reason:     {} ({})", it.reason.name(), it.evidence);
    let _ = writeln!(text, "  mitigation: {}", it.mitigation);
    let _ = writeln!(text, "  expires:    {}", it.expires);
    text
}

fn head_line(head: &Head) -> String {
    format!("head: {{entries: {}, digest: \"{}\"}}\n", head.entries, head.digest)
}

fn propose(args: &ProposeArgs) -> Outcome {
    let held = promised::read(&args.promised)?;
    let now = Timestamp::from_second(Timestamp::now().as_second()).or_failed()?;
    let date = args.date.map_or(now, |date| date.0);
    let check = held.check(date);
    let short = short(&check.changes, args).or_usage()?;
    let exception = Exception {
        rule: short.rule.clone().unwrap_or_default(),
        of: short.of.clone(),
        phase: short.phase.to_owned(),
        start: short.start,
        days_short: days_short(short).unwrap_or_default(),
        reason: args.reason.into(),
        evidence: args.evidence.clone(),
        mitigation: args.mitigation.clone(),
        expires: args.expires.0,
    };
    let draft = held.ledger.propose(date, exception);
    write_draft(&args.draft, &draft)?;
    output::print(&format!(
        "{}it waits for signatures: landbridge migrate ledger sign {} --key FILE\n",
        described(draft.entry()),
        args.draft.display()
    ))?;
    Ok(Exit::Done)
}

/// The finding that an exception is asked for.
fn short<'a>(changes: &'a [ChangeCheck], args: &ProposeArgs) -> anyhow::Result<&'a ChangeCheck> {
    let phase = Phase::from(args.phase).name();
    let is_meant = |it: &&ChangeCheck| {
        it.of == args.of.as_str()
            && it.phase == phase
            && args.rule.as_ref().is_none_or(|rule| Some(rule.as_str()) == it.rule.as_deref())
            && args.start.is_none_or(|start| start.0 == it.start)
    };
    let meant: Vec<_> = changes.iter().filter(is_meant).collect();
    if meant.is_empty() {
        bail!("the plan has no such {phase} of `{}`, or no such rule holds for it", args.of);
    }
    let short: Vec<_> = meant.into_iter().filter(|it| days_short(it).is_some()).collect();
    match short[..] {
        [one] => Ok(one),
        [] => {
            bail!("nothing is to be excepted there: `landbridge migrate check` says how it stands")
        }
        [..] => {
            let list = short.iter().map(|it| {
                let rule = it.rule.as_deref().unwrap_or_default();
                format!("\n  --rule {rule} --start {}", it.start)
            });
            Err(anyhow!("several are short; say which one:{}", list.collect::<String>()))
        }
    }
}

fn days_short(change: &ChangeCheck) -> Option<u32> {
    match change.verdict {
        Verdict::Short { days_short, .. } => u32::try_from(days_short).ok(),
        Verdict::Kept
        | Verdict::NoRule
        | Verdict::Aborted
        | Verdict::Excused { .. }
        | Verdict::Unknown => None,
    }
}

fn sign(path: &Path, key: &Path, held: &Held) -> Outcome {
    let keys = approvers(held)?;
    let mut draft = read_draft(path)?;
    let signer = Signer::open(key).or_usage()?;
    let signed = runtime::block_on(async {
        sign_envelope(&[signer], keys, PAYLOAD_TYPE, draft.payload())
            .await
            .context("the draft was not signed: only keys of the policy's `approvers` can")
            .or_usage()
    })?;
    let signed: Envelope = serde_json::from_slice(&signed).or_failed()?;
    draft.add(signed.signatures);
    write_draft(path, &draft)?;
    output::print(&format!(
        "{}signed; it has {} of {} signatures\n",
        described(draft.entry()),
        draft.signatures(),
        keys.threshold()
    ))?;
    Ok(Exit::Done)
}

fn append(path: &Path, held: &Held) -> Outcome {
    let keys = approvers(held)?;
    let draft = read_draft(path)?;
    let promised = &held.promised;
    let ledger = promised.ledger.as_deref().context("the policy names no `ledger`").or_usage()?;
    let head = file::append(ledger, &draft, keys, promised.policy.head.as_ref())
        .map_err(|error| ledger_failure(error, ledger))?;
    output::print(&format!(
        "{}is in `{}`; note in the policy how that ends:\n\n{}",
        described(draft.entry()),
        ledger.display(),
        head_line(&head)
    ))?;
    Ok(Exit::Done)
}

fn approvers(held: &Held) -> Outcome<&Keys> {
    let keys = held.promised.policy.approvers.as_ref();
    keys.context("the policy has no `approvers`: nobody can sign an exception").or_usage()
}

fn read_draft(path: &Path) -> Outcome<Draft> {
    let what = || format!("cannot read the draft `{}`", path.display());
    let text = std::fs::read_to_string(path).with_context(what).or_usage()?;
    Draft::parse(&text).with_context(what).or_usage()
}

fn write_draft(path: &Path, draft: &Draft) -> Outcome<()> {
    write_whole(path, &format!("{}\n", draft.encode()))
        .with_context(|| format!("cannot write `{}`", path.display()))
        .or_failed()
}
