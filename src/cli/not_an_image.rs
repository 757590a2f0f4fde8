//! Operands that are no image in any form: what was found, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str;

use oci::Reference;

use super::conf::STDIN;

/// An operand that is neither a conf or its program, nor an archive or layout.
#[derive(Debug)]
pub(super) struct NotAnImage {
    operand: PathBuf,
    found: Found,
}

/// What was found instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Directory,
    Empty,
    Elf,
    Text,
    Binary,
}

impl NotAnImage {
    pub(super) fn new(operand: &Path, found: Found) -> Self {
        Self { operand: operand.to_owned(), found }
    }

    /// How to get an image instead.
    pub(super) fn hint(&self) -> &'static str {
        let is_name = |text: &str| {
            let is_path = text.starts_with(['.', '/']);
            !is_path && text.contains([':', '@']) && Reference::parse(text).is_ok()
        };
        match self.found {
            Found::Nothing if self.operand.to_str().is_some_and(is_name) => {
                "if it is an image in a registry, fetch it with `nix-image pull IMAGE FILE`"
            }
            Found::Nothing => "build the image with `nix build`, which makes ./result",
            Found::Directory | Found::Elf => {
                "if Nix built it, it is a package and not an image; build an image that contains it"
            }
            Found::Empty | Found::Text | Found::Binary => {
                "name what Nix built for the image, such as ./result"
            }
        }
    }
}

impl Found {
    /// What a file is that begins with these bytes. `None` if it may be JSON.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let is_text = |head| match str::from_utf8(head) {
            Ok(text) => !text.contains('\0'),
            // A character may be cut off at the end.
            Err(error) => error.error_len().is_none() && !head.contains(&0),
        };
        match head {
            [] => Some(Self::Empty),
            [0x7f, b'E', b'L', b'F', ..] => Some(Self::Elf),
            head if is_text(head) => None,
            _ => Some(Self::Binary),
        }
    }
}

impl fmt::Display for NotAnImage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operand = self.operand.display();
        match (self.found, self.operand == Path::new(STDIN)) {
            (Found::Nothing, _) => write!(formatter, "there is no file `{operand}`")?,
            (_, true) => formatter.write_str("standard input")?,
            (_, false) => write!(formatter, "`{operand}`")?,
        }
        formatter.write_str(match self.found {
            Found::Nothing => "",
            Found::Directory => " is a directory without an index.json",
            Found::Empty => " is empty",
            Found::Elf => " is an ELF file",
            Found::Text => " is text, but not JSON",
            Found::Binary => " is in an unknown format",
        })?;
        formatter.write_str(
            "; expected the program that Nix built (./result) or its conf, an archive or a layout",
        )
    }
}

impl std::error::Error for NotAnImage {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_first_bytes() {
        for (head, found) in [
            (&b""[..], Some(Found::Empty)),
            (b"\x7fELF\x02\x01", Some(Found::Elf)),
            (b"\x7f\x01\xff", Some(Found::Binary)),
            (b"a\0b", Some(Found::Binary)),
            (b"{\"a\":1}", None),
            (b"Hello", None),
            ("Grüße".as_bytes(), None),
            // Cut off within a character, and broken within the text.
            (b"Gr\xc3", None),
            (b"Gr\xc3e", Some(Found::Binary)),
        ] {
            assert_eq!(Found::of(head), found, "{head:?}");
        }
    }
}
