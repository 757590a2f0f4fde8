//! A directory for inputs that must be files, in memory if possible.

use std::cell::LazyCell;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

thread_local! {
    static SCRATCH: LazyCell<TempDir> = LazyCell::new(|| {
        let place = Path::new("/dev/shm");
        let builder = tempfile::Builder::new().prefix("nix-image-fuzz-").to_owned();
        let made = if place.is_dir() { builder.tempdir_in(place) } else { builder.tempdir() };
        made.unwrap()
    });
}

/// The path with this name in this thread's directory.
pub fn path(name: &str) -> PathBuf {
    SCRATCH.with(|directory| directory.path().join(name))
}

/// Creates a file with this name and content.
pub fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path
}

/// Creates an empty directory with this name.
pub fn empty(name: &str) -> PathBuf {
    let path = path(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}
