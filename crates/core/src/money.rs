//! Money: whole millionths of one currency.
//!
//! Nothing is rounded but where a price meets a quantity, and there upwards, so that a sum is never
//! less than what will be billed. What does not fit or does not match is an error, never a wrong
//! number.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Millionths of one unit.
const MICROS: u64 = 1_000_000;
/// Digits after the point.
const DECIMALS: usize = 6;

/// A currency's code of three letters, as in ISO 4217.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// In which clouds publish their prices.
    pub const USD: Self = Self(*b"USD");

    /// The code.
    pub fn as_str(&self) -> &str {
        // Three upper-case letters, whoever made it.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
            _ => Err(MoneyError::NoAmount(text.to_owned())),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An amount, perhaps below zero. `Display` and `FromStr` write it as `12.34 USD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    micros: i64,
    currency: Currency,
}

/// Why an amount cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// It is not written as one.
    #[error(
        "`{0}` is not an amount of money: write at most {DECIMALS} decimals and a currency, as in `12.34 USD`"
    )]
    NoAmount(String),
    /// Two currencies: nobody knows the rate.
    #[error("{0} and {1} cannot be added: use one currency everywhere")]
    Mixed(Currency, Currency),
    /// More than 9,223,372,036,854 units.
    #[error("an amount is too large to be counted")]
    TooLarge,
}

impl Money {
    /// Nothing.
    pub const fn zero(currency: Currency) -> Self {
        Self { micros: 0, currency }
    }

    /// So many millionths.
    pub const fn from_micros(micros: i64, currency: Currency) -> Self {
        Self { micros, currency }
    }

    /// Millionths.
    pub const fn micros(self) -> i64 {
        self.micros
    }

    /// Of what.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The sum. Nothing is nothing in every currency.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        let currency = match (self.micros, other.micros) {
            (0, _) => other.currency,
            (_, 0) => self.currency,
            _ if self.currency == other.currency => self.currency,
            _ => return Err(MoneyError::Mixed(self.currency, other.currency)),
        };
        let micros = self.micros.checked_add(other.micros).ok_or(MoneyError::TooLarge)?;
        Ok(Self { micros, currency })
    }

    /// The difference.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        let micros = other.micros.checked_neg().ok_or(MoneyError::TooLarge)?;
        self.checked_add(Self { micros, ..other })
    }

    /// The sum of all; nothing of `currency` if there are none.
    pub fn sum(
        currency: Currency,
        mut all: impl Iterator<Item = Self>,
    ) -> Result<Self, MoneyError> {
        all.try_fold(Self::zero(currency), Self::checked_add)
    }

    /// What `quantity` costs at this price for every `unit`, rounded up to a millionth.
    pub fn for_quantity(self, quantity: u64, unit: u64) -> Result<Self, MoneyError> {
        let exact = i128::from(self.micros).checked_mul(quantity.into());
        let exact = exact.ok_or(MoneyError::TooLarge)?;
        let unit = i128::from(unit.max(1));
        let up = i128::from(exact.rem_euclid(unit) > 0);
        let micros = i64::try_from(exact.div_euclid(unit) + up);
        let micros = micros.map_err(|_| MoneyError::TooLarge)?;
        Ok(Self { micros, ..self })
    }
}

/// Amounts of different currencies have no order, but for nothing.
impl PartialOrd for Money {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let comparable = self.currency == other.currency || self.micros == 0 || other.micros == 0;
        comparable.then(|| self.micros.cmp(&other.micros))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.micros < 0 { "-" } else { "" };
        let micros = self.micros.unsigned_abs();
        let fraction = format!("{:0DECIMALS$}", micros % MICROS);
        // Cents are always written, less only if there is any.
        let short = fraction.trim_end_matches('0').len().max(2);
        let fraction = fraction.get(..short).unwrap_or(&fraction);
        write!(f, "{sign}{}.{fraction} {}", micros / MICROS, self.currency)
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let wrong = || MoneyError::NoAmount(text.to_owned());
        let (number, currency) = text.trim().split_once(' ').ok_or_else(wrong)?;
        let currency = currency.trim().parse().map_err(|_| wrong())?;
        let (is_negative, number) = match number.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, number),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let is_number =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || fraction.len() > DECIMALS {
            return Err(wrong());
        }
        let digits = format!("{whole}{fraction:0<DECIMALS$}");
        let sign = if is_negative { -1 } else { 1 };
        let micros = digits.parse::<i128>().ok().and_then(|it| it.checked_mul(sign));
        let micros = micros.and_then(|micros| i64::try_from(micros).ok());
        Ok(Self { micros: micros.ok_or(MoneyError::TooLarge)?, currency })
    }
}

/// As text, for no program reads a fraction of money as a floating-point number.
impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    #[test]
    fn amounts_are_written_with_cents_and_what_is_below_them() {
        let table = [
            (0, "0.00 USD"),
            (1, "0.000001 USD"),
            (12_340_000, "12.34 USD"),
            (12_345_000, "12.345 USD"),
            (-500_000, "-0.50 USD"),
            (i64::MIN, "-9223372036854.775808 USD"),
        ];
        for (micros, text) in table {
            assert_eq!(Money::from_micros(micros, Currency::USD).to_string(), text);
            assert_eq!(money(text).micros(), micros);
        }
        assert_eq!(money("5 EUR"), money("5.0 EUR"));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "",
            "5",
            "USD",
            "5 usd",
            "5 EURO",
            ".5 USD",
            "5. USD",
            "1.2345678 USD",
            "+5 USD",
            "1e3 USD",
            "--1 USD",
            "1,5 USD",
        ] {
            assert!(matches!(text.parse::<Money>(), Err(MoneyError::NoAmount(_))), "{text}");
        }
        let large = "9223372036854.775808 USD".parse::<Money>();
        assert_eq!(large, Err(MoneyError::TooLarge));
        assert_eq!(format!("{} USD", "9".repeat(99)).parse::<Money>(), Err(MoneyError::TooLarge));
    }

    #[test]
    fn currencies_do_not_mix_but_nothing_is_nothing() {
        let (dollar, euro) = (money("1 USD"), money("1 EUR"));
        let mixed = dollar.checked_add(euro).unwrap_err();
        assert_eq!(mixed, MoneyError::Mixed(dollar.currency(), euro.currency()));
        assert_eq!(dollar.partial_cmp(&euro), None);
        assert_eq!(Money::zero(Currency::USD).checked_add(euro), Ok(euro));
        assert_eq!(euro.checked_sub(euro).unwrap().micros(), 0);
        let most = Money::from_micros(i64::MAX, Currency::USD);
        assert_eq!(most.checked_add(dollar), Err(MoneyError::TooLarge));
        let least = Money::from_micros(i64::MIN, Currency::USD);
        assert_eq!(dollar.checked_sub(least), Err(MoneyError::TooLarge));
        assert_eq!(Money::sum(Currency::USD, [dollar, dollar].into_iter()), Ok(money("2 USD")));
    }

    fn usd() -> impl Strategy<Value = Money> {
        any::<i64>().prop_map(|micros| Money::from_micros(micros, Currency::USD))
    }

    proptest! {
        #[test]
        fn an_amount_reads_back_as_it_is_written(amount in usd()) {
            prop_assert_eq!(money(&amount.to_string()), amount);
        }

        #[test]
        fn sums_are_those_of_wide_integers(a in usd(), b in usd()) {
            let wide = i128::from(a.micros()) + i128::from(b.micros());
            let sum = a.checked_add(b).map(|sum| i128::from(sum.micros()));
            prop_assert_eq!(sum.is_ok(), i64::try_from(wide).is_ok());
            if let Ok(sum) = sum {
                prop_assert_eq!(sum, wide);
                prop_assert_eq!(a.checked_add(b).unwrap().checked_sub(b), Ok(a));
            }
        }

        #[test]
        fn a_quantity_costs_never_less_and_less_than_a_millionth_more(
            price in 0..1_000_000_000_i64,
            quantity in 0..u64::from(u32::MAX),
            unit in 1..2_000_000_000_u64,
        ) {
            let price = Money::from_micros(price, Currency::USD);
            let cost = i128::from(price.for_quantity(quantity, unit).unwrap().micros());
            let exact = i128::from(price.micros()) * i128::from(quantity);
            let over = cost * i128::from(unit) - exact;
            prop_assert!((0..i128::from(unit)).contains(&over), "{} over", over);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,24}") {
            let _ = text.parse::<Money>();
        }
    }
}
