//! Finds references to store paths in bytes, as Nix does: by the hashes in the paths' names.

use std::collections::{BTreeSet, HashMap};

use super::names::{self, HASH_LEN};

/// The characters of Nix's base 32: digits and lower-case letters except e, o, t and u.
const IS_BASE32: [bool; 256] = {
    let mut table = [false; 256];
    let mut index = 0;
    let alphabet = b"0123456789abcdfghijklmnpqrsvwxyz";
    while index < alphabet.len() {
        table[alphabet[index] as usize] = true;
        index += 1;
    }
    table
};

/// The hashes of some store paths, to search for.
#[derive(Debug)]
pub struct Hashes(HashMap<[u8; HASH_LEN], usize>);

/// Searches for hashes in data that arrives in pieces.
#[derive(Debug)]
pub struct Scanner<'a> {
    hashes: &'a Hashes,
    /// The end of the data so far, where a hash may have begun.
    end: Vec<u8>,
}

impl Hashes {
    /// The hashes of these paths. Each path is identified by its index.
    pub fn of<'a>(paths: impl Iterator<Item = &'a str>) -> Self {
        let hashes = paths.enumerate().filter_map(|(place, path)| {
            Some((names::hash(path).as_bytes().try_into().ok()?, place))
        });
        Self(hashes.collect())
    }

    /// A scanner for new data.
    pub fn scanner(&self) -> Scanner<'_> {
        Scanner { hashes: self, end: Vec::with_capacity(2 * HASH_LEN) }
    }

    /// Searches a whole buffer.
    fn scan(&self, text: &[u8], found: &mut BTreeSet<usize>) {
        let mut start = 0;
        // All bytes from `start` up to here are known to be base 32.
        let mut known = 0;
        while let Some(window) = text.get(start..start + HASH_LEN) {
            let unknown = known.max(start) - start;
            let other = window[unknown..].iter().rposition(|&byte| !IS_BASE32[usize::from(byte)]);
            known = start + HASH_LEN;
            if let Some(other) = other {
                // No hash contains this byte.
                start += unknown + other + 1;
                continue;
            }
            if let Some(&place) =
                window.try_into().ok().and_then(|hash: [u8; 32]| self.0.get(&hash))
            {
                found.insert(place);
            }
            start += 1;
        }
    }
}

impl Scanner<'_> {
    /// Adds the indexes of the paths whose hashes are in the next piece, or end in it.
    pub fn scan(&mut self, piece: &[u8], found: &mut BTreeSet<usize>) {
        const REST: usize = HASH_LEN - 1;
        if !self.end.is_empty() {
            self.end.extend_from_slice(&piece[..piece.len().min(REST)]);
            self.hashes.scan(&self.end, found);
        }
        self.hashes.scan(piece, found);
        if piece.len() >= REST {
            self.end.clear();
            self.end.extend_from_slice(&piece[piece.len() - REST..]);
        } else {
            if self.end.is_empty() {
                self.end.extend_from_slice(piece);
            }
            self.end.drain(..self.end.len().saturating_sub(REST));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str = "0123456789abcdfghijklmnpqrsvwxyz";
    const B: &str = "00000000000000000000000000000000";

    fn hashes() -> Hashes {
        Hashes::of([A, B].iter().map(|hash| format!("/nix/store/{hash}-x").leak() as &str))
    }

    fn found(pieces: &[&[u8]]) -> Vec<usize> {
        let (hashes, mut found) = (hashes(), BTreeSet::new());
        let mut scanner = hashes.scanner();
        for piece in pieces {
            scanner.scan(piece, &mut found);
        }
        found.into_iter().collect()
    }

    #[test]
    fn hashes_are_found_wherever_they_are() {
        for (text, expected) in [
            (format!("/nix/store/{A}-x\n"), vec![0]),
            (format!("{A}{B}"), vec![0, 1]),
            (format!("z{A}z"), vec![0]),
            (format!("e{}", &A[..31]), vec![]),
            (format!("0{B}"), vec![1]),
            (format!("{}e{}", &A[..16], &A[16..]), vec![]),
            (String::new(), vec![]),
        ] {
            assert_eq!(found(&[text.as_bytes()]), expected, "{text}");
        }
    }

    proptest! {
        /// However the data is cut, the result is that of a plain search.
        #[test]
        fn pieces_are_searched_like_the_whole(
            parts in prop::collection::vec(prop_oneof![
                Just(A.to_owned()), Just(B.to_owned()), "[a-f0-3e]{0,40}", Just("e".to_owned()),
                Just(A[..20].to_owned()), Just(A[20..].to_owned()),
            ], 0..8),
            cuts in prop::collection::vec(0_usize..400, 0..8),
        ) {
            let text = parts.concat().into_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            let text = std::str::from_utf8(&text).unwrap();
            let plain = [A, B].iter().enumerate().filter(|(_, hash)| text.contains(**hash));
            let plain: Vec<_> = plain.map(|(place, _)| place).collect();
            prop_assert_eq!(found(&pieces), plain);
        }
    }
}
