//! Finds the sizes that more than one file has.

/// The number of kinds of sizes that are distinguished. Sizes of the same kind count as equal,
/// which causes some needless comparisons.
const KINDS: usize = 1 << 22;

/// The sizes of files, in one MiB however many there are.
#[derive(Debug)]
pub(super) struct Sizes {
    /// Two bits per kind: whether it was seen, and whether it was seen again.
    seen: Vec<u8>,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { seen: vec![0; KINDS / 4] }
    }
}

impl Sizes {
    pub(super) fn add(&mut self, size: u64) {
        let (byte, once, twice) = place(size);
        let seen = &mut self.seen[byte];
        *seen |= if *seen & once == 0 { once } else { twice };
    }

    /// Whether several files may have this size.
    pub(super) fn are_several(&self, size: u64) -> bool {
        let (byte, _, twice) = place(size);
        self.seen[byte] & twice != 0
    }
}

/// The byte with the bits for a size, and these bits.
fn place(size: u64) -> (usize, u8, u8) {
    // Neighbouring sizes must not be of the same kind, and neither must multiples of a page.
    let kind = (size.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 42) as usize;
    (kind / 4, 1 << (kind % 4 * 2), 2 << (kind % 4 * 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_were_there_twice_are_several() {
        let mut sizes = Sizes::default();
        for size in (0..4000).chain(0..2000).chain(0..1000) {
            sizes.add(size * 4096);
        }
        assert!((0..2000).all(|size| sizes.are_several(size * 4096)));
        // Of 2000 other sizes in 4 million kinds, about two share theirs.
        let others = (2000..4000).filter(|size| sizes.are_several(size * 4096)).count();
        assert!(others < 20, "{others}");
        assert!(!sizes.are_several(1));
        sizes.add(u64::MAX);
        assert!(!sizes.are_several(u64::MAX));
    }
}
