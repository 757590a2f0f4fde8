//! Standard output or another file, written to in the fastest way that it supports.

mod compressed;
mod file;
mod observed;
#[cfg(feature = "pull")]
mod seekable;
mod staging;
mod writer;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

use crate::error::OutputError;
pub(crate) use compressed::Compressed;
pub use file::write_file;
use image::Content;
pub use observed::ObservedOutput;
#[cfg(feature = "pull")]
pub use seekable::{write_seekable, write_seekable_stdout};
use staging::{Staging, kernel};
pub use writer::Writer;

/// How many bytes are gathered before they are written.
const BUFFER: usize = 64 << 10;
/// How many bytes are read at a time if the kernel cannot copy by itself.
const COPY: usize = 256 << 10;
/// The maximum size of a pipe without privileges.
#[cfg(target_os = "linux")]
const PIPE_SIZE: usize = 1 << 20;

/// An open file, pipe or socket for an archive, written to in the fastest way that it supports: on
/// Linux, the kernel copies large files into pipes and sockets without the process reading them.
#[derive(Debug)]
pub struct Output {
    file: File,
    gathered: Vec<u8>,
    /// The buffer for copying files; empty until it is needed.
    copied: Vec<u8>,
    /// Whether the kernel can copy files into it.
    direct: bool,
    /// For a pipe, what has been gathered in the kernel; it comes before `gathered`.
    staging: Option<Staging>,
    /// How long a write may wait for the reader.
    patience: Option<Duration>,
    written: u64,
    /// What is written, for error messages.
    what: &'static str,
}

impl Output {
    /// The process's standard output.
    ///
    /// # Errors
    ///
    /// If it is a terminal, or its descriptor cannot be duplicated.
    pub fn stdout() -> Result<Self, OutputError> {
        let stdout = io::stdout().as_fd().try_clone_to_owned();
        Self::new(stdout.map_err(OutputError::Stdout)?)
    }

    /// A file that the caller keeps open. Both share one position.
    ///
    /// # Errors
    ///
    /// If it is a terminal, or its descriptor cannot be duplicated.
    pub fn of_file(file: &File) -> Result<Self, OutputError> {
        let file = file.try_clone().map_err(OutputError::Examine)?;
        Self::new(file.into())
    }

    /// An open file, pipe or socket.
    ///
    /// # Errors
    ///
    /// If it is a terminal, or cannot be examined.
    pub fn new(file: OwnedFd) -> Result<Self, OutputError> {
        let file = File::from(file);
        if rustix::termios::isatty(&file) {
            return Err(OutputError::Terminal);
        }
        let stat = fstat(&file).map_err(|error| OutputError::Examine(error.into()))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        #[cfg(target_os = "linux")]
        if kind == FileType::Fifo {
            // This only affects speed.
            let _ = rustix::pipe::fcntl_setpipe_size(&file, PIPE_SIZE);
        }
        let direct = cfg!(target_os = "linux") && matches!(kind, FileType::Fifo | FileType::Socket);
        Ok(Self {
            file,
            gathered: Vec::with_capacity(BUFFER),
            copied: Vec::new(),
            direct,
            staging: (kind == FileType::Fifo).then(Staging::new).flatten(),
            patience: None,
            written: 0,
            what: "the archive",
        })
    }

