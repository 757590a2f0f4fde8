//! The iteration order of a Python set.
//!
//! In nixpkgs' default layout, layers with equal closure sizes are in the iteration order of a
//! Python set, and Python is run with `PYTHONHASHSEED=0`. The order of the layers determines the
//! digest of the image's config. The language does not define it; it results from `CPython`'s hash
//! functions and hash table, which are reproduced here as in versions 3.11 to 3.13 on 64-bit
//! little-endian machines.
//!
//! Every constant below affects the order of layers: changing one changes the config digest of
//! every image with ties.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// The number of adjacent slots that a probe examines before it jumps.
const LINEAR_PROBES: usize = 9;
/// How far the hash is shifted at each jump, to make use of its upper bits.
const PERTURB_SHIFT: u32 = 5;
/// The number of slots of a new set, and the minimum for any set.
const SMALLEST_TABLE: usize = 8;
/// Up to this many elements, a full table grows by a factor of four, and above by two.
const LARGE_SET: usize = 50_000;

/// The value of `hash(text)` with `PYTHONHASHSEED=0`, as an unsigned number.
pub fn hash_str(text: &str) -> u64 {
    // Python does not hash the empty string.
    if text.is_empty() {
        return 0;
    }
    // The seed 0 means a key of zeros.
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(&stored_form(text));
    match hasher.finish() {
        // In Python, -1 means that hashing failed, so it is never a hash.
        u64::MAX => u64::MAX - 1,
        hash => hash,
    }
}

/// Python's representation of a string: all characters have the width of the widest one.
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

/// The value of `hash(frozenset(elements))`, given the hashes of the distinct elements.
pub fn hash_frozenset(elements: impl IntoIterator<Item = u64>) -> u64 {
    let mut hash = 0;
    let mut count: u64 = 0;
    for element in elements {
        // Spreads similar hashes, so that they do not cancel each other out in the sum below, which
        // must not depend on the order of the elements.
        hash ^= ((element ^ 0x055b_4db3) ^ (element << 16)).wrapping_mul(3_644_798_167);
        count += 1;
    }
    hash ^= (count + 1).wrapping_mul(1_927_868_237);
    hash ^= (hash >> 11) ^ (hash >> 25);
    hash = hash.wrapping_mul(69_069).wrapping_add(907_133_923);
    if hash == u64::MAX { 590_923_713 } else { hash }
}

/// The iteration order of a set to which elements were added one by one.
///
/// `hashes` are those of distinct elements, in the order of insertion; the result contains indices
/// into it.
pub fn set_order(hashes: &[u64]) -> Vec<usize> {
    let mut table = vec![None; SMALLEST_TABLE];
    for element in 0..hashes.len() {
        put(&mut table, hashes, element);
        let used = element + 1;
        // A set grows when three fifths of its slots are used.
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

/// Puts an element into the first free slot of its probe sequence.
fn put(table: &mut [Option<usize>], hashes: &[u64], element: usize) {
    let mask = table.len() - 1;
    let mut perturb = hashes[element];
    let mut slot = masked(perturb, mask);
    loop {
        // Near the end of the table, only one slot is examined.
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
