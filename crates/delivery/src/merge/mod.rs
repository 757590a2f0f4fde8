//! Merges images into one docker-archive, member by member, without unpacking them.
//!
//! Of several members with the same name, the first one is kept. The documents are merged as
//! nixpkgs' `mergeImages` does with `jq -s add`: the lists of `manifest.json` are concatenated, and
//! for the keys of `repositories` the last value wins. They are written last.

mod documents;
mod feed;
mod members;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;

pub use crate::error::MergeError;

use crate::output::{Compressed, Output, Writer};
use crate::{Error, is_closed};
use image::base::{self, ArchiveReader};
use image::cache::Cache;
use image::compress::{Encoder, Pool, Settings};
use image::{Existing, conf, threads};
use members::{Merged, Pipe};
use oci::Compression;

/// An image to be merged with others, or an archive of several images.
#[derive(Debug)]
pub struct Input {
    name: String,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// A docker-archive with all its images.
    Archive(Box<ArchiveReader>),
    /// An image that is turned into a docker-archive.
    Image(Existing),
}

impl Input {
    /// Opens `PATH` or `PATH#NAME`, as [`Existing::open`] does, except that a docker-archive
    /// without `#NAME` stands for all of its images.
    ///
    /// # Errors
    ///
    /// If it is not an image in any supported form.
    pub fn open(
        name: &str,
        architecture: &str,
        store_root: Option<&Path>,
    ) -> Result<Self, MergeError> {
        let path = Path::new(name);
        let is_archive = path.is_file() && matches!(conf::Form::of(path), Ok(conf::Form::Other));
        let archive = if is_archive { base::docker_archive(path) } else { Ok(None) };
        let form = if let Some(archive) = archive.map_err(|e| MergeError::of_image(name, e))? {
            Form::Archive(Box::new(archive))
        } else {
            let image = Existing::open(name, architecture, store_root);
            Form::Image(image.map_err(|error| MergeError::of_image(name, error))?)
        };
        Ok(Self { name: name.to_owned(), form })
    }

    /// An image that is already open, and the name that messages give it.
    pub fn of_image(name: &str, image: Existing) -> Self {
        Self { name: name.to_owned(), form: Form::Image(image) }
    }

    /// How the file is compressed; always none if it is not a docker-archive.
    pub fn compression(&self) -> Compression {
        match &self.form {
            Form::Archive(archive) => archive.compression(),
            Form::Image(_) => Compression::None,
        }
    }
}

/// Merges images into one docker-archive.
///
/// Images in other forms are turned into docker-archives on the way. Their digests are looked up in
/// `cache`, or else computed by this many threads.
///
/// # Errors
///
/// If an image cannot be read or is broken, if images have different members with the same name, or
/// if writing fails.
pub fn merge(
    inputs: Vec<Input>,
    compression: Compression,
    (cache, threads): (&Cache, usize),
    output: &mut dyn Writer,
) -> Result<(), Error> {
    if compression == Compression::None {
        return write(inputs, cache, threads, output);
    }
    let settings = Settings::usual(compression);
    let pool = Pool::new(settings, threads);
    let encoder = Encoder::new(&pool, settings);
    write(inputs, cache, threads, &mut Compressed::new(output, &pool, encoder))
}

fn write(
    inputs: Vec<Input>,
    cache: &Cache,
    threads: usize,
    output: &mut dyn Writer,
) -> Result<(), Error> {
    let mut merged = Merged::new(output);
    for Input { name, form } in inputs {
        match form {
            Form::Archive(archive) => merged.add(&name, archive.into_members())?,
            Form::Image(image) => add_image(&mut merged, &name, &image, cache, threads)?,
        }
    }
    merged.finish()
}

/// Adds an image that another thread turns into a docker-archive and writes to a pipe.
fn add_image(
    merged: &mut Merged<'_>,
    name: &str,
    image: &Existing,
    cache: &Cache,
    threads: usize,
) -> Result<(), Error> {
    let (reader, writer) =
        pipe().map_err(|source| MergeError::Archive { image: name.to_owned(), source })?;
    thread::scope(|scope| {
        let feeding = threads::spawn(scope, move || {
            let mut output = Output::new(writer)?;
            feed::feed(image, name, cache, threads, &mut output)
        })?;
        let added = merged.add(name, image::members::Members::new(Pipe::new(reader)));
        // The pipe is closed by now, so the other thread ends.
        let fed = feeding.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (added, fed) {
            // The reader stopped early and knows why.
            (Err(error), Err(closed)) if is_closed(&closed) => Err(error),
            (_, Err(error)) => Err(error),
            (added, Ok(())) => added,
        }
    })
}

fn pipe() -> io::Result<(File, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    Ok((File::from(OwnedFd::from(reader)), writer.into()))
}
