//! The arguments of commands that look at what images contain.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use contents::{Closure, Contents};
use formats::digest::{BlobId, Digest};
use formats::peer_text;
use image::{Depth, Existing, Survey};
use oci::Reference;
use serde_json::Value;

use super::conf;
use super::existing::open;
use super::image_args::ReadingArgs;
use super::stdout;
use crate::report::Report;
use delivery::output::{Writer as _, write_file};
use delivery::{Observer as _, Step};

/// How images are found and read.
#[derive(Debug, clap::Args)]
pub(super) struct LookArgs {
    /// The architecture to choose where an archive or layout has several images, by Go's name
    /// [default: this machine's]
    #[arg(long, value_name = "ARCH")]
    architecture: Option<String>,
    #[command(flatten)]
    reading: ReadingArgs,
}

/// An image that was looked at.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) image: Existing,
    pub(super) contents: Contents,
    /// Its configuration, byte for byte.
    pub(super) config: Vec<u8>,
}

/// Pictures of what was found.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Pictures")]
pub(super) struct PictureArgs {
    /// Draw the store paths, each as large as its bytes, into this file; `-` is standard output
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write a page with the picture, tables to sort and search, and why each path is there; it needs
    /// no network. `-` is standard output
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl LookArgs {
    /// Looks at the image that an operand names: at all that is in it, or at sizes only. `tag`
    /// replaces the name of a conf's image.
    pub(super) fn look(
        &self,
        operand: &str,
        tag: Option<String>,
        depth: Depth,
        report: &Report,
    ) -> anyhow::Result<Looked> {
        let image = self.open(operand, tag)?;
        report.step(Step::Reading, None);
        let (diff_ids, config, name) = match &image {
            Existing::Made(made) => {
                made.warnings().iter().for_each(|warning| report.warn(warning));
                let cache = self.reading.cache();
                let digester = self.reading.digester(made, &cache, report);
                let layers: Vec<BlobId> = digester.digest_all()?;
                let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.digest).collect();
                let config = made.config_json(&diff_ids).into_bytes();
                (diff_ids, config, made.repo_tag().to_owned())
            }
            Existing::Stored(stored) => {
                let name = stored.names().first().map_or(operand, String::as_str);
                (stored.diff_ids(), stored.config().to_owned(), name.to_owned())
            }
        };
        let threads = self.reading.threads();
        let survey = Survey { image: &image, diff_ids: &diff_ids, depth, threads };
        let contents = survey.contents(&name)?;
        Ok(Looked { image, contents, config })
    }

    fn open(&self, operand: &str, tag: Option<String>) -> anyhow::Result<Existing> {
        if is_elsewhere(operand) {
            bail!(
                "there is no file `{operand}`; an image in a registry is fetched first, with \
                 `nix-image pull {operand} image.tar`, and one in an engine is saved, with \
                 `docker save {operand} -o image.tar` or `podman save`"
            );
        }
        if !conf::is_stored(operand) {
            let image = self.reading.image(Path::new(operand), tag)?;
            return Ok(Existing::Made(Box::new(image)));
        }
        if tag.is_some() {
            bail!("`--tag` names the image of a conf, and `{operand}` is no conf");
        }
        let store_root = self.reading.store_root.as_deref();
        open(operand, self.architecture.as_deref(), store_root)
    }
}

impl Looked {
    /// Its configuration.
    pub(super) fn config(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.config).context("the configuration is not valid JSON")
    }

    /// Its references, which a look at files finds.
    pub(super) fn closure(&self) -> anyhow::Result<Closure<'_>> {
        Closure::of(&self.contents).context("the references of the image are not known")
    }

    /// The place of the one path that a text means.
    pub(super) fn path(&self, text: &str) -> anyhow::Result<usize> {
        let paths = self.contents.find(text);
        match paths[..] {
            [path] => Ok(path),
            [] => bail!(
                "`{text}` is not in the image; expected a store path, or the name of one such as \
                 `glibc` or `glibc-2.40`; `nix-image tree` lists what there is"
            ),
            _ => {
                let shown = paths.iter().take(20).map(|&path| {
                    format!("\n  {}", peer_text::plain(&self.contents.paths[path].path))
                });
                bail!(
                    "`{text}` is the name of {} paths; give one of them, or its hash:{}",
                    paths.len(),
                    shown.collect::<String>()
                )
            }
        }
    }
}

impl PictureArgs {
    /// Whether a page is asked for.
    pub(super) fn has_page(&self) -> bool {
        self.html.is_some()
    }

    /// Whether one is written to standard output.
    pub(super) fn is_output(&self) -> bool {
        [&self.svg, &self.html].into_iter().flatten().any(|file| file == Path::new("-"))
    }

    /// Writes those that are asked for.
    pub(super) fn write(
        &self,
        svg: impl FnOnce() -> String,
        html: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        if let Some(file) = &self.svg {
            write_text(file, &svg())?;
        }
        if let Some(file) = &self.html {
            write_text(file, &html())?;
        }
        Ok(())
    }
}

/// Whether an operand is no file here, but the name of an image in a registry or an engine.
fn is_elsewhere(operand: &str) -> bool {
    let is_path = operand.starts_with(['.', '/']) || Path::new(operand).symlink_metadata().is_ok();
    !is_path && operand.contains(':') && Reference::of_image(operand).is_ok()
}

/// Writes a picture to standard output.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = stdout::lock()?;
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("writing to standard output")
}

fn write_text(file: &Path, text: &str) -> anyhow::Result<()> {
    if file == Path::new("-") {
        return print(text);
    }
    if file.is_dir() {
        bail!("`{}` is a directory; name a file", file.display());
    }
    Ok(write_file(file, |output| Ok(output.put(text.as_bytes())?))?)
}
