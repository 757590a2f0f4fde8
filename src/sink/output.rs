//! Standard output, or another file, written to in the fastest way that it takes.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};

use anyhow::Context as _;
use rustix::fs::{FileType, fstat};

use crate::layer::Content;

/// Bytes that are gathered before they are written.
const BUFFER: usize = 64 << 10;
/// Bytes read at a time where the kernel cannot copy by itself.
const COPY: usize = 256 << 10;
/// The largest size that a pipe gets without privileges.
#[cfg(target_os = "linux")]
const PIPE_SIZE: usize = 1 << 20;

/// A file, pipe or socket that an archive is written to.
#[derive(Debug)]
pub struct Output {
    file: File,
    gathered: Vec<u8>,
    /// The buffer through which files are copied; empty until it is needed.
    copied: Vec<u8>,
    /// Whether the kernel may copy files into it.
    direct: bool,
    written: u64,
}

impl Output {
    /// The program's standard output, which must not be a terminal.
    pub fn stdout() -> anyhow::Result<Self> {
        let stdout = io::stdout().as_fd().try_clone_to_owned();
        Self::new(stdout.context("opening standard output")?)
    }

    /// An open file.
    pub fn new(file: OwnedFd) -> anyhow::Result<Self> {
        let file = File::from(file);
        if rustix::termios::isatty(&file) {
            anyhow::bail!(
                "the archive is not written to a terminal; redirect it, as with `| docker load` \
                 or `> image.tar`"
            );
        }
        let kind = FileType::from_raw_mode(fstat(&file).context("examining the output")?.st_mode);
        #[cfg(target_os = "linux")]
        if kind == FileType::Fifo {
            // Only speed depends on it.
            let _ = rustix::pipe::fcntl_setpipe_size(&file, PIPE_SIZE);
        }
        let direct = cfg!(target_os = "linux") && matches!(kind, FileType::Fifo | FileType::Socket);
        Ok(Self {
            file,
            gathered: Vec::with_capacity(BUFFER),
            copied: Vec::new(),
            direct,
            written: 0,
        })
    }

    /// Bytes taken so far.
    pub fn position(&self) -> u64 {
        self.written
    }

    /// Writes bytes.
    pub fn put(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.written += bytes.len() as u64;
        if self.gathered.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() >= BUFFER {
            return write_all(&self.file, bytes);
        }
        self.gathered.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes what is left of a file, by the kernel where it can.
    pub fn put_file(&mut self, content: &mut Content) -> anyhow::Result<()> {
        self.flush()?;
        self.written += content.remaining();
        while self.direct && content.remaining() > 0 {
            match send(&self.file, content)? {
                Sent::Bytes(bytes) => content.advance(bytes)?,
                Sent::Unsupported => self.direct = false,
            }
        }
        self.copy(content, |_| ())
    }

    /// Writes what is left of a file and shows each piece of it to `see`.
    pub fn put_file_through(
        &mut self,
        content: &mut Content,
        see: impl FnMut(&[u8]),
    ) -> anyhow::Result<()> {
        self.flush()?;
        self.written += content.remaining();
        self.copy(content, see)
    }

    fn copy(&mut self, content: &mut Content, mut see: impl FnMut(&[u8])) -> anyhow::Result<()> {
        while content.remaining() > 0 {
            self.copied.clear();
            self.copied.reserve(COPY);
            content.read(&mut self.copied)?;
            see(&self.copied);
            write_all(&self.file, &self.copied)?;
        }
        Ok(content.finish()?)
    }

    /// Writes what was gathered.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        let written = write_all(&self.file, &self.gathered);
        self.gathered.clear();
        written
    }
}

enum Sent {
    Bytes(u64),
    Unsupported,
}

#[cfg(target_os = "linux")]
fn send(to: &File, content: &Content) -> anyhow::Result<Sent> {
    use rustix::io::Errno;
    /// The most that the kernel sends at once.
    const MAX: u64 = 0x7fff_f000;
    loop {
        let bytes = content.remaining().min(MAX) as usize;
        match rustix::fs::sendfile(to, content.file(), None, bytes) {
            Ok(bytes) => return Ok(Sent::Bytes(bytes as u64)),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_until_writable(to)?,
            // After EIO a plain read and write tells which side is at fault.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OVERFLOW | Errno::IO) => {
                return Ok(Sent::Unsupported);
            }
            Err(error) => return Err(write_error(error.into())),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn send(_to: &File, _content: &Content) -> anyhow::Result<Sent> {
    Ok(Sent::Unsupported)
}

fn write_all(mut file: &File, mut bytes: &[u8]) -> anyhow::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(write_error(io::ErrorKind::WriteZero.into())),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_until_writable(file)?,
            Err(error) => return Err(write_error(error)),
        }
    }
    Ok(())
}

/// Some callers hand over a pipe that does not block.
fn wait_until_writable(file: &File) -> anyhow::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    let waited = poll(&mut [PollFd::new(file, PollFlags::OUT)], None);
    match waited {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(write_error(error.into())),
    }
}

fn write_error(error: io::Error) -> anyhow::Error {
    anyhow::Error::from(error).context("cannot write the archive")
}

/// Whether an error means that the reader of the output went away, which is its own business.
pub fn is_closed(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
