//! From the last pointer that is known to the newest one, in steps that releases can take.
//!
//! A key that leaked must not be able to use up the numbers: whoever holds it could sign the highest
//! one that there is, and nothing would ever be newer. So a pointer more than [`MOST_AHEAD`] above
//! the highest valid one below it is not believed until a person says so, and the next number is
//! taken within reach as well. When the key is removed, its pointers are nothing but junk again.

use std::ops::RangeInclusive;

use landbridge_core::pointer::{Pointer, Verified};

/// How far a pointer may be ahead of the last one.
pub const MOST_AHEAD: u64 = 1_000;
/// Pointers that are not believed are read and reported up to this many in one search.
const MOST_REFUSED: usize = 64;

/// How far the steps led.
#[derive(Debug, Default)]
pub(crate) struct Ascended {
    /// The highest pointer that was reached.
    pub(crate) latest: Option<Verified<Pointer>>,
    /// What was read and not believed: a sentence for each.
    pub(crate) refused: Vec<String>,
    /// The lowest sequence that is out of reach and was not read.
    pub(crate) beyond: Option<u64>,
}

/// Climbs through the sequences that are `taken`, in ascending order, from `lowest` on; if that is
/// 0, nothing is known yet, and the lowest valid one is where it begins. Each step goes to the
/// highest valid pointer within reach, so that a history of a thousand releases costs one read.
pub(crate) async fn ascend<E, F>(
    taken: &[u64],
    lowest: u64,
    read: impl Fn(u64) -> F,
) -> Result<Ascended, E>
where
    F: Future<Output = Result<Result<Verified<Pointer>, String>, E>>,
{
    let mut ascended = Ascended::default();
    let first = if lowest == 0 { taken.first().copied() } else { Some(lowest) };
    let Some(mut window) = first.map(|first| first..=first.saturating_add(MOST_AHEAD)) else {
        return Ok(ascended);
    };
    loop {
        let mut step = None;
        for sequence in within(taken, &window).iter().rev() {
            if ascended.refused.len() == MOST_REFUSED {
                let why = format!("pointer {sequence} and below: not looked at, too many are bad");
                ascended.refused.push(why);
                break;
            }
            match read(*sequence).await? {
                Ok(pointer) => {
                    step = Some(pointer);
                    break;
                }
                Err(why) => ascended.refused.push(why),
            }
        }
        let above = taken.iter().copied().find(|sequence| sequence > window.end());
        let Some(above) = above else {
            ascended.latest = step.or(ascended.latest);
            return Ok(ascended);
        };
        window = match step {
            Some(pointer) => {
                let reach = pointer.content().sequence.saturating_add(MOST_AHEAD);
                ascended.latest = Some(pointer);
                above..=reach
            }
            // Nothing is valid down here: whatever is above cannot be measured by it.
            None if lowest == 0 && ascended.latest.is_none() => {
                above..=above.saturating_add(MOST_AHEAD)
            }
            None => above..=0,
        };
        if window.is_empty() {
            ascended.beyond = Some(above);
            return Ok(ascended);
        }
    }
}

fn within<'a>(taken: &'a [u64], window: &RangeInclusive<u64>) -> &'a [u64] {
    let from = taken.partition_point(|sequence| sequence < window.start());
    let to = taken.partition_point(|sequence| sequence <= window.end());
    taken.get(from..to).unwrap_or_default()
}

/// The number after `last`: above all that are taken within reach, or else any that is free there.
pub(crate) fn next_sequence(taken: &[u64], last: u64) -> Option<u64> {
    let reach = last.checked_add(1)?..=last.saturating_add(MOST_AHEAD);
    let highest = within(taken, &reach).last().copied().unwrap_or(last);
    let above = highest.checked_add(1).filter(|next| reach.contains(next));
    above.or_else(|| reach.rev().find(|free| taken.binary_search(free).is_err()))
}

