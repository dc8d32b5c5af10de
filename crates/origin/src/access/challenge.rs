//! What a client is told that has to let itself in.
//!
//! Only the bearer scheme is offered: clients that are offered two take the wrong one or fail. Basic
//! credentials are taken all the same.
//!
//! Invariant: of the request only its host appears, and only if it looks like one.
//!
//! <https://distribution.github.io/distribution/spec/auth/token/#how-to-authenticate>

use url::Url;

use super::endpoint::TOKEN_PATH;
use super::settings::Scheme;

/// A challenge, less the host that it is answered for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    realm: Option<String>,
    scheme: Scheme,
    service: String,
    scope: Option<String>,
    problem: Problem,
}

/// What was wrong with what the client came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// It came with nothing.
    None,
    /// It is not right, or not any more.
    InvalidToken,
    /// It is a token for something else.
    InsufficientScope,
}

impl Challenge {
    pub(super) fn new(
        url: Option<&Url>,
        scheme: Scheme,
        service: &str,
        scope: Option<String>,
        problem: Problem,
    ) -> Self {
        let realm = url.map(|url| format!("{}{TOKEN_PATH}", url.as_str().trim_end_matches('/')));
        Self { realm, scheme, service: service.to_owned(), scope, problem }
    }

    /// What the answer says to a person.
    pub(super) const fn message(&self) -> &'static str {
        match self.problem {
            Problem::None => "a credential is needed for this",
            Problem::InvalidToken => "the credential is not right, or not any more",
            Problem::InsufficientScope => "the token is not for this: ask for another one",
        }
    }

    /// The value of `WWW-Authenticate`. `host` is the request's own (`Host`, or `:authority`), for
    /// when no public address is configured.
    pub(super) fn header(&self, host: Option<&str>) -> String {
        let realm = match (&self.realm, host.filter(|host| is_host(host))) {
            (Some(realm), _) => realm.clone(),
            (None, Some(host)) => format!("{}://{host}{TOKEN_PATH}", self.scheme.name()),
            (None, None) => TOKEN_PATH.to_owned(),
        };
        let mut value = format!("Bearer realm=\"{realm}\",service=\"{}\"", self.service);
        if let Some(scope) = &self.scope {
            value.push_str(",scope=\"");
            value.push_str(scope);
            value.push('"');
        }
        match self.problem {
            Problem::None => {}
            Problem::InvalidToken => value.push_str(",error=\"invalid_token\""),
            Problem::InsufficientScope => value.push_str(",error=\"insufficient_scope\""),
        }
        value
    }
}

/// True if the text can only be a host with or without a port.
fn is_host(text: &str) -> bool {
    let is_sound =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    !text.is_empty() && text.len() <= 262 && text.bytes().all(is_sound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_realm_is_the_configured_address_or_the_one_that_the_client_used() {
        let scope = || Some("repository:a/b:pull".to_owned());
        let configured = Url::parse("https://registry.example/").unwrap();
        let service = "registry.example";
        let with = Challenge::new(Some(&configured), Scheme::Http, service, scope(), Problem::None);
        assert_eq!(
            with.header(Some("evil.example")),
            r#"Bearer realm="https://registry.example/token",service="registry.example",scope="repository:a/b:pull""#
        );
        let without = Challenge::new(None, Scheme::Http, "origin", None, Problem::InvalidToken);
        for (host, realm) in [
            (Some("127.0.0.1:5000"), "http://127.0.0.1:5000/token"),
            (Some("[::1]:5000"), "http://[::1]:5000/token"),
            (Some("a\",service=\"b"), "/token"),
            (Some("a/b"), "/token"),
            (Some(""), "/token"),
            (None, "/token"),
        ] {
            let expected =
                format!(r#"Bearer realm="{realm}",service="origin",error="invalid_token""#);
            assert_eq!(without.header(host), expected);
        }
        let secure = Challenge::new(None, Scheme::Https, "origin", None, Problem::None);
        assert_eq!(
            secure.header(Some("a.example:5000")),
            r#"Bearer realm="https://a.example:5000/token",service="origin""#
        );
    }
}
