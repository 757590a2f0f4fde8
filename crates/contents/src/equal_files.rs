//! Finds files with equal content by their digests.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Copies, Duplicates};
use formats::digest::Digest;
use formats::peer_text;

/// Maximum number of names stored for equal files.
const NAMES: usize = 16;
/// Maximum number of distinct contents stored: about 30 MiB.
const MOST: usize = 100_000;
/// Maximum length of a stored name, in characters.
const NAME: usize = 500;

/// Where a file is: the index of its layer, and the position of its content in the layer.
pub type Place = (usize, u64);

/// Files by the digest of their content, for at most 100,000 distinct contents. If there are more,
/// the large ones are kept, as small ones waste less. The result does not depend on the order of
/// the files.
#[derive(Debug)]
pub struct EqualFiles {
    contents: HashMap<Digest, Known>,
    /// The minimum size of files that are compared.
    least: u64,
    most: usize,
}

/// What is stored for a content.
#[derive(Debug)]
struct Known {
    size: u64,
    count: usize,
    /// The first files with this content, in order.
    files: Vec<(Place, String)>,
}

impl EqualFiles {
    /// Starts without files, comparing those with at least this many bytes.
    pub fn of_size(least: u64) -> Self {
        Self { contents: HashMap::new(), least, most: MOST }
    }

    /// The minimum size of files that are compared, in bytes. It may grow.
    pub fn least(&self) -> u64 {
        self.least
    }

    /// Adds a file with this content and size in bytes.
    pub fn put(&mut self, digest: Digest, size: u64, place: Place, name: &str) {
        if size < self.least {
            return;
        }
        let file = (place, peer_text::shortened(name, NAME));
        match self.contents.entry(digest) {
            Entry::Vacant(new) => drop(new.insert(Known { size, count: 1, files: vec![file] })),
            Entry::Occupied(known) => known.into_mut().add(file),
        }
        while self.contents.len() > self.most {
            self.least = self.least.saturating_mul(2).max(1);
            self.contents.retain(|_, known| known.size >= self.least);
        }
    }

    /// The files that occur more than once, the most wasteful first.
    pub fn finish(self) -> Duplicates {
        let wasted = |copies: &Copies| copies.size * (copies.count as u64 - 1);
        let several = self.contents.into_values().filter(|known| known.count > 1);
        let mut groups: Vec<_> = several
            .map(|Known { size, count, files }| Copies {
                size,
                count,
                files: files.into_iter().map(|(_, name)| name).collect(),
            })
            .collect();
        groups.sort_by(|a, b| (Reverse(wasted(a)), &a.files).cmp(&(Reverse(wasted(b)), &b.files)));
        Duplicates { bytes: groups.iter().map(wasted).sum(), groups, least: self.least }
    }
}

impl Known {
    fn add(&mut self, file: (Place, String)) {
        self.count += 1;
        let place = self.files.partition_point(|known| known.0 < file.0);
        if place < NAMES {
            self.files.truncate(NAMES - 1);
            self.files.insert(place, file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_copies_but_one_are_waste() {
        let mut files = EqualFiles::of_size(4);
        let mut put = |content: &[u8], place: u64, name: &str| {
            files.put(Digest::of(content), content.len() as u64, (0, place), name);
        };
        put(b"tiny", 0, "a");
        put(b"twice", 2, "c");
        put(b"twice", 1, "b");
        for number in 0..20 {
            put(b"often", 30 - number, &format!("d{number}"));
            put(b"few", 30 + number, "e");
        }
        let Duplicates { bytes, groups, least } = files.finish();
        assert_eq!(least, 4);
        assert_eq!(bytes, 5 + 19 * 5);
        assert_eq!(groups.iter().map(|copies| copies.count).collect::<Vec<_>>(), [20, 2]);
        assert_eq!(groups[0].files.len(), NAMES);
        assert_eq!((&*groups[0].files[0], &*groups[0].files[15]), ("d19", "d4"));
        assert_eq!(groups[1].files, ["b", "c"]);
    }

    /// Like threads that run at different speeds.
    #[test]
    fn of_too_many_the_large_ones_are_kept_in_whatever_order_they_come() {
        let mut cases: Vec<_> = (1..=200_u64).flat_map(|size| [(size, 0), (size, 1)]).collect();
        let mut results = Vec::new();
        for turn in 0..3 {
            cases.sort_by_key(|(size, copy)| (size * 7919 * (turn + 1) + copy) % 1009);
            let mut files = EqualFiles { most: 100, ..EqualFiles::of_size(1) };
            for &(size, copy) in &cases {
                let name = format!("{size} {copy}");
                files.put(Digest::of(&size.to_le_bytes()), size, (0, 2 * size + copy), &name);
            }
            assert!(files.contents.len() <= 100);
            results.push(files.finish());
        }
        assert_eq!((results[0].least, results[0].groups.len()), (128, 73));
        assert_eq!(results[0].bytes, (128..=200).sum::<u64>());
        assert!(results.iter().all(|result| *result == results[0]));
    }
}
