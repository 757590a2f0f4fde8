//! Writes whiteouts, which hide entries of lower layers.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid, XattrFlags};
use rustix::fs::{chownat, fsetxattr, makedev, mknodat};
use rustix::io::Errno;

use super::TreeWriter;
use crate::trees::entry::Entry;
use crate::trees::error::TreeError;

/// What follows the prefix in an opaque whiteout, which hides everything in its directory.
pub(super) const OPAQUE: &[u8] = b".wh..opq";

impl TreeWriter<'_> {
    /// Writes a whiteout, given its name without the prefix.
    pub(super) fn write_whiteout(
        &mut self,
        entry: &Entry<'_>,
        hidden: &OsStr,
    ) -> Result<(), TreeError> {
        match (hidden.as_bytes(), self.rules.opaque) {
            // Here containerd deletes directories without an entry, including what the layer has in
            // them.
            (OPAQUE, None) => Err(entry.unsupported("there is no layer below it")),
            (OPAQUE, Some(attribute)) => {
                let none = XattrFlags::empty();
                let set = fsetxattr(self.stack.top(), attribute, b"y", none);
                set.map_err(|error| self.failed("making", entry, error.into()))?;
                self.counts.others += 1;
                Ok(())
            }
            (b"" | b"." | b"..", _) => Err(TreeError::Entry {
                path: entry.shown(),
                why: "it is a whiteout without a name to hide",
            }),
            (_, None) => self.replace(entry, hidden),
            (_, Some(_)) => self.write_device_of_whiteout(entry, hidden),
        }
    }

    fn write_device_of_whiteout(
        &mut self,
        entry: &Entry<'_>,
        hidden: &OsStr,
    ) -> Result<(), TreeError> {
        let (uid, gid) = self.owner(entry)?;
        let directory = self.stack.top();
        let device = FileType::CharacterDevice;
        match mknodat(directory, hidden, device, Mode::empty(), makedev(0, 0)) {
            Err(Errno::EXIST) => {
                return Err(entry.unsupported("it hides an entry of the same layer"));
            }
            made => made.map_err(|error| self.failed("making", entry, error.into()))?,
        }
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        let owned = chownat(directory, hidden, uid, gid, AtFlags::SYMLINK_NOFOLLOW);
        owned.map_err(|error| self.failed("making", entry, error.into()))?;
        self.counts.others += 1;
        Ok(())
    }
}
