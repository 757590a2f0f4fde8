//! Merges the layers of an image into the one tree that a container of it has, tar to tar.
//!
//! The layers are read once, and their entries kept: names, headers, and where contents are. These
//! stay where they are, in archives and in the store; those of compressed layers, and small ones
//! that are made into a layer while it is read, are put into a temporary file without a name.

mod emit;
mod paths;
mod source;
mod tree;

use std::thread;

pub use crate::error::{ExportError, Problem};

use crate::Error;
use crate::output::Writer;
use formats::peer_text;
use formats::tar;
use image::layer::Layer;
use image::members::{Member, Members};
use image::threads;
use paths::Meaning;
use source::{Contents, LayerSource};
use tree::{Content, Inode, Metadata, Tree};

/// Names the bytes that this module makes of a tree.
pub const FORMAT: &str = "export-1";

/// What the names of records of extended attributes begin with.
const XATTR: &[u8] = b"SCHILY.xattr.";
/// Characters of an entry's name that are shown.
const SHOWN: usize = 200;

/// Writes the tree that layers make, the lowest first, as an uncompressed tar file. `mtime` is the
/// time of all entries, in seconds since 1970; `None` leaves each its own. Returns the number of
/// entries.
///
/// # Errors
///
/// If a layer cannot be read, is not the one that its image names, or has an entry that has no
/// place in a tree, or if the output takes no more.
pub fn export(
    layers: &[Layer],
    mtime: Option<i64>,
    output: &mut dyn Writer,
) -> Result<usize, Error> {
    thread::scope(|scope| {
        // What is not read through is hashed beside.
        let verifying = threads::spawn(scope, || verify(layers))?;
        let mut contents = Contents::default();
        let mut tree = Tree::new();
        for (number, layer) in layers.iter().enumerate() {
            tree.begin_layer();
            add(&mut tree, number, layer, mtime.is_some(), &mut contents)?;
        }
        let entries = emit::emit(&tree, &contents, mtime, output)?;
        verifying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(entries)
    })
}

fn verify(layers: &[Layer]) -> Result<(), ExportError> {
    let check = |(layer, it): (usize, &Layer)| {
        it.verify().map_err(|source| ExportError::Layer { layer, source })
    };
    layers.iter().enumerate().try_for_each(check)
}

/// Puts the entries of a layer into the tree.
fn add(
    tree: &mut Tree,
    number: usize,
    layer: &Layer,
    without_times: bool,
    contents: &mut Contents,
) -> Result<(), ExportError> {
    let opened = layer.tar().map_err(|source| ExportError::Layer { layer: number, source })?;
    let unreadable = |source| ExportError::Archive { layer: number, source };
    let mut members = Members::new(LayerSource::new(opened, contents));
    while let Some(member) = members.next_member().map_err(unreadable)? {
        members.forget();
        let location = if member.is_file() {
            Some(members.source().locate(member.size).map_err(unreadable)?)
        } else {
            None
        };
        put(tree, &member, location, without_times).map_err(|problem| ExportError::Entry {
            layer: number,
            path: peer_text::start(&String::from_utf8_lossy(&member.name), SHOWN),
            problem,
        })?;
    }
    // To the end, where compressed layers are found to be the right ones.
    std::io::copy(members.source(), &mut std::io::sink()).map_err(unreadable)?;
    Ok(())
}

fn put(
    tree: &mut Tree,
    member: &Member,
    location: Option<source::Location>,
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
    let metadata = metadata(member, without_times);
    let content = match (member.typeflag, location) {
        _ if member.is_sparse => return Err(Problem::Sparse),
        (tar::DIRECTORY, _) => return tree.put_directory(&path, metadata),
        (tar::HARD_LINK, _) => {
            return tree.put_link(&path, &paths::components(&member.target)?, metadata);
        }
        (_, Some(location)) => Content::File { location, size: member.size },
        (tar::SYMLINK, _) => Content::Symlink(member.target.clone().into()),
        (tar::CHARACTER, _) => Content::Character(member.device),
        (tar::BLOCK_DEVICE, _) => Content::Block(member.device),
        (tar::FIFO, _) => Content::Fifo,
        (other, None) => return Err(Problem::Type(other)),
    };
    tree.put(&path, Inode { metadata, content })
}

/// What a member says of its node, whatever that is.
fn metadata(member: &Member, without_times: bool) -> Metadata {
    let stays = |(keyword, value): &&(Vec<u8>, Vec<u8>)| {
        keyword.starts_with(XATTR)
            // A time with a fraction does not fit into the header.
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
