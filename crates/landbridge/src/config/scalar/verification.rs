//! How what a bucket had before is verified, in a word or a share.

use std::fmt;
use std::str::FromStr;

use landbridge_store::Verify;

use crate::cli::Share;

/// A word, or the share that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verification(pub(crate) Verify);

const WORDS: [(&str, Verify); 3] =
    [("presence", Verify::Presence), ("checksum", Verify::Checksum), ("full", Verify::Full)];

impl FromStr for Verification {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, verify)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(Self(*verify));
        }
        let wrong = |_| {
            format!(
                "`{text}` is no way to verify: write `presence`, `checksum`, `full`, or the share that is read, as in `5%`"
            )
        };
        let Share { ppm } = text.parse().map_err(wrong)?;
        Ok(Self(Verify::Sample(ppm)))
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Verify::Presence => f.write_str("presence"),
            Verify::Checksum => f.write_str("checksum"),
            Verify::Full => f.write_str("full"),
            Verify::Sample(ppm) if ppm % 10_000 == 0 => write!(f, "{}%", ppm / 10_000),
            Verify::Sample(ppm) => {
                let text = format!("{}.{:04}", ppm / 10_000, ppm % 10_000);
                write!(f, "{}%", text.trim_end_matches('0'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_is_written_as_it_is_read() {
        for text in ["presence", "checksum", "full", "0%", "5%", "100%", "0.1%", "12.3456%"] {
            assert_eq!(text.parse::<Verification>().unwrap().to_string(), text);
        }
        for wrong in ["", "size", "Full", "5", "101%"] {
            assert!(wrong.parse::<Verification>().is_err(), "{wrong}");
        }
    }
}
