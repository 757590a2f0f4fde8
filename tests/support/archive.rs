//! Parses tar archives, header by header.

use super::sha256;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::{self, Debug, Formatter};
use std::io::Read as _;

/// A member of an archive.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// The name, from the extended header if there is one.
    pub(crate) name: Vec<u8>,
    /// The records of the extended header.
    pub(crate) records: Vec<u8>,
    /// The 512 bytes before the content.
    pub(crate) header: Vec<u8>,
    pub(crate) content: Vec<u8>,
}

impl Member {
    /// Zeroes a part of the header.
    pub(crate) fn blank(&mut self, field: std::ops::Range<usize>) {
        self.header[field].fill(0);
    }
}

impl Debug for Member {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, records, header, content } = self;
        out.debug_struct("Member")
            .field("name", &name.escape_ascii().to_string())
            .field("records", &records.escape_ascii().to_string())
            .field("header", &header.escape_ascii().to_string().replace("\\x00", "_"))
            .field("content", &format!("{} bytes, sha256:{}", content.len(), sha256(content)))
            .finish()
    }
}

/// All members of an archive, in order.
pub(crate) fn members(tar: &[u8]) -> Vec<Member> {
    let mut archive = tar::Archive::new(tar);
    let mut records = Vec::new();
    let mut members = Vec::new();
    for entry in archive.entries().unwrap().raw(true) {
        let mut entry = entry.unwrap();
        let header = entry.header().as_bytes().to_vec();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if header[156] == b'x' {
            records = content;
            continue;
        }
        let name = long_name(&records).unwrap_or_else(|| entry.header().path_bytes().into_owned());
        members.push(Member { name, records: std::mem::take(&mut records), header, content });
    }
    members
}

/// The value of the record `path`. Each record is `LENGTH KEYWORD=VALUE\n`, where the length is
/// that of the whole record.
fn long_name(mut records: &[u8]) -> Option<Vec<u8>> {
    while let Some(space) = records.iter().position(|&byte| byte == b' ') {
        let length: usize = str::from_utf8(&records[..space]).unwrap().parse().unwrap();
        let (record, rest) = records.split_at(length);
        if let Some(name) = record[space + 1..].strip_prefix(b"path=") {
            return name.strip_suffix(b"\n").map(<[u8]>::to_vec);
        }
        records = rest;
    }
    None
}

/// The parts of a docker-archive that identify the image.
#[derive(Debug)]
pub(crate) struct Image {
    /// The digest of the config.
    pub(crate) id: String,
    pub(crate) config: Value,
    pub(crate) manifest: Value,
    /// The digests of the layers' contents.
    pub(crate) layer_digests: Vec<String>,
    pub(crate) layers: Vec<Vec<u8>>,
}

/// Reads a docker-archive.
pub(crate) fn image(tar: &[u8]) -> Image {
    let contents: HashMap<_, _> = members(tar)
        .into_iter()
        .map(|member| (String::from_utf8(member.name).unwrap(), member.content))
        .collect();
    let manifest: Value = serde_json::from_slice(&contents["manifest.json"]).unwrap();
    let manifest = manifest[0].clone();
    let config = &contents[manifest["Config"].as_str().unwrap()];
    let layers: Vec<_> = manifest["Layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| contents[name.as_str().unwrap()].clone())
        .collect();
    Image {
        id: sha256(config),
        config: serde_json::from_slice(config).unwrap(),
        manifest,
        layer_digests: layers.iter().map(|layer| sha256(layer)).collect(),
        layers,
    }
}
