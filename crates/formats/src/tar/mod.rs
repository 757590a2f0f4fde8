//! The tar format as written by Python's `tarfile` (`PAX_FORMAT`, encoding UTF-8), by GNU tar
//! ([`gnu`]), and by Go's `archive/tar` ([`go`]).
//!
//! No crate writes these bytes: other writers name the extended header after the file, use the
//! `prefix` field for long names, or fill the device fields with zeros. Every constant here affects
//! users' layer digests; changing one changes every digest.

pub mod gnu;
pub mod go;
mod header;
mod pax;
mod text;
mod ustar;

pub use header::{Member, encode};
pub use pax::Record;
pub use ustar::Device;

/// Headers and contents are padded to a multiple of this size (POSIX.1-1988 ustar).
pub const BLOCK: u64 = 512;

/// An archive is padded to a multiple of this size: twenty blocks, tar's default blocking factor.
pub const RECORD: u64 = 20 * BLOCK;

/// Type flag of a regular file.
pub const REGULAR: u8 = b'0';
/// Type flag of a hard link.
pub const HARD_LINK: u8 = b'1';
/// Type flag of a symbolic link.
pub const SYMLINK: u8 = b'2';
/// Type flag of a character device.
pub const CHARACTER: u8 = b'3';
/// Type flag of a block device.
pub const BLOCK_DEVICE: u8 = b'4';
/// Type flag of a directory.
pub const DIRECTORY: u8 = b'5';
/// Type flag of a named pipe.
pub const FIFO: u8 = b'6';

const ZEROS: [u8; RECORD as usize + 2 * BLOCK as usize] = [0; _];

/// The zeros that follow `size` bytes of content.
pub fn padding(size: u64) -> &'static [u8] {
    let rest = size % BLOCK;
    if rest == 0 { &[] } else { &ZEROS[..(BLOCK - rest) as usize] }
}

/// The end of an archive of `size` bytes: two blocks of zeros, then zeros up to a full record.
pub fn trailer(size: u64) -> &'static [u8] {
    let end = size + 2 * BLOCK;
    &ZEROS[..(end.next_multiple_of(RECORD) - size) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_trailer_fill_blocks_and_records() {
        for (size, pad, end) in [(0, 0, 10240), (1, 511, 10239), (512, 0, 9728), (9216, 0, 1024)] {
            assert_eq!(padding(size).len(), pad, "padding of {size}");
            assert_eq!(trailer(size).len(), end, "trailer of {size}");
        }
        assert_eq!(trailer(9728).len(), 10240 + 512);
    }
}
