//! What moving bytes costs: prices of providers, from where to where.
//!
//! A price says in which gigabytes it counts, since providers differ: `0.12 USD/GiB` is for 2^30
//! bytes, `0.087 USD/GB` for 10^9. What comes in is free with every provider that is known here.
//! A list has tiers that become cheaper; the prices here are those of the first tier that is not
//! free, so that an estimate errs upwards.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::money::{Currency, Money, MoneyError};

/// Requests for which providers write their prices.
const REQUESTS: u64 = 1_000;

/// The gigabytes that a provider bills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gigabyte {
    /// 2^30 bytes.
    Binary,
    /// 10^9 bytes.
    Decimal,
}

impl Gigabyte {
    /// How many bytes it has.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Binary => 1 << 30,
            Self::Decimal => 1_000_000_000,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Binary => "GiB",
            Self::Decimal => "GB",
        }
    }
}

/// A price for bytes: `0.12 USD/GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VolumePrice {
    price: Money,
    gigabyte: Gigabyte,
}

impl VolumePrice {
    /// Nothing for as much as one likes.
    pub const fn free(currency: Currency) -> Self {
        Self { price: Money::zero(currency), gigabyte: Gigabyte::Binary }
    }

    const fn usd(micros: i64, gigabyte: Gigabyte) -> Self {
        Self { price: Money::from_micros(micros, Currency::USD), gigabyte }
    }

    /// What these bytes cost, rounded up to a millionth.
    pub fn of(self, bytes: u64) -> Result<Money, MoneyError> {
        self.price.for_quantity(bytes, self.gigabyte.bytes())
    }

    /// In which currency it is.
    pub const fn currency(self) -> Currency {
        self.price.currency()
    }
}

impl fmt::Display for VolumePrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.price, self.gigabyte.name())
    }
}

impl FromStr for VolumePrice {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        let wrong = || PriceError::NoVolume(text.to_owned());
        let (price, unit) = text.split_once('/').ok_or_else(wrong)?;
        let both = [Gigabyte::Binary, Gigabyte::Decimal];
        let gigabyte = both.into_iter().find(|it| it.name() == unit.trim()).ok_or_else(wrong)?;
        Ok(Self { price: not_negative(price).ok_or_else(wrong)?, gigabyte })
    }
}

/// A price for a thousand requests: `0.005 USD/1000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestPrice(Money);

impl RequestPrice {
    /// Nothing for as many as one likes.
    pub const fn free(currency: Currency) -> Self {
        Self(Money::zero(currency))
    }

    const fn usd(micros: i64) -> Self {
        Self(Money::from_micros(micros, Currency::USD))
    }

    /// What so many requests cost, rounded up to a millionth.
    pub fn of(self, requests: u64) -> Result<Money, MoneyError> {
        self.0.for_quantity(requests, REQUESTS)
    }

    /// In which currency it is.
    pub const fn currency(self) -> Currency {
        self.0.currency()
    }
}

impl fmt::Display for RequestPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{REQUESTS}", self.0)
    }
}

impl FromStr for RequestPrice {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        let wrong = || PriceError::NoRequests(text.to_owned());
        let (price, unit) = text.split_once('/').ok_or_else(wrong)?;
        let price = not_negative(price).filter(|_| unit.trim() == "1000");
        price.map(Self).ok_or_else(wrong)
    }
}

fn not_negative(text: &str) -> Option<Money> {
    text.parse().ok().filter(|price: &Money| price.micros() >= 0)
}

/// As text.
impl Serialize for VolumePrice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// As text.
impl Serialize for RequestPrice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a text is no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// Not one for bytes.
    #[error(
        "`{0}` is not a price for bytes: write `0.12 USD/GiB` (2^30 bytes) or `0.12 USD/GB` (10^9 bytes), whichever is billed"
    )]
    NoVolume(String),
    /// Not one for requests.
    #[error("`{0}` is not a price for requests: write what 1,000 cost, as in `0.005 USD/1000`")]
    NoRequests(String),
}

