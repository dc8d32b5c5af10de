//! Values that are written as text: sizes, durations, names, addresses.
//!
//! Each is a type that cannot hold a wrong value, with a message that says what to write. Its
//! `format` in the schema leads back to the same parser, so that the checker, which walks a file
//! without its types, says the same as the types do.

pub(crate) mod access;
mod rates;
mod verification;

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use landbridge_core::money::{Money, MoneyError};
use landbridge_core::place::Places;
use landbridge_core::price::{PriceError, RequestPrice, VolumePrice};
use landbridge_core::{Digest, RepositoryName};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use self::access::{Pattern, Repositories, Who};
pub(crate) use self::rates::{ByteRate, RequestRate};
pub(crate) use self::verification::Verification;

/// A kind of text with its parser.
pub(crate) struct Format {
    /// The schema's `format`.
    pub(crate) name: &'static str,
    /// How the reference calls it.
    pub(crate) title: &'static str,
    check: fn(&str) -> Result<(), String>,
}

impl Format {
    /// The format that a schema names.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }

    /// Whether `text` is one of these, or else what is wrong with it.
    pub(crate) fn check(&self, text: &str) -> Result<(), String> {
        (self.check)(text)
    }
}

/// Declares text types: serde and the schema go through `FromStr` and `Display`.
macro_rules! scalars {
    ($($type:ident, $format:literal, $title:literal;)*) => {
        /// Every kind of text in the configuration.
        static FORMATS: &[Format] = &[$(Format {
            name: $format,
            title: $title,
            check: |text| $type::from_str(text).map(|_| ()),
        }),*];

        $(
            impl<'de> Deserialize<'de> for $type {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
                }
            }

            impl Serialize for $type {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl JsonSchema for $type {
                fn inline_schema() -> bool {
                    true
                }

                fn schema_name() -> Cow<'static, str> {
                    $format.into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!({ "type": "string", "format": $format })
                }
            }
        )*
    };
}

scalars! {
    Size, "size", "size";
    Period, "duration", "duration";
    WebUrl, "url", "URL";
    StoreUrl, "store", "store";
    Network, "network", "network";
    Listen, "listen-address", "address:port";
    Name, "name", "name";
    PlaceName, "place-name", "provider or region";
    Host, "host", "host name";
    Successor, "successor", "host name with or without a port";
    Prefix, "repository-prefix", "repository prefix";
    RepositoryPath, "repository", "repository";
    Page, "page", "path";
    FilePath, "path", "file or directory";
    Generation, "generation", "generation";
    ContentDigest, "digest", "digest";
    Who, "who", "identity";
    Repositories, "repository-pattern", "repository pattern";
    Pattern, "pattern", "pattern";
    Claim, "claim", "claim";
    Verification, "verification", "verification";
    Volume, "volume-price", "price for bytes";
    Requests, "request-price", "price for 1,000 requests";
    Sum, "sum", "sum of money";
    Moment, "date-time", "moment";
    RequestRate, "request-rate", "rate of requests";
    ByteRate, "byte-rate", "rate of bytes";
}

/// Bytes, written with a unit: `512B`, `64KiB`, `32MiB`, `2GiB`, `5TiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

const SIZE_UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a size: write a whole number and `B`, `KiB`, `MiB`, `GiB` or `TiB`, as in `32MiB`"
            )
        };
        let (number, unit) = split_unit(text).ok_or_else(wrong)?;
        let (_, bytes) = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        number
            .checked_mul(*bytes)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is more than 64 bits can count"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |bytes: u64| self.0 != 0 && self.0.is_multiple_of(bytes);
        let (unit, bytes) =
            SIZE_UNITS.into_iter().find(|(_, bytes)| fits(*bytes)).unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

/// A generation, by its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation(pub(crate) Digest);

impl FromStr for Generation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Digest::parse(text)
            .map(Self)
            .map_err(|error| format!("{error}, as `landbridge generation show` prints it"))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What some bytes are known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContentDigest(pub(crate) Digest);

