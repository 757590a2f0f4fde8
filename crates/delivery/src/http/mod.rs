//! The little of HTTP/1.1 that a registry on the loopback and Docker's API need: the heads of
//! messages, and bodies of each kind. No content is kept here.

mod body;
mod chunked;
mod head;

pub use body::Body;
pub use chunked::ChunkedOutput;
pub use head::{Head, HeadError};
