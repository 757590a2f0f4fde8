//! Media types of blobs and documents.

use std::fmt;

/// Whose media types a manifest uses. Otherwise, the two kinds are alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavor {
    /// Those of the OCI image specification.
    #[default]
    Oci,
    /// Those of Docker's image manifest, version 2, schema 2.
    Docker,
}

/// How a layer's tar file is compressed in its blob.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Uncompressed: the blob is the tar file.
    #[default]
    None,
    /// gzip, which is supported everywhere.
    Gzip,
    /// zstd, which is smaller and faster, and supported by engines since about 2021.
    Zstd,
}

/// Media types of layers that are to be fetched from their publisher, such as those of Windows.
const FOREIGN_LAYERS: [&str; 5] = [
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
];
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Not in Docker's specification, but read by containerd, and by dockerd since version 23.
const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";

#[doc(hidden)]
impl Flavor {
    /// A manifest's media type.
    pub fn manifest(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.manifest.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    /// The media type of an index, which Docker calls a manifest list.
    pub fn index(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.index.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }

    /// The media type of an image's config.
    pub fn config(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.config.v1+json",
            Self::Docker => "application/vnd.docker.container.image.v1+json",
        }
    }

    /// A layer's media type.
    pub fn layer(self, compression: Compression) -> &'static str {
        match (self, compression) {
            (Self::Oci, Compression::None) => OCI_LAYER,
            (Self::Oci, Compression::Gzip) => OCI_LAYER_GZIP,
            (Self::Oci, Compression::Zstd) => OCI_LAYER_ZSTD,
            (Self::Docker, Compression::None) => DOCKER_LAYER,
            (Self::Docker, Compression::Gzip) => DOCKER_LAYER_GZIP,
            (Self::Docker, Compression::Zstd) => DOCKER_LAYER_ZSTD,
        }
    }

    /// The flavor of a manifest of this media type, if it is one.
    pub fn of_manifest(media_type: &str) -> Option<Self> {
        [Self::Oci, Self::Docker].into_iter().find(|flavor| flavor.manifest() == media_type)
    }

    /// The flavor of an index of this media type, if it is one.
    pub fn of_index(media_type: &str) -> Option<Self> {
        [Self::Oci, Self::Docker].into_iter().find(|flavor| flavor.index() == media_type)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// Whether a layer's media type means that registries need not have it.
#[doc(hidden)]
pub fn is_foreign_layer(media_type: &str) -> bool {
    FOREIGN_LAYERS.contains(&media_type)
}

#[doc(hidden)]
impl Compression {
    /// The compression of a layer's media type, or `None` if the type is unknown.
    pub fn of_layer(media_type: &str) -> Option<Self> {
        match media_type {
            OCI_LAYER | DOCKER_LAYER => Some(Self::None),
            OCI_LAYER_GZIP | DOCKER_LAYER_GZIP => Some(Self::Gzip),
            OCI_LAYER_ZSTD | DOCKER_LAYER_ZSTD => Some(Self::Zstd),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressions_are_told_by_the_media_types_that_they_give() {
        for flavor in [Flavor::Oci, Flavor::Docker] {
            for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
                assert_eq!(Compression::of_layer(flavor.layer(compression)), Some(compression));
            }
            assert_eq!(Flavor::of_manifest(flavor.manifest()), Some(flavor));
            assert_eq!(Flavor::of_index(flavor.index()), Some(flavor));
        }
        assert_eq!(Compression::of_layer("text/plain"), None);
    }
}
