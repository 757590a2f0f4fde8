//! Merges the layers of an image into the one tree that its containers see, from tar to tar.
//!
//! The layers are read once. Names and headers of their entries are held in memory, with the
//! location of the contents, which stay where they are, in archives and in the store. Contents of
//! compressed layers, and small ones that are generated while a layer is read, go into an unnamed
//! temporary file.

mod changes;
mod emit;
mod paths;
mod source;
mod tree;

use std::path::Path;
use std::thread;

pub use crate::error::{ExportError, Problem};

use crate::Error;
use crate::output::Writer;
use formats::peer_text;
use formats::tar;
use image::Content;
use image::layer::{Layer, LayerError, LayerStream};
use image::members::{Member, Members};
use image::threads;
use paths::Meaning;
use source::{Contents, LayerSource, Location};
use tree::{Content as NodeContent, Inode, Metadata, Tree};

/// The version of the bytes that this module makes of a tree.
pub const FORMAT: &str = "export-1";

/// The prefix of the records of extended attributes.
const XATTR: &[u8] = b"SCHILY.xattr.";
/// How many characters of an entry's name are shown.
const SHOWN: usize = 200;

/// Writes the tree of layers, the lowest first, as an uncompressed tar file. `mtime` becomes the
/// time of all entries, in seconds since 1970; with `None`, each keeps its own. Returns the number
/// of entries.
///
/// # Errors
///
/// If a layer cannot be read, does not have its digest, or has an entry that cannot be put into the
/// tree, or if writing fails.
pub fn export(
    layers: &[Layer],
    mtime: Option<i64>,
    output: &mut dyn Writer,
) -> Result<usize, Error> {
    verified(layers, || {
        let mut contents = Contents::default();
        let tree = tree_of(layers, mtime.is_some(), &mut contents)?;
        emit::emit(&tree, &contents, mtime, output)
    })
}

/// Writes the tree of layers with the tar file `upper` on top. The names in `upper` replace equal
/// names but are never taken for whiteouts. Returns the number of entries.
///
/// # Errors
///
/// Those of [`export()`]; the tar file counts as one more layer.
pub fn export_with(
    layers: &[Layer],
    upper: &Path,
    output: &mut dyn Writer,
) -> Result<usize, Error> {
    verified(layers, || {
        let mut contents = Contents::default();
        let mut tree = tree_of(layers, false, &mut contents)?;
        add_file(&mut tree, layers.len(), upper, &mut contents)?;
        emit::emit(&tree, &contents, None, output)
    })
}

/// Writes a layer that turns the tree of `layers` into that of the tar file `changed`: new and
/// changed entries, and whiteouts for what is gone. Times are not compared. Returns the number of
/// entries.
///
/// # Errors
///
/// Those of [`export()`]; the tar file counts as one more layer.
pub fn export_changes(
    layers: &[Layer],
    changed: &Path,
    output: &mut dyn Writer,
) -> Result<usize, Error> {
    verified(layers, || {
        let mut contents = Contents::default();
        let base = tree_of(layers, true, &mut contents)?;
        let mut tree = Tree::new();
        add_file(&mut tree, layers.len(), changed, &mut contents)?;
        let layer = changes::changes(&base, &tree, &contents)?;
        emit::emit(&layer, &contents, None, output)
    })
}

/// Runs something on layers, while hashing those that it does not read from start to end.
fn verified<T>(layers: &[Layer], something: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    thread::scope(|scope| {
        let verifying = threads::spawn(scope, || verify(layers))?;
        let done = something()?;
        verifying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(done)
    })
}

fn verify(layers: &[Layer]) -> Result<(), ExportError> {
    let check = |(layer, it): (usize, &Layer)| {
        it.verify().map_err(|source| ExportError::Layer { layer, source })
    };
    layers.iter().enumerate().try_for_each(check)
}

