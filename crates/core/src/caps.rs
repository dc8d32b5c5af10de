//! Caps: how much may go over an overflow edge, and how much has.
//!
//! A cap is bytes and money for an hour and for a day, both as the clock of UTC cuts them. What is
//! *spent* never exceeds it by more than the reserve, whatever clients do: [`Ledger::take`] asks
//! and counts in one step. The reserve is there so that a pull which was let in ends well:
//! [`Ledger::admit`] lets a pull in only if what is spent, what pulls under way were promised and
//! what this one will take fit under the cap together; then what is taken for it may use the
//! reserve.
//!
//! Time is an argument: seconds since 1970. A clock that goes back does not give anything back.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// From here on a cap is near, in thousandths of it.
const NEAR: u64 = 800;

/// An amount of what is capped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Bytes.
    pub bytes: u64,
    /// Millionths of a unit of money.
    pub micros: u64,
}

impl Amount {
    /// As much as can be.
    pub const UNLIMITED: Self = Self { bytes: u64::MAX, micros: u64::MAX };

    /// The sum, or the most that can be.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            micros: self.micros.saturating_add(other.micros),
        }
    }

    /// The difference, not below nothing.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            micros: self.micros.saturating_sub(other.micros),
        }
    }

    /// True if neither the bytes nor the money are more than `limit` has.
    pub const fn fits(self, limit: Self) -> bool {
        self.bytes <= limit.bytes && self.micros <= limit.micros
    }

    /// `part` in `whole` of it, rounded down. What is unlimited stays so.
    #[must_use]
    pub fn share(self, part: u64, whole: u64) -> Self {
        let share = |amount: u64| match amount {
            u64::MAX => u64::MAX,
            amount => {
                let exact = u128::from(amount) * u128::from(part) / u128::from(whole.max(1));
                u64::try_from(exact).unwrap_or(u64::MAX)
            }
        };
        Self { bytes: share(self.bytes), micros: share(self.micros) }
    }

    /// How much of `limit` this is, in thousandths, of bytes or money whichever is more; more than
    /// 1,000 if it is more than all of it. Of nothing, everything is.
    pub fn permille_of(self, limit: Self) -> u64 {
        let of = |amount: u64, limit: u64| match limit {
            u64::MAX => 0,
            0 => 1_000,
            limit => {
                u64::try_from(u128::from(amount) * 1_000 / u128::from(limit)).unwrap_or(u64::MAX)
            }
        };
        of(self.bytes, limit.bytes).max(of(self.micros, limit.micros))
    }
}

/// How much may go over an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// In each hour.
    pub hour: Amount,
    /// In each day.
    pub day: Amount,
}

impl Cap {
    /// The part of one of `fronts` that share it, rounded down.
    #[must_use]
    pub fn for_one_of(self, fronts: u32) -> Self {
        let share = |amount: Amount| amount.share(1, fronts.max(1).into());
        Self { hour: share(self.hour), day: share(self.day) }
    }
}

/// What room a cap leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Enough.
    Free,
    /// It is near: of 65,536 clients so many should be asked to wait. Grows from none to all.
    Slowing(u16),
    /// None.
    Spent,
}

/// How a cap is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The cap.
    pub cap: Cap,
    /// How far beyond it pulls that were let in may go, in thousandths of it.
    pub reserve_permille: u16,
    /// For how long a pull that was let in counts as under way.
    pub pull: Duration,
    /// The most pulls under way that are remembered; more are let in without a promise.
    pub pulls: usize,
}

impl Terms {
    fn with_reserve(&self) -> Cap {
        let more = |amount: Amount| amount.plus(amount.share(self.reserve_permille.into(), 1_000));
        Cap { hour: more(self.cap.hour), day: more(self.cap.day) }
    }
}

/// What was spent in one window of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// Which window: whole windows since 1970.
    pub number: u64,
    /// What was spent in it.
    pub spent: Amount,
}

