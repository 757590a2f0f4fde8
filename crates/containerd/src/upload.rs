//! Uploads of blobs.

use std::io;
use std::mem;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;

use crate::Labels;
use crate::client::Client;
use crate::connection::Method;
use crate::error::{Error, Reason};
use crate::messages::{WriteContent, WrittenContent, action};
use crate::stream::{Stream, framed, framed_before};
use formats::digest::BlobId;

const WRITE: Method =
    Method { path: "/containerd.services.content.v1.Content/Write", action: "write the blob" };

/// Bytes of data in each message. containerd accepts up to 16 MiB, but larger messages gain nothing.
const MESSAGE: usize = 1 << 20;
/// The number of a message's field `data`.
const DATA: u8 = 6;
/// The pause before asking again whether another writer of the same blob has finished.
const PAUSE: Duration = Duration::from_millis(50);

/// A blob being written. It does not exist before [`Upload::commit`].
#[derive(Debug)]
pub struct Upload<'a> {
    client: &'a Client,
    stream: Stream,
    blob: BlobId,
    labels: Labels,
    /// What was not sent yet, less than a message.
    gathered: Vec<u8>,
    /// The number of bytes sent.
    sent: u64,
}

impl Client {
    /// Begins to write a blob; if containerd already has it, adds the labels and returns `None`.
    ///
    /// The reference names the upload; all writers of a blob should use the same one. If another
    /// writer is active under it, this waits for that one to finish. A partial upload left under it
    /// is overwritten, and a complete one is committed.
    ///
    /// A blob that containerd already has as a file is also committed without an upload, if
    /// [`Client::shared_content`] finds that namespaces share content.
    ///
    /// In all cases, a client of a lease keeps the blob.
    pub fn upload(
        &self,
        reference: &str,
        blob: BlobId,
        labels: &Labels,
    ) -> Result<Option<Upload<'_>>, Error> {
        let begun = match self.begin_patiently(reference, blob, labels) {
            Ok((upload, offset)) if offset > 0 && offset == blob.size => {
                match upload.finish(offset) {
                    // What had been uploaded was not the blob.
                    Err(error) if error.reason() == Some(Reason::FailedPrecondition) => {
                        self.begin_patiently(reference, blob, labels).map(|(upload, _)| upload)
                    }
                    Err(error) => return Err(error),
                    Ok(()) => return Ok(None),
                }
            }
            begun => begun.map(|(upload, _)| upload),
        };
        match begun {
            Err(error) if error.is_already_there() => {
                self.label_content(&blob.digest, labels)?;
                Ok(None)
            }
            begun => begun.map(Some),
        }
    }

    fn begin_patiently(
        &self,
        reference: &str,
        blob: BlobId,
        labels: &Labels,
    ) -> Result<(Upload<'_>, u64), Error> {
        let begun = Instant::now();
        loop {
            match self.begin_upload(reference, blob, labels) {
                Err(error)
                    if error.reason() == Some(Reason::Unavailable)
                        && begun.elapsed() < self.connection.limit() =>
                {
                    thread::sleep(PAUSE);
                }
                result => return result,
            }
        }
    }

    /// Begins to write; also returns how much was written before.
    fn begin_upload(
        &self,
        reference: &str,
        blob: BlobId,
        labels: &Labels,
    ) -> Result<(Upload<'_>, u64), Error> {
        let digest = blob.digest.to_string();
        let first = framed(&WriteContent {
            action: action::STAT,
            reference: reference.to_owned(),
            total: size(blob),
            expected: digest.clone(),
            ..WriteContent::default()
        });
        let (stream, offset) = self.connection.wait(&WRITE.action(&digest), async {
            let mut stream = self.connection.begin(&WRITE, &digest, &self.metadata).await?;
            stream.send(first, false).await?;
            let answer = stream.next().await?;
            let answer = answer.and_then(|answer| WrittenContent::decode(answer).ok());
            let offset = answer.and_then(|answer| u64::try_from(answer.offset).ok());
            match offset {
                Some(offset) => Ok((stream, offset)),
                None => Err(stream.unexpected("the number of bytes written so far", "none")),
            }
        })?;
        let labels = labels.clone();
        let gathered = Vec::new();
        Ok((Upload { client: self, stream, blob, labels, gathered, sent: 0 }, offset))
    }
}

