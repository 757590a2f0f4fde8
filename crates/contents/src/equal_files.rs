//! Finds files of equal content by their digests.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{Copies, Duplicates};
use formats::digest::Digest;

/// Names that are kept of equal files, at most.
const NAMES: usize = 16;

/// Files by the digests of their contents.
#[derive(Debug, Default)]
pub struct EqualFiles(HashMap<Digest, Copies>);

impl EqualFiles {
    /// Counts a file of this content and size in bytes.
    pub fn put(&mut self, digest: Digest, size: u64, name: String) {
        self.add(digest, Copies { size, count: 1, files: vec![name] });
    }

    /// Adds what was counted elsewhere.
    pub fn extend(&mut self, others: Self) {
        others.0.into_iter().for_each(|(digest, copies)| self.add(digest, copies));
    }

    fn add(&mut self, digest: Digest, copies: Copies) {
        let none = Copies { size: copies.size, count: 0, files: Vec::new() };
        let known = self.0.entry(digest).or_insert(none);
        known.count += copies.count;
        let room = NAMES.saturating_sub(known.files.len());
        known.files.extend(copies.files.into_iter().take(room));
    }

    /// The files that are there more than once, those that waste most first.
    pub fn finish(self) -> Duplicates {
        let wasted = |copies: &Copies| copies.size * (copies.count as u64 - 1);
        let mut groups: Vec<_> = self.0.into_values().filter(|copies| copies.count > 1).collect();
        groups.sort_by(|a, b| (Reverse(wasted(a)), &a.files).cmp(&(Reverse(wasted(b)), &b.files)));
        Duplicates { bytes: groups.iter().map(wasted).sum(), groups }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_copies_but_one_are_waste() {
        let put = |files: &mut EqualFiles, content: &[u8], name: String| {
            files.put(Digest::of(content), content.len() as u64, name);
        };
        let (mut files, mut others) = (EqualFiles::default(), EqualFiles::default());
        put(&mut files, b"once", "a".into());
        put(&mut files, b"twice", "b".into());
        put(&mut others, b"twice", "c".into());
        for number in 0..20 {
            put(&mut others, b"often", format!("d{number}"));
        }
        files.extend(others);
        let Duplicates { bytes, groups } = files.finish();
        assert_eq!(bytes, 5 + 19 * 5);
        assert_eq!(groups.iter().map(|copies| copies.count).collect::<Vec<_>>(), [20, 2]);
        assert_eq!(groups[0].files.len(), NAMES);
        assert_eq!(groups[1].files, ["b", "c"]);
    }
}
