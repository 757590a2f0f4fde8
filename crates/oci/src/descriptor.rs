//! Descriptors: how a document refers to another document or to a blob.

use serde_json::{Map, Value, json};

use super::{Annotations, DocumentError};
use formats::digest::Digest;

/// The digest, size and kind of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The media type.
    pub media_type: String,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// The number of bytes.
    pub size: u64,
    /// The platform, for the manifests of an index.
    pub platform: Option<Platform>,
    /// Optional metadata.
    pub annotations: Annotations,
}

/// The platform that an image runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// The architecture, as Go names it.
    pub architecture: String,
    /// The operating system, as Go names it.
    pub os: String,
}

impl Descriptor {
    /// The descriptor of a document.
    pub fn of(media_type: &str, document: &[u8]) -> Self {
        Self::new(media_type, Digest::of(document), document.len() as u64)
    }

    /// A descriptor with only the required fields.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            platform: None,
            annotations: Annotations::new(),
        }
    }

    /// The JSON form.
    pub fn to_value(&self) -> Value {
        let mut value = Map::new();
        value.insert("mediaType".into(), self.media_type.as_str().into());
        value.insert("digest".into(), self.digest.to_string().into());
        value.insert("size".into(), self.size.into());
        if let Some(platform) = &self.platform {
            let Platform { architecture, os } = platform;
            value.insert("platform".into(), json!({"architecture": architecture, "os": os}));
        }
        if !self.annotations.is_empty() {
            value.insert("annotations".into(), json!(self.annotations));
        }
        Value::Object(value)
    }

    /// Reads a descriptor from a document, ignoring unknown fields.
    pub fn parse(value: &Value) -> Result<Self, DocumentError> {
        let error = |field, expected| {
            DocumentError::field(field, expected, value.get(field).filter(|v| !v.is_null()))
        };
        let media_type =
            value["mediaType"].as_str().ok_or_else(|| error("mediaType", "a string"))?;
        let digest = value["digest"].as_str();
        let digest = digest.and_then(|hex| hex.parse().ok());
        Ok(Self {
            media_type: media_type.into(),
            digest: digest.ok_or_else(|| error("digest", "sha256: and 64 hexadecimal digits"))?,
            size: value["size"].as_u64().ok_or_else(|| error("size", "a number of bytes"))?,
            platform: Platform::parse(&value["platform"]),
            annotations: annotations(value),
        })
    }
}

impl Platform {
    /// The architecture of this machine, as Go names it.
    pub fn here() -> &'static str {
        go_name(std::env::consts::ARCH, cfg!(target_endian = "little"))
    }

    fn parse(value: &Value) -> Option<Self> {
        let text = |field: &str| value[field].as_str().map(str::to_owned);
        Some(Self { architecture: text("architecture")?, os: text("os")? })
    }
}

/// Go's name of an architecture that Rust calls `arch`.
fn go_name(arch: &str, is_little_endian: bool) -> &str {
    match (arch, is_little_endian) {
        ("x86_64", _) => "amd64",
        ("x86", _) => "386",
        ("aarch64", _) => "arm64",
        ("loongarch64", _) => "loong64",
        ("powerpc64", true) => "ppc64le",
        ("powerpc64", false) => "ppc64",
        ("mips", true) => "mipsle",
        ("mips64", true) => "mips64le",
        _ => arch,
    }
}

/// The annotations of a descriptor or document. Values that are not strings are ignored.
pub(super) fn annotations(value: &Value) -> Annotations {
    let all = value["annotations"].as_object().into_iter().flatten();
    all.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names are those of `GOARCH`.
    #[test]
    fn architectures_have_the_names_of_go() {
        for (rust, is_little_endian, go) in [
            ("x86_64", true, "amd64"),
            ("x86", true, "386"),
            ("aarch64", true, "arm64"),
            ("loongarch64", true, "loong64"),
            ("powerpc64", true, "ppc64le"),
            ("powerpc64", false, "ppc64"),
            ("mips", true, "mipsle"),
            ("mips", false, "mips"),
            ("mips64", true, "mips64le"),
            ("arm", true, "arm"),
            ("riscv64", true, "riscv64"),
            ("s390x", false, "s390x"),
        ] {
            assert_eq!(go_name(rust, is_little_endian), go, "{rust}");
        }
    }
}
