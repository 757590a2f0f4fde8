//! The content of a store path, in archive order, stored compactly.

use std::sync::Arc;

use crate::budget::{Budget, Share};
use formats::tar::Device;

/// The minimum and maximum number of bytes by which a listing grows.
const GROWTH: (usize, usize) = (4 << 10, 256 << 10);

/// The entries of a tree, packed into about nine bytes each and their names.
#[derive(Debug)]
pub struct Listing {
    bytes: Vec<u8>,
    /// Its part of the budget.
    share: Share,
}

/// One entry of a [`Listing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The number of directories above this entry within the tree; 0 for the root.
    pub depth: usize,
    /// The entry's own name; the root's is empty.
    pub name: &'a [u8],
    /// Permission bits.
    pub mode: u16,
    /// The type of entry.
    pub node: Node<'a>,
}

/// An entry's type, with the data that its header needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node<'a> {
    /// A regular file with its size in bytes.
    File(u64),
    /// A directory.
    Directory,
    /// A symbolic link with its target.
    Symlink(&'a [u8]),
    /// A named pipe.
    Fifo,
    /// A character device.
    Character(Device),
    /// A block device.
    Block(Device),
}

impl<'a> Entry<'a> {
    /// Unpacks an entry; returns it and the bytes after it, or `None` at the end.
    pub(crate) fn unpack(packed: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut rest = Reader(packed);
        let mode = u16::from_le_bytes([rest.byte()?, rest.byte()?]);
        let depth = rest.number()? as usize;
        let name = rest.text()?;
        let node = match rest.byte()? {
            0 => Node::File(rest.number()?),
            1 => Node::Directory,
            2 => Node::Symlink(rest.text()?),
            3 => Node::Fifo,
            4 => Node::Character(rest.device()?),
            _ => Node::Block(rest.device()?),
        };
        Some((Self { depth, name, mode, node }, rest.0))
    }

    /// Appends the packed entry.
    pub(crate) fn pack(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.mode.to_le_bytes());
        put_number(out, self.depth as u64);
        put_text(out, self.name);
        match self.node {
            Node::File(size) => {
                out.push(0);
                put_number(out, size);
            }
            Node::Directory => out.push(1),
            Node::Symlink(target) => {
                out.push(2);
                put_text(out, target);
            }
            Node::Fifo => out.push(3),
            Node::Character(device) | Node::Block(device) => {
                out.push(if matches!(self.node, Node::Character(_)) { 4 } else { 5 });
                put_number(out, device.major.into());
                put_number(out, device.minor.into());
            }
        }
    }
}

impl Listing {
    /// A listing without entries.
    pub fn new(budget: &Arc<Budget>) -> Self {
        Self { bytes: Vec::new(), share: Share::new(budget) }
    }

    /// The listing with one more packed entry; `None` if the budget is used up.
    pub(super) fn with(mut self, packed: &[u8]) -> Option<Self> {
        let needed = self.bytes.len() + packed.len();
        let reserved = self.share.bytes();
        if needed > reserved {
            let growth = reserved.clamp(GROWTH.0, GROWTH.1).max(needed - reserved);
            if !self.share.grow(growth) {
                return None;
            }
            self.bytes.reserve_exact(reserved + growth - self.bytes.len());
        }
        self.bytes.extend_from_slice(packed);
        Some(self)
    }

    /// Releases reserved memory that is not used.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.share.shrink_to(self.bytes.len());
    }

    /// The entry at an offset, which starts at 0, and the offset of the next one; `None` at the
    /// listing's end.
    pub fn entry(&self, offset: usize) -> Option<(Entry<'_>, usize)> {
        let (entry, rest) = Entry::unpack(self.bytes.get(offset..)?)?;
        Some((entry, self.bytes.len() - rest.len()))
    }
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Seven bits per byte, lowest first; the highest bit is set if more bytes follow.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Some(number)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.number()? as usize;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    fn device(&mut self) -> Option<Device> {
        Some(Device { major: self.number()? as u32, minor: self.number()? as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were_put_in() {
        let entry = |depth, name, mode, node| Entry { depth, name, mode, node };
        let long = [b'n'; 255];
        let entries = [
            entry(0, b"", 0o755, Node::Directory),
            entry(1, b"a", 0o7777, Node::File(u64::MAX)),
            entry(300, &long, 0, Node::Symlink(&long)),
            entry(2, b"\xff", 0o444, Node::Fifo),
            entry(3, b"c", 0o600, Node::Character(Device { major: 1, minor: u32::MAX })),
            entry(3, b"b", 0o600, Node::Block(Device { major: 0, minor: 128 })),
            entry(1, b"z", 0o444, Node::File(0)),
        ];
        let mut listing = Listing::new(&Budget::new(1 << 20));
        let mut packed = Vec::new();
        for entry in &entries {
            packed.clear();
            entry.pack(&mut packed);
            listing = listing.with(&packed).unwrap();
        }
        listing.shrink();
        let mut offset = 0;
        for entry in entries {
            let (found, next) = listing.entry(offset).unwrap();
            assert_eq!(found, entry);
            offset = next;
        }
        assert_eq!(listing.entry(offset), None);
    }

    #[test]
    fn room_is_shared_and_comes_back() {
        let budget = Budget::new(3 * GROWTH.0);
        let entry = [0; 1000];
        let mut first = Listing::new(&budget);
        for _ in 0..8 {
            first = first.with(&entry).unwrap();
        }
        let second = Listing::new(&budget).with(&entry).unwrap();
        assert!(Listing::new(&budget).with(&entry).is_none());
        drop(second);
        first.shrink();
        let third = Listing::new(&budget).with(&entry).unwrap();
        drop((first, third));
        assert!(Share::new(&budget).grow(3 * GROWTH.0));
    }
}