/// The tree of layers.
fn tree_of(
    layers: &[Layer],
    without_times: bool,
    contents: &mut Contents,
) -> Result<Tree, ExportError> {
    let mut tree = Tree::new();
    for (number, layer) in layers.iter().enumerate() {
        let stream = layer.tar().map_err(|source| ExportError::Layer { layer: number, source })?;
        tree.begin_layer();
        add(number, stream, contents, |member, location| {
            put_in_layer(&mut tree, member, location, without_times)
        })?;
    }
    Ok(tree)
}

/// Puts the entries of a tar file on top of a tree, without taking any for whiteouts.
fn add_file(
    tree: &mut Tree,
    number: usize,
    path: &Path,
    contents: &mut Contents,
) -> Result<(), ExportError> {
    let content = Content::open(path)
        .map_err(|error| ExportError::Layer { layer: number, source: LayerError::from(error) })?;
    tree.begin_layer();
    add(number, LayerStream::File(Some(content)), contents, |member, location| {
        put(tree, &paths::components(&member.name)?, member, location, true)
    })
}

/// Calls `put` for each entry of a layer.
fn add(
    number: usize,
    stream: LayerStream<'_>,
    contents: &mut Contents,
    mut put: impl FnMut(&Member, Option<Location>) -> Result<(), Problem>,
) -> Result<(), ExportError> {
    let unreadable = |source| ExportError::Archive { layer: number, source };
    let mut members = Members::new(LayerSource::new(stream, contents));
    while let Some(member) = members.next_member().map_err(unreadable)? {
        members.forget();
        let location = if member.is_file() {
            Some(members.source().locate(member.size).map_err(unreadable)?)
        } else {
            None
        };
        put(&member, location).map_err(|problem| ExportError::Entry {
            layer: number,
            path: peer_text::start(&String::from_utf8_lossy(&member.name), SHOWN),
            problem,
        })?;
    }
    // Read to the end, where the digest of a compressed layer is checked.
    std::io::copy(members.source(), &mut std::io::sink()).map_err(unreadable)?;
    Ok(())
}

/// Applies a layer's entry, which may be a whiteout.
fn put_in_layer(
    tree: &mut Tree,
    member: &Member,
    location: Option<Location>,
    without_times: bool,
) -> Result<(), Problem> {
    let path = paths::components(&member.name)?;
    if let Some((name, directory)) = path.split_last() {
        match paths::meaning(name)? {
            Meaning::Itself => {}
            Meaning::Whiteout(hidden) => return tree.hide(directory, hidden),
            Meaning::Opaque => return tree.hide_all(directory),
            Meaning::Ignored => return Ok(()),
        }
    }
    put(tree, &path, member, location, without_times)
}

fn put(
    tree: &mut Tree,
    path: &[&[u8]],
    member: &Member,
    location: Option<Location>,
    without_times: bool,
) -> Result<(), Problem> {
    let metadata = metadata(member, without_times);
    let content = match (member.typeflag, location) {
        _ if member.is_sparse => return Err(Problem::Sparse),
        (tar::DIRECTORY, _) => return tree.put_directory(path, metadata),
        (tar::HARD_LINK, _) => {
            return tree.put_link(path, &paths::components(&member.target)?, metadata);
        }
        (_, Some(location)) => NodeContent::File { location, size: member.size },
        (tar::SYMLINK, _) => NodeContent::Symlink(member.target.clone().into()),
        (tar::CHARACTER, _) => NodeContent::Character(member.device),
        (tar::BLOCK_DEVICE, _) => NodeContent::Block(member.device),
        (tar::FIFO, _) => NodeContent::Fifo,
        (other, None) => return Err(Problem::Type(other)),
    };
    tree.put(path, Inode { metadata, content })
}

/// A member's metadata, whatever its type.
fn metadata(member: &Member, without_times: bool) -> Metadata {
    let stays = |(keyword, value): &&(Vec<u8>, Vec<u8>)| {
        keyword.starts_with(XATTR)
            // The header has no room for a fraction.
            || keyword == b"mtime" && value.contains(&b'.') && !without_times
    };
    Metadata {
        mode: member.mode,
        uid: member.uid,
        gid: member.gid,
        mtime: member.mtime,
        records: member.records.iter().filter(stays).cloned().collect(),
    }
}
