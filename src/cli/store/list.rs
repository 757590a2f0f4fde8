//! `nix-image store list`.

use std::collections::HashMap;
use std::io::Write as _;

use serde_json::{Value, json};

use super::{StoreArgs, count};
use crate::cli::stdout;
use crate::report::Bytes;
use containers_storage::{Image, Layer, Snapshot};
use formats::digest::Digest;

/// List the images
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Standard output carries a line for each name, or with --json a list.

Examples:
  # List the images
  nix-image store list /var/lib/images

  # Print the names alone
  nix-image store list /var/lib/images --json | jq -r '.[].Names[]'")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Print a JSON list
    #[arg(long)]
    json: bool,
}

/// How many digits of an ID are shown.
const DIGITS: usize = 12;

/// An image with what its layers come to.
struct Listed<'a> {
    image: &'a Image,
    layers: usize,
    /// The length of the layers' archives in bytes.
    size: u64,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut out = stdout::lock()?;
        let Snapshot { layers, images } = self.store.open()?.read(self.store.patience())?;
        let layers: HashMap<Digest, &Layer> =
            layers.iter().map(|layer| (layer.id, layer)).collect();
        let listed = images.iter().map(|image| Listed::new(image, &layers));
        if self.json {
            let list: Vec<Value> = listed.map(|listed| listed.to_json()).collect();
            writeln!(out, "{:#}", Value::from(list))?;
            return Ok(());
        }
        let lines: Vec<_> = listed.flat_map(|listed| listed.lines()).collect();
        let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, rest) in lines {
            writeln!(out, "{name:width$}  {rest}")?;
        }
        Ok(())
    }
}

impl<'a> Listed<'a> {
    fn new(image: &'a Image, layers: &HashMap<Digest, &Layer>) -> Self {
        let mut listed = Self { image, layers: 0, size: 0 };
        let mut next = image.top_layer;
        while let Some(layer) = next.and_then(|id| layers.get(&id))
            // Nothing says that layers cannot be below themselves.
            && listed.layers < layers.len()
        {
            listed.layers += 1;
            listed.size += layer.size.unwrap_or(0);
            next = layer.parent;
        }
        listed
    }

    /// A line for each name, with what follows that.
    fn lines(&self) -> Vec<(String, String)> {
        let Self { image, layers, size } = self;
        let id = &image.id.hex()[..DIGITS];
        let rest = format!("{id}  {}, {}", count(*layers, "layer"), Bytes(*size));
        let none = ["<none>".to_owned()];
        let names = if image.names.is_empty() { &none[..] } else { &image.names };
        names.iter().map(|name| (name.clone(), rest.clone())).collect()
    }

    fn to_json(&self) -> Value {
        let Self { image, layers, size } = self;
        json!({
            "Id": image.id.to_string(),
            "Names": image.names,
            "Digest": image.digest.map(|digest| digest.to_string()),
            "Created": image.created,
            "Layers": layers,
            "Size": size,
        })
    }
}
