//! The block of 512 bytes before every member (POSIX.1-1988 ustar).

use super::{BLOCK, BLOCK_DEVICE, CHARACTER, text};

/// The number of characters in the fields for names and link targets.
pub(super) const NAME_LENGTH: usize = 100;
/// The number of characters in the fields for owner and group names.
pub(super) const OWNER_LENGTH: usize = 32;
/// The first number that does not fit into the seven octal digits of an owner.
pub(super) const ID_LIMIT: u64 = 1 << (3 * 7);
/// The first number that does not fit into the eleven octal digits of a size or time.
pub(super) const SIZE_LIMIT: u64 = 1 << (3 * 11);

/// The numbers of a device; only written for devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// The fields of one ustar block. Numbers must be in the range of their fields.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) name: &'a [u8],
    pub(super) typeflag: u8,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) size: u64,
    pub(super) mtime: u64,
    pub(super) target: &'a [u8],
    pub(super) uname: &'a [u8],
    pub(super) gname: &'a [u8],
    pub(super) device: Device,
    /// Whether the device fields contain numbers even though the member is not a device, as Go
    /// writes them. Python and GNU tar leave them empty.
    pub(super) numbers_devices: bool,
}

impl Fields<'_> {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut block = [0; BLOCK as usize];
        text::put_ascii(&mut block[0..100], self.name);
        octal(&mut block[100..108], (self.mode & 0o7777).into());
        octal(&mut block[108..116], self.uid);
        octal(&mut block[116..124], self.gid);
        octal(&mut block[124..136], self.size);
        octal(&mut block[136..148], self.mtime);
        block[148..156].fill(b' ');
        block[156] = self.typeflag;
        text::put_ascii(&mut block[157..257], self.target);
        block[257..265].copy_from_slice(b"ustar\x0000");
        text::put_ascii(&mut block[265..297], self.uname);
        text::put_ascii(&mut block[297..329], self.gname);
        if self.numbers_devices || matches!(self.typeflag, CHARACTER | BLOCK_DEVICE) {
            octal(&mut block[329..337], self.device.major.into());
            octal(&mut block[337..345], self.device.minor.into());
        }
        let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
        octal(&mut block[148..155], sum);
        out.extend_from_slice(&block);
    }
}

/// Writes octal digits with leading zeros and a trailing NUL.
fn octal(field: &mut [u8], mut value: u64) {
    let Some((last, digits)) = field.split_last_mut() else { return };
    *last = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value & 7) as u8;
        value >>= 3;
    }
}