/// Where something is, as far as that matters for a bill.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spot {
    /// Whose cloud; `None` is the internet.
    pub provider: Option<String>,
    /// Which of its regions, if that is known.
    pub region: Option<String>,
}

/// What a place charges for what leaves it and for requests. What is `None` is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rates {
    /// To the same region of the same provider.
    pub same_region: Option<VolumePrice>,
    /// To another region of the same provider, or to one that is not known.
    pub same_provider: Option<VolumePrice>,
    /// To certain other providers.
    pub to: BTreeMap<String, VolumePrice>,
    /// To everyone else.
    pub internet: Option<VolumePrice>,
    /// For requests that read: GET, HEAD.
    pub reads: Option<RequestPrice>,
    /// For requests that write, copy or list.
    pub writes: Option<RequestPrice>,
}

impl Rates {
    /// Of a place that charges for nothing, such as one's own disk.
    pub fn free(currency: Currency) -> Self {
        let (volume, request) = (VolumePrice::free(currency), RequestPrice::free(currency));
        Self {
            same_region: Some(volume),
            same_provider: Some(volume),
            to: BTreeMap::new(),
            internet: Some(volume),
            reads: Some(request),
            writes: Some(request),
        }
    }

    /// These, and what they do not say as `others` do.
    #[must_use]
    pub fn or(mut self, others: &Self) -> Self {
        for (provider, price) in &others.to {
            self.to.entry(provider.clone()).or_insert(*price);
        }
        Self {
            same_region: self.same_region.or(others.same_region),
            same_provider: self.same_provider.or(others.same_provider),
            to: self.to,
            internet: self.internet.or(others.internet),
            reads: self.reads.or(others.reads),
            writes: self.writes.or(others.writes),
        }
    }

    /// What bytes cost that go from one place, whose rates these are, to another.
    pub fn egress(&self, from: &Spot, to: &Spot) -> Option<VolumePrice> {
        match (&from.provider, &to.provider) {
            (Some(own), Some(other)) if own == other => match (&from.region, &to.region) {
                (Some(own), Some(other)) if own == other => self.same_region,
                _ => self.same_provider,
            },
            (_, Some(other)) => self.to.get(other).copied().or(self.internet),
            (_, None) => self.internet,
        }
    }

    /// Every currency that occurs.
    pub fn currencies(&self) -> impl Iterator<Item = Currency> {
        let volumes = [self.same_region, self.same_provider, self.internet];
        let volumes = volumes.into_iter().flatten().chain(self.to.values().copied());
        let requests = [self.reads, self.writes].into_iter().flatten();
        volumes.map(VolumePrice::currency).chain(requests.map(RequestPrice::currency))
    }
}

/// What a provider's public list says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPrices {
    /// The provider, as the address ranges call it.
    pub provider: &'static str,
    /// Its prices for standard storage in the United States, the first tier that is not free.
    pub rates: Rates,
    /// Where that list is.
    pub source: &'static str,
    /// In which year it was written down.
    pub noted: &'static str,
}

