//! The content of a containerd: the blobs from which others get an image.

use super::{IntoContainerd, LinkError};
use crate::observer::Step;
use containerd::{Labels, Lease};
use formats::digest::{BlobId, Digest};
use image::{Chunk, threads};
use oci::Documents;

/// The label by which a layer's blob says what it is uncompressed (`labels.LabelUncompressed`).
const UNCOMPRESSED: &str = "containerd.io/uncompressed";
/// The label by which a manifest keeps its configuration (`images.ChildGCLabels`).
const REFERS_TO_CONFIG: &str = "containerd.io/gc.ref.content.config";
/// The beginning of those by which it keeps its layers.
const REFERS_TO_LAYER: &str = "containerd.io/gc.ref.content.l.";
/// The beginning of the label by which a configuration keeps the snapshots.
const REFERS_TO_SNAPSHOT: &str = "containerd.io/gc.ref.snapshot.";

/// Layers that are written at a time: containerd hashes each with one core, and brings it to the
/// disk.
const UPLOADS: usize = 4;
/// Bytes of a file that are sent at a time.
const CHUNK: usize = 1 << 20;

impl IntoContainerd<'_> {
    /// Writes the layers' blobs that are missing.
    pub(super) fn write_layers(&self, lease: &Lease) -> Result<(), LinkError> {
        let all: Vec<usize> = (0..self.blobs.all().len()).collect();
        self.observer.step(Step::Sending, Some(self.blobs.size()));
        threads::map(UPLOADS, &all, |&layer| self.write_layer(lease, layer))?;
        Ok(())
    }

    fn write_layer(&self, lease: &Lease, layer: usize) -> Result<(), LinkError> {
        let blob = &self.blobs.all()[layer];
        let id = BlobId { digest: blob.digest, size: blob.size };
        let labels = Labels::from([(UNCOMPRESSED.to_owned(), blob.diff_id.to_string())]);
        let reference = format!("layer-{}", blob.digest);
        let Some(mut upload) = lease.upload(&reference, id, &labels)? else {
            self.observer.bytes(blob.size);
            return Ok(());
        };
        let mut buffer = Vec::with_capacity(CHUNK);
        self.blobs.read(layer, |chunk| {
            let mut push = |bytes: &[u8]| {
                self.observer.bytes(bytes.len() as u64);
                upload.push(bytes)
            };
            match chunk {
                Chunk::Bytes(bytes) => push(bytes)?,
                Chunk::File(mut content) => loop {
                    buffer.clear();
                    let is_read = content.read(&mut buffer)?;
                    push(&buffer)?;
                    if is_read {
                        break;
                    }
                },
                Chunk::End => {}
            }
            Ok::<_, LinkError>(())
        })?;
        upload.commit()?;
        Ok(())
    }

    /// Writes configuration and manifest, which keep each other, the layers and the snapshots.
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
