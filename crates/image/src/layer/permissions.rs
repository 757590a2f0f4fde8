//! Modes and owners that differ from those in the store and the image's conf.

use regex::bytes::Regex;

use super::StoreLayer;
use crate::store::{Node, StorePath};

/// The mode and owner of those entries of a tree whose names match.
#[derive(Clone, Debug)]
pub struct Permission {
    /// The store path of the tree.
    pub path: String,
    /// Searched for in an entry's name in the image, such as `/etc/shadow`.
    pub regex: Regex,
    /// Permission bits, including the set-id and sticky bits; `None` leaves them unchanged. Not
    /// applied to symbolic links.
    pub mode: Option<u16>,
    /// The owner's ID; `None` leaves the ID and name unchanged.
    pub uid: Option<i64>,
    /// The group's ID; `None` leaves the ID and name unchanged.
    pub gid: Option<i64>,
    /// The owner's name.
    pub uname: Option<String>,
    /// The group's name.
    pub gname: Option<String>,
}

/// The mode and owner of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// Permission bits, including the set-id and sticky bits.
    pub mode: u16,
    /// The owner's ID.
    pub uid: i64,
    /// The group's ID.
    pub gid: i64,
    /// The owner's name.
    pub uname: &'a str,
    /// The group's name.
    pub gname: &'a str,
}

impl Permission {
    /// Whether it applies to the entry with this name in the tree at this path.
    pub(super) fn is_for(&self, path: &StorePath, name: &[u8]) -> bool {
        self.path == path.as_str() && self.regex.is_match(name)
    }

    fn apply<'a>(&'a self, attributes: &mut Attributes<'a>, is_link: bool) {
        if let Some(mode) = self.mode.filter(|_| !is_link) {
            attributes.mode = mode;
        }
        // Some readers prefer a name to a number, so the old name must not remain.
        if let Some(uid) = self.uid {
            (attributes.uid, attributes.uname) = (uid, "");
        }
        if let Some(gid) = self.gid {
            (attributes.gid, attributes.gname) = (gid, "");
        }
        if let Some(uname) = &self.uname {
            attributes.uname = uname;
        }
        if let Some(gname) = &self.gname {
            attributes.gname = gname;
        }
    }

    /// Its contribution to a layer's key.
    pub(super) fn text(&self) -> String {
        let Self { path, regex, mode, uid, gid, uname, gname } = self;
        format!("{path:?} {:?} {mode:?} {uid:?} {gid:?} {uname:?} {gname:?}", regex.as_str())
    }
}

impl StoreLayer {
    /// The mode and owner of an entry that has this mode in the store and is in these trees.
    pub(super) fn attributes<'a>(
        &'a self,
        mode: u16,
        node: Node<'_>,
        name: &[u8],
        trees: &[&StorePath],
    ) -> Attributes<'a> {
        let mut attributes = Attributes {
            mode,
            uid: self.ownership.uid,
            gid: self.ownership.gid,
            uname: &self.ownership.uname,
            gname: &self.ownership.gname,
        };
        for permission in &self.permissions {
            if trees.iter().any(|path| permission.is_for(path, name)) {
                permission.apply(&mut attributes, matches!(node, Node::Symlink(_)));
            }
        }
        attributes
    }
}
