//! Finds out whether files are in the page cache or on disk, and requests them from the disk.

use std::fs::File;

/// One in this many files is examined, as each examination costs a system call.
const SAMPLE: u32 = 16;

/// Whether the files of a layer have to be read from a disk.
#[derive(Debug, Default)]
pub(super) struct Disk {
    files: u32,
    needed: bool,
}

impl Disk {
    /// Records a file that is about to be read.
    pub(super) fn sample(&mut self, file: &File) {
        self.needed |= self.files.is_multiple_of(SAMPLE) && kernel::is_on_disk(file);
        self.files += 1;
    }

    /// One for which reading ahead is needed.
    #[cfg(test)]
    pub(super) fn needed() -> Self {
        Self { needed: true, ..Self::default() }
    }

    /// Whether a file was not in memory, so that it pays to request others ahead of their turn.
    pub(super) fn is_needed(&self) -> bool {
        self.needed
    }
}

/// Makes the kernel read the whole file from the disk, without waiting for it.
pub(super) fn fetch(file: &File) {
    kernel::fetch(file);
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::fs::File;
    use std::io::IoSliceMut;

    use rustix::fs::{Advice, fadvise};
    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    /// Whether reading the file's first byte would block.
    pub(super) fn is_on_disk(file: &File) -> bool {
        let (mut byte, flags) = ([0], ReadWriteFlags::NOWAIT);
        preadv2(file, &mut [IoSliceMut::new(&mut byte)], 0, flags) == Err(Errno::AGAIN)
    }

    pub(super) fn fetch(file: &File) {
        // A failure only affects the speed.
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
