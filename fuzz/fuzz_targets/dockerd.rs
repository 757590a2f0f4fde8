#![no_main]

libfuzzer_sys::fuzz_target!(init: nix_image_fuzz::peers::dockerd::prepare(), |input: &[u8]| nix_image_fuzz::peers::dockerd::dockerd(input));
