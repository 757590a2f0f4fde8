//! The fuzzers' seeds, and the inputs that they have found, each given to its target.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::support::test_file;

#[path = "../fuzz/targets/mod.rs"]
#[allow(missing_docs, unreachable_pub, reason = "it is also part of the fuzzers' crate")]
mod targets;

#[test]
fn every_input_is_handled_as_it_should_be() {
    let seeds = test_file("../fuzz/seeds");
    let mut failed = Vec::new();
    for (name, target) in targets::ALL {
        let directory = seeds.join(name);
        let inputs: Vec<_> = std::fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(!inputs.is_empty(), "{name} has no inputs");
        for input in inputs {
            let bytes = std::fs::read(&input).unwrap();
            // The panic itself is printed.
            if catch_unwind(AssertUnwindSafe(|| target(&bytes))).is_err() {
                failed.push(input);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}
