//! The names in a directory, in Python's order.

use std::cmp::Ordering;
use std::ffi::CStr;
use std::os::fd::BorrowedFd;

/// A directory's names in Python's order, without `.` and `..`.
pub(super) struct Names {
    /// The names, each with a final NUL.
    bytes: Vec<u8>,
    /// Start and length of each.
    index: Vec<(u32, u32)>,
}

impl Names {
    pub(super) fn get(&self, index: usize) -> Option<&CStr> {
        let &(start, length) = self.index.get(index)?;
        CStr::from_bytes_with_nul(&self.bytes[start as usize..][..=length as usize]).ok()
    }

    pub(super) fn read(directory: BorrowedFd<'_>) -> rustix::io::Result<Self> {
        let mut names = Self { bytes: Vec::new(), index: Vec::new() };
        each_name(directory, |name| {
            if name != c"." && name != c".." {
                names.index.push((names.bytes.len() as u32, name.count_bytes() as u32));
                names.bytes.extend_from_slice(name.to_bytes_with_nul());
            }
        })?;
        let Self { bytes, index } = &mut names;
        let text = |&(start, length): &(u32, u32)| &bytes[start as usize..][..length as usize];
        // The bytes' order is the characters' order, unless some bytes are none.
        if index.iter().all(|name| str::from_utf8(text(name)).is_ok()) {
            index.sort_unstable_by(|a, b| text(a).cmp(text(b)));
        } else {
            index.sort_unstable_by(|a, b| compare(text(a), text(b)));
        }
        Ok(names)
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

/// Compares names as Python compares the strings that `os.fsdecode` makes of them: by code
/// point, a byte 0x80 to 0xff that is not UTF-8 standing for U+DC80 to U+DCFF.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
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
        // U+DCFF stands before U+E000 and the astral planes, though its byte is the greatest.
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
