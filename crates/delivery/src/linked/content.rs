//! The blobs in a containerd's content store, which are needed to push or export an image.

use super::blob_files::{BlobFile, BlobFiles};
use super::{IntoContainerd, LinkError};
use crate::causes;
use containerd::{Labels, Lease};
use formats::digest::{BlobId, Digest};
use image::Chunk;
use oci::Documents;

/// The label with the diffID of a layer's blob (`labels.LabelUncompressed`).
const UNCOMPRESSED: &str = "containerd.io/uncompressed";
/// The label by which a manifest keeps its config (`images.ChildGCLabels`).
const REFERS_TO_CONFIG: &str = "containerd.io/gc.ref.content.config";
/// The prefix of the labels by which a manifest keeps its layers.
const REFERS_TO_LAYER: &str = "containerd.io/gc.ref.content.l.";
/// The prefix of the label by which a config keeps the snapshots.
const REFERS_TO_SNAPSHOT: &str = "containerd.io/gc.ref.snapshot.";

/// How many bytes of a file are read at a time; few enough for a core's cache.
const CHUNK: usize = 256 << 10;

impl IntoContainerd<'_> {
    /// The directory of containerd's blobs, if it accepts blobs that are written there; otherwise
    /// they are sent.
    pub(super) fn blob_files(&self) -> Option<BlobFiles> {
        let why = match self.client.shared_content() {
            Ok(Some(root)) => match BlobFiles::open(&root) {
                Ok(files) => return Some(files),
                Err(error) => error.to_string(),
            },
            Ok(None) => "its namespaces do not share blobs as files".to_owned(),
            Err(error) => causes::line(&error),
        };
        self.observer.note(&format!("sending blobs to containerd instead of writing them: {why}"));
        None
    }

    /// Writes a layer's blob if it is missing. `is_counted` says whether its bytes were announced.
    pub(super) fn write_blob(
        &self,
        lease: &Lease,
        files: Option<&BlobFiles>,
        layer: usize,
        is_counted: bool,
    ) -> Result<(), LinkError> {
        let blob = &self.blobs.all()[layer];
        let id = BlobId { digest: blob.digest, size: blob.size };
        let file = files.map(|files| files.begin(id)).transpose()?.flatten();
        let is_written = file.is_some();
        if let Some(file) = file {
            if !is_counted {
                self.observer.bytes_expected(blob.size);
            }
            self.write_file(file, layer)?;
        }
        let labels = Labels::from([(UNCOMPRESSED.to_owned(), blob.diff_id.to_string())]);
        let reference = format!("layer-{}", blob.digest);
        let Some(mut upload) = lease.upload(&reference, id, &labels)? else {
            if !is_written && is_counted {
                self.observer.bytes(blob.size);
            }
            return Ok(());
        };
        if let Some(files) = files.filter(|_| is_written) {
            // Either it was garbage-collected before it was claimed, or containerd does not look
            // there.
            files.refuse();
        }
        if is_written || !is_counted {
            self.observer.bytes_expected(blob.size);
        }
        self.read_layer(layer, |bytes| Ok(upload.push(bytes)?))?;
        upload.commit()?;
        Ok(())
    }

    /// Writes a blob into containerd's directory.
    fn write_file(&self, mut file: BlobFile<'_>, layer: usize) -> Result<(), LinkError> {
        self.read_layer(layer, |bytes| file.push(bytes))?;
        self.blobs.check(layer, file.digest())?;
        file.persist()
    }

    /// Passes the bytes of a layer to `each`.
    fn read_layer(
        &self,
        layer: usize,
        mut each: impl FnMut(&[u8]) -> Result<(), LinkError>,
    ) -> Result<(), LinkError> {
        let mut buffer = Vec::with_capacity(CHUNK);
        let mut each = |bytes: &[u8]| {
            self.observer.bytes(bytes.len() as u64);
            each(bytes)
        };
        self.blobs.read(layer, |chunk| {
            match chunk {
                Chunk::Bytes(bytes) => each(bytes)?,
                Chunk::File(mut content) => loop {
                    buffer.clear();
                    let is_read = content.read(&mut buffer)?;
                    each(&buffer)?;
                    if is_read {
                        break;
                    }
                },
                Chunk::End => {}
            }
            Ok::<_, LinkError>(())
        })
    }

    /// Writes the config and the manifest. The manifest keeps the config and the layers, the config
    /// the snapshots.
    pub(super) fn write_documents(
        &self,
        lease: &Lease,
        documents: &Documents,
        top: Option<&String>,
    ) -> Result<(), LinkError> {
        let snapshot = top.map(|top| (format!("{REFERS_TO_SNAPSHOT}{}", self.snapshotter), top));
        let labels = snapshot.map(|(label, top)| (label, top.clone())).into_iter().collect();
        write_document(lease, "config", &documents.config, &labels)?;
        let config = documents.config_descriptor.digest.to_string();
        let mut labels = Labels::from([(REFERS_TO_CONFIG.to_owned(), config)]);
        for (layer, blob) in self.blobs.all().iter().enumerate() {
            labels.insert(format!("{REFERS_TO_LAYER}{layer}"), blob.digest.to_string());
        }
        write_document(lease, "manifest", &documents.manifest, &labels)
    }
}

fn write_document(
    lease: &Lease,
    kind: &str,
    document: &str,
    labels: &Labels,
) -> Result<(), LinkError> {
    let bytes = document.as_bytes();
    let id = BlobId { digest: Digest::of(bytes), size: bytes.len() as u64 };
    if let Some(mut upload) = lease.upload(&format!("{kind}-{}", id.digest), id, labels)? {
        upload.push(bytes)?;
        upload.commit()?;
    }
    Ok(())
}
