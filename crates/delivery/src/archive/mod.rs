//! Images in a single file.

mod docker;
mod oci;

use formats::tar::{self, Member};

use crate::error::OutputError;
use crate::output::Writer;
pub use docker::DockerArchive;
pub use oci::OciArchive;
pub(crate) use oci::{BLOBS, put_blob};

/// The mode of members that this program creates.
const MEMBER_MODE: u32 = 0o644;

/// Writes a document as a member.
pub(crate) fn put_document(
    output: &mut dyn Writer,
    name: &str,
    text: &str,
    mtime: i64,
) -> Result<(), OutputError> {
    let mut header = Vec::new();
    let member = Member {
        name: name.as_bytes(),
        typeflag: tar::REGULAR,
        mode: MEMBER_MODE,
        size: text.len() as u64,
        mtime,
        ..Member::default()
    };
    tar::encode(&member, &mut header);
    output.put(&header)?;
    output.put(text.as_bytes())?;
    output.put(tar::padding(text.len() as u64))
}
