//! Examines an image's contents: the entries of its layers, and in a second pass the contents of
//! files.

mod findings;
mod sizes;

use contents::{Census, Contents, EqualFiles, Hashes};
use parking_lot::Mutex;

use crate::error::Error;
use crate::hashing::Meter;
use crate::image::Existing;
use crate::layer::{Layer, TarReader};
use crate::members::{Member, Members};
use crate::store::References;
use crate::threads;
use findings::{Findings, Search};
use formats::digest::Digest;
use formats::tar::DIRECTORY;
use sizes::Sizes;

/// The smallest file that is compared with others, in bytes.
const COMPARED: u64 = 4 << 10;

/// How thoroughly an image is examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Reads the headers of its layers, to find out how large everything is.
    Sizes,
    /// Also finds references. Files are read if these are not known otherwise.
    References,
    /// Also reads files to find out which are equal.
    Files,
}

/// Finds out what an image contains.
///
/// References are taken from the conf or Nix's database, if either has all paths of the image.
/// Otherwise a path refers to those whose hashes are in its files' contents or names, or in the
/// targets of its links.
/// its names.
#[derive(Debug)]
pub struct Survey<'a> {
    /// The image.
    pub image: &'a Existing,
    /// The diffIDs of its layers, lowest first.
    pub diff_ids: &'a [Digest],
    /// How thoroughly it is examined.
    pub depth: Depth,
    /// Another image that was examined before. If only sizes are wanted, layers that both have are
    /// not read again.
    pub known: Option<&'a Contents>,
    /// The number of threads that read files.
    pub threads: usize,
    /// Receives how much of the files is read.
    pub meter: &'a dyn Meter,
}

impl Survey<'_> {
    /// Examines the image's contents. The result gets this name.
    ///
    /// # Errors
    ///
    /// If a layer cannot be read, or does not match the image's config.
    pub fn contents(&self, name: &str) -> Result<Contents, Error> {
        let layers = self.image.layers();
        if let Existing::Stored(_) = self.image {
            let unknown = layers.iter().zip(self.diff_ids);
            let unknown = unknown.filter(|(_, diff_id)| self.known(**diff_id).is_none());
            let unknown: Vec<&Layer> = unknown.map(|(layer, _)| layer).collect();
            threads::map(self.readers(), &unknown, |layer| layer.verify().map_err(Error::from))?;
        }
        let store_dir = self.image.store().dir().to_string_lossy();
        let mut census = Census::new(&store_dir);
        // Only files with a size that occurs more than once can be equal.
        let mut sizes = Sizes::default();
        for (number, diff_id) in self.diff_ids.iter().enumerate() {
            if let Some((other, place)) = self.known(*diff_id) {
                census.repeat_layer(other, place);
                continue;
            }
            census.begin_layer(*diff_id, 0);
            let size = walk(layers, number, |member, bytes, _| {
                if member.typeflag == DIRECTORY {
                    census.directory(&member.name, bytes);
                } else {
                    census.entry(&member.name, bytes);
                }
                if self.depth == Depth::Files && member.is_file() && member.size >= COMPARED {
                    sizes.add(member.size);
                }
                Ok(())
            })?;
            census.set_size(size);
        }
        if self.depth == Depth::Sizes {
            return Ok(census.finish(name, None, None));
        }
        let known = self.image.references(census.paths());
        if self.depth == Depth::References && known.is_some() {
            return Ok(census.finish(name, known.as_ref(), None));
        }
        let files = Mutex::new(EqualFiles::of_size(COMPARED));
        let hashes = known.is_none().then(|| Hashes::of(census.paths()));
        let search = Search {
            main_layers: census.main_layers(),
            census: &census,
            hashes: hashes.as_ref(),
            sizes: &sizes,
            files: &files,
        };
        self.meter.will_read(census.size());
        self.meter.all_announced();
        let numbers: Vec<_> = (0..layers.len()).collect();
        let found = threads::map(self.readers(), &numbers, |&number| {
            let mut findings = Findings::default();
            walk(layers, number, |member, bytes, tar| {
                findings.add(&search, number, member, tar)?;
                self.meter.read(bytes);
                Ok(())
            })?;
            Ok::<_, Error>(findings)
        })?;
        let mut scanned = vec![Vec::new(); census.paths().count()];
        for findings in found {
            for (path, targets) in findings.references {
                scanned[path].extend(targets);
            }
        }
        let references = known.unwrap_or_else(|| named(&census, &scanned));
        let duplicates = (self.depth == Depth::Files).then(|| files.into_inner().finish());
        Ok(census.finish(name, Some(&references), duplicates))
    }

    /// Where a layer with this digest was examined before.
    fn known(&self, diff_id: Digest) -> Option<(&Contents, usize)> {
        let other = self.known.filter(|_| self.depth == Depth::Sizes)?;
        let place = other.layers.iter().position(|layer| layer.diff_id == diff_id)?;
        Some((other, place))
    }

    /// The number of readers. Each reader of a compressed archive would start at its beginning.
    fn readers(&self) -> usize {
        let mut archives = self.image.layers().iter().filter_map(Layer::as_base);
        let is_whole = archives.any(|layer| layer.archive.is_compressed());
        if is_whole { 1 } else { self.threads }
    }
}

/// Converts references between indices to references between paths.
fn named(census: &Census, references: &[Vec<usize>]) -> References {
    let paths: Vec<_> = census.paths().map(str::to_owned).collect();
    let targets = |places: &Vec<usize>| places.iter().map(|&place| paths[place].clone()).collect();
    paths.iter().cloned().zip(references.iter().map(targets)).collect()
}

/// Reads through a layer. The visitor gets each member, its size in the tar file, and a reader for
/// its content. Returns the size of the layer's tar file.
fn walk(
    layers: &[Layer],
    number: usize,
    mut visit: impl FnMut(&Member, u64, &mut TarReader<'_>) -> std::io::Result<()>,
) -> Result<u64, Error> {
    let unreadable = |source| Error::Unreadable { layer: number, source };
    let mut members = Members::new(TarReader::new(layers[number].tar()?));
    let mut end = 0;
    while let Some(member) = members.next_member().map_err(unreadable)? {
        members.forget();
        let bytes = members.position() - end;
        end = members.position();
        visit(&member, bytes, members.source()).map_err(unreadable)?;
    }
    // Read to the end, where compressed layers are verified.
    let tar = members.source();
    std::io::copy(tar, &mut std::io::sink()).map_err(unreadable)?;
    Ok(tar.position())
}
