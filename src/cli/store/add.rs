//! `nix-image store add`.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use super::StoreArgs;
use crate::cli::image_args::{self, ReadingArgs, TagArg};
use crate::report::{self, Bytes, Mode, Outcome, Report, Style};
use containers_storage::Storage;
use delivery::linked::{Counts, Import, IntoStorage, Placed, Ways, owners_on_disk};
use delivery::trees::Rules;
use delivery::{Step, Transfer};
use formats::digest::Digest;
use image::{Blobs, Image};

/// Add images, as links into the Nix store where that is possible
///
/// The directory is made if it does not exist. Each image is added as a whole or not at all, in
/// place of another one that has its name; one that is there already is left as it is.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Standard output carries nothing.

Examples:
  # Add an image
  nix-image store add /var/lib/images ./result

  # Add it under another name, and never copy a file
  nix-image store add /var/lib/images ./result -t app:2 --import link")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// The programs that Nix built (`./result`), or their confs, JSON files
    #[arg(required = true, value_name = "CONF")]
    confs: Vec<PathBuf>,
    #[command(flatten)]
    tag: TagArg,
    /// How files get from the Nix store into the directory
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    import: ImportArg,
    /// Say why files are not linked
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    reading: ReadingArgs,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum ImportArg {
    /// In the first of these ways that works
    #[default]
    Auto,
    /// As hard links
    Link,
    /// As files that share the blocks of the Nix store's files (btrfs, xfs)
    Reflink,
    /// As copies
    Copy,
}

impl From<ImportArg> for Import {
    fn from(import: ImportArg) -> Self {
        match import {
            ImportArg::Auto => Self::Auto,
            ImportArg::Link => Self::Link,
            ImportArg::Reflink => Self::Reflink,
            ImportArg::Copy => Self::Copy,
        }
    }
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        self.tag.check_count(self.confs.len())?;
        // What cannot be read is known before anything is added.
        let open = |conf: &PathBuf| {
            let mut image = self.reading.image(conf, self.tag.tag.clone())?;
            let name = image_args::full_name(&mut image)?.local();
            anyhow::Ok((image, name))
        };
        let images = self.confs.iter().map(open).collect::<anyhow::Result<Vec<_>>>()?;
        let storage = Storage::create(self.store.directory())?;
        for (image, name) in &images {
            // A report is that of one image.
            let report = report::new(mode, Style::Bytes { verb: "Linked", verbose: self.verbose });
            image.warnings().iter().for_each(|warning| report.warn(warning));
            self.add(image, name, &storage, &*report)?;
        }
        Ok(())
    }

    fn add(
        &self,
        image: &Image,
        name: &str,
        storage: &Storage,
        report: &dyn Report,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        report.step(Step::Reading, None);
        let cache = self.reading.cache();
        let digester = self.reading.digester(image, &cache).with_tar_splits();
        let blobs = Blobs::find(&digester)?;
        let id = Digest::of(blobs.config_json().as_bytes());
        let conclude = |placed| {
            let (image, store) = (image.repo_tag(), storage.root());
            report.conclude(&Added { image, store, placed, start });
        };
        let there = storage.read(self.store.patience())?.images;
        if there.iter().any(|image| image.id == id && image.names.iter().any(|n| n == name)) {
            conclude(None);
            return Ok(());
        }
        let trees = storage.root().join("overlay");
        let ways = Ways::find(&image.physical_store(), &trees, self.import.into(), None)?;
        if let Some(why) = ways.why_not_better() {
            report.note(&why);
        }
        let is_root = rustix::process::geteuid().is_root();
        let owners = owners_on_disk(!is_root);
        let into = IntoStorage {
            blobs: &blobs,
            names: &[name.to_owned()],
            storage,
            ways: &ways,
            rules: &Rules::containers_storage(&owners, !is_root),
            patience: self.store.patience(),
            observer: report,
        };
        conclude(Some(into.put()?));
        Ok(())
    }
}

/// An image is in a store.
#[derive(Debug)]
struct Added<'a> {
    image: &'a str,
    store: &'a Path,
    /// How it got there; `None` if it was there.
    placed: Option<Placed>,
    start: Instant,
}

impl Display for Added<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { image, store, placed, start } = self;
        let seconds = start.elapsed().as_secs_f64();
        let store = store.display();
        let Some(Placed { transfer, counts }) = placed else {
            return write!(formatter, "{image} is in `{store}` already, {seconds:.1} s");
        };
        let Transfer { layers, layers_sent, .. } = transfer;
        write!(formatter, "added {image} to `{store}`: {layers_sent} of {layers} layers")?;
        for (count, way) in ways(counts) {
            if count > 0 {
                write!(formatter, ", {} {way}", Bytes(count))?;
            }
        }
        write!(formatter, ", {seconds:.1} s")
    }
}

impl Outcome for Added<'_> {
    fn to_json(&self) -> Value {
        let store = self.store.to_string_lossy();
        let Placed { transfer, counts } = self.placed.unwrap_or_default();
        let mut object = json!({
            "event": if self.placed.is_some() { "added" } else { "exists" },
            "image": self.image,
            "store": store,
            "layers_added": transfer.layers_sent,
        });
        for (count, way) in ways(&counts) {
            object[format!("bytes_{way}")] = count.into();
        }
        object["milliseconds"] = (self.start.elapsed().as_millis() as u64).into();
        object
    }
}

/// How many bytes got there in which way.
fn ways(counts: &Counts) -> [(u64, &'static str); 3] {
    [
        (counts.linked.bytes, "linked"),
        (counts.reflinked.bytes, "reflinked"),
        (counts.copied.bytes, "copied"),
    ]
}
