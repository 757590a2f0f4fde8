//! `nix-image store add`.

use std::path::PathBuf;
use std::slice;
use std::time::Instant;

use super::StoreArgs;
use crate::cli::image_args::{self, ReadingArgs, TagArg};
use crate::report::{self, Delivered, Done, Means, Mode, Report, Style};
use containers_storage::Storage;
use delivery::linked::{Counts, Import, IntoStorage, Placed, Ways, owners_on_disk};
use delivery::trees::Rules;
use delivery::{Observer as _, Step, Transfer};
use formats::digest::Digest;
use image::{Blobs, Image};

/// Add images, as links into the Nix store where possible
///
/// The directory is created if it does not exist. Each image is added completely or not at all, and
/// replaces another one of the same name; an image that is already there is left as it is.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints nothing to standard output.

Examples:
  # Add an image
  nix-image store add /var/lib/images ./result

  # Add it under another name, and never copy a file
  nix-image store add /var/lib/images ./result -t app:2 --import link")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// The images: the programs that Nix built (`./result`), their confs (JSON files), or archives
    /// or layouts as PATH or PATH#NAME
    #[arg(required = true, value_name = "CONF")]
    confs: Vec<PathBuf>,
    #[command(flatten)]
    tag: TagArg,
    /// How to get files from the Nix store into the directory
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    import: ImportArg,
    #[command(flatten)]
    reading: ReadingArgs,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum ImportArg {
    /// The first of these ways that works
    #[default]
    Auto,
    /// Hard links
    Link,
    /// Files that share blocks with the Nix store's files (btrfs, xfs)
    Reflink,
    /// Copies
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
        // Unreadable images are noticed before anything is added.
        let open = |conf: &PathBuf| {
            let mut image = self.reading.image(conf, self.tag.tag.clone())?;
            let name = image_args::full_name(&mut image)?.local();
            anyhow::Ok((image, name))
        };
        let images = self.confs.iter().map(open).collect::<anyhow::Result<Vec<_>>>()?;
        let storage = Storage::create(self.store.directory())?;
        for (image, name) in &images {
            // Each image has a report of its own.
            let report = report::new(mode, Style::ADD);
            image.warnings().iter().for_each(|warning| report.warn(warning));
            let (tag, store) = (image.repo_tag(), storage.root().display());
            report.begin(&format!("adding {tag} to `{store}`"));
            self.add(image, name, &storage, &report)?;
        }
        Ok(())
    }

    fn add(
        &self,
        image: &Image,
        name: &str,
        storage: &Storage,
        report: &Report,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        report.started(slice::from_ref(image));
        report.step(Step::Reading, None);
        let cache = self.reading.cache();
        let digester = self.reading.digester(image, &cache, report).with_tar_splits();
        let blobs = Blobs::find(&digester)?;
        let id = Digest::of(blobs.config_json().as_bytes());
        let conclude = |done, Placed { transfer, counts }: Placed| {
            report.conclude(&Delivered {
                done,
                place: storage.root().display().to_string(),
                references: vec![image.repo_tag().to_owned()],
                image_id: Some(id),
                digest: None,
                transfer,
                means: Means::Files {
                    linked: counts.linked.bytes,
                    reflinked: counts.reflinked.bytes,
                    copied: counts.copied.bytes,
                },
                start,
            })
        };
        let there = storage.read(self.store.patience())?.images;
        if there.iter().any(|image| image.id == id && image.names.iter().any(|n| n == name)) {
            let transfer = Transfer::none(blobs.all().len(), blobs.size());
            return conclude(Done::Exists, Placed { transfer, counts: Counts::default() });
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
        let placed = into.put()?;
        report.finished();
        conclude(Done::Added, placed)
    }
}
