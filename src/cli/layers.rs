//! `nix-image layers`, and the layers of a previous image for other commands.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::elsewhere::Place;
use super::looked::LookArgs;
use super::{conf, stdout};
use crate::report::{self, Mode, Report, Style};
use image::bounded;
use planner::Layers;

/// Print which store paths are in each layer of an image, as a JSON list of lists
///
/// Use it to plan the next image: `nix-image plan --strategy delta --previous FILE`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints the layers to standard output: a JSON list of lists of store paths, lowest layer first.

Examples:
  # Save an image's layers to plan the next image
  nix-image layers ./result > layers.json

  # Print those of an image in a registry
  nix-image layers docker://ghcr.io/me/app:1")]
pub(super) struct Args {
    /// The image: the program that Nix built (`./result`) or its conf, an archive or layout (`PATH`
    /// or `PATH#NAME`), or an image elsewhere: `docker://NAME`, `docker-daemon:NAME`,
    /// `containers-storage:NAME` or `containerd:NAME`
    #[arg(value_name = "IMAGE")]
    conf: String,
    #[command(flatten)]
    look: LookArgs,
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        stdout::check()?;
        let report = report::new(mode, Style::READ);
        let layers = json!(of_image(&self.conf, &self.look, &report)?);
        report.answer(&format!("{layers:#}"), &layers)
    }
}

/// The layers of an image that hold store paths.
pub(super) fn of_image(operand: &str, look: &LookArgs, report: &Report) -> anyhow::Result<Layers> {
    if Place::of(operand)?.is_some() || conf::is_stored(operand) {
        return look.store_layers(operand, report);
    }
    let read = if operand == conf::STDIN {
        bounded::read_document(std::io::stdin().lock())
    } else {
        bounded::read_file(operand.as_ref())
    };
    match read {
        Ok(bytes) if !bytes.starts_with(b"#!") => {
            of_file(&bytes).with_context(|| format!("reading the layers in `{operand}`"))
        }
        // A script, or a link that cannot be read without its store's root.
        _ => Ok(with_paths(conf::find(operand.as_ref(), None)?.conf.store_layers)),
    }
}

/// Reads the list that `nix-image layers` and `nix-image plan` print, or the one in a conf.
fn of_file(bytes: &[u8]) -> anyhow::Result<Layers> {
    const EXPECTED: &str =
        "expected a list of lists of store paths, as `nix-image layers` prints it, or a conf";
    let document: Value = serde_json::from_slice(bytes).context(EXPECTED)?;
    let list = document.get("store_layers").unwrap_or(&document);
    let layers = || -> Option<Layers> {
        let paths = |layer: &Value| {
            let paths = layer.as_array()?.iter();
            paths.map(|path| path.as_str().map(str::to_owned)).collect()
        };
        list.as_array()?.iter().map(paths).collect()
    };
    layers().context(EXPECTED).map(with_paths)
}

/// Drops layers without store paths, which hold only files copied into the root.
fn with_paths(layers: Layers) -> Layers {
    layers.into_iter().filter(|paths| !paths.is_empty()).collect()
}
