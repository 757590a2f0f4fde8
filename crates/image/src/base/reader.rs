//! Reads archives member by member, without looking at their images.

use std::fmt;
use std::path::Path;

use super::BaseError;
use super::archive::Index;
use super::codec::Codec;
use super::stream::Decompressed;
use crate::members::Members;
use oci::Compression;

/// A docker-archive, positioned before its first member.
pub struct ArchiveReader {
    codec: Codec,
    archive: Decompressed,
}

/// Opens a docker-archive, compressed or not. Returns `None` for an OCI archive without a
/// docker-archive's manifest.
///
/// # Errors
///
/// If the file cannot be read, or is not an archive.
pub fn docker_archive(path: &Path) -> Result<Option<ArchiveReader>, BaseError> {
    let open = || {
        let codec = Codec::detect(path)?;
        // Archives of both kinds can store their layers like a layout. Only these are searched for
        // the manifest, which may be the last member.
        let mut members = Members::new(Decompressed::open_at(path, codec, 0)?);
        let first = members.next_member()?.map(|member| member.name).unwrap_or_default();
        let first = first.strip_prefix(b"./").unwrap_or(&first);
        let may_be_layout = first.starts_with(b"blobs")
            || matches!(first, b"" | b"." | b"oci-layout" | b"index.json");
        if may_be_layout {
            let index = Index::read(path, codec)?;
            let has = |name: &str| {
                index.find(name.as_bytes()).or(index.find(format!("./{name}").as_bytes())).is_some()
            };
            if !has("manifest.json") && has("index.json") {
                return Ok(None);
            }
        }
        Ok(Some(ArchiveReader { codec, archive: Decompressed::open_at(path, codec, 0)? }))
    };
    open().map_err(|source| BaseError::Read { path: path.to_owned(), source })
}

impl ArchiveReader {
    /// The archive's compression, or none if layers do not use it.
    pub fn compression(&self) -> Compression {
        self.codec.compression().unwrap_or_default()
    }

    /// Its members.
    pub fn into_members(self) -> Members<Decompressed> {
        Members::new(self.archive)
    }
}

impl fmt::Debug for ArchiveReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ArchiveReader").field("codec", &self.codec).finish_non_exhaustive()
    }
}
