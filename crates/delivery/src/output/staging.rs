//! A pipe in which bytes and files are gathered on their way into another pipe.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::{Errno, Result};

/// The size of the pipe: half of the output's, so that one is filled while the reader is busy with
/// the other.
const SIZE: usize = 512 << 10;

/// Bytes on their way into the output. The kernel moves pages from pipe to pipe without copying
/// them, so the output is locked, and its reader woken up, once for many files instead of twice for
/// each.
#[derive(Debug)]
pub(super) struct Staging {
    /// The non-blocking end that is written to.
    input: OwnedFd,
    /// The end that is read from.
    output: OwnedFd,
    /// The number of bytes in the pipe.
    staged: usize,
}

impl Staging {
    /// An empty pipe, if the system allows one.
    pub(super) fn new() -> Option<Self> {
        let (output, input) = rustix::pipe::pipe().ok()?;
        for end in [&output, &input] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC).ok()?;
        }
        // Only for the input: a non-blocking output would keep `move_into` from blocking.
        rustix::fs::fcntl_setfl(&input, rustix::fs::OFlags::NONBLOCK).ok()?;
        kernel::enlarge(&input, SIZE).ok()?;
        Some(Self { input, output, staged: 0 })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.staged == 0
    }

    /// Accepts some of these bytes and returns how many; [`Errno::AGAIN`] if the pipe is full.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<usize> {
        let taken = rustix::io::write(&self.input, bytes)?;
        self.staged += taken;
        Ok(taken)
    }

    /// Accepts up to this many bytes from a file's position on and returns how many; 0 at the end
    /// of the file, [`Errno::AGAIN`] if the pipe is full.
    pub(super) fn put_file(&mut self, file: &File, bytes: usize) -> Result<usize> {
        let taken = kernel::splice(file, &self.input, bytes)?;
        self.staged += taken;
        Ok(taken)
    }

    /// Moves at least some of the bytes into a pipe. Waits for room in it unless it is
    /// non-blocking.
    pub(super) fn move_into(&mut self, pipe: &File) -> Result<()> {
        match kernel::splice(&self.output, pipe, self.staged)? {
            0 => Err(Errno::IO),
            moved => {
                self.staged -= moved;
                Ok(())
            }
        }
    }
}

/// Linux system calls for the output; on other systems, they fail as unsupported.
#[cfg(target_os = "linux")]
pub(super) mod kernel {
    use super::{AsFd, Result};

    pub(in super::super) fn sendfile(
        to: impl AsFd,
        from: impl AsFd,
        bytes: usize,
    ) -> Result<usize> {
        rustix::fs::sendfile(to, from, None, bytes)
    }

    pub(super) fn splice(from: impl AsFd, to: impl AsFd, bytes: usize) -> Result<usize> {
        rustix::pipe::splice(from, None, to, None, bytes, rustix::pipe::SpliceFlags::empty())
    }

    pub(super) fn enlarge(pipe: impl AsFd, bytes: usize) -> Result<usize> {
        rustix::pipe::fcntl_setpipe_size(pipe, bytes)
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) mod kernel {
    use super::{AsFd, Errno, Result};

    pub(in super::super) fn sendfile(
        _to: impl AsFd,
        _from: impl AsFd,
        _bytes: usize,
    ) -> Result<usize> {
        Err(Errno::NOSYS)
    }

    pub(super) fn splice(_from: impl AsFd, _to: impl AsFd, _bytes: usize) -> Result<usize> {
        Err(Errno::NOSYS)
    }

    pub(super) fn enlarge(_pipe: impl AsFd, _bytes: usize) -> Result<usize> {
        Err(Errno::NOSYS)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::super::{Output, Writer as _};
    use super::*;
    use image::Content;

    /// Alternates bytes and files, with sizes around those of the pipes and their pages.
    #[test]
    fn bytes_and_files_keep_their_order_whether_or_not_the_pipe_blocks() {
        const SIZES: [usize; 9] = [1, 4095, 4096, 70_000, 512, SIZE, SIZE + 1, 3 * SIZE, 65_536];
        let data: Vec<u8> = (0..3 * SIZE).map(|i| (i / 7 % 251) as u8).collect();
        for flags in [rustix::fs::OFlags::empty(), rustix::fs::OFlags::NONBLOCK] {
            let (reader, writer) = rustix::pipe::pipe().unwrap();
            rustix::fs::fcntl_setfl(&writer, flags).unwrap();
            let reader = std::thread::spawn(move || {
                let mut found = Vec::new();
                File::from(reader).read_to_end(&mut found).unwrap();
                found
            });
            let mut output = Output::new(writer).unwrap();
            let mut expected = Vec::new();
            for (turn, size) in SIZES.into_iter().cycle().take(4 * SIZES.len()).enumerate() {
                let bytes = &data[turn..turn + size - turn.min(size)];
                expected.extend_from_slice(bytes);
                if turn % 2 == 0 {
                    output.put(bytes).unwrap();
                } else {
                    let mut file = tempfile::NamedTempFile::new().unwrap();
                    file.write_all(bytes).unwrap();
                    output.put_file(&mut Content::open(file.path()).unwrap()).unwrap();
                }
            }
            output.finish().unwrap();
            drop(output);
            assert!(reader.join().unwrap() == expected);
        }
    }

    #[test]
    fn a_full_pipe_takes_no_more_until_it_is_moved_on() {
        let mut staging = Staging::new().unwrap();
        let bytes = vec![1; 2 * SIZE];
        assert_eq!(staging.put(&bytes), Ok(SIZE));
        assert_eq!(staging.put(&bytes), Err(Errno::AGAIN));
        let (mut reader, writer) = rustix::pipe::pipe().map(|(r, w)| (File::from(r), w)).unwrap();
        let writer = File::from(writer);
        let mut moved = vec![0; SIZE];
        let mut done = 0;
        while !staging.is_empty() {
            staging.move_into(&writer).unwrap();
            done += reader.read(&mut moved[done..]).unwrap();
        }
        reader.read_exact(&mut moved[done..]).unwrap();
        assert!(moved == bytes[..SIZE]);
    }
}
