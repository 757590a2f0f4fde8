//! What blobs and documents are called.

/// Whose media types a manifest has. Both kinds of manifest look alike otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavor {
    /// Those of the OCI image specification.
    #[default]
    Oci,
    /// Those of Docker's image manifest, version 2, schema 2.
    Docker,
}

/// How a layer's tar file is encoded in its blob.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// It is the blob.
    #[default]
    Plain,
    /// Compressed with gzip.
    Gzip,
    /// Compressed with zstd.
    Zstd,
}

const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Not in Docker's specification, yet read by containerd and dockerd since 23.
const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";

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

    /// The media type of an image's configuration.
    pub fn config(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.config.v1+json",
            Self::Docker => "application/vnd.docker.container.image.v1+json",
        }
    }

    /// A layer's media type.
    pub fn layer(self, encoding: Encoding) -> &'static str {
        match (self, encoding) {
            (Self::Oci, Encoding::Plain) => OCI_LAYER,
            (Self::Oci, Encoding::Gzip) => OCI_LAYER_GZIP,
            (Self::Oci, Encoding::Zstd) => OCI_LAYER_ZSTD,
            (Self::Docker, Encoding::Plain) => DOCKER_LAYER,
            (Self::Docker, Encoding::Gzip) => DOCKER_LAYER_GZIP,
            (Self::Docker, Encoding::Zstd) => DOCKER_LAYER_ZSTD,
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

impl Encoding {
    /// The encoding of a layer of this media type, if it is one that this program knows.
    pub fn of_layer(media_type: &str) -> Option<Self> {
        match media_type {
            OCI_LAYER | DOCKER_LAYER => Some(Self::Plain),
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
    fn encodings_are_told_by_the_media_types_that_they_give() {
        for flavor in [Flavor::Oci, Flavor::Docker] {
            for encoding in [Encoding::Plain, Encoding::Gzip, Encoding::Zstd] {
                assert_eq!(Encoding::of_layer(flavor.layer(encoding)), Some(encoding));
            }
            assert_eq!(Flavor::of_manifest(flavor.manifest()), Some(flavor));
            assert_eq!(Flavor::of_index(flavor.index()), Some(flavor));
        }
        assert_eq!(Encoding::of_layer("text/plain"), None);
    }
}
