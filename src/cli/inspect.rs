//! `nix-image inspect`.

use std::io::{IsTerminal as _, stdout as standard_output};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::bail;
use contents::{Contents, Part, picture, report as page};
use image::{Depth, Existing};
use serde_json::{Value, json};

use super::image_args::TagArg;
use super::looked::{LookArgs, Looked, PictureArgs};
use super::stdout;
use crate::look::{budget::Budget, image as table};
use crate::report::{self, Mode, Style, stdout_columns};
use formats::digest::Digest;
use formats::peer_text;

/// Show what an image contains and how large it is: its layers, its largest paths and why they are
/// there, and what could be saved
///
/// A terminal gets a table; otherwise it is JSON, with the image's ID and config, unless a picture
/// is written.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints a JSON object to standard output, or a table if that is a terminal. If a picture is written,
JSON needs --json.

Examples:
  # Show what makes an image large
  nix-image inspect ./result

  # Show the same for an image in a registry
  nix-image inspect docker://ghcr.io/me/app:1

  # Show the same for an image in docker
  nix-image inspect docker-daemon:app:1

  # Draw it and explain each path, on a web page
  nix-image inspect ./result --html report.html

  # Show how an image grew over several builds
  nix-image inspect old.tar ./result-1 ./result --html history.html

  # Fail in CI if the image is too large or contains a compiler
  nix-image inspect ./result --max-size 200MB --fail-if-contains gcc

  # Print its ID
  nix-image inspect ./result | jq -r .Id

  # List the layers by size
  nix-image inspect ./result | jq '.Layers | sort_by(.Size)'

  # Show what a pipe brings: a conf or an archive
  docker save app:1 | nix-image inspect -")]
pub(super) struct Args {
    /// The image: the program that Nix built (`./result`) or its conf, an archive or layout (`PATH`
    /// or `PATH#NAME`), a conf or an archive on standard input (`-`), or an image elsewhere:
    /// `docker://NAME`, `docker-daemon:NAME`, `containers-storage:NAME` or `containerd:NAME`. Of
    /// several images, the last is shown, and with --html their history
    #[arg(required = true, value_name = "IMAGE")]
    inspected: Vec<String>,
    #[command(flatten)]
    tag: TagArg,
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    pictures: PictureArgs,
    #[command(flatten)]
    budget: Budget,
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<ExitCode> {
        let start = Instant::now();
        stdout::check()?;
        if self.inspected.len() > 1 && !self.pictures.has_page() {
            bail!(
                "several images need `--html FILE`, which shows their history; add it, or give \
                 one image"
            );
        }
        if self.inspected.len() > 1 && self.tag.tag.is_some() {
            bail!("`--tag` was given for several images; give one image, or drop `--tag`");
        }
        let is_table = standard_output().is_terminal() && !mode.json;
        // Reading all files takes time, and neither JSON nor an SVG picture needs it.
        let needs_files = is_table || self.pictures.has_page() || self.budget.needs_files();
        let depth = if needs_files { Depth::Files } else { Depth::Sizes };
        let Some((last, earlier)) = self.inspected.split_last() else {
            return Ok(ExitCode::SUCCESS);
        };
        let report = report::new(mode, Style::READ);
        let look = |operand: &String| self.look.look(operand, None, Depth::Sizes, &report);
        let history = earlier.iter().map(|operand| Ok(look(operand)?.contents));
        let mut history = history.collect::<anyhow::Result<Vec<Contents>>>()?;
        let looked = self.look.look(last, self.tag.tag.clone(), depth, &report)?;
        let html = || {
            history.push(looked.contents.clone());
            page::of_images(&history).unwrap_or_default()
        };
        self.pictures.write(|| picture::of_image(&looked.contents), html)?;
        // Whoever wants a picture does not want a long document in a log.
        let wants_document = is_table || mode.json || self.pictures.written().is_none();
        if wants_document && !self.pictures.is_output() {
            let document = document(&looked)?;
            if is_table {
                let text = table::text(&looked.contents, stdout_columns());
                report.answer(&text.trim_end(), &document)?;
            } else {
                report.answer(&format!("{document:#}"), &document)?;
            }
        }
        report.close(&format!(
            "inspected {}: {}{}, {:.1} s",
            peer_text::plain(&looked.contents.name),
            table::totals(&looked.contents),
            self.pictures.written().map_or(String::new(), |written| format!("; {written}")),
            start.elapsed().as_secs_f64()
        ));
        let exceeded = self.budget.exceeded(&looked.contents);
        for sentence in &exceeded {
            report::failed(mode, sentence, None);
        }
        Ok(if exceeded.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn document(looked: &Looked) -> anyhow::Result<Value> {
    let Looked { image, contents, config: config_text, .. } = looked;
    let config = looked.config()?;
    let layers = image.layers().iter().zip(&contents.layers).map(|(layer, found)| {
        let size =
            |part: &Part| json!({ "Path": contents.paths[part.path].path, "Size": part.bytes });
        json!({
            "DiffID": found.diff_id.to_string(),
            "Size": found.size,
            "Paths": layer.origins(),
            "PathSizes": found.parts.iter().map(size).collect::<Vec<_>>(),
        })
    });
    let repo_tag = match image {
        Existing::Made(image) => Some(image.repo_tag()),
        Existing::Stored(stored) => stored.names().first().map(String::as_str),
    };
    Ok(json!({
        "RepoTag": repo_tag,
        "Id": Digest::of(config_text).to_string(),
        "Created": config["created"],
        "Architecture": config["architecture"],
        "Os": config["os"],
        "Config": config["config"],
        "Size": contents.size(),
        "Layers": layers.collect::<Vec<_>>(),
    }))
}
