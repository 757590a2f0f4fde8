//! Blobs: their size and labels, and the content of small ones.

use prost::Message as _;

use crate::Labels;
use crate::client::Client;
use crate::connection::{Method, unexpected};
use crate::error::{Error, if_found};
use crate::messages::{
    ContentData, ContentDigest, ContentInfo, ContentInfoResponse, FieldMask, UpdateContent,
};
use crate::stream::{Stream, framed};
use formats::digest::{BlobId, Digest};

const INFO: Method =
    Method { path: "/containerd.services.content.v1.Content/Info", action: "look up the blob" };
const UPDATE: Method =
    Method { path: "/containerd.services.content.v1.Content/Update", action: "label the blob" };
const READ: Method =
    Method { path: "/containerd.services.content.v1.Content/Read", action: "read the blob" };

/// What containerd has on record for a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its size in bytes.
    pub size: u64,
    /// Its labels.
    pub labels: Labels,
}

impl Client {
    /// Looks up a blob; `None` if containerd does not have it.
    pub fn content(&self, digest: &Digest) -> Result<Option<Content>, Error> {
        let digest = digest.to_string();
        let request = ContentDigest { digest: digest.clone() };
        let Some(found) = if_found(self.call(&INFO, &digest, &request))? else { return Ok(None) };
        let found: ContentInfoResponse = found;
        let found = found.info.filter(|info| info.digest == digest);
        let found = found.and_then(|info| {
            Some(Content { size: info.size.try_into().ok()?, labels: info.labels })
        });
        let wrong =
            || unexpected((&INFO, &digest), "the blob's size and labels", "none that are valid");
        found.ok_or_else(wrong).map(Some)
    }

    /// Adds labels to a blob; its other labels stay.
    pub fn label_content(&self, digest: &Digest, labels: &Labels) -> Result<(), Error> {
        if labels.is_empty() {
            return Ok(());
        }
        let digest = digest.to_string();
        let info = ContentInfo { digest: digest.clone(), size: 0, labels: labels.clone() };
        let request =
            UpdateContent { info: Some(info), update_mask: Some(FieldMask::of_labels(labels)) };
        self.call(&UPDATE, &digest, &request).map(|ContentInfoResponse { .. }| ())
    }

    /// Reads a whole blob, such as a document; `None` if containerd does not have it.
    ///
    /// # Errors
    ///
    /// Also if the bytes that containerd sends are not those of the blob.
    pub fn read_content(&self, blob: BlobId) -> Result<Option<Vec<u8>>, Error> {
        let digest = blob.digest.to_string();
        let mut bytes = Vec::new();
        let request = framed(&ContentDigest { digest: digest.clone() });
        let read = &mut |stream: &Stream, answer| {
            let part = ContentData::decode(answer);
            let part =
                part.map_err(|_| stream.unexpected("a part of the blob", "an invalid message"))?;
            let done = bytes.len() as u64;
            if u64::try_from(part.offset) != Ok(done) || part.data.len() as u64 > blob.size - done {
                return Err(stream.unexpected("the blob's bytes in order", "other bytes"));
            }
            bytes.extend_from_slice(&part.data);
            Ok(())
        };
        let read = self.connection.call_for_many((&READ, &digest), &self.metadata, request, read);
        if if_found(read)?.is_none() {
            return Ok(None);
        }
        if bytes.len() as u64 != blob.size || Digest::of(&bytes) != blob.digest {
            let found = format!("{} other bytes", bytes.len());
            return Err(unexpected(
                (&READ, &digest),
                &format!("{} bytes with that digest", blob.size),
                &found,
            ));
        }
        Ok(Some(bytes))
    }
}

impl FieldMask {
    /// A mask of only these labels.
    pub(crate) fn of_labels(labels: &Labels) -> Self {
        Self { paths: labels.keys().map(|key| format!("labels.{key}")).collect() }
    }
}
