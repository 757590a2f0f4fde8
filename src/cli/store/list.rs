//! `nix-image store list`.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::StoreArgs;
use crate::cli::stdout;
use crate::report::{self, Bytes, Mode, Style, count};
use containers_storage::{Image, Layer, Snapshot};
use formats::digest::Digest;

/// List the images
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints a line for each name to standard output, or a JSON object with --json.

Examples:
  # List the images
  nix-image store list /var/lib/images

  # Print only the names
  nix-image store list /var/lib/images --json | jq -r '.images[].references[]'")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    store: StoreArgs,
}

/// How many digits of an ID to show.
const DIGITS: usize = 12;

/// An image, with the number and size of its layers.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    references: &'a [String],
    image_id: String,
    digest: Option<String>,
    created: &'a str,
    /// The number of layers.
    layers: usize,
    /// The total size of the layers' tar files, in bytes.
    bytes: u64,
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        stdout::check()?;
        let storage = self.store.open()?;
        let Snapshot { layers, images } = storage.read(self.store.patience())?;
        let layers: HashMap<Digest, &Layer> =
            layers.iter().map(|layer| (layer.id, layer)).collect();
        let images = images.iter().map(|image| Listed::new(image, &layers)).collect();
        let directory = storage.root().display().to_string();
        let listing = Listing { what: "images", directory, images };
        report::new(mode, Style::READ).answer(&listing, &listing)
    }
}

/// The images of a store.
#[derive(Debug, Serialize)]
struct Listing<'a> {
    what: &'static str,
    #[serde(rename = "where")]
    directory: String,
    images: Vec<Listed<'a>>,
}

/// A line for each name.
impl Display for Listing<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.images.iter().flat_map(Listed::lines).collect();
        let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let lines = lines.iter().map(|(name, rest)| format!("{name:width$}  {rest}"));
        formatter.write_str(&lines.collect::<Vec<_>>().join("\n"))
    }
}

impl<'a> Listed<'a> {
    fn new(image: &'a Image, layers: &HashMap<Digest, &Layer>) -> Self {
        let mut listed = Self {
            references: &image.names,
            image_id: image.id.to_string(),
            digest: image.digest.map(|digest| digest.to_string()),
            created: &image.created,
            layers: 0,
            bytes: 0,
        };
        let mut next = image.top_layer;
        while let Some(layer) = next.and_then(|id| layers.get(&id))
            // A corrupt store might have a layer that is its own ancestor.
            && listed.layers < layers.len()
        {
            listed.layers += 1;
            listed.bytes += layer.size.unwrap_or(0);
            next = layer.parent;
        }
        listed
    }

    /// A line for each name: the name, and what follows it.
    fn lines(&self) -> Vec<(String, String)> {
        let id: String = self.image_id.trim_start_matches("sha256:").chars().take(DIGITS).collect();
        let rest = format!("{id}  {}, {}", count(self.layers, "layer"), Bytes(self.bytes));
        let none = ["<none>".to_owned()];
        let names = if self.references.is_empty() { &none[..] } else { self.references };
        names.iter().map(|name| (name.clone(), rest.clone())).collect()
    }
}