impl Window {
    fn roll(&mut self, number: u64) {
        if number > self.number {
            *self = Self { number, spent: Amount::default() };
        }
    }
}

/// What was spent over one edge: all that must survive a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// In this hour.
    pub hour: Window,
    /// In this day.
    pub day: Window,
}

impl Spent {
    /// What is counted as spent at `now` by a front that does not know: of each window the part of
    /// the cap that corresponds to the part that has passed. What is not capped is not counted.
    pub fn unknown(cap: Cap, now: u64) -> Self {
        let passed = |limit: Amount, length: u64| {
            let limit = Amount {
                bytes: if limit.bytes == u64::MAX { 0 } else { limit.bytes },
                micros: if limit.micros == u64::MAX { 0 } else { limit.micros },
            };
            Window { number: now / length, spent: limit.share(now % length, length) }
        };
        Self { hour: passed(cap.hour, HOUR), day: passed(cap.day, DAY) }
    }

    /// These, as known at the moment `then`, at `now`: for the time between what is not known is
    /// counted as in [`Spent::unknown`].
    #[must_use]
    pub fn since(mut self, then: u64, cap: Cap, now: u64) -> Self {
        let gap = Self::unknown(cap, now);
        self.roll(now);
        for (window, gap, length) in
            [(&mut self.hour, gap.hour, HOUR), (&mut self.day, gap.day, DAY)]
        {
            let (passed, missed) = (now % length, now.saturating_sub(then));
            window.spent = window.spent.plus(gap.spent.share(missed.min(passed), passed.max(1)));
        }
        self
    }

    fn roll(&mut self, now: u64) {
        self.hour.roll(now / HOUR);
        self.day.roll(now / DAY);
    }

    fn add(&mut self, amount: Amount) {
        self.hour.spent = self.hour.spent.plus(amount);
        self.day.spent = self.day.spent.plus(amount);
    }
}

/// What a pull was promised.
#[derive(Debug, Clone, Copy)]
struct Promise {
    left: Amount,
    until: u64,
}

/// The account of one edge.
#[derive(Debug, Default)]
pub struct Ledger {
    spent: Spent,
    /// By client and repository.
    promises: HashMap<u64, Promise>,
    /// In the order in which they end; an entry whose promise was renewed is passed over.
    ends: VecDeque<(u64, u64)>,
    /// What all promises have left together.
    promised: Amount,
}

impl Ledger {
    /// An account on which so much was spent.
    pub fn new(spent: Spent) -> Self {
        Self { spent, ..Self::default() }
    }

    /// What was spent, as of `now`.
    pub fn spent(&mut self, now: u64) -> Spent {
        self.spent.roll(now);
        self.spent
    }

    /// How many pulls are under way.
    pub fn under_way(&mut self, now: u64) -> usize {
        self.expire(now);
        self.promises.len()
    }

    /// How much of the cap's hour and of its day is spent, in thousandths.
    pub fn permille(&mut self, terms: &Terms, now: u64) -> (u64, u64) {
        self.spent.roll(now);
        let Spent { hour, day } = self.spent;
        (hour.spent.permille_of(terms.cap.hour), day.spent.permille_of(terms.cap.day))
    }

    /// What room there is for a pull that begins with `expected` still to come. A pull that is
    /// under way finds room up to the reserve. Nothing is promised by asking.
    pub fn room(&mut self, key: u64, expected: Amount, terms: &Terms, now: u64) -> Room {
        self.expire(now);
        self.spent.roll(now);
        let own = self.promises.get(&key).map(|promise| promise.left);
        let Some(own) = own else {
            let waiting = self.promised.plus(expected);
            return self.room_for(waiting, terms.cap, terms.cap);
        };
        let limit = terms.with_reserve();
        let waiting = self.promised.minus(own).plus(own.max_with(expected));
        match self.room_for(waiting, limit, limit) {
            Room::Spent => Room::Spent,
            Room::Free | Room::Slowing(_) => Room::Free,
        }
    }

