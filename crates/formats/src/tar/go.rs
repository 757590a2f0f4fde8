//! Headers as written by Go's `archive/tar` for the members of skopeo's docker-archives: read-only
//! files and symbolic links owned by root, without names or times.
//!
//! Every constant here affects the hashes of pulled images.

use super::pax;
use super::ustar::{Fields, SIZE_LIMIT};
use super::{BLOCK, REGULAR, SYMLINK};

/// Mode of a file. Symbolic links have mode 0.
const FILE_MODE: u32 = 0o444;
/// The directory part of an extended header's name.
const PAX_DIRECTORY: &str = "PaxHeaders.0";
/// The end of an archive: two blocks of zeros, without padding to a record.
pub const TRAILER: [u8; 2 * BLOCK as usize] = [0; _];

/// Appends the header of a file of `size` bytes. Names have at most 100 ASCII characters. A file of
/// 8 GiB or more gets an extended header, for which its name must not contain slashes.
pub fn file(name: &str, size: u64, out: &mut Vec<u8>) {
    let fits = size < SIZE_LIMIT;
    if !fits {
        let records = [(b"size".to_vec(), size.to_string().into_bytes())];
        pax::encode_named(format!("{PAX_DIRECTORY}/{name}").as_bytes(), b"", &records, out);
    }
    let fields = Fields {
        name: name.as_bytes(),
        typeflag: REGULAR,
        mode: FILE_MODE,
        size: if fits { size } else { 0 },
        numbers_devices: true,
        ..Fields::default()
    };
    fields.encode(out);
}

/// Appends the header of a symbolic link. Name and target have at most 100 ASCII characters.
pub fn symlink(name: &str, target: &str, out: &mut Vec<u8>) {
    let fields = Fields {
        name: name.as_bytes(),
        typeflag: SYMLINK,
        target: target.as_bytes(),
        numbers_devices: true,
        ..Fields::default()
    };
    fields.encode(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    /// The digests are those of the output of Go 1.26 with `tar.FileInfoHeader`.
    #[test]
    fn headers_are_those_of_go() {
        let name = format!("{}.tar", "a".repeat(64));
        for (size, blocks, expected) in [
            (0, 1, "764269db88633c7bb309638abb3f5a36e045b321693274751e85cf83cc31be2b"),
            (1 << 20, 1, "0a9b1d68d4b34f3427aeeb68be0837ef9e496b19e0728babb85f1c0ae71ea038"),
            ((1 << 33) - 1, 1, "c590ce90eb18f0a2edeb4a82816eb74c796c95cd264a1a687c633c791f192d15"),
            (1 << 33, 3, "2045e4e4f984b1eb6ca7895fa00b69c46d8ad94ae8ec6cf798df46b513d37e31"),
            (1 << 40, 3, "e09802d0063f8f351ce47c855cdc9dd193e51598e7c671941b885751b801fdf6"),
        ] {
            let mut out = Vec::new();
            file(&name, size, &mut out);
            assert_eq!((out.len(), &*Digest::of(&out).hex()), (blocks * 512, expected), "{size}");
        }
        let mut out = Vec::new();
        symlink(&format!("{}/layer.tar", "b".repeat(64)), &format!("../{name}"), &mut out);
        assert_eq!(
            Digest::of(&out).hex(),
            "91d6e112b8004ca723495d32db330ff2daed1210ebc2195689903061f5a3a8a9"
        );
    }
}
