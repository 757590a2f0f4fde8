//! Which sizes several files have.

/// Kinds of sizes that are told apart. Sizes of one kind are taken for the same, which makes some
/// files be compared in vain.
const KINDS: usize = 1 << 22;

/// The sizes of files. However many there are, they take one MiB.
#[derive(Debug)]
pub(super) struct Sizes {
    /// Two bits a kind: whether it was seen, and whether it was seen again.
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

/// The byte that has a kind's bits, and these.
fn place(size: u64) -> (usize, u8, u8) {
    // Neighbours must not share a kind, nor must multiples of a page.
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
        // Of 2000 others in 4 million kinds, about two share theirs.
        let others = (2000..4000).filter(|size| sizes.are_several(size * 4096)).count();
        assert!(others < 20, "{others}");
        assert!(!sizes.are_several(1));
        sizes.add(u64::MAX);
        assert!(!sizes.are_several(u64::MAX));
    }
}
