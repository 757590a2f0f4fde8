//! `nix-image push`.

use std::io::{self, Write as _};
use std::time::Instant;

use anyhow::bail;

use super::image_args::ReadingArgs;
use super::summary::Summary;
use crate::compress::{Compression, Settings};
use crate::conf::Conf;
use crate::image::Image;
use crate::oci::Flavor;
use crate::progress::PushProgress;
use crate::push::{Options, Push, Pushed};
use crate::registry::{self, Reference};
use crate::sink::Written;

/// Push an image to registries, sending only the blobs that they lack
///
/// Layers are looked for by what the image's tag, and those given with --cache-from, say: of
/// a conf with NAR hashes those that are there need not even be in the store. This trusts whoever
/// can write to these repositories; --no-cache does not.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The image's conf, a JSON file, and the names to push to [default: the conf's `repo_tag`].
    /// What is a file is a conf; several confs become one image for several platforms
    #[arg(required = true, value_name = "CONF|REFERENCE")]
    operands: Vec<String>,
    /// Name and tag, instead of the conf's
    #[arg(short = 't', long = "repo_tag", visible_alias = "tag", value_name = "NAME:TAG")]
    repo_tag: Option<String>,
    /// How to compress layers [default: zstd, for --format docker gzip; layers that are there may
    /// be compressed in any way]
    #[arg(long)]
    compression: Option<Compression>,
    /// How hard to compress: 1 to 12 for gzip, 1 to 19 for zstd
    #[arg(long, value_name = "N")]
    level: Option<u8>,
    /// Whose kind of manifest to push
    #[arg(long, value_enum, default_value_t = Format::Oci)]
    format: Format,
    /// A further image to take unchanged layers from; may be given several times
    #[arg(long, value_name = "REFERENCE")]
    cache_from: Vec<Reference>,
    /// Say this of the image in its manifest, such as
    /// org.opencontainers.image.source=https://example.org/app; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = annotation)]
    annotation: Vec<(String, String)>,
    /// Check certificates, and refuse plain HTTP to other machines
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    tls_verify: bool,
    #[command(flatten)]
    reading: ReadingArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// The OCI image specification's
    Oci,
    /// Docker's, version 2, schema 2, for old registries
    Docker,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let start = Instant::now();
        let settings = self.settings()?;
        if matches!(self.format, Format::Docker) && !self.annotation.is_empty() {
            bail!("--annotation is for --format oci; Docker's manifests have no annotations");
        }
        let progress = PushProgress::new();
        let mut images = Vec::new();
        let mut references: Vec<Reference> = Vec::new();
        for operand in &self.operands {
            if images.is_empty() || std::path::Path::new(operand).is_file() {
                let conf = Conf::load(operand.as_ref())?;
                let root = self.reading.store_root.as_deref();
                let mut image = Image::new(conf, self.repo_tag.clone(), root)?;
                image.complete_nar_hashes();
                image.warnings.iter().for_each(|warning| progress.warn(warning));
                images.push(image);
            } else {
                references.push(target(operand)?);
            }
        }
        if references.is_empty() {
            for image in &images {
                let reference = image.repo_tag.parse()?;
                if !references.contains(&reference) {
                    references.push(reference);
                }
            }
        }
        let options = Options {
            settings,
            any_compression: self.compression.is_none() && self.level.is_none(),
            flavor: match self.format {
                Format::Oci => Flavor::Oci,
                Format::Docker => Flavor::Docker,
            },
            annotations: self.annotation.into_iter().collect(),
            reading: self.reading.options(),
            learn: !self.reading.no_cache,
            cache_from: self.cache_from,
            registry: registry::Options { tls_verify: self.tls_verify },
        };
        let cache = self.reading.cache();
        let mut push = Push::new(&images, &cache, &options, &progress)?;
        while let Some(first) = references.first().cloned() {
            let (group, rest) =
                references.into_iter().partition(|other| other.name() == first.name());
            references = rest;
            tell(&push.push(&group)?, start)?;
        }
        Ok(())
    }

    fn settings(&self) -> anyhow::Result<Settings> {
        let compression = self.compression.unwrap_or(match self.format {
            Format::Oci => Compression::Zstd,
            Format::Docker => Compression::Gzip,
        });
        let usual = Settings::usual(compression);
        match (self.level, compression.levels()) {
            (None, _) => Ok(usual),
            (Some(level), Some((lowest, _, highest))) if (lowest..=highest).contains(&level) => {
                Ok(Settings { level, ..usual })
            }
            (Some(_), None) => bail!("--level is for compressed layers"),
            (Some(level), Some((lowest, _, highest))) => {
                bail!("{compression} has no level {level}; choose one of {lowest} to {highest}")
            }
        }
    }
}

/// A name to push to. With a digest it would be the manifest of that digest that is stored, and
/// the tag that stays what it was.
fn target(operand: &str) -> anyhow::Result<Reference> {
    let reference: Reference = operand.parse()?;
    if reference.digest.is_some() {
        bail!("`{operand}` has a digest, which follows from the image; push to a tag");
    }
    Ok(reference)
}

fn annotation(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("expected KEY=VALUE".into()),
    }
}

/// The name by digest on standard output, what it took on standard error.
fn tell(pushed: &Pushed, start: Instant) -> anyhow::Result<()> {
    let written = Written { layers: pushed.layers_sent, bytes: pushed.bytes_sent };
    let summary = Summary { written, layers: pushed.layers, size: pushed.bytes, start };
    for reference in &pushed.references {
        let _ = writeln!(io::stderr(), "pushed {reference}: {summary}");
    }
    if let Some(reference) = pushed.references.first() {
        writeln!(io::stdout(), "{}@sha256:{}", reference.name(), pushed.digest)?;
    }
    Ok(())
}
