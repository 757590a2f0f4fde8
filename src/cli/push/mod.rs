//! `nix-image push`.

mod digest_file;
mod dry_run;
mod operands;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::builder::NonEmptyStringValueParser;

use super::image_args::ReadingArgs;
use super::{hint, login, stdout};
use crate::report::{self, Delivered, Done, Means, Mode, Report, Style};
use delivery::Observer as _;
use delivery::push::{Options, Push, Pushed};
use digest_file::DigestFile;
use image::Image;
use image::compress::{self, Settings};
use oci::registry::{self, Login};
use oci::{Compression, Flavor, Reference};

/// Push an image to registries, sending only the blobs that they lack
///
/// The image that has the tag now, and those given with --cache-from, tell which layers a registry
/// has. If the conf has NAR hashes, such layers need not even be in the store. This trusts everyone
/// who can write to these repositories; --no-cache does not.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints a line for each repository to standard output: the image's name by digest. With --dry-run,
prints a line for each layer that would be sent: repository, diffID, size in bytes.

Examples:
  # Push an image under its own name
  nix-image push ./result

  # Push it under two tags
  nix-image push ./result ghcr.io/me/app:1 ghcr.io/me/app:latest

  # Show what would be sent
  nix-image push ./result ghcr.io/me/app:1 --dry-run

  # Push an image for two platforms
  nix-image push ./result-amd64 ghcr.io/me/app:1 --platform-conf ./result-arm64

  # Log in for this push only, and save the digest
  nix-image push ./result ghcr.io/me/app:1 --creds me:$TOKEN --digest-file digest")]
pub(super) struct Args {
    /// The program that Nix built (`./result`), its conf (a JSON file), or an archive or layout as
    /// PATH or PATH#NAME; `-` reads a conf from standard input
    conf: String,
    /// Names to push to [default: those of the confs]
    #[arg(value_name = "REFERENCE")]
    references: Vec<String>,
    /// The program or conf of the same image for another platform, to push an index; may be given
    /// several times
    #[arg(long, value_name = "CONF")]
    platform_conf: Vec<String>,
    /// Name and tag to push to, instead of the conf's; equivalent to a single REFERENCE
    #[arg(
        short = 't',
        long,
        alias = "repo_tag",
        value_name = "NAME:TAG",
        value_parser = NonEmptyStringValueParser::new(),
        conflicts_with_all = ["references", "platform_conf"]
    )]
    tag: Option<String>,
    /// How to compress layers [default: zstd, or gzip with --format docker; layers that the
    /// registry already has may be compressed in any way]
    #[arg(long, value_enum)]
    compression: Option<CompressionArg>,
    /// Compression level: 1 to 12 for gzip, 1 to 19 for zstd
    #[arg(long, value_name = "N")]
    level: Option<u8>,
    /// Format of the manifest
    #[arg(long, value_enum, default_value_t = Format::Oci)]
    format: Format,
    /// Another image to reuse unchanged layers from; may be given several times
    #[arg(long, value_name = "REFERENCE")]
    // A string, since clap would repeat an invalid reference, including any password in it.
    cache_from: Vec<String>,
    /// Add an annotation to the manifest, such as
    /// org.opencontainers.image.source=https://example.org/app; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = annotation)]
    annotation: Vec<(String, String)>,
    /// Print what would be sent, without sending anything
    #[arg(long)]
    dry_run: bool,
    /// Write the digest of the pushed image to this file
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    digest_file: Option<PathBuf>,
    /// Log in to the registry with this name and password, for this push only; prompts for a
    /// missing password. Other users of this machine can see arguments, so prefer `nix-image login`
    #[arg(long, value_name = "USER[:PASSWORD]")]
    creds: Option<String>,
    /// Check certificates, and refuse plain HTTP except to this machine
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    tls_verify: bool,
    #[command(flatten)]
    reading: ReadingArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum CompressionArg {
    /// Uncompressed
    None,
    /// Supported everywhere
    Gzip,
    /// Smaller and faster, supported by every engine since about 2021
    Zstd,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// OCI image specification
    Oci,
    /// Docker image manifest, version 2, schema 2, for old registries
    Docker,
}