    /// Fails if the reader accepts no bytes for this long. The file must be non-blocking, or have a
    /// send timeout that is no longer.
    #[doc(hidden)]
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self }
    }

    /// Sets what is written, for error messages; by default it is the archive.
    #[doc(hidden)]
    #[must_use]
    pub fn of(self, what: &'static str) -> Self {
        Self { what, ..self }
    }

    fn copy(
        &mut self,
        content: &mut Content,
        see: &mut dyn FnMut(&[u8]),
    ) -> Result<(), OutputError> {
        while content.remaining() > 0 {
            self.copied.clear();
            self.copied.reserve(COPY);
            content.read(&mut self.copied)?;
            see(&self.copied);
            let copied = std::mem::take(&mut self.copied);
            self.write_all(&copied)?;
            self.copied = copied;
        }
        Ok(content.finish()?)
    }

    fn write_gathered(&mut self) -> Result<(), OutputError> {
        let gathered = std::mem::take(&mut self.gathered);
        let written = self.write_all(&gathered);
        self.gathered = gathered;
        self.gathered.clear();
        written
    }

    fn send(&mut self, content: &Content) -> Result<Sent, OutputError> {
        /// The maximum that the kernel sends at once.
        const MAX: u64 = 0x7fff_f000;
        loop {
            let bytes = content.remaining().min(MAX) as usize;
            let sent = match &mut self.staging {
                Some(staging) => staging.put_file(content.file(), bytes),
                None => kernel::sendfile(&self.file, content.file(), bytes),
            };
            match sent {
                Ok(bytes) => return Ok(Sent::Bytes(bytes as u64)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.make_room()?,
                // After EIO, a plain read and write shows which side failed.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OVERFLOW | Errno::IO) => {
                    return Ok(Sent::Unsupported);
                }
                Err(error) => return Err(self.error(error.into())),
            }
        }
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), OutputError> {
        while !bytes.is_empty() {
            let written = match &mut self.staging {
                Some(staging) => staging.put(bytes),
                None => rustix::io::write(&self.file, bytes),
            };
            match written {
                Ok(0) => return Err(self.error(io::ErrorKind::WriteZero.into())),
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.make_room()?,
                Err(error) => return Err(self.error(error.into())),
            }
        }
        Ok(())
    }

    fn make_room(&mut self) -> Result<(), OutputError> {
        if self.staging.is_some() { self.drain() } else { self.wait_until_writable() }
    }

    /// Writes what has been gathered in the kernel.
    fn drain(&mut self) -> Result<(), OutputError> {
        while let Some(staging) = self.staging.as_mut().filter(|staging| !staging.is_empty()) {
            match staging.move_into(&self.file) {
                Ok(()) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait_until_writable()?,
                Err(error) => return Err(self.error(error.into())),
            }
        }
        Ok(())
    }

    fn error(&self, source: io::Error) -> OutputError {
        OutputError::Write { what: self.what, source }
    }

    /// Waits for room, as some callers pass a non-blocking pipe.
    fn wait_until_writable(&self) -> Result<(), OutputError> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let patience = self.patience.and_then(|patience| Timespec::try_from(patience).ok());
        let waited = poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], patience.as_ref());
        match waited {
            Ok(0) => Err(self.error(io::ErrorKind::TimedOut.into())),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(self.error(error.into())),
        }
    }
}

impl Writer for Output {
    fn position(&self) -> u64 {
        self.written
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.written += bytes.len() as u64;
        if self.gathered.len() + bytes.len() > BUFFER {
            self.write_gathered()?;
        }
        if bytes.len() >= BUFFER {
            return self.write_all(bytes);
        }
        self.gathered.extend_from_slice(bytes);
        Ok(())
    }

    fn put_file(&mut self, content: &mut Content) -> Result<(), OutputError> {
        self.write_gathered()?;
        self.written += content.remaining();
        while self.direct && content.remaining() > 0 {
            match self.send(content)? {
                Sent::Bytes(bytes) => content.advance(bytes)?,
                Sent::Unsupported => self.direct = false,
            }
        }
        self.copy(content, &mut |_| ())
    }

    fn put_file_through(
        &mut self,
        content: &mut Content,
        see: &mut dyn FnMut(&[u8]),
    ) -> Result<(), OutputError> {
        self.write_gathered()?;
        self.written += content.remaining();
        self.copy(content, see)
    }

    fn flush(&mut self) -> Result<(), OutputError> {
        self.write_gathered()?;
        self.drain()
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        self.flush()
    }
}

enum Sent {
    Bytes(u64),
    Unsupported,
}
