//! What is found in the files of a layer.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead as _};

use contents::{Census, EqualFiles, Hashes};
use parking_lot::Mutex;

use super::sizes::Sizes;
use crate::layer::TarReader;
use crate::members::Member;
use formats::digest::HashWriter;

/// What to look for in all layers.
#[derive(Debug)]
pub(super) struct Search<'a> {
    pub(super) census: &'a Census,
    /// For each store path, the layer in which its files are compared.
    pub(super) main_layers: Vec<usize>,
    /// The hashes of the image's paths; `None` if the references are already known.
    pub(super) hashes: Option<&'a Hashes>,
    /// The sizes that more than one file has.
    pub(super) sizes: &'a Sizes,
    /// The files of all layers.
    pub(super) files: &'a Mutex<EqualFiles>,
}

/// What was found in a layer.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The indices of the paths that each path of the layer refers to, by the index of that path.
    pub(super) references: HashMap<usize, BTreeSet<usize>>,
}

impl Findings {
    /// Examines a member, whose content is read next.
    pub(super) fn add(
        &mut self,
        search: &Search<'_>,
        layer: usize,
        member: &Member,
        tar: &mut TarReader<'_>,
    ) -> io::Result<()> {
        let place = search.census.place(&member.name);
        let hidden = match place {
            Some(place) => search.main_layers[place] != layer,
            None => search.census.is_hidden(&member.name, layer),
        };
        let is_compared = member.is_file()
            && search.sizes.are_several(member.size)
            && !hidden
            && member.size >= search.files.lock().least();
        // Files outside of store paths have no references of their own.
        let scanned = place.zip(search.hashes);
        if let Some((place, hashes)) = scanned {
            let found = self.references.entry(place).or_default();
            hashes.scanner().scan(&member.name, found);
            hashes.scanner().scan(&member.target, found);
        }
        if !member.is_file() || (scanned.is_none() && !is_compared) {
            return Ok(());
        }
        let mut scan = scanned
            .map(|(place, hashes)| (hashes.scanner(), self.references.entry(place).or_default()));
        let mut hash = is_compared.then(HashWriter::default);
        let mut left = member.size;
        while left > 0 {
            let ahead = tar.fill_buf()?;
            let piece = &ahead[..ahead.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
            if piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((scanner, found)) = &mut scan {
                scanner.scan(piece, found);
            }
            if let Some(hash) = &mut hash {
                hash.update(piece);
            }
            let bytes = piece.len();
            tar.consume(bytes);
            left -= bytes as u64;
        }
        if let Some(hash) = hash {
            let name = String::from_utf8_lossy(&member.name);
            let name = format!("/{}", name.trim_start_matches("./").trim_start_matches('/'));
            let place = (layer, member.offset);
            search.files.lock().put(hash.finish(), member.size, place, &name);
        }
        Ok(())
    }
}
