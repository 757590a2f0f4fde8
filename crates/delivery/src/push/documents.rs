//! Configs, manifests and indexes, which are stored once all layers are there.

use super::Push;
use super::error::PushError;
use super::layer::Delivered;
use super::remote::{Knowledge, LAYER_KEY};
use formats::digest::Digest;
use image::Image;
use oci::Reference;
use oci::registry::Repository;
use oci::{Annotations, Descriptor, Flavor, Index, Manifest, annotation};

impl Push<'_> {
    /// Stores configs, manifests and, for several images, an index. Returns the digest of the
    /// manifest or index, and the digests of the configs.
    pub(super) fn put_documents(
        &self,
        repository: &Repository,
        references: &[Reference],
        knowledge: &Knowledge,
        layers: &[(usize, usize)],
        delivered: &[Delivered],
    ) -> Result<(Digest, Vec<Digest>), PushError> {
        let (mut manifests, mut image_ids) = (Vec::new(), Vec::new());
        for (index, image) in self.images.iter().enumerate() {
            let own = layers.iter().zip(delivered).filter(|((image, _), _)| *image == index);
            let own: Vec<Delivered> = own.map(|(_, delivered)| *delivered).collect();
            let manifest = self.put_config(repository, knowledge, image, &own)?;
            image_ids.push(manifest.config.digest);
            manifests.push(manifest.to_json());
        }
        let flavor = self.options.flavor;
        let (media_type, document) = match <[String; 1]>::try_from(manifests) {
            Ok([manifest]) => (flavor.manifest(), manifest),
            Err(manifests) => {
                let mut index = Index::new(flavor);
                for (image, manifest) in self.images.iter().zip(&manifests) {
                    let mut entry = Descriptor::of(flavor.manifest(), manifest.as_bytes());
                    entry.platform = Some(image.platform());
                    let name = entry.digest.to_string();
                    repository.put_manifest(&name, flavor.manifest(), manifest)?;
                    index.push(&entry);
                }
                if flavor == Flavor::Oci {
                    index.annotate(&self.options.annotations);
                }
                (flavor.index(), index.to_json())
            }
        };
        for reference in references {
            repository.put_manifest(&reference.manifest(), media_type, &document)?;
        }
        Ok((Digest::of(document.as_bytes()), image_ids))
    }

    /// Stores an image's config, and makes its manifest.
    fn put_config(
        &self,
        repository: &Repository,
        knowledge: &Knowledge,
        image: &Image,
        delivered: &[Delivered],
    ) -> Result<Manifest, PushError> {
        let flavor = self.options.flavor;
        let diff_ids: Vec<Digest> = delivered.iter().map(|layer| layer.diff_id).collect();
        let config = image.config_json(&diff_ids);
        let descriptor = Descriptor::of(flavor.config(), config.as_bytes());
        if !repository.exists(descriptor.digest, descriptor.size)? {
            repository.upload(config.as_bytes(), descriptor.digest)?;
        }
        let layer = |(index, delivered): (usize, &Delivered)| {
            let media_type = flavor.layer(delivered.compression);
            let (digest, size) = (delivered.blob.digest, delivered.blob.size);
            let mut descriptor = Descriptor::new(media_type, digest, size);
            if flavor == Flavor::Oci {
                descriptor.annotations = image.layers()[index].annotations();
                // If the conf does not tell what the layer was made of, an image that was pushed
                // with another conf may.
                let key = image.portable_key(index).map(|key| key.to_string());
                let key = key.or_else(|| knowledge.key_of(delivered.diff_id).map(str::to_owned));
                descriptor.annotations.extend(key.map(|key| (LAYER_KEY.into(), key)));
            }
            descriptor
        };
        let mut annotations = Annotations::new();
        if flavor == Flavor::Oci {
            annotations = annotation::of_image(&serde_json::from_str(&config)?);
            annotations.extend(self.options.annotations.clone());
        }
        Ok(Manifest {
            flavor,
            config: descriptor,
            layers: delivered.iter().enumerate().map(layer).collect(),
            annotations,
        })
    }
}
