//! What the integration tests share.

mod python;

pub(crate) use python::Python;

/// Says why a test checks nothing here.
#[expect(clippy::print_stderr, reason = "a person reads it")]
pub(crate) fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}
