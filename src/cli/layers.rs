//! `nix-image layers`, and the layers of a previous image for other commands.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::{conf, stdout};
use image::bounded;
use planner::Layers;

/// Print which store paths are in each layer of an image, as a JSON list of lists
///
/// The next image is planned with it: `nix-image plan --strategy delta --previous FILE`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Standard output carries the layers: a JSON list of lists of store paths, lowest layer first.

Examples:
  # Keep the layers of an image, to plan the next one with them
  nix-image layers ./result > layers.json

  # Print those of an image in a registry
  nix-image layers ghcr.io/me/app:1")]
pub(super) struct Args {
    /// The image's conf or, of an image that nix-image has pushed, its name in the registry
    #[arg(value_name = "CONF|REFERENCE")]
    conf: String,
    /// Check certificates, and refuse plain HTTP to other machines
    #[cfg(feature = "push")]
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    tls_verify: bool,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut out = stdout::lock()?;
        #[cfg(feature = "push")]
        let layers = of_image(&self.conf, self.tls_verify)?;
        #[cfg(not(feature = "push"))]
        let layers = of_image(&self.conf, true)?;
        writeln!(out, "{:#}", serde_json::json!(layers)).context("writing to standard output")
    }
}

/// The layers of store paths that an image has: one of a file, or else of a registry.
pub(super) fn of_image(name: &str, tls_verify: bool) -> anyhow::Result<Layers> {
    match bounded::read_file(name.as_ref()) {
        Ok(bytes) if bytes.starts_with(b"#!") => {
            Ok(conf::find(name.as_ref(), None)?.conf.store_layers)
        }
        Ok(bytes) => of_file(&bytes).with_context(|| format!("reading the layers in `{name}`")),
        Err(_) if !Path::new(name).exists() && is_like_reference(name) => {
            of_reference(name, tls_verify)
        }
        Err(error) => Err(error).with_context(|| format!("reading `{name}`")),
    }
}

/// Whether what is not a file's name may be an image's: it has a tag, a digest or a registry.
fn is_like_reference(name: &str) -> bool {
    let is_json = Path::new(name).extension().is_some_and(|extension| extension == "json");
    !name.starts_with(['.', '/']) && !is_json && name.contains([':', '@', '/'])
}

/// Reads the list that `nix-image layers` and `nix-image plan` print, or takes it out of a conf.
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
    layers().context(EXPECTED)
}

#[cfg(not(feature = "push"))]
fn of_reference(name: &str, _: bool) -> anyhow::Result<Layers> {
    bail!("there is no file `{name}`, and this nix-image is built without registries")
}

/// Reads the layers from the annotations of an image that nix-image has pushed.
#[cfg(feature = "push")]
fn of_reference(name: &str, tls_verify: bool) -> anyhow::Result<Layers> {
    use oci::registry::{Client, Options, Repository};
    use oci::{Flavor, Manifest, Reference, annotation};
    use std::sync::Arc;

    let reference = Reference::parse(name.strip_prefix("docker://").unwrap_or(name))?.resolved();
    let options = Options { tls_verify, login: None };
    let client = Client::new(&reference, false, &[], &options)?;
    let repository = Repository::new(&Arc::new(client), &reference.repository);
    let Some(document) = repository.manifest(&reference.manifest())? else {
        bail!("there is no image `{reference}` in the registry");
    };
    if document.media_type.as_deref().and_then(Flavor::of_index).is_some() {
        bail!(
            "`{reference}` stands for the images of several platforms; name one of them by its \
             digest, as in {}@sha256:…",
            reference.name()
        );
    }
    let manifest = Manifest::parse(&document.bytes, document.media_type.as_deref())?;
    let paths =
        manifest.layers.iter().filter_map(|layer| layer.annotations.get(annotation::STORE_PATHS));
    let layers: Layers = paths.filter_map(|paths| of_annotation(paths)).collect();
    if layers.is_empty() {
        bail!(
            "the manifest of `{reference}` does not say which store paths its layers hold; \
             expected an image that `nix-image push` has pushed with `--format oci`"
        );
    }
    Ok(layers)
}

/// The paths of one layer, unless there were too many to name them all.
#[cfg(feature = "push")]
fn of_annotation(names: &str) -> Option<Vec<String>> {
    let path = |name: &str| {
        let is_name = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
        (is_name && !name.starts_with('+')).then(|| format!("/nix/store/{name}"))
    };
    names.split(' ').map(path).collect()
}
