//! What is below a store path, in the order in which it is archived, in little memory.

use crate::tar::{self, Device};

/// The entries of a tree, packed: about nine bytes each, and their names.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    bytes: Vec<u8>,
}

/// One entry of a [`Listing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Directories between the tree's root, which has depth 0, and this entry.
    pub depth: usize,
    /// The entry's own name; the root has none.
    pub name: &'a [u8],
    /// Permission bits.
    pub mode: u16,
    /// What the entry is.
    pub node: Node<'a>,
}

/// What an entry is, with what its header needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node<'a> {
    /// A regular file of so many bytes.
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

impl Listing {
    /// Bytes of memory that the entries take.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds an entry and returns its packed form.
    pub fn push(&mut self, entry: &Entry<'_>) -> &[u8] {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&entry.mode.to_le_bytes());
        self.put_number(entry.depth as u64);
        self.put_text(entry.name);
        match entry.node {
            Node::File(size) => {
                self.bytes.push(0);
                self.put_number(size);
            }
            Node::Directory => self.bytes.push(1),
            Node::Symlink(target) => {
                self.bytes.push(2);
                self.put_text(target);
            }
            Node::Fifo => self.bytes.push(3),
            Node::Character(device) | Node::Block(device) => {
                self.bytes.push(if matches!(entry.node, Node::Character(_)) { 4 } else { 5 });
                self.put_number(device.major.into());
                self.put_number(device.minor.into());
            }
        }
        &self.bytes[start..]
    }

    /// Gives back memory that is reserved and not used.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// The entry at an offset, which starts at 0, and the offset of the next one; nothing at the
    /// listing's end.
    pub fn entry(&self, offset: usize) -> Option<(Entry<'_>, usize)> {
        let mut rest = Reader(self.bytes.get(offset..)?);
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
        Some((Entry { depth, name, mode, node }, self.bytes.len() - rest.0.len()))
    }

    /// All entries in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut offset = 0;
        std::iter::from_fn(move || {
            let (entry, next) = self.entry(offset)?;
            offset = next;
            Some(entry)
        })
    }

    /// About how many bytes the tree takes in an archive: its contents, and a header an entry.
    pub fn archived_size(&self) -> u64 {
        let size = |entry: Entry<'_>| match entry.node {
            Node::File(size) => size.next_multiple_of(tar::BLOCK) + tar::BLOCK,
            _ => tar::BLOCK,
        };
        self.entries().map(size).sum()
    }

    fn put_text(&mut self, text: &[u8]) {
        self.put_number(text.len() as u64);
        self.bytes.extend_from_slice(text);
    }

    /// Seven bits a byte, the lowest first, the highest bit says that more follow.
    fn put_number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
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
        let mut listing = Listing::default();
        for entry in &entries {
            listing.push(entry);
        }
        assert!(listing.entries().eq(entries));
    }
}
