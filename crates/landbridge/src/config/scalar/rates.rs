//! Rates: so many requests, or so many bytes, in a time.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use landbridge_core::limits::{Per, Rate};

use super::{Size, split_unit};

/// Requests in a time: `10/s`, `600/min`, `20000/h`, `100000/d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestRate(pub(crate) Rate);

impl FromStr for RequestRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let amount = |text: &str| match split_unit(text) {
            Some((number, "")) => Some(number),
            _ => None,
        };
        rate(text, amount).map(Self).ok_or_else(|| {
            format!(
                "`{text}` is not a rate of requests: write a whole number above 0 and `/s`, `/min`, `/h` or `/d`, as in `600/min`"
            )
        })
    }
}

impl fmt::Display for RequestRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Bytes in a time: `10MiB/s`, `50GiB/h`, `2TiB/d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ByteRate(pub(crate) Rate);

impl ByteRate {
    /// So many bytes each second; one if it is none.
    pub(crate) fn per_second(bytes: u64) -> Self {
        let amount = NonZeroU64::new(bytes).unwrap_or(NonZeroU64::MIN);
        Self(Rate { amount, per: Per::Second })
    }
}

impl FromStr for ByteRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let amount = |text: &str| text.parse().ok().map(|size: Size| size.0);
        rate(text, amount).map(Self).ok_or_else(|| {
            format!(
                "`{text}` is not a rate of bytes: write a size above 0 and `/s`, `/min`, `/h` or `/d`, as in `50GiB/h`"
            )
        })
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Size(self.0.amount.get()), self.0.per.name())
    }
}

fn rate(text: &str, amount: impl Fn(&str) -> Option<u64>) -> Option<Rate> {
    let (before, unit) = text.rsplit_once('/')?;
    let per = Per::ALL.into_iter().find(|per| per.name() == unit)?;
    Some(Rate { amount: NonZeroU64::new(amount(before)?)?, per })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_back_as_they_are_printed() {
        for text in ["1/s", "600/min", "20000/h", "100000/d"] {
            assert_eq!(text.parse::<RequestRate>().unwrap().to_string(), text);
        }
        for text in ["1B/s", "10MiB/s", "50GiB/h", "2048GiB/d"] {
            let rate: ByteRate = text.parse().unwrap();
            assert_eq!(rate.to_string().parse(), Ok(rate), "{text}");
        }
        for text in
            ["", "600", "600/", "0/s", "/min", "6 0/min", "600/m", "600/min/h", "-1/s", "1.5/s"]
        {
            assert!(text.parse::<RequestRate>().is_err(), "{text}");
        }
        for text in ["50/h", "0GiB/h", "50GiB", "50GiB/week", "GiB/h", "99999999999999GiB/s"] {
            assert!(text.parse::<ByteRate>().is_err(), "{text}");
        }
    }
}