impl Upload<'_> {
    /// Adds bytes.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        let found = self.sent + (self.gathered.len() + bytes.len()) as u64;
        if found > self.blob.size {
            return Err(self.wrong_size(found));
        }
        while !bytes.is_empty() {
            if self.gathered.capacity() == 0 {
                let left = self.blob.size - self.sent;
                self.gathered.reserve_exact(left.min(MESSAGE as u64) as usize);
            }
            let (fitting, rest) = bytes.split_at(bytes.len().min(MESSAGE - self.gathered.len()));
            self.gathered.extend_from_slice(fitting);
            bytes = rest;
            if self.gathered.len() == MESSAGE {
                self.send_gathered()?;
            }
        }
        Ok(())
    }

    fn send_gathered(&mut self) -> Result<(), Error> {
        let data = Bytes::from(mem::take(&mut self.gathered));
        if data.is_empty() {
            return Ok(());
        }
        let offset = self.sent.cast_signed();
        let head = WriteContent { action: action::WRITE, offset, ..WriteContent::default() };
        let head = framed_before(&head, DATA, data.len());
        self.sent += data.len() as u64;
        let Self { client, stream, .. } = self;
        let action = stream.action.clone();
        client.connection.wait(&action, async {
            stream.send(head, false).await?;
            stream.send(data, false).await
        })
    }

    /// Commits the blob, to which all bytes were added. This may take as long as containerd needs
    /// to write it to disk.
    ///
    /// # Errors
    ///
    /// Also if the bytes are not those of the blob.
    pub fn commit(mut self) -> Result<(), Error> {
        let found = self.sent + self.gathered.len() as u64;
        if found != self.blob.size {
            return Err(self.wrong_size(found));
        }
        self.send_gathered()?;
        self.finish(found)
    }

    /// Commits what was written.
    fn finish(mut self, offset: u64) -> Result<(), Error> {
        let message = framed(&WriteContent {
            action: action::COMMIT,
            total: size(self.blob),
            expected: self.blob.digest.to_string(),
            offset: offset.cast_signed(),
            labels: self.labels.clone(),
            ..WriteContent::default()
        });
        let Self { client, stream, blob, labels, .. } = &mut self;
        let action = stream.action.clone();
        let committed = client.connection.wait(&action, async {
            stream.send(message, true).await?;
            let mut last = None;
            while let Some(answer) = stream.next().await? {
                last = Some(answer);
            }
            let last = last.and_then(|last| WrittenContent::decode(last).ok());
            let digest = blob.digest.to_string();
            match last.filter(|last| last.action == action::COMMIT && last.digest == digest) {
                Some(_) => Ok(()),
                None => Err(stream.unexpected("confirmation of the commit", "something else")),
            }
        });
        match committed {
            // Another writer was faster.
            Err(error) if error.is_already_there() => client.label_content(&blob.digest, labels),
            committed => committed,
        }
    }

    fn wrong_size(&self, found: u64) -> Error {
        let BlobId { digest, size } = self.blob;
        Error::WrongSize { digest: digest.to_string(), expected: size, found }
    }
}

impl Drop for Upload<'_> {
    /// Cancels an upload that was not committed, so that other writers need not wait for it.
    fn drop(&mut self) {
        if self.stream.cancel() {
            self.client.connection.settle();
        }
    }
}

impl io::Write for Upload<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn size(blob: BlobId) -> i64 {
    blob.size.try_into().unwrap_or(i64::MAX)
}
