//! `nix-image push`.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, bail};

use super::image_args::ReadingArgs;
use super::stdout;
use crate::report::{self, Deed, Mode, Report, Style, Summary};
use delivery::push::{Options, Push, Pushed};
use image::Image;
use image::compress::{self, Settings};
use image::conf::Conf;
use oci::registry;
use oci::{Compression, Flavor, Reference, ReferenceError, without_user};

/// Push an image to registries, sending only the blobs that they lack
///
/// Layers are looked for by what the image's tag, and those given with --cache-from, say: of
/// a conf with NAR hashes those that are there need not even be in the store. This trusts whoever
/// can write to these repositories; --no-cache does not.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The image's conf, a JSON file
    conf: String,
    /// Names to push to [default: those of the confs]
    #[arg(value_name = "REFERENCE")]
    references: Vec<String>,
    /// The conf of the same image for a further platform, so that an index is pushed; may be given
    /// several times
    #[arg(long, value_name = "CONF")]
    platform_conf: Vec<String>,
    /// Name and tag to push to, instead of the conf's; the same as one REFERENCE
    #[arg(
        short = 't',
        long = "repo_tag",
        visible_alias = "tag",
        value_name = "NAME:TAG",
        conflicts_with_all = ["references", "platform_conf"]
    )]
    repo_tag: Option<String>,
    /// How to compress layers [default: zstd, for --format docker gzip; layers that are there may
    /// be compressed in any way]
    #[arg(long, value_enum)]
    compression: Option<CompressionArg>,
    /// How hard to compress: 1 to 12 for gzip, 1 to 19 for zstd
    #[arg(long, value_name = "N")]
    level: Option<u8>,
    /// Whose kind of manifest to push
    #[arg(long, value_enum, default_value_t = Format::Oci)]
    format: Format,
    /// A further image to take unchanged layers from; may be given several times
    #[arg(long, value_name = "REFERENCE")]
    // As text: clap would repeat what is not a reference, with any password in it.
    cache_from: Vec<String>,
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
enum CompressionArg {
    /// Not at all
    None,
    /// Read by everything
    Gzip,
    /// Smaller and faster, read by every engine since about 2021
    Zstd,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// The OCI image specification's
    Oci,
    /// Docker's, version 2, schema 2, for old registries
    Docker,
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        let start = Instant::now();
        stdout::check()?;
        let settings = self.settings()?;
        if matches!(self.format, Format::Docker) && !self.annotation.is_empty() {
            bail!("--annotation is for --format oci; Docker's manifests have no annotations");
        }
        let report = report::new(mode, Style::Layers { verb: "Pushed" });
        // All that can be wrong is looked at before anything is sent.
        let images = self.images()?;
        let references = self.references()?;
        let cache_from = self.cache_from.iter().map(|name| reference(name));
        let cache_from = cache_from.collect::<Result<Vec<Reference>, _>>()?;
        let warnings = images.iter().flat_map(|image| &image.warnings);
        warnings.for_each(|warning| report.warn(warning));
        let mut references = match &*references {
            [] => targets(images.iter().map(|image| &image.repo_tag))?,
            _ => references,
        };
        let options = Options {
            settings,
            any_compression: self.compression.is_none() && self.level.is_none(),
            flavor: match self.format {
                Format::Oci => Flavor::Oci,
                Format::Docker => Flavor::Docker,
            },
            annotations: self.annotation.into_iter().collect(),
            threads: self.reading.threads(),
            learn: !self.reading.no_cache,
            cache_from,
            registry: registry::Options { tls_verify: self.tls_verify },
        };
        let cache = self.reading.cache();
        let mut push = Push::new(&images, &cache, &options, &*report)?;
        let mut prepared = Vec::new();
        while let Some(first) = references.first().cloned() {
            let (group, rest) =
                references.into_iter().partition(|other| other.name() == first.name());
            references = rest;
            prepared.push(push.prepare(group, &prepared)?);
        }
        // That nobody takes the names on standard output keeps nothing from being pushed.
        let mut printed = Ok(());
        for repository in prepared {
            printed = printed.and(print(&push.push(repository)?, start, &*report));
        }
        printed.context("everything is pushed, but its name cannot be written to standard output")
    }

    /// The names that are given. Beside others one may be a conf that was mistyped, or meant for a
    /// further platform: there each says where it leads.
    fn references(&self) -> anyhow::Result<Vec<Reference>> {
        if let Some(conf) = self.references.iter().find(|operand| is_like_conf(operand)) {
            bail!(
                "`{conf}` looks like a conf, but after the first operand there are references \
                 only; for a further platform use --platform-conf {conf}"
            );
        }
        if let [_, _, ..] = &*self.references
            && let Some(bare) = self.references.iter().find(|operand| is_bare(operand))
        {
            bail!(
                "`{bare}` has neither a registry nor a tag, which it needs beside other \
                 references; if it is a conf for a further platform, use --platform-conf {bare}"
            );
        }
        targets(&self.references)
    }

    /// The image of each platform.
    fn images(&self) -> anyhow::Result<Vec<Image>> {
        let first = (&self.conf, "the conf comes first: push CONF REFERENCE");
        let further = self.platform_conf.iter().map(|conf| (conf, "--platform-conf takes a conf"));
        let image = |(conf, remedy): (&String, &str)| {
            if is_like_reference(conf) {
                let shown = without_user(conf).unwrap_or_else(|| conf.clone());
                bail!("`{shown}` looks like a reference, and there is no such file; {remedy}");
            }
            let conf = Conf::load(conf.as_ref())?;
            let root = self.reading.store_root.as_deref();
            let mut image = Image::new(conf, self.repo_tag.clone(), root)?;
            image.complete_nar_hashes();
            anyhow::Ok(image)
        };
        [first].into_iter().chain(further).map(image).collect()
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
            (Some(_), None) => bail!("--level is for compressed layers"),
            (Some(level), Some((lowest, _, highest))) => {
                bail!("{compression} has no level {level}; choose one of {lowest} to {highest}")
            }
        }
    }
}