impl FromStr for ContentDigest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Digest::parse(text).map(Self).map_err(|error| error.to_string())
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A length of time, written with a unit: `250ms`, `10s`, `5m`, `24h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period(pub(crate) Duration);

const PERIOD_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// Longer than anybody means, and far from where adding it to a clock overflows.
const LONGEST_PERIOD_MILLIS: u64 = 3660 * 86_400_000;

impl Period {
    /// So many seconds.
    pub(crate) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a duration: write a whole number and `ms`, `s`, `m`, `h` or `d`, as in `10s`"
            )
        };
        let (number, unit) = split_unit(text).ok_or_else(wrong)?;
        let (_, millis) = PERIOD_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let millis = number.checked_mul(*millis).filter(|&millis| millis <= LONGEST_PERIOD_MILLIS);
        millis
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(|| format!("`{text}` is longer than ten years"))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let fits = |unit: u64| millis != 0 && millis.is_multiple_of(unit);
        let (unit, length) =
            PERIOD_UNITS.into_iter().find(|(_, length)| fits(*length)).unwrap_or(("s", 1000));
        write!(f, "{}{unit}", millis / length)
    }
}

/// A price for bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Volume(pub(crate) VolumePrice);

impl FromStr for Volume {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: PriceError| error.to_string())
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A price for requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Requests(pub(crate) RequestPrice);

impl FromStr for Requests {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: PriceError| error.to_string())
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An amount of money that is not below nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sum(pub(crate) Money);

impl FromStr for Sum {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let money: Money = text.parse().map_err(|error: MoneyError| error.to_string())?;
        if money.micros() < 0 {
            return Err(format!("`{text}` is below nothing"));
        }
        Ok(Self(money))
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A moment, as RFC 3339 writes it; a date alone is its first moment in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A civil date's parser would take one with a time too, and forget the time.
        let date = || {
            let date = (text.len() == 10).then(|| text.parse::<Date>().ok()).flatten()?;
            Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
        };
        text.parse().ok().or_else(date).map(Self).ok_or_else(|| {
            format!("`{text}` is not a moment: write date, time and offset, as in `2026-12-24T18:00:00Z`, or a date alone for midnight in UTC")
        })
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `32MiB` → 32 and `MiB`.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

/// An `http` or `https` address without user, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebUrl(pub(crate) Url);

impl FromStr for WebUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| {
            format!("`{text}` is not a URL ({error}): write `https://HOST/PATH`")
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("`{text}` is neither an `http` nor an `https` address"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL with a password in it ends up in logs: use `credentials`".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("`{text}` must end with its path, without `?` or `#`"));
        }
        Ok(Self(url))
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// A bucket as Landbridge itself reads it: `s3://BUCKET`, `gs://…`, `az://…`, or a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreUrl(String);

/// Schemes of stores, besides plain paths.
const STORE_SCHEMES: [&str; 4] = ["s3", "gs", "az", "file"];

impl StoreUrl {
    /// The bucket of a directory.
    pub(crate) fn of_directory(directory: &std::path::Path) -> Self {
        Self(directory.display().to_string())
    }

