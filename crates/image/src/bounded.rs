//! Reads whole files into memory, up to a limit.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The largest conf, closure graph or other document named by the user. The graph of 100,000 store
/// paths has about 50 MB.
pub const MAX_DOCUMENT: u64 = 256 << 20;

/// Reads the rest of a document.
///
/// # Errors
///
/// If it cannot be read, or has more than [`MAX_DOCUMENT`] bytes.
pub fn read_document(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        let most = MAX_DOCUMENT >> 20;
        return Err(io::Error::other(format!("expected {most} MiB at most, found more")));
    }
    Ok(bytes)
}

/// Reads the document at a path, as [`read_document`] does.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    read_document(File::open(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_end_is_refused() {
        assert_eq!(read_document(&b"text"[..]).unwrap(), b"text");
        let whole = read_document(io::repeat(b' ').take(MAX_DOCUMENT)).unwrap();
        assert_eq!(whole.len() as u64, MAX_DOCUMENT);
        drop(whole);
        let error = read_document(io::repeat(b' ')).unwrap_err().to_string();
        assert_eq!(error, "expected 256 MiB at most, found more");
        assert!(read_file(Path::new("/nowhere/conf.json")).is_err());
    }
}
