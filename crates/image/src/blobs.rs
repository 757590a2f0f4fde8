//! An image's layers as blobs: their descriptors, and their bytes on demand.

use crate::base::BaseLayer;
use crate::content::Chunk;
use crate::error::Error;
use crate::hashing::Digester;
use crate::image::Image;
use crate::layer::{BaseFact, LayerError, LayerStream};
use formats::digest::{BlobId, Digest, HashWriter};
use oci::{Annotations, Compression, Descriptor, Documents, Flavor};

/// Bytes handed out at a time.
const CHUNK: usize = 256 << 10;

/// A layer as it is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Digest of the layer's tar file.
    pub diff_id: Digest,
    /// Digest of the blob: equal to the diffID, except for layers that are compressed in the base
    /// image.
    pub digest: Digest,
    /// Bytes of the blob.
    pub size: u64,
    /// How the tar file is compressed in the blob.
    pub compression: Compression,
}

/// All layers of an image, with known digests.
///
/// Any number of threads may read blobs at a time, and each blob any number of times.
#[derive(Debug)]
pub struct Blobs<'a> {
    digester: &'a Digester<'a>,
    all: Vec<Blob>,
}

impl<'a> Blobs<'a> {
    /// Finds the digests of all layers.
    pub fn find(digester: &'a Digester<'a>) -> Result<Self, Error> {
        let digests = digester.digest_all()?.into_iter().enumerate();
        let all = digests.map(|(layer, known)| blob(digester, layer, known));
        Ok(Self { digester, all: all.collect::<Result<_, _>>()? })
    }

    /// The image.
    pub fn image(&self) -> &'a Image {
        self.digester.image()
    }

    /// The digester that found the layers' digests.
    pub fn digester(&self) -> &'a Digester<'a> {
        self.digester
    }

    /// The layers, lowest first.
    pub fn all(&self) -> &[Blob] {
        &self.all
    }

    /// Bytes in all layers.
    pub fn size(&self) -> u64 {
        self.all.iter().map(|blob| blob.size).sum()
    }

    /// The image's config, whose digest is the image ID.
    pub fn config_json(&self) -> String {
        let diff_ids: Vec<_> = self.all.iter().map(|blob| blob.diff_id).collect();
        self.image().config_json(&diff_ids)
    }

    /// A layer's descriptor.
    pub fn descriptor(&self, layer: usize, flavor: Flavor) -> Descriptor {
        let blob = &self.all[layer];
        let annotations = match flavor {
            Flavor::Oci => self.image().layers[layer].annotations(),
            Flavor::Docker => Annotations::new(),
        };
        let media_type = flavor.layer(blob.compression);
        Descriptor { annotations, ..Descriptor::new(media_type, blob.digest, blob.size) }
    }

    /// The image's config and manifest.
    pub fn documents(&self, flavor: Flavor) -> Documents {
        let layers = (0..self.all.len()).map(|layer| self.descriptor(layer, flavor)).collect();
        let platform = self.image().platform();
        Documents::new(flavor, self.config_json(), layers, platform, Annotations::new())
    }

    /// Passes a layer's bytes to `each` and checks how many there are. The caller must check the
    /// digest.
    pub fn read<E: From<Error>>(
        &self,
        layer: usize,
        mut each: impl FnMut(Chunk<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut stream = self.stream(layer)?;
        let (mut buffer, mut found) = (Vec::new(), 0);
        loop {
            buffer.clear();
            let next = stream.fill(&mut buffer, CHUNK).map_err(Error::from)?;
            found += buffer.len() as u64;
            each(Chunk::Bytes(&buffer))?;
            match next {
                Chunk::Bytes(()) => {}
                Chunk::File(content) => {
                    found += content.remaining();
                    each(Chunk::File(content))?;
                }
                Chunk::End => break,
            }
        }
        let expected = self.all[layer].size;
        if found != expected {
            self.digester.forget(layer);
            return Err(Error::Resized { layer, expected, found }.into());
        }
        each(Chunk::End)
    }

    /// The stream of a layer. A layer in an uncompressed archive is read as a section of that file.
    fn stream(&self, layer: usize) -> Result<LayerStream<'a>, Error> {
        match self.image().layers[layer].as_base().and_then(BaseLayer::section) {
            Some(section) => Ok(LayerStream::File(Some(section.map_err(LayerError::from)?))),
            None => self.digester.stream_as_it_stands(layer),
        }
    }

    /// Checks the digest of a layer that was read; if it is wrong, the remembered one is forgotten.
    pub fn check(&self, layer: usize, found: Digest) -> Result<(), Error> {
        let Blob { digest: expected, size, compression, .. } = self.all[layer];
        if found == expected {
            return Ok(());
        }
        if compression == Compression::None {
            let expected = BlobId { digest: expected, size };
            return Err(self.digester.mismatch(layer, expected, size, Some(found)));
        }
        self.digester.forget(layer);
        if let Some(base) = self.image().layers[layer].as_base() {
            base.check_blob(found)?;
        }
        Err(Error::BaseChanged { layer, expected, found })
    }
}

/// The blob of a layer. A layer that is compressed in the base image must be read once for its
/// digest.
fn blob(digester: &Digester<'_>, layer: usize, known: BlobId) -> Result<Blob, Error> {
    let it = &digester.image().layers[layer];
    let BlobId { digest: diff_id, size } = known;
    let compression = match it.as_base() {
        Some(base) => base.compression().ok_or_else(|| LayerError::from(base.unusable()))?,
        None => Compression::None,
    };
    if let Some((base, digest)) = it.as_base().and_then(|base| Some((base, base.blob?))) {
        return Ok(Blob { diff_id, digest, size: base.member.size, compression });
    }
    if compression == Compression::None {
        return Ok(Blob { diff_id, digest: diff_id, size, compression });
    }
    let key = it.base_key(BaseFact::Blob);
    let remembered = key.and_then(|key| digester.cache().get(&key));
    if let Some(remembered) = remembered.filter(|remembered| remembered.size == size) {
        return Ok(Blob { diff_id, digest: remembered.digest, size, compression });
    }
    let (mut hash, mut buffer) = (HashWriter::default(), Vec::new());
    let mut stream = digester.open(layer)?;
    loop {
        buffer.clear();
        stream.fill(&mut buffer, CHUNK).map_err(Error::from)?;
        hash.update(&buffer);
        if buffer.len() < CHUNK {
            break;
        }
    }
    let digest = hash.finish();
    if let Some(key) = key {
        digester.cache().put(&key, &BlobId { digest, size });
    }
    Ok(Blob { diff_id, digest, size, compression })
}
