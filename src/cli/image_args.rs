//! The arguments of all commands that take one image.

use std::path::{Path, PathBuf};

#[cfg(any(feature = "serve", feature = "load"))]
use anyhow::bail;

use super::{conf, existing};
use crate::report::Report;
use formats::digest::Digest;
use image::cache::Cache;
use image::threads::cores;
use image::{Digester, Existing, Image};
use oci::Reference;

#[derive(Debug, clap::Args)]
pub(super) struct ImageArgs {
    /// The program that Nix built (`./result`), its conf (a JSON file), or an archive or layout as
    /// PATH or PATH#NAME; `-` reads a conf from standard input
    pub(super) conf: PathBuf,
    #[command(flatten)]
    pub(super) tag: TagArg,
    #[command(flatten)]
    pub(super) reading: ReadingArgs,
}

/// The name to give to a single image.
#[derive(Debug, Default, clap::Args)]
pub(super) struct TagArg {
    /// Name and tag of the image [default: those in the conf]
    // `repo_tag` is its name in nixpkgs' script.
    // Like that, it takes an empty one for none.
    #[arg(short = 't', long, alias = "repo_tag", value_name = "NAME:TAG")]
    pub(super) tag: Option<String>,
}

/// How to read and hash images.
#[derive(Debug, Default, clap::Args)]
pub(super) struct ReadingArgs {
    /// Read /nix/store/... below this directory [default: ROOT, if CONF is in
    /// ROOT/nix/store]
    #[arg(long, value_name = "DIR")]
    pub(super) store_root: Option<PathBuf>,
    /// Do not use or update the cache of layer digests
    #[arg(long)]
    pub(super) no_cache: bool,
    /// Number of threads that hash layers and, in a push, compress them [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
}

impl ImageArgs {
    /// Opens the image. The caller reports its warnings.
    pub(super) fn image(&self) -> anyhow::Result<Image> {
        self.reading.image(&self.conf, self.tag.tag.clone())
    }
}

/// Parses the image's name. If it has no tag, it gets the implied one, as dockerd rejects archives
/// that name an image without a tag.
pub(super) fn full_name(image: &mut Image) -> anyhow::Result<Reference> {
    let name = Reference::of_image(image.repo_tag())?;
    image.set_repo_tag(name.to_string());
    Ok(name)
}

impl TagArg {
    /// Fails if one name is given for several images.
    #[cfg(any(feature = "serve", feature = "load"))]
    pub(super) fn check_count(&self, images: usize) -> anyhow::Result<()> {
        if self.tag.is_some() && images > 1 {
            bail!("`--tag` was given for several images; give one image, or drop `--tag`");
        }
        Ok(())
    }
}

/// The image's ID. This needs the digests of its layers.
pub(super) fn image_id(digester: &Digester<'_>) -> anyhow::Result<Digest> {
    let layers = digester.digest_all()?;
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.digest).collect();
    Ok(Digest::of(digester.image().config_json(&diff_ids).as_bytes()))
}

impl ReadingArgs {
    /// The image that a conf or its program describes, or that an archive or layout holds. `tag`
    /// replaces its name.
    pub(super) fn image(&self, operand: &Path, tag: Option<String>) -> anyhow::Result<Image> {
        if let Some(name) = operand.to_str().filter(|name| conf::is_stored(name)) {
            let store_root = self.store_root.as_deref();
            if let Existing::Stored(stored) = existing::open(name, None, store_root)? {
                return Ok(Image::of_stored(stored, tag, operand)?);
            }
        }
        let conf::Found { conf, store_root } = conf::find(operand, self.store_root.as_deref())?;
        Ok(Image::open(conf, tag, store_root.as_deref())?)
    }

    pub(super) fn cache(&self) -> Cache {
        if self.no_cache { Cache::none() } else { Cache::of_user() }
    }

    /// A digester that reports its progress.
    pub(super) fn digester<'a>(
        &self,
        image: &'a Image,
        cache: &'a Cache,
        report: &'a Report,
    ) -> Digester<'a> {
        Digester::new(image).with_cache(cache).with_threads(self.threads()).with_meter(report)
    }

    /// The number of threads that hash and compress.
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(cores, usize::from)
    }
}
