//! Errors for people: one line with every cause.

use std::error::Error;

/// An error and its causes on one line, separated by colons.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the bucket failed")]
    struct Outer(#[source] std::fmt::Error);

    #[test]
    fn every_cause_is_told_in_order() {
        let inner = std::fmt::Error;
        assert_eq!(chain(&Outer(inner)), format!("the bucket failed: {inner}"));
        assert_eq!(chain(&inner), inner.to_string());
    }
}
