//! Finds out whether files come from memory or from a disk, and asks the disk for them.

use std::fs::File;

/// Files of which one is looked at: looking costs a call of the kernel.
const SAMPLE: u32 = 16;

/// Where the files of a layer come from.
#[derive(Debug, Default)]
pub(super) struct Disk {
    files: u32,
    needed: bool,
}

impl Disk {
    /// Notes a file that is about to be read.
    pub(super) fn sample(&mut self, file: &File) {
        self.needed |= self.files.is_multiple_of(SAMPLE) && kernel::is_on_disk(file);
        self.files += 1;
    }

    /// One that is known to be needed.
    #[cfg(test)]
    pub(super) fn needed() -> Self {
        Self { needed: true, ..Self::default() }
    }

    /// Whether a file was not in memory, so that it pays to ask for others ahead of their turn.
    pub(super) fn is_needed(&self) -> bool {
        self.needed
    }
}

/// Has the whole file read from the disk, and does not wait for it.
pub(super) fn fetch(file: &File) {
    kernel::fetch(file);
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::fs::File;
    use std::io::IoSliceMut;

    use rustix::fs::{Advice, fadvise};
    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    /// Whether reading the file's first byte would have to wait.
    pub(super) fn is_on_disk(file: &File) -> bool {
        let (mut byte, flags) = ([0], ReadWriteFlags::NOWAIT);
        preadv2(file, &mut [IoSliceMut::new(&mut byte)], 0, flags) == Err(Errno::AGAIN)
    }

    pub(super) fn fetch(file: &File) {
        // Only speed depends on it.
        let _ = fadvise(file, 0, None, Advice::WillNeed);
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use std::fs::File;

    pub(super) fn is_on_disk(_file: &File) -> bool {
        false
    }

    pub(super) fn fetch(_file: &File) {}
}
