//! One member's header: a ustar block, and an extended header for values that do not fit into it.

use super::pax::{self, Record};
use super::ustar::{Device, Fields, ID_LIMIT, NAME_LENGTH, OWNER_LENGTH, SIZE_LIMIT};
use super::{DIRECTORY, text};

/// The contents of a member's header.
#[derive(Clone, Debug, Default)]
pub struct Member<'a> {
    /// The name; a directory's trailing slash is added automatically.
    pub name: &'a [u8],
    /// The type flag, such as [`super::REGULAR`].
    pub typeflag: u8,
    /// Permission bits, including the set-id and sticky bits.
    pub mode: u32,
    /// The owner's ID. A number that does not fit into the field becomes a record.
    pub uid: i64,
    /// The group's ID.
    pub gid: i64,
    /// The owner's name.
    pub uname: &'a [u8],
    /// The group's name.
    pub gname: &'a [u8],
    /// The size of the content in bytes.
    pub size: u64,
    /// The modification time in seconds since 1970; may be negative.
    pub mtime: i64,
    /// The target of a symbolic link.
    pub target: &'a [u8],
    /// The numbers of a device.
    pub device: Device,
    /// Records that the member has from another archive. They come first, in their order, and take
    /// precedence over the fields.
    pub records: &'a [Record],
}

/// Appends the member's header to `out`: one block, which may be preceded by an extended header.
pub fn encode(member: &Member<'_>, out: &mut Vec<u8>) {
    let directory_name;
    let name = if member.typeflag == DIRECTORY && !member.name.ends_with(b"/") {
        directory_name = [member.name, b"/"].concat();
        &directory_name
    } else {
        member.name
    };
    let mut records = member.records.to_vec();
    for (keyword, value, limit) in [
        ("path", name, NAME_LENGTH),
        ("linkpath", member.target, NAME_LENGTH),
        ("uname", member.uname, OWNER_LENGTH),
        ("gname", member.gname, OWNER_LENGTH),
    ] {
        if !value.is_ascii() || text::length(value) > limit {
            add(&mut records, keyword, || value.to_vec());
        }
    }
    let mut number = |keyword, value: i128, limit: u64| match u64::try_from(value) {
        Ok(value) if value < limit => value,
        _ => {
            add(&mut records, keyword, || value.to_string().into_bytes());
            0
        }
    };
    let fields = Fields {
        name,
        typeflag: member.typeflag,
        mode: member.mode,
        uid: number("uid", member.uid.into(), ID_LIMIT),
        gid: number("gid", member.gid.into(), ID_LIMIT),
        size: number("size", member.size.into(), SIZE_LIMIT),
        mtime: number("mtime", member.mtime.into(), SIZE_LIMIT),
        target: member.target,
        uname: member.uname,
        gname: member.gname,
        device: member.device,
        ..Fields::default()
    };
    if !records.is_empty() {
        pax::encode(&records, out);
    }
    fields.encode(out);
}

/// Adds a record unless the member already has one with that keyword.
fn add(records: &mut Vec<Record>, keyword: &str, value: impl FnOnce() -> Vec<u8>) {
    if records.iter().all(|(known, _)| known != keyword.as_bytes()) {
        records.push((keyword.into(), value()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::{REGULAR, SYMLINK};

    fn blocks(member: &Member<'_>) -> usize {
        let mut out = Vec::new();
        encode(member, &mut out);
        out.len() / 512
    }

    #[test]
    fn extended_headers_come_only_where_fields_overflow() {
        let long = [b'x'; 101];
        let cases = [
            (Member { name: &long[..100], ..Member::default() }, 1),
            (Member { name: &long, ..Member::default() }, 3),
            (Member { name: &long[..99], typeflag: DIRECTORY, ..Member::default() }, 1),
            (Member { name: &long[..100], typeflag: DIRECTORY, ..Member::default() }, 3),
            (Member { name: "é".as_bytes(), ..Member::default() }, 3),
            (Member { target: &long, typeflag: SYMLINK, ..Member::default() }, 3),
            (Member { uname: &long[..32], ..Member::default() }, 1),
            (Member { gname: &long[..33], ..Member::default() }, 3),
            (Member { uid: 0o7_777_777, ..Member::default() }, 1),
            (Member { uid: 0o10_000_000, ..Member::default() }, 3),
            (Member { uid: -1, ..Member::default() }, 3),
            (Member { size: (1 << 33) - 1, ..Member::default() }, 1),
            (Member { size: 1 << 33, ..Member::default() }, 3),
            (Member { mtime: -1, ..Member::default() }, 3),
        ];
        for (member, expected) in cases {
            assert_eq!(blocks(&member), expected, "{member:?}");
        }
    }

    #[test]
    fn the_tar_crate_reads_what_is_written() {
        let member = Member {
            name: "/nix/store/é".as_bytes(),
            typeflag: REGULAR,
            mode: 0o4555,
            uid: 3_000_000,
            gid: 100,
            uname: b"root",
            mtime: 7,
            ..Member::default()
        };
        let mut out = Vec::new();
        encode(&member, &mut out);
        out.extend_from_slice(crate::tar::trailer(out.len() as u64));
        let mut archive = tar::Archive::new(out.as_slice());
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path_bytes().as_ref(), member.name);
        assert_eq!(entry.header().mode().unwrap(), 0o4555);
        assert_eq!(entry.header().gid().unwrap(), 100);
        let records = entry.pax_extensions().unwrap().unwrap();
        let records: Vec<_> = records.map(|r| r.unwrap().key().unwrap().to_owned()).collect();
        assert_eq!(records, ["path", "uid"]);
    }
}
