//! Which generations stay, and what goes with the others: pure functions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use landbridge_core::Digest;
use landbridge_core::holding::Holding;
use serde::Serialize;

use super::Keep;
use crate::history::{Release, Said};
use crate::report::Size;

/// Why a generation stays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It is what is served.
    InForce,
    /// It is one of the last ones.
    Recent,
    /// It was in force until then.
    Until(Timestamp),
    /// Somebody pinned it.
    Pinned,
    /// It is the newest one that this mirror holds.
    HeldBy(String),
}

/// A generation that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptGeneration {
    /// It.
    pub generation: Digest,
    /// Why.
    pub why: BTreeSet<Why>,
}

/// What a prune will do. `Display` is for people, `Serialize` for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrunePlan {
    /// The generations that stay.
    pub kept: Vec<KeptGeneration>,
    /// The generations that go.
    pub generations: Vec<Digest>,
    /// Documents that go, of the generations and of releases that never came to be.
    pub documents: usize,
    /// Objects that go from every copy that has them.
    pub objects: usize,
    /// Their bytes in one copy.
    pub bytes: u64,
    /// Copies that objects are deleted from.
    pub copies: Vec<String>,
    /// What is left alone: a sentence for each.
    pub notes: Vec<String>,
}

/// The generations that stay, by digest.
pub(super) fn kept(
    releases: &[Release],
    pins: &[Digest],
    holdings: &[(String, Holding)],
    keep: &Keep,
    now: Timestamp,
) -> BTreeMap<Digest, BTreeSet<Why>> {
    let mut kept: BTreeMap<Digest, BTreeSet<Why>> = BTreeMap::new();
    let mut add = |generation: Digest, why: Why| {
        kept.entry(generation).or_default().insert(why);
    };
    let time = SignedDuration::try_from(keep.time).unwrap_or(SignedDuration::MAX);
    // The moment when the release after this one took its place.
    let mut replaced: Option<Timestamp> = None;
    let mut recent: Vec<Digest> = Vec::new();
    for release in releases {
        let Said::Believed { generation, issued, in_force, .. } = &release.said else { continue };
        match replaced {
            Some(until) if now.duration_since(until) < time => add(*generation, Why::Until(until)),
            _ if *in_force => add(*generation, Why::InForce),
            Some(_) | None => {}
        }
        replaced = Some(*issued);
        if !recent.contains(generation) && recent.len() <= keep.releases {
            add(*generation, Why::Recent);
            recent.push(*generation);
        }
    }
    for pinned in pins.iter().chain(&keep.pinned) {
        add(*pinned, Why::Pinned);
    }
    for (mirror, holding) in holdings {
        if let Some(newest) = newest_held(releases, holding) {
            add(newest, Why::HeldBy(mirror.clone()));
        }
    }
    kept
}

/// What a mirror that fell behind serves still.
fn newest_held(releases: &[Release], holding: &Holding) -> Option<Digest> {
    releases.iter().find_map(|release| match &release.said {
        Said::Believed { generation, .. } => {
            holding.generations.contains(generation).then_some(*generation)
        }
        Said::Refused(_) => None,
    })
}

/// A holding without the generations that go, and without what it lacks of them; `None` if that
/// changes nothing.
pub(super) fn without(
    holding: &Holding,
    kept: &BTreeMap<Digest, BTreeSet<Why>>,
    is_needed: impl Fn(&Digest) -> bool,
) -> Option<Holding> {
    let mut after = holding.clone();
    after.generations.retain(|generation| kept.contains_key(generation));
    after.lacks.retain(is_needed);
    (after != *holding).then_some(after)
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InForce => f.write_str("in force"),
            Self::Recent => f.write_str("one of the last"),
            Self::Until(until) => write!(f, "in force until {until:.0}"),
            Self::Pinned => f.write_str("pinned"),
            Self::HeldBy(mirror) => write!(f, "the newest that mirror `{mirror}` holds"),
        }
    }
}

