//! The image's layer: the packed tree, followed by the closure's files.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::OneLayerError;
use super::listing::Listing;
use super::walk::{Order, Walk};
use super::writer::{Archive, Owner};
use formats::tar::{BLOCK, DIRECTORY};

/// The store's directory as added by nixpkgs' buildImage, wherever the store really is.
const STORE: [&[u8]; 2] = [b"./nix", b"./nix/store"];
/// Its mode there.
const STORE_MODE: u32 = 0o555;

/// A layer with the same bytes as after `tar -r` on the packed layer: the closure's files are added
/// in the order of their paths, except for those that the layer or the base already contains.
#[derive(Debug)]
pub(super) struct Layer {
    packed: PathBuf,
    /// The size of its members, without the end of the archive.
    packed_size: u64,
    /// The closure's paths, except for the packed layer itself.
    closure: Vec<String>,
    /// The directory below which the store is read.
    store_root: PathBuf,
    present: Listing,
    adds_store: bool,
    owner: Owner,
}

impl Layer {
    /// The layer that `pack` made in `directory`, followed by the files of `closure` that are not
    /// `present`. As the closure is that of the directory, it includes the directory.
    pub(super) fn new(
        directory: &Path,
        closure: &[String],
        store_root: &Path,
        mut present: Listing,
        mtime: i64,
    ) -> Result<Self, OneLayerError> {
        let packed = directory.join("layer.tar");
        let packed_size =
            list(&packed, &mut present).map_err(OneLayerError::io("read the layer", &packed))?;
        let own = directory.as_os_str().as_bytes();
        let own = own.strip_prefix(store_root.as_os_str().as_bytes()).unwrap_or(own);
        Ok(Self {
            packed,
            packed_size,
            adds_store: closure.len() > 1 && !present.contains(b"/nix/store"),
            closure: closure.iter().filter(|path| path.as_bytes() != own).cloned().collect(),
            store_root: store_root.to_owned(),
            present,
            owner: Owner::root(mtime),
        })
    }

    /// Writes the layer; returns the output and the layer's size in bytes.
    pub(super) fn write<W: Write>(&self, out: W) -> Result<(W, u64), OneLayerError> {
        let mut archive = Archive::new(out);
        let mut packed =
            File::open(&self.packed).map_err(OneLayerError::io("open", &self.packed))?;
        archive.copy(&mut packed, self.packed_size, &self.packed, None)?;
        for name in STORE.into_iter().filter(|_| self.adds_store) {
            let member = self.owner.member(name, DIRECTORY, STORE_MODE);
            archive.header(&member).map_err(OneLayerError::Write)?;
        }
        let roots = self.closure.iter().map(|path| path.clone().into_bytes());
        let mut walk = Walk::new(&self.store_root, roots, Order::Lines)?;
        while let Some(entry) = walk.next_entry()? {
            if !self.present.contains(&entry.path) {
                // tar removes leading slashes from names.
                let name = entry.path.strip_prefix(b"/").unwrap_or(&entry.path);
                archive.add(&entry, name, &self.owner, None)?;
            }
        }
        archive.finish()
    }
}

/// Adds a layer's files to the listing; returns the total size of its members in bytes.
fn list(layer: &Path, listing: &mut Listing) -> io::Result<u64> {
    let mut archive = tar::Archive::new(BufReader::new(File::open(layer)?));
    let (mut end, mut goes_on) = (0, true);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        goes_on = goes_on && listing.add_name(&entry.path_bytes());
        end = entry.raw_file_position() + entry.size().next_multiple_of(BLOCK);
    }
    Ok(end)
}