/// What to push, where and how.
struct Order {
    /// One image per platform.
    images: Vec<Image>,
    /// The names to push to: the given ones, or else those of the confs.
    targets: Vec<Reference>,
    options: Options,
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        self.deliver(mode).map_err(|error| match &self.creds {
            Some(_) if hint::is_wrong_login(&error) => error.context("`--creds` was refused"),
            _ => error,
        })
    }

    fn deliver(&self, mode: Mode) -> anyhow::Result<()> {
        let start = Instant::now();
        stdout::check()?;
        // Every check comes before anything is sent.
        let order = self.order()?;
        let report = report::new(mode, Style::PUSH);
        let warnings = order.images.iter().flat_map(Image::warnings);
        warnings.for_each(|warning| report.warn(warning));
        let digest_file = self.digest_file.as_deref().map(DigestFile::create).transpose()?;
        let cache = self.reading.cache();
        let mut push = Push::new(&order.images, &cache, &order.options, &report)?;
        if self.dry_run {
            return dry_run::print(push.preview(&order.targets)?, start, &report);
        }
        let names: Vec<_> = order.targets.iter().map(Reference::to_string).collect();
        report.begin(&format!("pushing {}", names.join(", ")));
        // A closed standard output is not a reason to stop pushing.
        let (mut printed, mut digests) = (Ok(()), Vec::new());
        push.to(&order.targets, |pushed| {
            let now = print(pushed, start, &report);
            if printed.is_ok() {
                printed = now;
            }
            digests.push(pushed.digest);
        })?;
        if let Some(file) = digest_file {
            file.write(&digests)?;
        }
        printed.context("everything was pushed, but its name cannot be printed")
    }

    /// What the arguments mean.
    fn order(&self) -> anyhow::Result<Order> {
        let settings = self.settings()?;
        if matches!(self.format, Format::Docker) && !self.annotation.is_empty() {
            bail!("`--annotation` needs `--format oci`; Docker's manifests have no annotations");
        }
        let images = operands::confs(&self.conf, &self.platform_conf, |conf| self.image(conf))?;
        let targets = match &*self.references {
            [] => operands::targets(images.iter().map(Image::repo_tag))?,
            given => operands::references(given)?,
        };
        let login = self.creds.as_deref().map(|creds| login(creds, &targets)).transpose()?;
        let cache_from = self.cache_from.iter().map(|name| operands::reference(name));
        let options = Options {
            settings,
            any_compression: self.compression.is_none() && self.level.is_none(),
            flavor: match self.format {
                Format::Oci => Flavor::Oci,
                Format::Docker => Flavor::Docker,
            },
            annotations: self.annotation.iter().cloned().collect(),
            threads: self.reading.threads(),
            learn: !self.reading.no_cache,
            cache_from: cache_from.collect::<Result<_, _>>()?,
            registry: registry::Options { tls_verify: self.tls_verify, login },
        };
        Ok(Order { images, targets, options })
    }

    fn image(&self, conf: &Path) -> anyhow::Result<Image> {
        let mut image = self.reading.image(conf, self.tag.clone())?;
        image.complete_nar_hashes();
        Ok(image)
    }

    fn settings(&self) -> anyhow::Result<Settings> {
        let compression = match (self.compression, self.format) {
            (Some(CompressionArg::None), _) => Compression::None,
            (Some(CompressionArg::Gzip), _) | (None, Format::Docker) => Compression::Gzip,
            (Some(CompressionArg::Zstd), _) | (None, Format::Oci) => Compression::Zstd,
        };
        let usual = Settings::usual(compression);
        match (self.level, compress::levels(compression)) {
            (None, _) => Ok(usual),
            (Some(level), Some((lowest, _, highest))) if (lowest..=highest).contains(&level) => {
                Ok(Settings { level, ..usual })
            }
            (Some(_), None) => bail!("`--level` needs compressed layers"),
            (Some(level), Some((lowest, _, highest))) => {
                bail!("{compression} has no level {level}; choose one of {lowest} to {highest}")
            }
        }
    }
}

fn annotation(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("expected KEY=VALUE".into()),
    }
}

/// The login that `--creds` describes, for the registry of all these names.
fn login(creds: &str, targets: &[Reference]) -> anyhow::Result<Login> {
    let mut registries: Vec<_> = targets.iter().map(Reference::registry).collect();
    registries.sort_unstable();
    registries.dedup();
    match *registries {
        [registry] => login::of_text(creds, registry),
        _ => bail!(
            "`--creds` is for one registry, but there are {}: {}; push to them one by one, or log \
             in with `nix-image login`",
            registries.len(),
            registries.join(", ")
        ),
    }
}

/// Prints the name by digest on standard output, and reports the statistics.
fn print(pushed: &Pushed, start: Instant, report: &Report) -> anyhow::Result<()> {
    let Some(repository) = pushed.references.first().map(Reference::name) else { return Ok(()) };
    report.conclude(&Delivered {
        done: Done::Pushed,
        place: repository.clone(),
        references: pushed.references.iter().map(Reference::to_string).collect(),
        image_id: match *pushed.image_ids {
            [id] => Some(id),
            _ => None,
        },
        digest: Some(pushed.digest),
        transfer: pushed.transfer,
        means: Means::Whole("sent"),
        start,
    })?;
    report.print(&format!("{repository}@{}", pushed.digest))
}