    fn room_for(&self, waiting: Amount, limit: Cap, near: Cap) -> Room {
        let (hour, day) = (self.spent.hour.spent.plus(waiting), self.spent.day.spent.plus(waiting));
        // Of a cap that is spent to the last byte nothing is left for who cannot say how much.
        let is_open = hour.fits(limit.hour)
            && day.fits(limit.day)
            && hour.permille_of(limit.hour) < 1_000
            && day.permille_of(limit.day) < 1_000;
        if !is_open {
            return Room::Spent;
        }
        let near = hour.permille_of(near.hour).max(day.permille_of(near.day));
        match near.saturating_sub(NEAR) {
            0 => Room::Free,
            beyond => {
                let share = beyond * u64::from(u16::MAX) / (1_000 - NEAR);
                Room::Slowing(u16::try_from(share).unwrap_or(u16::MAX))
            }
        }
    }

    /// Lets a pull in, for which there was room: what it will take is promised to it.
    pub fn admit(&mut self, key: u64, expected: Amount, terms: &Terms, now: u64) {
        self.expire(now);
        let length = terms.pull.as_secs();
        let before = self.promises.get(&key).copied();
        if before.is_none() && self.promises.len() >= terms.pulls {
            return;
        }
        // Renewed in its second half only: so nobody makes the list of ends long.
        let is_fresh = |promise: &Promise| promise.until.saturating_sub(now) > length / 2;
        let until = match before.filter(is_fresh) {
            Some(promise) => promise.until,
            None => now.saturating_add(length),
        };
        let had = before.map(|promise| promise.left).unwrap_or_default();
        let left = had.max_with(expected);
        self.promised = self.promised.minus(had).plus(left);
        self.promises.insert(key, Promise { left, until });
        if before.is_none_or(|promise| promise.until != until) {
            self.ends.push_back((until, key));
        }
    }

    /// Takes `amount` for a client and repository, if it fits: under the cap and the reserve,
    /// together with what other pulls were promised if this one was promised nothing. Returns
    /// false, and takes nothing, if it does not.
    pub fn take(&mut self, key: u64, amount: Amount, terms: &Terms, now: u64) -> bool {
        self.expire(now);
        self.spent.roll(now);
        let limit = terms.with_reserve();
        // Who was let in was let in beside the others: their promises need not fit beside it again.
        let waiting =
            if self.promises.contains_key(&key) { amount } else { self.promised.plus(amount) };
        let Spent { hour, day } = self.spent;
        if !hour.spent.plus(waiting).fits(limit.hour) || !day.spent.plus(waiting).fits(limit.day) {
            return false;
        }
        self.spent.add(amount);
        if let Some(promise) = self.promises.get_mut(&key) {
            let used = amount.min_with(promise.left);
            promise.left = promise.left.minus(used);
            self.promised = self.promised.minus(used);
        }
        true
    }

    /// When the window ends that leaves no room, in seconds since 1970: the day's if that is spent.
    pub fn reopens(&mut self, terms: &Terms, now: u64) -> u64 {
        let (_, day) = self.permille(terms, now);
        let length = if day >= NEAR { DAY } else { HOUR };
        (now / length + 1) * length
    }

    fn expire(&mut self, now: u64) {
        while let Some(&(until, key)) = self.ends.front()
            && until <= now
        {
            self.ends.pop_front();
            if let Some(promise) = self.promises.get(&key)
                && promise.until <= now
            {
                self.promised = self.promised.minus(promise.left);
                self.promises.remove(&key);
            }
        }
    }
}

impl Amount {
    fn max_with(self, other: Self) -> Self {
        Self { bytes: self.bytes.max(other.bytes), micros: self.micros.max(other.micros) }
    }

    fn min_with(self, other: Self) -> Self {
        Self { bytes: self.bytes.min(other.bytes), micros: self.micros.min(other.micros) }
    }
}

#[cfg(test)]
mod tests;
