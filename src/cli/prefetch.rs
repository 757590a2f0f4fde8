//! `nix-image prefetch`.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::time::Instant;

use anyhow::Context as _;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Map, Value};

use super::source_args::{FinalNameArgs, SourceArgs};
use super::stdout;
use crate::report::{self, Delivered, Done, Means, Mode, Style};
use delivery::pull::write_archive;
use delivery::{Observer as _, Step};
use formats::digest::{Digest, HashWriter};

/// Print the arguments of pullImage for an image: its digest, and the hash of its archive
///
/// The archive itself is discarded. Until then it takes up space in TMPDIR.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints the arguments to standard output as Nix code, or as a JSON object with --json.

Examples:
  # For `dockerTools.pullImage (import ./debian.nix)`
  nix-image prefetch debian:12 > debian.nix

  # For another platform, as JSON
  nix-image prefetch ghcr.io/me/app:1 --arch arm64 --json")]
pub(super) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    name: FinalNameArgs,
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        let start = Instant::now();
        stdout::check()?;
        let reference = self.source.reference()?;
        let name = self.name.resolve(&reference)?;
        let report = report::new(mode, Style::PULL);
        report.begin(&format!("pulling {name}"));
        report.step(Step::Asking("the registry"), None);
        let source = self.source.find()?;
        let mut archive = tempfile::tempfile().context("creating a file in TMPDIR")?;
        let transfer = write_archive(&source, &name, &archive, &report)?;
        let hash = hash(&mut archive).context("reading the archive again")?;

        let (final_name, final_tag) = self.name.parts(&reference);
        let mut arguments = Map::new();
        let mut set = |name: &str, value: &str| arguments.insert(name.into(), value.into());
        set("imageName", &reference.name());
        // pullImage has no argument for a variant.
        let has_variant = self.source.variant.is_some();
        let digest = if has_variant { source.manifest_digest() } else { source.digest() };
        set("imageDigest", &digest.to_string());
        set("hash", &format!("sha256-{}", BASE64_STANDARD.encode(hash.0)));
        set("finalImageName", &final_name);
        set("finalImageTag", &final_tag);
        // pullImage defaults to Linux, and to the architecture of the machine that it is evaluated
        // for.
        self.source.unusual_os().map(|os| set("os", os));
        self.source.arch.as_deref().map(|arch| set("arch", arch));
        report.answer(&nix(&arguments), &arguments)?;
        report.close(&Delivered {
            done: Done::Pulled,
            place: String::new(),
            references: vec![name.to_string()],
            image_id: Some(source.image_id()),
            digest: Some(source.manifest_digest()),
            transfer,
            means: Means::Whole("fetched"),
            start,
        });
        Ok(())
    }
}

fn hash(archive: &mut File) -> io::Result<Digest> {
    let mut hash = HashWriter::default();
    let mut buffer = vec![0; 256 << 10];
    archive.rewind()?;
    loop {
        match archive.read(&mut buffer)? {
            0 => return Ok(hash.finish()),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Formats an attribute set of strings. Names, tags and digests contain nothing that Nix would
/// escape but JSON would not.
fn nix(arguments: &Map<String, Value>) -> String {
    let lines = arguments.iter().map(|(name, value)| format!("  {name} = {value};\n"));
    format!("{{\n{}}}", lines.collect::<String>())
}
