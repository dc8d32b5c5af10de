//! Lines of `cidr,provider,region`, for networks that publish no file of their own.
//!
//! Blank lines, comments from `#` to the end of the line, spaces around fields and the header line
//! are skipped. An empty provider is the source's default; an empty region is [`GLOBAL`]. Nothing
//! is quoted, since no field can hold a comma.

use super::range_set::Draft;
use super::{EntryError, GLOBAL, RangeError, RangeFormat, RangeSet};

const BYTE_ORDER_MARK: char = '\u{feff}';

pub(super) fn parse(bytes: &[u8], provider: Option<&str>) -> Result<RangeSet, RangeError> {
    let text = str::from_utf8(bytes).map_err(|error| RangeError::Format {
        format: RangeFormat::Csv,
        problem: format!("byte {} is not UTF-8", error.valid_up_to()),
    })?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut draft = Draft::default();
    let mut header_allowed = true;
    for (n, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let is_header =
            header_allowed && line.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("cidr"));
        header_allowed = false;
        if !is_header {
            add(&mut draft, line, provider)
                .map_err(|error| error.at(format_args!("line {}", n + 1)))?;
        }
    }
    draft.finish(RangeFormat::Csv, None)
}

fn add(draft: &mut Draft, line: &str, default_provider: Option<&str>) -> Result<(), EntryError> {
    let mut fields = line.split(',').map(str::trim);
    let (Some(prefix), Some(provider), Some(region), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(EntryError::Fields);
    };
    let provider = match provider {
        "" => default_provider.ok_or(EntryError::NoProvider)?,
        named => named,
    };
    let region = if region.is_empty() { GLOBAL } else { region };
    draft.add(prefix, provider, region)
}

#[cfg(test)]
mod tests {
    use super::super::range_set::tests::{listing, refusal};
    use super::*;

    #[test]
    fn comments_blank_lines_and_the_header_are_skipped() {
        let file = "\u{feff}# our own\r\n\r\nCIDR, Provider, Region\r\n 192.0.2.0/25 , Hetzner , fsn1 # since May\r\n198.51.100.0/24,,nbg1\n2001:db8::/32,,\n::ffff:203.0.113.0/120,ovh,gra";
        let set = parse(file.as_bytes(), Some("example")).unwrap();
        let expected = [
            "192.0.2.0/25 hetzner/fsn1",
            "198.51.100.0/24 example/nbg1",
            "203.0.113.0/24 ovh/gra",
            "2001:db8::/32 example/global",
        ];
        assert_eq!(listing(&set), expected);
        assert_eq!(set.version(), None);
    }

    #[test]
    fn a_refusal_names_the_line() {
        for (file, message) in [
            (
                "192.0.2.0/24,a,b\n\n192.0.2.0/33,a,b",
                "line 3: \"192.0.2.0/33\" is not a prefix: write it like `192.0.2.0/24` or `2001:db8::/32`",
            ),
            (
                "192.0.2.0/24,a,b\ncidr,provider,region",
                "line 2: \"cidr\" is not a prefix: write it like `192.0.2.0/24` or `2001:db8::/32`",
            ),
            (
                "192.0.2.0/24,,b",
                "line 1: no provider: write `cidr,provider,region`, or give the source a provider",
            ),
            ("192.0.2.0/24,a", "line 1: not the three fields `cidr,provider,region`"),
            ("192.0.2.0/24,a,b,c", "line 1: not the three fields `cidr,provider,region`"),
            (
                "# nothing\ncidr,provider,region\n",
                "no prefix in it: is it the whole file, and is it CSV?",
            ),
        ] {
            assert_eq!(refusal(RangeFormat::Csv, file.as_bytes()), message);
        }
        assert_eq!(
            refusal(RangeFormat::Csv, b"192.0.2.0/24,a,\xff"),
            "not the format of CSV: byte 15 is not UTF-8"
        );
    }
}
