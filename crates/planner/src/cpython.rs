//! The order in which a Python set gives back its elements.
//!
//! nixpkgs' default layout leaves layers of equal closure size in the iteration order of a Python
//! set, and runs Python with `PYTHONHASHSEED=0`. That order is part of the image: it is the order
//! of the layers, so it decides the digest of the image's config. Nothing in the language fixes
//! it; it follows from `CPython`'s hash functions and its hash table, which are reproduced here as
//! versions 3.11 to 3.13 have them on 64-bit little-endian machines.
//!
//! Every constant below fixes the order of layers: changing one changes the config digest of
//! every image that has ties.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// How many neighbouring slots a probe looks at before it jumps.
const LINEAR_PROBES: usize = 9;
/// How far the hash is shifted at each jump, so that its upper bits get a say.
const PERTURB_SHIFT: u32 = 5;
/// The number of slots of a new set, and the least that any set has.
const SMALLEST_TABLE: usize = 8;
/// Up to this many elements a full table grows fourfold, above it twofold.
const LARGE_SET: usize = 50_000;

/// What `hash(text)` is with `PYTHONHASHSEED=0`, as an unsigned number.
pub fn hash_str(text: &str) -> u64 {
    // Python keeps no hash state for the empty string.
    if text.is_empty() {
        return 0;
    }
    // The seed 0 stands for a key that is all zeros.
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(&stored_form(text));
    match hasher.finish() {
        // Python's -1 means that hashing failed, so no value hashes to it.
        u64::MAX => u64::MAX - 1,
        hash => hash,
    }
}

/// The bytes in which Python keeps a string: all characters as wide as the widest one needs.
fn stored_form(text: &str) -> Vec<u8> {
    let code_points = || text.chars().map(u32::from);
    match code_points().max().unwrap_or(0) {
        0..=0x7f => text.as_bytes().to_vec(),
        0x80..=0xff => code_points().map(|code| code.to_le_bytes()[0]).collect(),
        0x100..=0xffff => {
            code_points().flat_map(|code| code.to_le_bytes().into_iter().take(2)).collect()
        }
        _ => code_points().flat_map(u32::to_le_bytes).collect(),
    }
}

/// What `hash(frozenset(elements))` is, given the hashes of the distinct elements.
pub fn hash_frozenset(elements: impl IntoIterator<Item = u64>) -> u64 {
    let mut hash = 0;
    let mut count: u64 = 0;
    for element in elements {
        // Spreads near hashes apart, so that the sum below, which must not depend on the order
        // of the elements, does not cancel them out.
        hash ^= ((element ^ 0x055b_4db3) ^ (element << 16)).wrapping_mul(3_644_798_167);
        count += 1;
    }
    hash ^= (count + 1).wrapping_mul(1_927_868_237);
    hash ^= (hash >> 11) ^ (hash >> 25);
    hash = hash.wrapping_mul(69_069).wrapping_add(907_133_923);
    if hash == u64::MAX { 590_923_713 } else { hash }
}

/// The order in which a set gives back elements that were added one after the other.
///
/// `hashes` are those of distinct elements in the order of adding; the answer holds positions in
/// `hashes`.
pub fn set_order(hashes: &[u64]) -> Vec<usize> {
    let mut table = vec![None; SMALLEST_TABLE];
    for element in 0..hashes.len() {
        put(&mut table, hashes, element);
        let used = element + 1;
        // A set grows when three fifths of its slots are in use.
        if used * 5 >= (table.len() - 1) * 3 {
            table = grown(&table, hashes, used);
        }
    }
    table.into_iter().flatten().collect()
}

fn grown(table: &[Option<usize>], hashes: &[u64], used: usize) -> Vec<Option<usize>> {
    let wanted = if used > LARGE_SET { used * 2 } else { used * 4 };
    let mut size = SMALLEST_TABLE;
    while size <= wanted {
        size *= 2;
    }
    let mut larger = vec![None; size];
    for &element in table.iter().flatten() {
        put(&mut larger, hashes, element);
    }
    larger
}

/// Puts an element into the first free slot on its hash's way through the table.
fn put(table: &mut [Option<usize>], hashes: &[u64], element: usize) {
    let mask = table.len() - 1;
    let mut perturb = hashes[element];
    let mut slot = masked(perturb, mask);
    loop {
        // Close to the table's end only the one slot is looked at.
        let last = if slot + LINEAR_PROBES <= mask { slot + LINEAR_PROBES } else { slot };
        if let Some(free) = table[slot..=last].iter_mut().find(|slot| slot.is_none()) {
            *free = Some(element);
            return;
        }
        perturb >>= PERTURB_SHIFT;
        let next = (slot as u64).wrapping_mul(5).wrapping_add(1).wrapping_add(perturb);
        slot = masked(next, mask);
    }
}

fn masked(number: u64, mask: usize) -> usize {
    usize::try_from(number & mask as u64).unwrap_or(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_equal_hash_all_find_a_place() {
        for hash in [0, 1, u64::MAX] {
            let mut order = set_order(&[hash; 100]);
            order.sort_unstable();
            assert_eq!(order, (0..100).collect::<Vec<_>>(), "hash {hash}");
        }
    }
}