    /// The address; a relative path is taken from `base`, which is absolute.
    pub(crate) fn resolve(&self, base: &std::path::Path) -> Result<Url, String> {
        if self.0.contains("://") {
            return Url::parse(&self.0)
                .map_err(|error| format!("`{}` is not a URL ({error})", self.0));
        }
        let path = base.join(&self.0);
        Url::from_directory_path(&path)
            .map_err(|()| format!("`{}` is not an absolute path", path.display()))
    }
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((scheme, _)) = text.split_once("://") {
            if !STORE_SCHEMES.contains(&scheme) {
                return Err(format!(
                    "`{scheme}` is not a kind of store: write `s3://BUCKET`, `gs://BUCKET`, `az://CONTAINER` or the path of a directory"
                ));
            }
            Url::parse(text).map_err(|error| format!("`{text}` is not a URL ({error})"))?;
        } else if text.is_empty() {
            return Err("an empty text is not a store: write `s3://BUCKET`, `gs://BUCKET`, `az://CONTAINER` or the path of a directory".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network(pub(crate) IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network: IpNet = text.parse().map_err(|_| {
            format!("`{text}` is not a network: write it with its length, as in `10.0.0.0/8` or `192.0.2.1/32`")
        })?;
        if network.trunc() != network {
            return Err(format!(
                "`{text}` has bits beyond its length: write `{}`",
                network.trunc()
            ));
        }
        Ok(Self(network))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listen(pub(crate) SocketAddr);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!("`{text}` is not an address to listen on: write `127.0.0.1:8080`, `0.0.0.0:443` or `[::]:443`; port 0 picks a free one")
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Declares types that are text with a rule.
macro_rules! texts {
    ($($(#[$doc:meta])* $type:ident, $rule:expr;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
            pub(crate) struct $type(String);

            impl $type {
                /// A text that is known to be right: a default, or a name made in code.
                #[allow(dead_code, reason = "not every text has one")]
                pub(crate) fn literal(text: &str) -> Self {
                    Self(text.to_owned())
                }

                /// The text.
                #[allow(dead_code, reason = "some are only printed")]
                pub(crate) fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl FromStr for $type {
                type Err = String;

                fn from_str(text: &str) -> Result<Self, String> {
                    let rule: fn(&str) -> Result<String, String> = $rule;
                    rule(text).map(Self)
                }
            }

            impl fmt::Display for $type {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }
        )*
    };
}

texts! {
    /// What an operator calls an origin, a mirror, a site or a source of ranges. It appears in
    /// paths, labels and records, so it is kept plain.
    Name, |text| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
        let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if starts && text.len() <= 63 && text.bytes().all(plain) {
            Ok(text.to_owned())
        } else {
            Err(format!("`{text}` is not a name: write 1 to 63 lower-case letters, digits, `-`, `_` and `.`, beginning with a letter or digit"))
        }
    };
    /// A provider or region, as in the published ranges.
    PlaceName, |text| {
        Places::default().intern(text, text).map_err(|error| error.to_string())?;
        Ok(text.to_ascii_lowercase())
    };
    /// A host name that the front answers for, in lower case without a port, or `*`.
    Host, |text| {
        let host = text.to_ascii_lowercase();
        let label = |label: &str| {
            !label.is_empty() && label.len() <= 63 && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if host == "*" || host.parse::<std::net::IpAddr>().is_ok() || host.len() <= 253 && host.split('.').all(label) {
            Ok(host)
        } else {
            Err(format!("`{text}` is not a host name: write `registry.example.org` without scheme and port, or `*` for every other host"))
        }
    };
    /// A host name with a port, if that is not the usual one: what users write before a
    /// repository's name.
    Successor, |text| {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
        if host != "*" && host.parse::<Host>().is_ok() && port.is_none_or(is_port) {
            Ok(text.to_ascii_lowercase())
        } else {
            Err(format!("`{text}` is not a host name: write `registry.example.org` or `registry.example.org:5000`, without scheme and path"))
        }
    };
    /// What an upstream registry puts before each repository's name; may be empty.
    Prefix, |text| {
        if !text.is_empty() {
            RepositoryName::parse(text)
                .map_err(|_| format!("`{text}` is not the beginning of a repository's name: write `project/images`, without slashes at its ends"))?;
        }
        Ok(text.to_owned())
    };
    /// A repository's name.
    RepositoryPath, |text| {
        RepositoryName::parse(text).map(|name| name.to_string()).map_err(|error| error.to_string())
    };
    /// A file or directory; a relative one is taken from the configuration file's directory.
    FilePath, |text| {
        if text.is_empty() { Err("an empty text is not a path".to_owned()) } else { Ok(text.to_owned()) }
    };
    /// The name of a token's claim.
    Claim, |text| {
        if text.is_empty() { Err("an empty text is not a claim's name".to_owned()) } else { Ok(text.to_owned()) }
    };
    /// The path of a page.
    Page, |text| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
        if text.starts_with('/') && text.bytes().all(plain) && !text.starts_with("/v2/") && text != "/v2" && !text.starts_with("/-/") {
            Ok(text.to_owned())
        } else {
            Err(format!("`{text}` is not the path of a page: it begins with `/`, but not with `/v2/` or `/-/`, which are the front's own"))
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_back_as_they_are_printed() {
        for text in ["0B", "1B", "1KiB", "1536B", "32MiB", "5GiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        for text in ["0s", "1ms", "250ms", "10s", "90s", "5m", "36h", "7d"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
        assert_eq!("120s".parse::<Period>(), "2m".parse());
        assert_eq!("1024KiB".parse::<Size>(), "1 MiB".parse());
    }

    #[test]
    fn a_date_alone_is_midnight_in_utc() {
        for (text, expected) in [
            ("2023-03-20", "2023-03-20T00:00:00Z"),
            ("2023-03-20T10:00:00+02:00", "2023-03-20T08:00:00Z"),
            ("2023-03-20T10:00Z", "2023-03-20T10:00:00Z"),
        ] {
            assert_eq!(text.parse::<Moment>().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_wrong_says_what_to_write() {
        let messages = [
            ("size", "32 megabytes"),
            ("size", "32MB"),
            ("size", "-1B"),
            ("size", "99999999999999GiB"),
            ("duration", "10"),
            ("duration", "1.5h"),
            ("duration", "9999d"),
            ("url", "registry.example.org"),
            ("url", "ftp://example.org"),
            ("url", "https://user:pass@example.org"),
            ("url", "https://example.org/?a=b"),
            ("store", "s4://bucket"),
            ("network", "10.0.0.1/8"),
            ("network", "10.0.0.1"),
            ("listen-address", "8080"),
            ("name", "My Mirror"),
            ("place-name", "us east"),
            ("host", "https://example.org"),
            ("host", "example.org:443"),
            ("successor", "https://example.org"),
            ("successor", "example.org:0"),
            ("date-time", "20 March 2023"),
            ("date-time", "2023-02-29"),
            ("date-time", "2023-03-20T10:00:00"),
            ("repository-prefix", "/images/"),
            ("page", "about"),
            ("page", "/v2/"),
            ("volume-price", "0.12 USD"),
            ("request-price", "0.005 USD"),
            ("request-rate", "600"),
            ("byte-rate", "50GB/h"),
        ]
        .map(|(format, text)| Format::find(format).unwrap().check(text).unwrap_err());
        insta::assert_snapshot!(messages.join("\n"));
    }

    #[test]
    fn a_relative_store_is_taken_from_the_configuration_s_directory() {
        let base = std::path::Path::new("/etc/landbridge");
        let resolve =
            |text: &str| text.parse::<StoreUrl>().unwrap().resolve(base).unwrap().to_string();
        assert_eq!(resolve("bucket"), "file:///etc/landbridge/bucket/");
        assert_eq!(resolve("/srv/bucket"), "file:///srv/bucket/");
        assert_eq!(resolve("s3://bucket/a"), "s3://bucket/a");
    }
}