/// The public lists that are known without a configuration. Discounts, credits, other regions and
/// sponsors' agreements are not in them: a configuration says those.
pub fn list_prices(provider: &str) -> Option<ListPrices> {
    use Gigabyte::{Binary, Decimal};
    let rates = |same_provider, internet, gigabyte| Rates {
        same_region: Some(VolumePrice::free(Currency::USD)),
        same_provider: Some(VolumePrice::usd(same_provider, gigabyte)),
        to: BTreeMap::new(),
        internet: Some(VolumePrice::usd(internet, gigabyte)),
        reads: Some(RequestPrice::usd(400)),
        writes: Some(RequestPrice::usd(5_000)),
    };
    let list = |provider, rates, source| ListPrices { provider, rates, source, noted: "2025" };
    match provider {
        // Its FAQ counts 10 TB as 10,995,116,277,760 bytes.
        "aws" => {
            Some(list("aws", rates(20_000, 90_000, Binary), "https://aws.amazon.com/s3/pricing/"))
        }
        // Its page writes GiB.
        "gcp" => Some(list(
            "gcp",
            rates(20_000, 120_000, Binary),
            "https://cloud.google.com/storage/pricing",
        )),
        // Its page writes GB and does not say which: taken as the smaller, which is dearer. Ten
        // thousand operations are 0.05 and 0.004 USD there.
        "azure" => Some(list(
            "azure",
            rates(20_000, 87_000, Decimal),
            "https://azure.microsoft.com/pricing/details/bandwidth/",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spot(provider: &str, region: &str) -> Spot {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Spot { provider: some(provider), region: some(region) }
    }

    #[test]
    fn a_price_says_which_gigabytes_it_counts() {
        for text in ["0.12 USD/GiB", "0.087 USD/GB", "0.00 EUR/GB"] {
            assert_eq!(text.parse::<VolumePrice>().unwrap().to_string(), text);
        }
        assert_eq!("0.005 USD/1000".parse::<RequestPrice>().unwrap().to_string(), "0.005 USD/1000");
        let (binary, decimal): (VolumePrice, VolumePrice) =
            ("1 USD/GiB".parse().unwrap(), "1 USD/GB".parse().unwrap());
        assert_eq!(binary.of(1 << 40).unwrap().to_string(), "1024.00 USD");
        assert_eq!(decimal.of(1 << 40).unwrap().to_string(), "1099.511628 USD");
        for text in ["0.12 USD", "0.12 USD/MiB", "-1 USD/GB", "1/GB", "0.12 USD/gib"] {
            assert_eq!(text.parse::<VolumePrice>(), Err(PriceError::NoVolume(text.to_owned())));
        }
        for text in ["0.005 USD", "0.005 USD/10000", "-1 USD/1000"] {
            assert_eq!(text.parse::<RequestPrice>(), Err(PriceError::NoRequests(text.to_owned())));
        }
    }

    #[test]
    fn bytes_cost_what_the_way_costs() {
        let aws = list_prices("aws").unwrap().rates;
        let own: Rates = Rates {
            to: [("gcp".to_owned(), "0.01 USD/GiB".parse().unwrap())].into(),
            ..Rates::default()
        };
        let rates = own.or(&aws);
        let table = [
            (spot("aws", "us-east-1"), "0.00 USD/GiB"),
            (spot("aws", "us-east-2"), "0.02 USD/GiB"),
            (spot("aws", ""), "0.02 USD/GiB"),
            (spot("gcp", "us-east1"), "0.01 USD/GiB"),
            (spot("azure", "eastus"), "0.09 USD/GiB"),
            (spot("", ""), "0.09 USD/GiB"),
        ];
        for (to, price) in table {
            let found = rates.egress(&spot("aws", "us-east-1"), &to).unwrap().to_string();
            assert_eq!(found, price, "{to:?}");
        }
        assert_eq!(Rates::default().egress(&spot("", ""), &spot("", "")), None);
        assert_eq!(list_prices("fastly"), None);
        let azure = list_prices("azure").unwrap().rates;
        assert_eq!(azure.reads.unwrap().of(10_000).unwrap().to_string(), "0.004 USD");
        assert!(azure.currencies().all(|currency| currency == Currency::USD));
        assert_eq!(Rates::free(Currency::USD).internet.unwrap().of(u64::MAX).unwrap().micros(), 0);
    }

    proptest! {
        #[test]
        fn more_bytes_never_cost_less(price in 0..10_000_000_i64, a in any::<u32>(), b in any::<u32>()) {
            let price = VolumePrice::usd(price, Gigabyte::Decimal);
            let cost = |bytes: u32| price.of(bytes.into()).unwrap().micros();
            let both = price.of(u64::from(a) + u64::from(b)).unwrap().micros();
            prop_assert!(both >= cost(a).max(cost(b)));
            // Rounded up twice instead of once.
            prop_assert!((0..=1).contains(&(cost(a) + cost(b) - both)));
        }
    }
}
