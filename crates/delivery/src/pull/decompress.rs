//! Decompresses a layer's blob. The format is detected from the first bytes, as in skopeo, because
//! media types are not always right.

use std::io::{self, BufRead, Read};

use liblzma::stream::Stream;

/// How many bytes are needed to tell the formats apart.
const MAGIC: u64 = 6;
/// The maximum memory for a decompression window, whose size the blob determines.
const MAX_WINDOW: u64 = 128 << 20;
/// Accepts several concatenated streams (`LZMA_CONCATENATED`).
const CONCATENATED: u32 = 0x08;

/// A reader of the decompressed bytes, and the name of the format.
pub(super) fn reader<'a>(
    mut blob: impl BufRead + 'a,
) -> io::Result<(Box<dyn Read + 'a>, &'static str)> {
    let mut start = Vec::with_capacity(MAGIC as usize);
    (&mut blob).take(MAGIC).read_to_end(&mut start)?;
    let first = start.clone();
    let blob = io::Cursor::new(start).chain(blob);
    Ok(match *first {
        [0x1f, 0x8b, ..] => (Box::new(flate2::bufread::MultiGzDecoder::new(blob)), "gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let mut decoder = zstd::Decoder::with_buffer(blob)?;
            decoder.window_log_max(MAX_WINDOW.ilog2())?;
            (Box::new(decoder), "zstd")
        }
        [b'B', b'Z', b'h', ..] => (Box::new(bzip2::bufread::MultiBzDecoder::new(blob)), "bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let stream = Stream::new_auto_decoder(MAX_WINDOW, CONCATENATED)?;
            (Box::new(liblzma::bufread::XzDecoder::new_stream(blob, stream)), "xz")
        }
        _ => (Box::new(blob), "uncompressed"),
    })
}
