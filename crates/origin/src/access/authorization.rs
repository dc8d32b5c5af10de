//! Reading the `Authorization` header.
//!
//! It is what strangers send first and most, so it is bounded, taken byte by byte, and nothing of
//! it is ever printed.
//!
//! Invariant: what is not well formed is one and the same refusal, whatever was wrong with it.
//!
//! <https://www.rfc-editor.org/rfc/rfc7617>, <https://www.rfc-editor.org/rfc/rfc6750>

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// The longest header that is looked at. Tokens of CI systems have some 2 KiB.
pub const MAX_AUTHORIZATION_BYTES: usize = 16 << 10;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A text that does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

/// What a client lets itself in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password.
    Basic {
        /// The name; not empty, without control characters.
        user: Box<str>,
        /// The password; may be empty.
        password: Secret,
    },
    /// A token.
    Bearer(Secret),
}

/// The header is not one that is understood here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the Authorization header is neither `Basic` with a name and a password in UTF-8 nor `Bearer` with a token, or longer than 16 KiB"
)]
pub struct Malformed;

impl Secret {
    /// Hides a text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text, for whoever has to check it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Understands the value of an `Authorization` header.
pub fn parse_authorization(value: &[u8]) -> Result<Credentials, Malformed> {
    if value.len() > MAX_AUTHORIZATION_BYTES {
        return Err(Malformed);
    }
    let space = value.iter().position(|&b| b == b' ').ok_or(Malformed)?;
    let (scheme, rest) = value.split_at(space);
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return bearer(rest).ok_or(Malformed);
    }
    if scheme.eq_ignore_ascii_case(b"basic") {
        return basic(rest).ok_or(Malformed);
    }
    Err(Malformed)
}

fn bearer(token: &[u8]) -> Option<Credentials> {
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(b);
    let text = std::str::from_utf8(token).ok().filter(|text| !text.is_empty())?;
    text.as_bytes().iter().all(is_token).then(|| Credentials::Bearer(Secret::new(text)))
}

fn basic(encoded: &[u8]) -> Option<Credentials> {
    let text = String::from_utf8(BASE64.decode(encoded).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    credentials(user, password)
}

/// A name and a password that came apart, as in a form.
pub(super) fn credentials(user: &str, password: &str) -> Option<Credentials> {
    let is_sound = !user.is_empty() && user.len() <= 255 && !user.chars().any(char::is_control);
    // bcrypt's C programs end a password at a NUL; so that nobody's is shorter than he thinks.
    let is_sound =
        is_sound && !password.contains('\0') && password.len() <= MAX_AUTHORIZATION_BYTES;
    is_sound.then(|| Credentials::Basic { user: user.into(), password: Secret::new(password) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(text: &[u8]) -> Vec<u8> {
        format!("Basic {}", BASE64.encode(text)).into_bytes()
    }

    fn basic_of(user: &str, password: &str) -> Credentials {
        Credentials::Basic { user: user.into(), password: Secret::new(password) }
    }

    #[test]
    fn names_and_passwords_are_split_at_the_first_colon() {
        assert_eq!(parse_authorization(&encoded(b"ann:pass")), Ok(basic_of("ann", "pass")));
        assert_eq!(parse_authorization(&encoded(b"ann:a:b:")), Ok(basic_of("ann", "a:b:")));
        assert_eq!(parse_authorization(&encoded(b"ann:")), Ok(basic_of("ann", "")));
        assert_eq!(parse_authorization(&encoded("änn:ß".as_bytes())), Ok(basic_of("änn", "ß")));
        // Some clients leave the padding out, some spell the scheme their own way.
        assert_eq!(parse_authorization(b"bAsIc   YW5uOnA"), Ok(basic_of("ann", "p")));
    }

    #[test]
    fn tokens_are_taken_as_they_are() {
        let token = Credentials::Bearer(Secret::new("a.b-c_d~e+f/g="));
        assert_eq!(parse_authorization(b"Bearer a.b-c_d~e+f/g="), Ok(token.clone()));
        assert_eq!(parse_authorization(b"BEARER  a.b-c_d~e+f/g= "), Ok(token));
    }

    #[test]
    fn everything_else_is_refused_alike() {
        for bad in [
            &b""[..],
            b"Basic",
            b"Basic ",
            b"Bearer ",
            b"Bearer a b",
            b"Bearer a\xffb",
            b"Bearer \xc3\xa4",
            b"Bearer a\0b",
            b"Digest username=\"a\"",
            b"YW5uOnA=",
            b"Basic YW5u",
            b"Basic !!!!",
            b"Basic YW5uOnA= x",
            b"\xff\xfe \xff",
        ] {
            assert_eq!(parse_authorization(bad), Err(Malformed), "{bad:?}");
        }
        for bad in [&b":p"[..], b"a\nb:p", b"a\0:p", b"ann:p\0q", b"\xff\xfe:p", b"ann:\xff", b""] {
            assert_eq!(parse_authorization(&encoded(bad)), Err(Malformed), "{bad:?}");
        }
        let mut huge = b"Bearer ".to_vec();
        huge.resize(MAX_AUTHORIZATION_BYTES, b'a');
        assert!(parse_authorization(&huge).is_ok());
        huge.push(b'a');
        assert_eq!(parse_authorization(&huge), Err(Malformed));
    }

    #[test]
    fn nothing_secret_is_printed() {
        for header in [&encoded(b"ann:sesame")[..], b"Bearer sesame"] {
            let shown = format!("{:?}", parse_authorization(header).unwrap());
            assert!(!shown.contains("sesame"), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            for scheme in [&b""[..], b"Basic ", b"Bearer "] {
                let _ = parse_authorization(&[scheme, &value].concat());
            }
            let _ = parse_authorization(&encoded(&value));
        }

        #[test]
        fn what_a_client_encodes_is_read_back(user in "[^:\\pC]{1,20}", password in "[^\\x00]{0,40}") {
            let header = encoded(format!("{user}:{password}").as_bytes());
            prop_assert_eq!(parse_authorization(&header), Ok(basic_of(&user, &password)));
        }
    }
}
