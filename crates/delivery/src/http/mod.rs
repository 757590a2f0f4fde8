//! The little of HTTP/1.1 that a registry on the loopback and Docker's API need: the heads of
//! messages, and bodies of each kind. What the first lines and the fields are is parsed by
//! `httparse`; here they get their limits. No content is kept here.

mod body;
mod chunked;
mod fields;
mod head;

pub use body::Body;
pub use chunked::ChunkedOutput;
pub use fields::Fields;
pub use head::{HeadError, RequestHead, ResponseHead};

pub use ::http::{Method, StatusCode, Version, header};