impl fmt::Display for PrunePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for KeptGeneration { generation, why } in &self.kept {
            let why: Vec<_> = why.iter().map(Why::to_string).collect();
            writeln!(f, "stays  {generation}  {}", why.join(", "))?;
        }
        for generation in &self.generations {
            writeln!(f, "goes   {generation}")?;
        }
        let Self { documents, objects, bytes, copies, .. } = self;
        write!(f, "{documents} documents, {objects} objects ({})", Size(*bytes))?;
        if !copies.is_empty() {
            write!(f, ", from {}", copies.join(", "))?;
        }
        for note in &self.notes {
            write!(f, "\nnote: {note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::history::Kept;

    const HOUR: i64 = 3600;

    fn digest(name: &str) -> Digest {
        Digest::sha256_of(name.as_bytes())
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(hours * HOUR).unwrap()
    }

    /// Generations by the hour when they were published, oldest first.
    fn releases(issued: &[(i64, &str)]) -> Vec<Release> {
        let release = |(sequence, (hour, name)): (u64, &(i64, &str))| Release {
            sequence,
            said: Said::Believed {
                generation: digest(name),
                issued: at(*hour),
                expires: at(*hour + 1000),
                reason: String::new(),
                in_force: sequence == issued.len() as u64,
                kept: Kept::There,
            },
        };
        let mut all: Vec<_> = (1..).zip(issued).map(release).collect();
        all.reverse();
        all
    }

    fn keep(releases: usize, hours: u64) -> Keep {
        Keep { releases, time: Duration::from_secs(hours * 3600), pinned: Vec::new() }
    }

    fn names(kept: &BTreeMap<Digest, BTreeSet<Why>>) -> String {
        ["a", "b", "c", "d", "e"]
            .into_iter()
            .filter(|name| kept.contains_key(&digest(name)))
            .collect()
    }

    #[test]
    fn what_was_in_force_a_moment_ago_stays_however_old_it_is() {
        let all = releases(&[(0, "a"), (10, "b"), (1000, "c")]);
        let names = |keep: &Keep, now| names(&kept(&all, &[], &[], keep, at(now)));
        assert_eq!(names(&keep(0, 72), 1001), "bc");
        assert_eq!(names(&keep(0, 72), 1071), "bc");
        assert_eq!(names(&keep(0, 72), 1072), "c");
        assert_eq!(names(&keep(1, 72), 1072), "bc");
        assert_eq!(names(&keep(9, 0), 9999), "abc");
        assert_eq!(names(&keep(0, 1001), 1010), "abc");
    }

    #[test]
    fn renewals_and_what_is_not_believed_do_not_count_as_releases() {
        let mut all = releases(&[(0, "a"), (1, "b"), (2, "b"), (3, "c"), (4, "c"), (5, "c")]);
        all.insert(0, Release { sequence: 99, said: Said::Refused("forged".to_owned()) });
        assert_eq!(names(&kept(&all, &[], &[], &keep(1, 0), at(1000))), "bc");
        let rolled_back = releases(&[(0, "a"), (1, "b"), (2, "a")]);
        assert_eq!(names(&kept(&rolled_back, &[], &[], &keep(0, 0), at(1000))), "a");
    }

    #[test]
    fn pins_and_the_newest_that_a_mirror_holds_stay() {
        let all = releases(&[(0, "a"), (1, "b"), (2, "c"), (3, "d"), (4, "e")]);
        let holding = |names: &[&str]| Holding {
            generations: names.iter().map(|name| digest(name)).collect(),
            ..Holding::empty("test")
        };
        let behind = [("slow".to_owned(), holding(&["a", "b"])), ("new".to_owned(), holding(&[]))];
        assert_eq!(names(&kept(&all, &[], &behind, &keep(0, 0), at(1000))), "be");
        // One that has what is in force needs nothing else, in whatever order it names them.
        let up_to_date = [("fast".to_owned(), holding(&["e", "a", "d"]))];
        assert_eq!(names(&kept(&all, &[], &up_to_date, &keep(0, 0), at(1000))), "e");
        assert_eq!(names(&kept(&all, &[digest("c")], &[], &keep(0, 0), at(1000))), "ce");
        let site = Keep { pinned: vec![digest("a")], ..keep(0, 0) };
        assert_eq!(names(&kept(&all, &[], &[], &site, at(1000))), "ae");
    }

    #[test]
    fn a_holding_loses_what_goes_and_nothing_else() {
        let all = releases(&[(0, "a"), (1, "b")]);
        let kept = kept(&all, &[], &[], &keep(0, 0), at(1000));
        let [x, y] = ["x", "y"].map(digest);
        let holding = Holding {
            generations: vec![digest("a"), digest("b")],
            lacks: vec![x, y],
            pointer: Some(2),
            ..Holding::empty("test")
        };
        let after = without(&holding, &kept, |object| *object == x).unwrap();
        assert_eq!((&*after.generations, &*after.lacks), (&[digest("b")][..], &[x][..]));
        assert_eq!(after.pointer, Some(2));
        assert_eq!(without(&after, &kept, |object| *object == x), None);
    }
}
