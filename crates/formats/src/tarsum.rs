//! Docker's tarsum, version 1: a digest of an archive's members that does not depend on their order
//! and times.
//!
//! The specification is `tarsum_spec.md` in moby's package `tarsum`. Of extended headers, version 1
//! only includes attributes, which no archive summed here has.

use std::fmt;

use crate::digest::{Digest, HashWriter};
use crate::tar::{DIRECTORY, Member};

/// The sum of the members added so far.
#[derive(Debug, Default)]
pub struct TarSum {
    members: Vec<Digest>,
}

/// The sum of one member, to which its content is still added.
#[derive(Debug)]
pub struct MemberSum(HashWriter);

impl TarSum {
    /// A sum without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member, after all its content was added to its own sum.
    pub fn add(&mut self, member: MemberSum) {
        self.members.push(member.0.finish());
    }
}

impl MemberSum {
    /// Starts a member's sum with its header.
    pub fn new(member: &Member<'_>) -> Self {
        let mut sum = HashWriter::default();
        let mut field = |name: &str, value: &[u8]| {
            sum.update(name.as_bytes());
            sum.update(value);
        };
        let slash = member.typeflag == DIRECTORY && !member.name.ends_with(b"/");
        field("name", member.name);
        field("", if slash { b"/" } else { b"" });
        field("mode", (member.mode & 0o7777).to_string().as_bytes());
        field("uid", member.uid.to_string().as_bytes());
        field("gid", member.gid.to_string().as_bytes());
        field("size", member.size.to_string().as_bytes());
        field("typeflag", &[member.typeflag]);
        field("linkname", member.target);
        // Without the names: older versions did not always read them, and the sums must stay the
        // same.
        field("uname", b"");
        field("gname", b"");
        field("devmajor", member.device.major.to_string().as_bytes());
        field("devminor", member.device.minor.to_string().as_bytes());
        Self(sum)
    }

    /// Adds bytes of the member's content.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// The sum with its version and algorithm: `tarsum.v1+sha256:` and 64 hexadecimal digits.
impl fmt::Display for TarSum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut members = self.members.clone();
        members.sort_unstable_by_key(|member| member.0);
        let mut sum = HashWriter::default();
        for member in members {
            sum.update(member.hex().as_bytes());
        }
        write!(formatter, "tarsum.v1+sha256:{}", sum.finish().hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::{REGULAR, SYMLINK};

    #[test]
    fn sums_are_those_of_mobys_package() {
        let root = |name, typeflag, mode| Member {
            name,
            typeflag,
            mode,
            uname: b"root",
            gname: b"root",
            ..Member::default()
        };
        let mut sum = TarSum::new();
        assert_eq!(sum.to_string(), EMPTY);
        sum.add(MemberSum::new(&root(b".", DIRECTORY, 0o775)));
        let mut file =
            MemberSum::new(&Member { size: 3, mtime: 7, ..root(b"./file", REGULAR, 0o4555) });
        file.update(b"a");
        file.update(b"bc");
        sum.add(file);
        sum.add(MemberSum::new(&Member { target: b"file", ..root(b"./link", SYMLINK, 0o777) }));
        assert_eq!(sum.to_string(), THREE);
    }

    /// The sums of an archive without members, and of one with three written by Python's `tarfile`.
    const EMPTY: &str =
        "tarsum.v1+sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const THREE: &str =
        "tarsum.v1+sha256:5735afe82323bed942b0a290384670b912054fb5112c5663467137df76551412";
}
