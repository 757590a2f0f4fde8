//! A body of unknown length, sent in chunks (RFC 9112, section 7.1).

use image::Content;

use crate::error::OutputError;
use crate::output::{Output, Writer};

/// How many bytes are gathered into one chunk. Files are sent as chunks of their own.
const CHUNK: usize = 64 << 10;
/// Ends a chunk.
const CHUNK_END: &[u8] = b"\r\n";
/// The empty chunk that ends the body, without trailer fields.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Writes the body of an HTTP message to an output.
#[derive(Debug)]
pub struct ChunkedOutput {
    output: Output,
    gathered: Vec<u8>,
    /// Bytes of the body, without the framing of the chunks.
    written: u64,
}

impl ChunkedOutput {
    /// A body that starts at the current position of the output.
    pub fn new(output: Output) -> Self {
        Self { output, gathered: Vec::with_capacity(CHUNK), written: 0 }
    }

    /// Writes a chunk of `size` bytes, whose content `write` writes.
    fn chunk(
        output: &mut Output,
        size: u64,
        write: impl FnOnce(&mut Output) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        // An empty chunk would end the body.
        if size == 0 {
            return write(output);
        }
        output.put(format!("{size:x}\r\n").as_bytes())?;
        write(output)?;
        output.put(CHUNK_END)
    }

    fn put_gathered(&mut self) -> Result<(), OutputError> {
        let size = self.gathered.len() as u64;
        Self::chunk(&mut self.output, size, |output| output.put(&self.gathered))?;
        self.gathered.clear();
        Ok(())
    }
}

impl Writer for ChunkedOutput {
    fn position(&self) -> u64 {
        self.written
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.written += bytes.len() as u64;
        if self.gathered.len() + bytes.len() > CHUNK {
            self.put_gathered()?;
        }
        if bytes.len() >= CHUNK {
            let size = bytes.len() as u64;
            return Self::chunk(&mut self.output, size, |output| output.put(bytes));
        }
        self.gathered.extend_from_slice(bytes);
        Ok(())
    }

    fn put_file(&mut self, content: &mut Content) -> Result<(), OutputError> {
        self.put_gathered()?;
        let size = content.remaining();
        self.written += size;
        Self::chunk(&mut self.output, size, |output| output.put_file(content))
    }

    fn put_file_through(
        &mut self,
        content: &mut Content,
        see: &mut dyn FnMut(&[u8]),
    ) -> Result<(), OutputError> {
        self.put_gathered()?;
        let size = content.remaining();
        self.written += size;
        Self::chunk(&mut self.output, size, |output| output.put_file_through(content, see))
    }

    fn flush(&mut self) -> Result<(), OutputError> {
        self.put_gathered()?;
        self.output.flush()
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        self.put_gathered()?;
        self.output.put(LAST_CHUNK)?;
        self.output.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::http::Body;

    /// A reader that waits for the end of a body must not have to wait for the end of the pipe.
    #[test]
    fn the_end_of_a_body_is_written_while_the_pipe_stays_open() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        rustix::fs::fcntl_setfl(&reader, rustix::fs::OFlags::NONBLOCK).unwrap();
        let mut output = ChunkedOutput::new(Output::new(writer).unwrap());
        output.put(b"body").unwrap();
        output.finish().unwrap();
        let mut found = [0; 64];
        let count = File::from(reader).read(&mut found).unwrap();
        assert_eq!(&found[..count], b"4\r\nbody\r\n0\r\n\r\n");
    }

    /// Bytes and files with sizes around that of a chunk, some of them empty.
    #[test]
    fn what_is_written_in_chunks_is_what_is_read() {
        const SIZES: [usize; 7] = [0, 1, 512, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK];
        let data: Vec<u8> = (0..4 * CHUNK).map(|i| (i / 7 % 251) as u8).collect();
        let mut sent = tempfile::NamedTempFile::new().unwrap();
        let handle = sent.as_file().try_clone().unwrap();
        let mut output = ChunkedOutput::new(Output::new(handle.into()).unwrap());
        let mut expected = Vec::new();
        for (turn, size) in SIZES.into_iter().cycle().take(4 * SIZES.len()).enumerate() {
            let bytes = &data[turn..turn + size];
            expected.extend_from_slice(bytes);
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(bytes).unwrap();
            let mut content = Content::open(file.path()).unwrap();
            match turn % 4 {
                0 => output.put_file(&mut content).unwrap(),
                1 => {
                    let mut seen = Vec::new();
                    let mut see = |piece: &[u8]| seen.extend_from_slice(piece);
                    output.put_file_through(&mut content, &mut see).unwrap();
                    assert!(seen == bytes);
                }
                2 => bytes.chunks(1000).for_each(|bytes| output.put(bytes).unwrap()),
                _ => output.put(bytes).and_then(|()| output.flush()).unwrap(),
            }
            assert_eq!(output.position(), expected.len() as u64);
        }
        output.finish().unwrap();
        let mut found = Vec::new();
        std::io::Seek::rewind(&mut sent).unwrap();
        Body::chunked(std::io::BufReader::new(sent)).read_to_end(&mut found).unwrap();
        assert!(found == expected);
    }
}
