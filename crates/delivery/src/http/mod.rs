//! The parts of HTTP/1.1 that a loopback registry and Docker's API need: heads, and bodies of each
//! kind. `httparse` parses first lines and fields; this module limits their size. Nothing here
//! holds a whole body in memory.

mod body;
mod chunked;
mod fields;
mod head;

pub use body::Body;
pub use chunked::ChunkedOutput;
pub use fields::Fields;
pub use head::{HeadError, RequestHead, ResponseHead};

pub use ::http::{Method, StatusCode, Version, header};
