//! Decodes one member's header, as Python's `tarfile` does.

use std::io;
use std::sync::Arc;

use tar::{EntryType, Header};

use super::Member;
use super::records::{self, Records};
use formats::tar::{DIRECTORY, Device};

/// The member described by a header's block. Like Python, this ignores the magic.
pub(super) fn member(header: &Header) -> io::Result<Member> {
    let (fields, bytes) = (header.as_old(), header.as_bytes());
    let mut name = text(&fields.name).to_owned();
    let mut typeflag = bytes[156];
    // The oldest tar files mark directories only by a trailing slash.
    if typeflag == 0 && name.ends_with(b"/") {
        typeflag = DIRECTORY;
    }
    let prefix = text(&bytes[345..500]);
    let is_sparse = header.entry_type() == EntryType::GNUSparse;
    if !prefix.is_empty() && !is_sparse {
        name = [prefix, b"/", &name].concat();
    }
    Ok(Member {
        name,
        typeflag,
        target: text(&fields.linkname).to_owned(),
        mode: narrow("mode", number("mode", &fields.mode)? & 0o7777)?,
        uid: narrow("uid", number("uid", &fields.uid)?)?,
        gid: narrow("gid", number("gid", &fields.gid)?)?,
        uname: text(&bytes[265..297]).to_owned(),
        gname: text(&bytes[297..329]).to_owned(),
        mtime: narrow("mtime", number("mtime", &fields.mtime)?)?,
        size: size(header)?,
        is_sparse,
        records: Arc::default(),
        offset: 0,
        device: Device { major: device(&bytes[329..337]), minor: device(&bytes[337..345]) },
    })
}

/// A device number. Python reads those of every member and replaces invalid ones with 0.
fn device(field: &[u8]) -> u32 {
    number("device", field).ok().and_then(|number| number.try_into().ok()).unwrap_or(0)
}

/// The size in the header's block.
pub(super) fn size(header: &Header) -> io::Result<u64> {
    narrow("size", number("size", &header.as_old().size)?)
}

/// Overrides a member's fields with the records of an extended header.
pub(super) fn apply(records: &Records, member: &mut Member) -> io::Result<()> {
    let get = |keyword: &str| records.get(keyword.as_bytes());
    if let Some(path) = get("GNU.sparse.name").or_else(|| get("path")) {
        without_slashes(path).clone_into(&mut member.name);
    }
    if let Some(target) = get("linkpath") {
        member.target.clone_from(target);
    }
    if let Some(name) = get("uname") {
        member.uname.clone_from(name);
    }
    if let Some(name) = get("gname") {
        member.gname.clone_from(name);
    }
    if let Some(value) = get("uid") {
        member.uid = saturated(records::int(value));
    }
    if let Some(value) = get("gid") {
        member.gid = saturated(records::int(value));
    }
    if let Some(value) = get("mtime") {
        member.mtime = records::float(value).round_ties_even() as i64;
    }
    if let Some(value) = get("size") {
        member.size = narrow("size", records::int(value))?;
    }
    let sparse = ["GNU.sparse.map", "GNU.sparse.size", "GNU.sparse.major"];
    member.is_sparse |= sparse.into_iter().any(|keyword| get(keyword).is_some());
    Ok(())
}

/// Whether members of this type have content after their headers.
pub(super) fn has_data(typeflag: u8) -> bool {
    use EntryType::{Block, Char, Directory, Fifo, Link, Symlink};
    !matches!(EntryType::new(typeflag), Link | Symlink | Char | Block | Directory | Fifo)
}

/// Whether the header's checksum is right. Some old versions of tar summed signed bytes.
pub(super) fn has_its_checksum(header: &Header) -> bool {
    let sum = |value: fn(u8) -> i64| -> i64 {
        let mut bytes = *header.as_bytes();
        bytes[148..156].fill(b' ');
        bytes.into_iter().map(value).sum()
    };
    let expected = header.cksum().map(i64::from);
    expected.is_ok_and(|expected| {
        expected == sum(i64::from) || expected == sum(|byte| byte.cast_signed().into())
    })
}

/// The content of a text field.
pub(super) fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0);
    &field[..end.unwrap_or(field.len())]
}

/// The name without trailing slashes.
pub(super) fn without_slashes(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|&byte| byte != b'/');
    &name[..end.map_or(0, |last| last + 1)]
}

/// A number field: octal digits, or GNU's binary format. An empty field is 0.
fn number(what: &str, field: &[u8]) -> io::Result<i128> {
    let binary =
        |start| field[1..].iter().fold(start, |value, &byte| value << 8 | i128::from(byte));
    match field[0] {
        0o200 => return Ok(binary(0)),
        0o377 => return Ok(binary(-1)),
        _ => {}
    }
    let space = |char: char| char.is_ascii_whitespace() || ('\x0b'..='\x1f').contains(&char);
    let digits = str::from_utf8(text(field)).map(|text| text.trim_matches(space));
    match digits {
        Ok("") => Ok(0),
        Ok(digits) => i128::from_str_radix(digits, 8).map_err(|_| not_a_number(what, field)),
        Err(_) => Err(not_a_number(what, field)),
    }
}

fn not_a_number(what: &str, field: &[u8]) -> io::Error {
    io::Error::other(format!("`{}` is not an octal number for {what}", field.escape_ascii()))
}

fn narrow<T: TryFrom<i128>>(what: &str, number: i128) -> io::Result<T> {
    number.try_into().map_err(|_| io::Error::other(format!("{number} is out of range for {what}")))
}

fn saturated(number: i128) -> i64 {
    number.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_fields_are_octal_or_binary() {
        let cases: &[(&[u8], Option<i128>)] = &[
            (b"0000755\0", Some(0o755)),
            (b" 755 \0  ", Some(0o755)),
            (b"\0junk   ", Some(0)),
            (b"        ", Some(0)),
            (b"-5\0\0\0\0\0\0", Some(-5)),
            (b"77777777", Some(0o77_777_777)),
            (b"8\0\0\0\0\0\0\0", None),
            (b"1 2\0\0\0\0\0", None),
            (b"\xe9\0\0\0\0\0\0\0", None),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\xff\0\0\0\0\0\0\0", Some(-(1 << 56))),
            (b"\x81\0\0\0\0\0\0\0", None),
        ];
        for (field, expected) in cases {
            assert_eq!(number("uid", field).ok(), *expected, "{}", field.escape_ascii());
        }
    }
}
