//! The arguments of commands that examine what images contain.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use contents::{Closure, Contents, names};
use formats::digest::{BlobId, Digest};
use formats::peer_text;
use image::{Depth, Existing, Survey};
use planner::Layers;
use serde_json::Value;

use super::conf;
use super::elsewhere::{ElsewhereArgs, Opened, Place, TemporaryFile};
use super::existing::open;
use super::image_args::ReadingArgs;
use super::stdout;
use crate::report::Report;
use delivery::output::{Writer as _, write_file};
use delivery::{Observer as _, Step};

/// How to find and read images.
#[derive(Debug, clap::Args)]
pub(super) struct LookArgs {
    /// The architecture to choose if a name stands for several images, as Go names it [default:
    /// this machine's]
    #[arg(long, value_name = "ARCH")]
    architecture: Option<String>,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    elsewhere: ElsewhereArgs,
}

/// An image that was examined.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) image: Existing,
    pub(super) contents: Contents,
    /// The config, byte for byte.
    pub(super) config: Vec<u8>,
    /// The file that it was fetched into, if any.
    _file: Option<TemporaryFile>,
}

/// Pictures of what was found.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Pictures")]
pub(super) struct PictureArgs {
    /// Draw the store paths, sized by their bytes, as an SVG in this file; `-` is standard output
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write a self-contained HTML page with the picture, tables to sort and search, and why each
    /// path is there; `-` is standard output
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl LookArgs {
    pub(super) fn new(architecture: Option<String>, elsewhere: ElsewhereArgs) -> Self {
        Self { architecture, reading: ReadingArgs::default(), elsewhere }
    }

    /// Examines the image that an operand names: everything in it, or only sizes. `tag` replaces
    /// the name of a conf's image.
    pub(super) fn look(
        &self,
        operand: &str,
        tag: Option<String>,
        depth: Depth,
        report: &Report,
    ) -> anyhow::Result<Looked> {
        self.look_beside(None, operand, tag, depth, report)
    }

    /// Like `look`, but with another image that is already known. If only sizes are wanted, layers
    /// that both have are neither fetched nor read.
    pub(super) fn look_beside(
        &self,
        known: Option<&Contents>,
        operand: &str,
        tag: Option<String>,
        depth: Depth,
        report: &Report,
    ) -> anyhow::Result<Looked> {
        let known = known.filter(|_| depth == Depth::Sizes);
        let layers = known.into_iter().flat_map(|known| &known.layers);
        let without: Vec<Digest> = layers.map(|layer| layer.diff_id).collect();
        let Opened { image, file } = self.open(operand, tag, &without, report)?;
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
        report.step(Step::Examining, None);
        let (threads, diff_ids) = (self.reading.threads(), &diff_ids);
        let survey = Survey { image: &image, diff_ids, depth, known, threads, meter: report };
        let contents = survey.contents(&name)?;
        Ok(Looked { image, contents, config, _file: file })
    }

    /// The store paths of each layer that has some. For an image in a registry, no layer is read if
    /// the documents already list them.
    pub(super) fn store_layers(&self, operand: &str, report: &Report) -> anyhow::Result<Layers> {
        #[cfg(feature = "pull")]
        if let Some(Place::Registry(name)) = Place::of(operand)?
            && let Some(layers) =
                self.elsewhere.find(name, self.architecture.as_deref())?.store_layers()
        {
            return Ok(layers);
        }
        let contents = self.look(operand, None, Depth::Sizes, report)?.contents;
        let layers = contents.layers.iter().map(|layer| {
            layer.parts.iter().map(|part| contents.paths[part.path].path.clone()).collect()
        });
        let layers: Layers = layers.filter(|paths: &Vec<String>| !paths.is_empty()).collect();
        if layers.is_empty() {
            bail!("`{operand}` has no store paths in its layers; expected an image made by Nix");
        }
        Ok(layers)
    }

    fn open(
        &self,
        operand: &str,
        tag: Option<String>,
        without: &[Digest],
        report: &Report,
    ) -> anyhow::Result<Opened> {
        let architecture = self.architecture.as_deref();
        let place = Place::of(operand)?;
        if place.is_none() && !conf::is_stored(operand) {
            let image = self.reading.image(Path::new(operand), tag)?;
            return Ok(Opened { image: Existing::Made(Box::new(image)), file: None });
        }
        if tag.is_some() {
            bail!("`--tag` names the image of a conf, and `{operand}` is not a conf");
        }
        if let Some(place) = place {
            return self.elsewhere.fetch(place, architecture, without, report);
        }
        let image = open(operand, architecture, self.reading.store_root.as_deref())?;
        Ok(Opened { image, file: None })
    }
}

impl Looked {
    /// The parsed config.
    pub(super) fn config(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.config).context("the config is not valid JSON")
    }

    /// The references. They are known only if the files were read.
    pub(super) fn closure(&self) -> anyhow::Result<Closure<'_>> {
        Closure::of(&self.contents).context("the references of the image are not known")
    }

    /// The index of the one path that `text` identifies.
    pub(super) fn path(&self, text: &str) -> anyhow::Result<usize> {
        let paths = self.contents.find(text);
        match paths[..] {
            [path] => Ok(path),
            [] => bail!(
                "`{text}` is not in the image; expected a store path, or the name of one such as \
                 `glibc` or `glibc-2.40`{}; `nix-image tree` lists all of them",
                self.similar(text)
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

impl Looked {
    /// Some of the paths whose names contain a text, as part of a message.
    fn similar(&self, text: &str) -> String {
        /// The number of names shown.
        const SHOWN: usize = 5;
        let names = self.contents.paths.iter().map(|path| names::full_name(&path.path));
        let similar = names.filter(|name| !text.is_empty() && name.contains(text)).take(SHOWN);
        let similar: Vec<_> = similar.map(|name| format!("`{}`", peer_text::plain(name))).collect();
        if similar.is_empty() {
            return String::new();
        }
        format!(", perhaps {}", similar.join(" or "))
    }
}

impl PictureArgs {
    /// Whether an HTML page is requested.
    pub(super) fn has_page(&self) -> bool {
        self.html.is_some()
    }

    /// Whether one of them goes to standard output.
    pub(super) fn is_output(&self) -> bool {
        [&self.svg, &self.html].into_iter().flatten().any(|file| file == Path::new("-"))
    }

    /// Says which files they are written to, if any.
    pub(super) fn written(&self) -> Option<String> {
        let files = [&self.svg, &self.html].into_iter().flatten();
        let files = files.filter(|file| *file != Path::new("-"));
        let files: Vec<_> = files.map(|file| format!("`{}`", file.display())).collect();
        (!files.is_empty()).then(|| format!("wrote {}", files.join(" and ")))
    }

    /// Writes the requested pictures.
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
