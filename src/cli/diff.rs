//! `nix-image diff`.

use std::process::ExitCode;

use contents::{Difference, picture, report as page};
use image::Depth;
use serde_json::Value;

use super::elsewhere::Place;
use super::looked::{LookArgs, PictureArgs};
use super::stdout;
use crate::look::difference::Changes;
use crate::report::{self, Mode, Style, stdout_columns};

/// Show what changed from one image to another: packages, bytes, and layers to transfer
///
/// A push sends the layers that the registry lacks, and an engine pulls those that it lacks. An
/// engine unpacks every layer from the first changed one up. A linked store rebuilds these as well,
/// but copies only files that are in no store path. All sizes are those of uncompressed layers.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints the differences to standard output as text, or as a JSON object with --json.

Examples:
  # Show what an update changed
  nix-image diff ./old ./result

  # Compare with a saved image, as JSON
  nix-image diff old.tar.gz ./result --json

  # Compare with the image in the registry
  nix-image diff docker://ghcr.io/me/app:1 ./result

  # Draw what was added, changed and removed
  nix-image diff ./old ./result --svg changes.svg

  # Fail if anything changed
  nix-image diff ./old ./result --exit-code")]
pub(super) struct Args {
    /// The old image: the program that Nix built or its conf, an archive or layout (`PATH` or
    /// `PATH#NAME`), or an image elsewhere: `docker://NAME`, `docker-daemon:NAME`,
    /// `containers-storage:NAME` or `containerd:NAME`
    old: String,
    /// The new image
    new: String,
    /// Exit with status 1 if the images differ
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    pictures: PictureArgs,
    #[command(flatten)]
    look: LookArgs,
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<ExitCode> {
        stdout::check()?;
        let report = report::new(mode, Style::READ);
        let depth = if self.pictures.has_page() { Depth::Files } else { Depth::Sizes };
        // Only the new image's references are shown.
        let (old, new) = if is_far(&self.new) && !is_far(&self.old) {
            let old = self.look.look(&self.old, None, Depth::Sizes, &report)?;
            let known = Some(&old.contents);
            let new = self.look.look_beside(known, &self.new, None, depth, &report)?;
            (old, new)
        } else {
            let new = self.look.look(&self.new, None, depth, &report)?;
            let known = Some(&new.contents);
            let old = self.look.look_beside(known, &self.old, None, Depth::Sizes, &report)?;
            (old, new)
        };
        let difference = Difference::of(&old.contents, &new.contents);
        let changes = Changes {
            old: &old.contents,
            new: &new.contents,
            difference: &difference,
            config: changed_keys(&old.config()?, &new.config()?),
        };
        self.pictures.write(
            || picture::of_difference(&old.contents, &new.contents, &difference),
            || page::of_difference(&old.contents, &new.contents, &difference),
        )?;
        if !self.pictures.is_output() {
            report.answer(&changes.text(stdout_columns()).trim_end(), &changes.json())?;
        }
        if let Some(written) = self.pictures.written() {
            report.close(&written);
        }
        let differs = self.exit_code && !changes.is_empty();
        Ok(if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// Whether an image is in a registry. The local one is then read first, so that layers which both
/// have need not be fetched.
fn is_far(operand: &str) -> bool {
    matches!(Place::of(operand), Ok(Some(Place::Registry(_))))
}

/// The keys whose values differ between two configs, except those that follow from the
/// layers.
fn changed_keys(old: &Value, new: &Value) -> Vec<String> {
    let mut changed = Vec::new();
    let mut compare = |old: &Value, new: &Value, ignored: &[&str]| {
        let keys = |value: &Value| -> Vec<String> {
            value.as_object().into_iter().flat_map(|object| object.keys().cloned()).collect()
        };
        let mut all = [keys(old), keys(new)].concat();
        all.sort();
        all.dedup();
        all.retain(|key| !ignored.contains(&key.as_str()) && old.get(key) != new.get(key));
        changed.extend(all);
    };
    compare(old, new, &["config", "rootfs", "history"]);
    compare(&old["config"], &new["config"], &[]);
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn configs_are_compared_key_by_key() {
        let old = json!({"os": "linux", "rootfs": 1, "config": {"Env": [], "Cmd": ["a"]}});
        let new = json!({"os": "linux", "rootfs": 2, "config": {"Cmd": ["b"], "User": "me"}});
        assert_eq!(changed_keys(&old, &new), ["Cmd", "Env", "User"]);
        assert_eq!(changed_keys(&old, &old), [""; 0]);
    }
}
