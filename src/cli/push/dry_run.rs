//! What a push would do, as it is told.

use std::io::{self, Write as _};
use std::time::Instant;

use anyhow::Context as _;

use crate::report::{Deed, Report, Summary};
use delivery::push::Preview;
use oci::Reference;

/// Prints a line for each layer that would be sent, and reports what it would come to.
pub(super) fn print(
    previews: &[Preview],
    start: Instant,
    report: &dyn Report,
) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    for preview in previews {
        let repository = preview.references.first().map(Reference::name);
        for layer in &preview.missing {
            let repository = repository.as_deref().unwrap_or_default();
            writeln!(stdout, "{repository} {} {}", layer.digest, layer.size)
                .context("writing to standard output")?;
        }
        for reference in &preview.references {
            let deed = Deed::WouldPush { image: reference.to_string() };
            report.conclude(&Summary { deed, transfer: preview.transfer, start });
        }
    }
    Ok(())
}
