//! Why something could not be done.

use thiserror::Error;

/// Why something could not be done.
///
/// The functions of this library have error types of their own, all of which `?` turns into this
/// one. It reads as they do, and has their causes as its [`source`](std::error::Error::source). The
/// types inside are those of internal crates: they may change with any version.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The conf cannot be used.
    #[error(transparent)]
    Conf(Box<image::conf::ConfError>),
    /// An image cannot be made of the conf.
    #[error(transparent)]
    Image(Box<image::ImageError>),
    /// The image cannot be read or digested.
    #[error(transparent)]
    Digest(Box<image::Error>),
    /// The image cannot be delivered.
    #[error(transparent)]
    Delivery(Box<delivery::Error>),
    /// The image cannot be pushed.
    #[cfg(feature = "push")]
    #[error(transparent)]
    Push(Box<delivery::push::PushError>),
    /// A text is not the name of an image.
    #[error(transparent)]
    Name(Box<oci::ReferenceError>),
}

macro_rules! from {
    ($($error:ty => $variant:ident),* $(,)?) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$variant(Box::new(error.into()))
            }
        })*
    };
}

from! {
    image::conf::ConfError => Conf,
    image::ImageError => Image,
    image::Error => Digest,
    delivery::Error => Delivery,
    delivery::LayoutError => Delivery,
    delivery::OutputError => Delivery,
    oci::ReferenceError => Name,
}
#[cfg(feature = "push")]
from!(delivery::push::PushError => Push);