/// The names to push to, each once.
fn targets<T: AsRef<str>>(operands: impl IntoIterator<Item = T>) -> anyhow::Result<Vec<Reference>> {
    let mut targets = Vec::new();
    for operand in operands {
        let target = target(operand.as_ref())?;
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    Ok(targets)
}

/// What an operand names. Some write skopeo's `docker://` before it.
fn reference(operand: &str) -> Result<Reference, ReferenceError> {
    let bare = operand.strip_prefix("docker://").unwrap_or(operand);
    Ok(Reference::parse(bare)?.resolved())
}

/// A name to push to. With a digest it would be the manifest of that digest that is stored, and
/// the tag that stays what it was.
fn target(operand: &str) -> anyhow::Result<Reference> {
    let reference = reference(operand)?;
    if reference.digest.is_some() {
        bail!("`{operand}` has a digest, which follows from the image; push to a tag");
    }
    Ok(reference)
}

/// Whether what stands in a reference's place is a conf. A name that is that of a file too can be
/// given with its registry's.
fn is_like_conf(operand: &str) -> bool {
    Path::new(operand).is_file() || has_json_suffix(operand) && without_user(operand).is_none()
}

/// Whether what stands in a conf's place is not a file, but a name with a registry or a tag.
fn is_like_reference(operand: &str) -> bool {
    let has_user = || !operand.starts_with(['/', '.']) && without_user(operand).is_some();
    let has_registry = || Reference::of_image(operand).is_ok_and(|name| name.registry.is_some());
    let is_name = || reference(operand).is_ok() && (operand.contains(':') || has_registry());
    !Path::new(operand).exists() && (has_user() || !has_json_suffix(operand) && is_name())
}

/// Whether a name has neither a registry nor a tag, as those of files have.
fn is_bare(operand: &str) -> bool {
    !operand.contains(':') && Reference::of_image(operand).is_ok_and(|name| name.registry.is_none())
}

/// Whether a name is that of a JSON file. A tag may end like one.
fn has_json_suffix(operand: &str) -> bool {
    let suffix = Path::new(operand).extension();
    let has_tag = || operand.rsplit_once(':').is_some_and(|(_, tag)| !tag.contains('/'));
    suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("json")) && !has_tag()
}

fn annotation(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("expected KEY=VALUE".into()),
    }
}

/// Prints the name by digest on standard output, and reports what it took.
fn print(pushed: &Pushed, start: Instant, report: &dyn Report) -> io::Result<()> {
    for reference in &pushed.references {
        let deed = Deed::Pushed { image: reference.to_string(), digest: pushed.digest };
        report.conclude(&Summary { deed, transfer: pushed.transfer, start });
    }
    if let Some(reference) = pushed.references.first() {
        writeln!(io::stdout(), "{}@{}", reference.name(), pushed.digest)?;
    }
    Ok(())
}
