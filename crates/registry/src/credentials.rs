//! With what a registry is asked, in types that do not print it.

use std::fmt;

/// A text that must not reach a log or a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A registry's user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub username: String,
    /// The password, or whatever the registry takes in its place.
    pub password: Secret,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_printed() {
        let credentials =
            Credentials { username: "reader".to_owned(), password: Secret::new("hunter2") };
        assert_eq!(
            format!("{credentials:?}"),
            r#"Credentials { username: "reader", password: Secret(…) }"#
        );
        assert_eq!(credentials.password.expose(), "hunter2");
    }
}
