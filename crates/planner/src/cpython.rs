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
pub(super) fn hash_str(text: &str) -> u64 {
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
pub(super) fn hash_frozenset(elements: impl IntoIterator<Item = u64>) -> u64 {
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
pub(super) fn set_order(hashes: &[u64]) -> Vec<usize> {
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
    use std::io::Write;
    use std::process::{Command, Stdio};

    use serde_json::{Value, json};

    use super::*;

    /// Runs a Python program on a JSON value, or says why it cannot.
    #[expect(clippy::print_stderr, reason = "a skipped test must not pass for one that ran")]
    fn python(program: &str, input: &Value) -> Option<Value> {
        let version = "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))";
        let usable = Command::new("python3").args(["-c", version]).status();
        if !usable.is_ok_and(|status| status.success()) {
            eprintln!("skipped: there is no python3 of version 3.11 to 3.13");
            return None;
        }
        let mut child = Command::new("python3")
            .args(["-c", program])
            .env("PYTHONHASHSEED", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        Some(serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Numbers that look random and are the same in every run.
    fn numbers() -> impl FnMut(usize) -> usize {
        let mut state: u64 = 1;
        move |below| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(state >> 33).unwrap() % below
        }
    }

    #[test]
    fn strings_hash_as_in_python() {
        let texts = [
            "",
            "a",
            "seven b",
            "eight by",
            "nine byte",
            "/nix/store/7zwyqd6z1qv0wif6l1110qdv1fwzfnff-zlib-2.8",
            "café",
            "ÿ\u{80}",
            "Ā",
            "日本語",
            "a\u{ffff}",
            "🦀 and text",
            "\u{0}",
        ];
        let program = "import json, sys\n\
                       print(json.dumps([hash(s) % 2**64 for s in json.load(sys.stdin)]))";
        let Some(expected) = python(program, &json!(texts)) else { return };
        for (text, expected) in texts.iter().zip(expected.as_array().unwrap()) {
            assert_eq!(Some(hash_str(text)), expected.as_u64(), "hash of {text:?}");
        }
    }

    #[test]
    fn sets_of_frozensets_order_as_in_python() {
        let mut number = numbers();
        let cases: Vec<Vec<Vec<String>>> = (0..300)
            .map(|count| {
                let mut set: Vec<Vec<String>> = (0..count)
                    .map(|_| {
                        let mut element: Vec<String> =
                            (0..number(5)).map(|_| format!("path-{}", number(1000))).collect();
                        element.sort_unstable();
                        element.dedup();
                        element
                    })
                    .collect();
                let mut seen = std::collections::HashSet::new();
                set.retain(|element| seen.insert(element.clone()));
                set
            })
            .collect();
        let program = "import json, sys\n\
            print(json.dumps([[sorted(e) for e in set(map(frozenset, case))]\n\
            for case in json.load(sys.stdin)]))";
        let Some(expected) = python(program, &json!(cases)) else { return };
        for (case, expected) in cases.iter().zip(expected.as_array().unwrap()) {
            let hashes: Vec<u64> = case
                .iter()
                .map(|set| hash_frozenset(set.iter().map(|text| hash_str(text))))
                .collect();
            let ordered: Vec<_> = set_order(&hashes).into_iter().map(|i| &case[i]).collect();
            assert_eq!(&json!(ordered), expected, "a set of {}", case.len());
        }
    }

    #[test]
    fn large_sets_grow_as_in_python() {
        // Past 50 000 elements the rule of growth is another one.
        let texts: Vec<String> = (0..90_000).map(|n| format!("element {n}")).collect();
        let program = "import json, sys; print(json.dumps(list(set(json.load(sys.stdin)))))";
        let Some(expected) = python(program, &json!(texts)) else { return };
        let hashes: Vec<u64> = texts.iter().map(|text| hash_str(text)).collect();
        let ordered: Vec<_> = set_order(&hashes).into_iter().map(|i| &texts[i]).collect();
        assert!(json!(ordered) == expected, "the order of 90 000 strings differs");
    }

    #[test]
    fn elements_of_equal_hash_all_find_a_place() {
        for hash in [0, 1, u64::MAX] {
            let mut order = set_order(&[hash; 100]);
            order.sort_unstable();
            assert_eq!(order, (0..100).collect::<Vec<_>>(), "hash {hash}");
        }
    }
}
