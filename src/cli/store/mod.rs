//! `nix-image store`.

mod add;
mod find;
mod list;

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::report::{self, Mode, Style, count};
use containers_storage::{Collected, Storage};
use find::Found;

/// Keep images in a directory that podman, buildah and CRI-O read without loading them
///
/// Such a directory is an additional image store: each user's storage.conf names it in
/// `additionalimagestores`. Its files are hard links into the Nix store where possible, and images
/// in it run without being copied.
#[derive(Debug, clap::Subcommand)]
#[command(after_long_help = "\
Only `list` prints to standard output.

Examples:
  # Add an image
  nix-image store add /var/lib/images ./result

  # List the images
  nix-image store list /var/lib/images

  # Remove it
  nix-image store remove /var/lib/images app:1

  # Remove the layers that no image uses any longer
  nix-image store gc /var/lib/images")]
pub(super) enum Command {
    Add(add::Args),
    Remove(Remove),
    List(list::Args),
    Gc(Gc),
}

/// Remove images by name or ID
///
/// An image is removed with its last name. Its layers stay until `gc`, so containers that run from
/// it keep running. If any of the names or IDs does not exist, nothing is removed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints nothing to standard output.

Examples:
  # Remove an image by name
  nix-image store remove /var/lib/images app:1

  # Remove it by the start of its ID
  nix-image store remove /var/lib/images 401351afb47b")]
pub(super) struct Remove {
    #[command(flatten)]
    store: StoreArgs,
    /// Names as in `list`, or short ones such as `app:1`; IDs, or their first digits
    #[arg(required = true, value_name = "NAME|ID")]
    images: Vec<String>,
}

/// Remove images without names, layers that no image uses, and leftovers of killed runs
///
/// An image loses its name when a newer one is added under that name.
///
/// Layers that are part of a mount, such as those of running containers, stay. But not every mount
/// is visible: those of other machines that share the directory are not, nor, with some engines,
/// those of images with many layers. Stop containers whose image was removed before you collect
/// garbage: otherwise their files disappear.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints nothing to standard output.

Examples:
  # Collect garbage
  nix-image store gc /var/lib/images

  # Wait up to ten minutes for a run that adds an image
  nix-image store gc /var/lib/images --timeout 600")]
pub(super) struct Gc {
    #[command(flatten)]
    store: StoreArgs,
}

/// Which store to use, and how long to wait for it.
#[derive(Debug, clap::Args)]
pub(super) struct StoreArgs {
    /// The store's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// How long to wait for engines and other runs that have locked the store
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u32,
}

impl Command {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        match self {
            Self::Add(args) => args.run(mode),
            Self::Remove(args) => args.run(mode),
            Self::List(args) => args.run(mode),
            Self::Gc(args) => args.run(mode),
        }
    }
}

impl StoreArgs {
    /// Opens an existing store.
    fn open(&self) -> anyhow::Result<Storage> {
        Ok(Storage::additional(&self.directory)?)
    }

    fn directory(&self) -> &Path {
        &self.directory
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }
}

/// What was removed: an image, or one of its names.
#[derive(Debug, Serialize)]
struct Removed {
    what: &'static str,
    #[serde(rename = "where")]
    directory: String,
    /// The names that the image lost.
    references: Vec<String>,
    image_id: String,
    /// Whether the image had no other name, and was removed.
    is_gone: bool,
}

impl Display for Removed {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let id = self.is_gone.then(|| self.image_id.trim_start_matches("sha256:").to_owned());
        let removed: Vec<_> = self.references.iter().cloned().chain(id).collect();
        write!(formatter, "removed {} from `{}`", removed.join(", "), self.directory)
    }
}

impl Remove {
    fn run(self, mode: Mode) -> anyhow::Result<()> {
        let report = report::new(mode, Style::READ);
        let storage = self.store.open()?;
        let mut images = storage.images(self.store.patience())?;
        let list = images.list();
        let found = self.images.iter().map(|wanted| find::find(&list, wanted, &storage));
        let found = found.collect::<Result<Vec<Found>, _>>()?;
        for found in found {
            let Some(image) = images.get(found.id) else { continue };
            let keeps_others = image.names.iter().any(|name| Some(name) != found.name.as_ref());
            let lost = match &found.name {
                Some(name) if keeps_others => {
                    images.remove_name(name)?;
                    vec![name.clone()]
                }
                _ => {
                    images.remove(found.id)?;
                    image.names
                }
            };
            report.conclude(&Removed {
                what: "removed",
                directory: storage.root().display().to_string(),
                references: lost,
                image_id: image.id.to_string(),
                is_gone: !(keeps_others && found.name.is_some()),
            })?;
        }
        Ok(())
    }
}

/// The result of a garbage collection.
#[derive(Debug, Serialize)]
struct Garbage {
    what: &'static str,
    #[serde(rename = "where")]
    directory: String,
    images: usize,
    layers: usize,
    /// Incomplete layers whose leftovers were removed.
    leftovers: usize,
    /// Layers that were kept because they are mounted.
    mounted: usize,
}

impl Display for Garbage {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let (images, layers) = (count(self.images, "image"), count(self.layers, "layer"));
        write!(formatter, "removed {images} and {layers} from `{}`", self.directory)?;
        if self.leftovers > 0 {
            write!(formatter, ", and leftovers of {}", count(self.leftovers, "incomplete layer"))?;
        }
        if self.mounted > 0 {
            write!(formatter, "; kept {} that are mounted", count(self.mounted, "layer"))?;
        }
        Ok(())
    }
}

impl Gc {
    fn run(self, mode: Mode) -> anyhow::Result<()> {
        let report = report::new(mode, Style::READ);
        let storage = self.store.open()?;
        let patience = self.store.patience();
        let collected = storage.layers(patience)?.collect_garbage(patience)?;
        let Collected { images, removed, mounted, leftovers } = collected;
        report.conclude(&Garbage {
            what: "collected",
            directory: storage.root().display().to_string(),
            images: images.len(),
            layers: removed.len(),
            leftovers,
            mounted: mounted.len(),
        })
    }
}
