//! Parses the parts of tar headers that a tar-split depends on.

use tar::{EntryType, Header};

use super::Unusual;

/// A member: its name as read by Go's `archive/tar`, and the size of its content.
pub(super) struct Member {
    pub(super) name: Vec<u8>,
    pub(super) typeflag: u8,
    pub(super) size: u64,
}

impl Member {
    /// Whether it only extends the next member's header.
    pub(super) fn is_extension(&self) -> bool {
        let kind = EntryType::new(self.typeflag);
        kind.is_pax_local_extensions() || kind.is_gnu_longname() || kind.is_gnu_longlink()
    }
}

/// The contents of extended headers for the next member.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    /// GNU's long name, which takes precedence over a record.
    long_name: Option<Vec<u8>>,
    path: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Extensions {
    pub(super) fn add(&mut self, typeflag: u8, content: &[u8]) -> Result<(), Unusual> {
        match EntryType::new(typeflag) {
            EntryType::GNULongName => self.long_name = Some(until_nul(content).to_vec()),
            EntryType::XHeader => self.add_records(content)?,
            _ => {}
        }
        Ok(())
    }

    fn add_records(&mut self, mut content: &[u8]) -> Result<(), Unusual> {
        while !content.is_empty() {
            let (key, value) =
                take_record(&mut content).ok_or(Unusual("has an invalid extended header"))?;
            match key {
                // An empty value does not replace the name in the header.
                b"path" => self.path = Some(value.to_vec()).filter(|path| !path.is_empty()),
                b"size" => {
                    let size = str::from_utf8(value).ok().and_then(|size| size.parse().ok());
                    self.size = Some(size.ok_or(Unusual("has a size that is not a number"))?);
                }
                key if key.starts_with(b"GNU.sparse.") => return Err(Unusual("has holes")),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Takes a record, `LENGTH KEY=VALUE` and a newline, off the front. The value may contain newlines
/// too.
fn take_record<'a>(content: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let space = content.iter().position(|&byte| byte == b' ')?;
    let length: usize = str::from_utf8(&content[..space]).ok()?.parse().ok()?;
    let record = content.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    *content = &content[length..];
    Some((&record[..equals], &record[equals + 1..]))
}

/// Parses a header.
pub(super) fn read(block: &[u8], extensions: &Extensions) -> Result<Member, Unusual> {
    const BROKEN: Unusual = Unusual("has an invalid header");
    let header = Header::from_byte_slice(block);
    if header.cksum().ok() != Some(checksum(block)) {
        return Err(BROKEN);
    }
    let kind = header.entry_type();
    let own = header.entry_size().map_err(|_| BROKEN)?;
    let mut member = Member { name: Vec::new(), typeflag: kind.as_byte(), size: own };
    if member.is_extension() {
        return Ok(member);
    }
    let name = extensions.long_name.as_ref().or(extensions.path.as_ref()).cloned();
    member.name = name.unwrap_or_else(|| header.path_bytes().into_owned());
    let size = extensions.size.unwrap_or(own);
    member.size = match kind {
        EntryType::Regular | EntryType::Continuous if !member.name.ends_with(b"/") => size,
        // The oldest tar files mark directories only by a trailing slash.
        EntryType::Regular
        | EntryType::Link
        | EntryType::Symlink
        | EntryType::Char
        | EntryType::Block
        | EntryType::Directory
        | EntryType::Fifo
            if size == 0 =>
        {
            0
        }
        EntryType::GNUSparse => return Err(Unusual("has holes")),
        EntryType::XGlobalHeader => return Err(Unusual("is a global extended header")),
        _ => return Err(Unusual("has a type that layers do not have")),
    };
    Ok(member)
}

/// The sum of the header's bytes, counting those of the checksum as spaces.
fn checksum(block: &[u8]) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..])
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}
