//! The names in a directory, in Python's order.

use std::cmp::Ordering;
use std::ffi::CStr;
use std::os::fd::BorrowedFd;

/// A directory's names in Python's order, without `.` and `..`.
#[derive(Debug)]
pub(super) struct Names {
    /// The names, each with a trailing NUL.
    bytes: Vec<u8>,
    /// Where each name starts.
    starts: Vec<u32>,
}

impl Names {
    pub(super) fn get(&self, index: usize) -> Option<&CStr> {
        let &start = self.starts.get(index)?;
        CStr::from_bytes_until_nul(&self.bytes[start as usize..]).ok()
    }

    pub(super) fn read(directory: BorrowedFd<'_>) -> rustix::io::Result<Self> {
        let (mut bytes, mut starts) = (Vec::new(), Vec::new());
        let mut plain = true;
        each_name(directory, |name| {
            if name != c"." && name != c".." {
                plain &= name.to_str().is_ok() && logical(name.to_bytes()) == name.to_bytes();
                starts.push(bytes.len() as u32);
                bytes.extend_from_slice(name.to_bytes_with_nul());
            }
        })?;
        let from = |start: u32| &bytes[start as usize..];
        // The order of bytes is that of characters, unless a name is not UTF-8 or stands for
        // another one. Two names differ at the latest at the trailing NUL, which is less than any
        // other byte.
        if plain {
            starts.sort_unstable_by(|&a, &b| from(a).cmp(from(b)));
        } else {
            let name = |start: u32| CStr::from_bytes_until_nul(from(start)).unwrap_or_default();
            let name = |start: u32| logical(name(start).to_bytes());
            starts.sort_unstable_by(|&a, &b| compare(name(a), name(b)));
        }
        // Several directories with very many names may be in memory at a time.
        bytes.shrink_to_fit();
        starts.shrink_to_fit();
        Ok(Self { bytes, starts })
    }
}

#[cfg(target_os = "linux")]
fn each_name(directory: BorrowedFd<'_>, mut visit: impl FnMut(&CStr)) -> rustix::io::Result<()> {
    let mut buffer = Vec::with_capacity(32 << 10);
    let mut entries = rustix::fs::RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        visit(entry?.file_name());
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn each_name(directory: BorrowedFd<'_>, mut visit: impl FnMut(&CStr)) -> rustix::io::Result<()> {
    for entry in rustix::fs::Dir::read_from(directory)? {
        visit(entry?.file_name());
    }
    Ok(())
}

/// Whether Nix renames files whose names differ only in case. Always set in unit tests, so that
/// they are the same on all systems.
const CASE_HACK: bool = cfg!(any(target_os = "macos", test));
/// The suffix of such a name, before a number. See `use-case-hack` in Nix's manual.
const CASE_HACK_SUFFIX: &[u8] = b"~nix~case~hack~";

/// The original name of a file with this name.
pub(crate) fn logical(name: &[u8]) -> &[u8] {
    if !CASE_HACK {
        return name;
    }
    let mut windows = name.windows(CASE_HACK_SUFFIX.len());
    windows.position(|window| window == CASE_HACK_SUFFIX).map_or(name, |end| &name[..end])
}

/// Compares names as Python compares the strings returned by `os.fsdecode`: by code point, where a
/// byte 0x80 to 0xff that is not UTF-8 becomes U+DC80 to U+DCFF.
pub(crate) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    fn code_points(bytes: &[u8]) -> impl Iterator<Item = u32> {
        bytes.utf8_chunks().flat_map(|chunk| {
            let invalid = chunk.invalid().iter().map(|&byte| 0xdc00 + u32::from(byte));
            chunk.valid().chars().map(u32::from).chain(invalid)
        })
    }
    code_points(a).cmp(code_points(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_by_pythons_code_points() {
        // U+DCFF is less than U+E000 and the astral planes, though its byte is the greatest.
        let ordered: &[&[u8]] = &[
            b"Z",
            b"a",
            b"a-b",
            "é".as_bytes(),
            b"\x80",
            b"\xff",
            "\u{ffee}".as_bytes(),
            "😀".as_bytes(),
        ];
        for pair in ordered.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
    }
}
