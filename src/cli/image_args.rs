//! The arguments of all commands that take one image.

use std::path::PathBuf;

use image::cache::Cache;
use image::conf::Conf;
use image::threads::cores;
use image::{Digester, Image};
use oci::Reference;

#[derive(Debug, clap::Args)]
pub(super) struct ImageArgs {
    /// The image's conf, a JSON file
    pub(super) conf: PathBuf,
    /// Name and tag, instead of the conf's
    #[arg(short = 't', long = "repo_tag", visible_alias = "tag", value_name = "NAME:TAG")]
    pub(super) repo_tag: Option<String>,
    #[command(flatten)]
    pub(super) reading: ReadingArgs,
}

/// How images are read and digested.
#[derive(Debug, Default, clap::Args)]
pub(super) struct ReadingArgs {
    /// Read /nix/store/... below this directory
    #[arg(long, value_name = "DIR")]
    pub(super) store_root: Option<PathBuf>,
    /// Neither use nor remember digests
    #[arg(long)]
    pub(super) no_cache: bool,
    /// Threads that hash, and when pushing compress [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
}

impl ImageArgs {
    /// The image, without a word on what is odd in it.
    pub(super) fn image(&self) -> anyhow::Result<Image> {
        let conf = Conf::load(&self.conf)?;
        Ok(Image::open(conf, self.repo_tag.clone(), self.reading.store_root.as_deref())?)
    }
}

/// The image's name, taken apart. Where it has no tag it gets the one that it stands for, as
/// dockerd refuses archives that name an image without one.
pub(super) fn full_name(image: &mut Image) -> anyhow::Result<Reference> {
    let name = Reference::of_image(image.repo_tag())?;
    image.set_repo_tag(name.to_string());
    Ok(name)
}

impl ReadingArgs {
    pub(super) fn cache(&self) -> Cache {
        if self.no_cache { Cache::none() } else { Cache::of_user() }
    }

    /// What finds the digests of an image's layers.
    pub(super) fn digester<'a>(&self, image: &'a Image, cache: &'a Cache) -> Digester<'a> {
        Digester::new(image).with_cache(cache).with_threads(self.threads())
    }

    /// Threads that hash and compress.
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(cores, usize::from)
    }
}
