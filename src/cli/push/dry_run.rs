//! Reports what a push would do.

use std::time::Instant;

use crate::report::{Delivered, Done, Means, Report};
use delivery::push::Preview;
use oci::Reference;

/// Prints a line for each layer that would be sent, and reports the totals.
pub(super) fn print(previews: Vec<Preview>, start: Instant, report: &Report) -> anyhow::Result<()> {
    for Preview { references, missing, transfer } in previews {
        let repository = references.first().map(Reference::name).unwrap_or_default();
        for layer in missing {
            report.print(&format!("{repository} {} {}", layer.digest, layer.size))?;
        }
        report.conclude(&Delivered {
            done: Done::WouldPush,
            place: repository,
            references: references.iter().map(Reference::to_string).collect(),
            image_id: None,
            digest: None,
            transfer,
            means: Means::Whole("sent"),
            start,
        })?;
    }
    Ok(())
}
