//! What traffic costs, in as many currencies as there are, and what nobody knows the price of.

use std::collections::BTreeMap;
use std::fmt;

use landbridge_core::money::Money;
use landbridge_core::price::Spot;
use serde::Serialize;

use super::play::Amounts;
use crate::settings::CopySettings;

/// A sum of money.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Bill {
    /// By currency.
    pub sums: BTreeMap<String, Money>,
    /// Bytes for which no price is known.
    pub unpriced_bytes: u64,
    /// The sum is larger than can be told.
    pub is_too_large: bool,
}

impl Bill {
    /// What `amounts` cost that go from a copy to clients at `to`.
    pub(super) fn of(copy: &CopySettings, to: &Spot, amounts: Amounts) -> Self {
        let mut bill = Self::default();
        let from = Spot { provider: copy.provider.clone(), region: copy.region.clone() };
        match copy.rates.egress(&from, to) {
            Some(price) => bill.pay(price.of(amounts.bytes).ok()),
            None => bill.unpriced_bytes = amounts.bytes,
        }
        if let Some(price) = copy.rates.reads {
            bill.pay(price.of(amounts.requests).ok());
        }
        bill
    }

    fn pay(&mut self, money: Option<Money>) {
        let Some(money) = money else {
            self.is_too_large = true;
            return;
        };
        if money.micros() == 0 {
            return;
        }
        let currency = money.currency();
        let sum = self.sums.entry(currency.to_string()).or_insert(Money::zero(currency));
        match sum.checked_add(money) {
            Ok(more) => *sum = more,
            Err(_) => self.is_too_large = true,
        }
    }

    /// The sum of both.
    pub(super) fn add(&mut self, other: &Self) {
        for money in other.sums.values() {
            self.pay(Some(*money));
        }
        self.unpriced_bytes = self.unpriced_bytes.saturating_add(other.unpriced_bytes);
        self.is_too_large |= other.is_too_large;
    }

    /// How much more this is than `other`, which may be less than nothing.
    pub(super) fn minus(&self, other: &Self) -> Self {
        let mut bill = self.clone();
        for money in other.sums.values() {
            let less = Money::zero(money.currency()).checked_sub(*money);
            bill.pay(less.ok());
        }
        bill.unpriced_bytes = self.unpriced_bytes.saturating_sub(other.unpriced_bytes);
        bill
    }
}

impl fmt::Display for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_too_large {
            return f.write_str("too much to tell");
        }
        let mut parts: Vec<String> = self.sums.values().map(rounded).collect();
        if parts.is_empty() {
            parts.push("0".to_owned());
        }
        f.pad(&parts.join(" + "))
    }
}

/// To hundredths, since more digits of a month's bill help nobody.
fn rounded(money: &Money) -> String {
    let micros = money.micros();
    let cents = (micros.unsigned_abs() + 5_000) / 10_000;
    let sign = if micros < 0 && cents > 0 { "-" } else { "" };
    format!("{sign}{}.{:02} {}", grouped(cents / 100), cents % 100, money.currency())
}

/// With a comma after each three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use landbridge_core::price::Rates;

    use super::*;

    #[test]
    fn bytes_and_requests_are_paid_and_what_has_no_price_is_told() {
        let mut copy = CopySettings {
            name: "a".to_owned(),
            provider: Some("aws".to_owned()),
            region: Some("us-east-1".to_owned()),
            face: crate::settings::Face::Streamed,
            rates: Rates::default(),
            store: None,
            operator: None,
        };
        let to = Spot { provider: Some("gcp".to_owned()), region: None };
        let amounts = Amounts { requests: 2_000, bytes: 3 << 30 };
        let unknown = Bill::of(&copy, &to, amounts);
        assert_eq!((unknown.to_string().as_str(), unknown.unpriced_bytes), ("0", 3 << 30));
        copy.rates.internet = Some("0.09 USD/GiB".parse().unwrap());
        copy.rates.reads = Some("0.005 USD/1000".parse().unwrap());
        let mut bill = Bill::of(&copy, &to, amounts);
        assert_eq!(bill.to_string(), "0.28 USD");
        let more = bill.clone();
        bill.add(&more);
        assert_eq!(bill.to_string(), "0.56 USD");
        assert_eq!(more.minus(&bill).to_string(), "-0.28 USD");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
