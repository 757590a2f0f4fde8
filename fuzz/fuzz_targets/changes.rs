#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nix_image_fuzz::targets::layers::changes(input));
