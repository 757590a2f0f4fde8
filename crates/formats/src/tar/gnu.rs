//! One member's header in GNU tar's default format (`--format=gnu`).
//!
//! The format is described in the chapters "Basic Tar Format" and "GNU Extensions to the Archive
//! Format" of GNU tar's manual.

use super::{BLOCK, BLOCK_DEVICE, CHARACTER, DIRECTORY, Member, padding};

/// The name of a header that is followed by a long name.
const LONG_LINK: &[u8] = b"././@LongLink";
/// Type flag of a long name.
const LONG_NAME: u8 = b'L';
/// Type flag of a long link target.
const LONG_TARGET: u8 = b'K';
/// The size of the fields for names and targets, which need no trailing NUL.
const NAME_LENGTH: usize = 100;

/// Appends the member's header to `out`: one block, preceded by two or more for each string that is
/// too long for its field. Records of extended headers are not written, as this format has none.
pub fn encode(member: &Member<'_>, out: &mut Vec<u8>) {
    let directory_name;
    let name = if member.typeflag == DIRECTORY && !member.name.ends_with(b"/") {
        directory_name = [member.name, b"/"].concat();
        &directory_name
    } else {
        member.name
    };
    if member.target.len() > NAME_LENGTH {
        long(LONG_TARGET, member.target, out);
    }
    if name.len() > NAME_LENGTH {
        long(LONG_NAME, name, out);
    }
    block(&Member { name, ..member.clone() }, out);
}

/// A header whose content is a long string with a trailing NUL.
fn long(typeflag: u8, text: &[u8], out: &mut Vec<u8>) {
    let size = text.len() as u64 + 1;
    let (name, mode) = (LONG_LINK, 0o644);
    // GNU tar looks up the names of user and group 0. These are their names wherever it packs
    // images.
    let (uname, gname) = (b"root", b"root");
    block(&Member { name, typeflag, mode, uname, gname, size, ..Member::default() }, out);
    out.extend_from_slice(text);
    out.push(0);
    out.extend_from_slice(padding(size));
}

fn block(member: &Member<'_>, out: &mut Vec<u8>) {
    let mut block = [0; BLOCK as usize];
    put(&mut block[0..100], member.name);
    number(&mut block[100..108], (member.mode & 0o7777).into());
    number(&mut block[108..116], member.uid.into());
    number(&mut block[116..124], member.gid.into());
    number(&mut block[124..136], member.size.into());
    number(&mut block[136..148], member.mtime.into());
    block[148..156].fill(b' ');
    block[156] = member.typeflag;
    put(&mut block[157..257], member.target);
    block[257..265].copy_from_slice(b"ustar  \0");
    put(&mut block[265..297], member.uname);
    put(&mut block[297..329], member.gname);
    if matches!(member.typeflag, CHARACTER | BLOCK_DEVICE) {
        number(&mut block[329..337], member.device.major.into());
        number(&mut block[337..345], member.device.minor.into());
    }
    let sum: i128 = block.iter().map(|&byte| i128::from(byte)).sum();
    number(&mut block[148..155], sum);
    out.extend_from_slice(&block);
}

fn put(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

/// Octal digits with a trailing NUL. A number that does not fit is written in base 256, with the
/// first byte 0x80 or, if it is negative, 0xff.
fn number(field: &mut [u8], value: i128) {
    let digits = field.len() - 1;
    if (0..1 << (3 * digits)).contains(&value) {
        let octal = format!("{value:0digits$o}\0");
        field.copy_from_slice(octal.as_bytes());
        return;
    }
    let bytes = value.to_be_bytes();
    field.copy_from_slice(&bytes[bytes.len() - field.len()..]);
    field[0] = if value < 0 { 0xff } else { 0x80 };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::{REGULAR, SYMLINK};

    fn encoded(member: &Member<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        encode(member, &mut out);
        out
    }

    #[test]
    fn texts_longer_than_their_fields_have_headers_of_their_own() {
        let long = [b'x'; 300];
        for (name, typeflag, target, blocks) in [
            (&long[..100], REGULAR, &b""[..], 1),
            (&long[..101], REGULAR, b"", 3),
            (&long[..99], DIRECTORY, b"", 1),
            (&long[..100], DIRECTORY, b"", 3),
            (b"a", SYMLINK, &long[..100], 1),
            (b"a", SYMLINK, &long[..101], 3),
            (&long, SYMLINK, &long, 5),
        ] {
            let member = Member { name, typeflag, target, ..Member::default() };
            let out = encoded(&member);
            assert_eq!(out.len() / 512, blocks, "{member:?}");
            // Its own header contains the truncated name.
            let own = &out[out.len() - 512..];
            assert_eq!(own[..name.len().min(100)], name[..name.len().min(100)]);
        }
    }

    #[test]
    fn numbers_beyond_their_fields_are_binary() {
        let cases: [(i128, &[u8]); 5] = [
            (0o7_777_777, b"7777777\0"),
            (0o10_000_000, b"\x80\0\0\0\0\x20\0\0"),
            (-1, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
            (0, b"0000000\0"),
            (u32::MAX.into(), b"\x80\0\0\0\xff\xff\xff\xff"),
        ];
        for (value, expected) in cases {
            let mut field = [0; 8];
            number(&mut field, value);
            assert_eq!(field, expected, "{value}");
        }
    }

    #[test]
    fn the_tar_crate_reads_what_is_written() {
        let name = "long/".repeat(50);
        let member = Member {
            name: name.as_bytes(),
            typeflag: DIRECTORY,
            mode: 0o2755,
            uid: 3_000_000,
            uname: b"root",
            mtime: 315_532_800,
            ..Member::default()
        };
        let mut out = encoded(&member);
        out.extend_from_slice(crate::tar::trailer(out.len() as u64));
        let mut archive = tar::Archive::new(out.as_slice());
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path_bytes().as_ref(), name.as_bytes());
        assert_eq!(entry.header().mode().unwrap(), 0o2755);
        assert_eq!(entry.header().uid().unwrap(), 3_000_000);
        assert_eq!(entry.header().mtime().unwrap(), 315_532_800);
    }
}