/// What is said of a pointer out of reach.
pub(crate) fn too_far(place: &str, last: Option<&Verified<Pointer>>) -> String {
    let last = last.map_or(0, |pointer| pointer.content().sequence);
    format!(
        "{place} is more than {MOST_AHEAD} ahead of pointer {last} and is not believed: if it is \
         right all the same, write its number as `minimum_sequence` of the origin's `store`"
    )
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::convert::Infallible;

    use landbridge_core::Digest;
    use landbridge_core::pointer::Keys;
    use landbridge_sign::LocalKey;

    use super::*;

    fn pointer(sequence: u64) -> Verified<Pointer> {
        let key = LocalKey::generate().unwrap();
        let keys = Keys::new(vec![key.public().clone()], 1).unwrap();
        let at = "2026-11-22T00:00:00Z".parse().unwrap();
        let (generation, reason) = (Digest::sha256_of(b"root"), "test".to_owned());
        let catalog = "demo".to_owned();
        let pointer = Pointer {
            catalog,
            expires: at,
            generation,
            issued: at,
            previous: None,
            reason,
            sequence,
        };
        keys.verify(&key.sign_pointer(&pointer)).unwrap()
    }

    /// The sequence that is reached, what is beyond, and how many were read; `bad` are not valid.
    async fn climb(taken: &[u64], bad: &[u64], lowest: u64) -> (Option<u64>, Option<u64>, usize) {
        let reads = RefCell::new(0);
        let read = async |sequence: u64| {
            *reads.borrow_mut() += 1;
            let verdict =
                if bad.contains(&sequence) { Err("bad".into()) } else { Ok(pointer(sequence)) };
            Ok::<_, Infallible>(verdict)
        };
        let ascended = ascend(taken, lowest, read).await.unwrap();
        let latest = ascended.latest.map(|pointer| pointer.content().sequence);
        (latest, ascended.beyond, reads.into_inner())
    }

    #[tokio::test]
    async fn it_climbs_in_steps_that_releases_can_take() {
        let far = 1 << 60;
        let many: Vec<u64> = (1..=2_500).collect();
        let table = [
            (&[][..], &[][..], 0, (None, None, 0)),
            (&[1, 2, 3], &[], 0, (Some(3), None, 1)),
            (&[1, 2, 3], &[3, 2], 0, (Some(1), None, 3)),
            (&many, &[], 0, (Some(2_500), None, 3)),
            (&many, &[], 1_900, (Some(2_500), None, 1)),
            // The last one and one before it, both signed by somebody who has the key.
            (&[1, 50, far, u64::MAX], &[], 0, (Some(50), Some(far), 1)),
            (&[1, 50, far, u64::MAX], &[], 50, (Some(50), Some(far), 1)),
            (&[1, 50, far, u64::MAX], &[], far, (Some(far), Some(u64::MAX), 1)),
            (&[50, 1_050, 1_051], &[], 50, (Some(1_051), None, 2)),
            (&[50, 1_051], &[], 50, (Some(50), Some(1_051), 1)),
            // What was removed at the beginning is no step that is too far.
            (&[7_000, 7_001], &[], 0, (Some(7_001), None, 1)),
            (&[1, 7_000, 7_001], &[1], 0, (Some(7_001), None, 2)),
        ];
        for (taken, bad, lowest, expected) in table {
            assert_eq!(climb(taken, bad, lowest).await, expected, "{} from {lowest}", taken.len());
        }
    }

    #[test]
    fn numbers_cannot_be_used_up() {
        let far = 1 << 60;
        let table = [
            (&[][..], 0, Some(1)),
            (&[1, 2], 2, Some(3)),
            (&[1, 2, 5], 2, Some(6)),
            (&[1, 2, far, u64::MAX], 2, Some(3)),
            (&[1, 2, 1_001], 2, Some(1_002)),
            (&[1, 2, 1_002], 2, Some(1_001)),
            (&[u64::MAX], u64::MAX, None),
        ];
        for (taken, last, expected) in table {
            assert_eq!(next_sequence(taken, last), expected, "{taken:?} {last}");
        }
        let all: Vec<u64> = (1..=1_000).collect();
        assert_eq!(next_sequence(&all, 0), None);
    }
}
