//! The library's error type.

use thiserror::Error;

/// Any error of this library.
///
/// Each function returns the error type of its own part, and `?` turns any of them into this one.
/// It displays the same message and has the same [`source`](std::error::Error::source). The wrapped
/// types are those of internal crates and may change with any version.
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
    /// The conf does not describe a usable image.
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
    /// A string is not a valid image name.
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
