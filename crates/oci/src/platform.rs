//! Chooses an image from an index, by the rules of containers/image, which skopeo and podman
//! follow.

use serde_json::Value;

use super::{Descriptor, DocumentError, Index};

/// The annotation that marks an image of an index as compressed with zstd.
const ZSTD: &str = "io.github.containers.compression.zstd";

/// The platform that an image is wanted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedPlatform {
    /// The operating system, as Go names it.
    pub os: String,
    /// The architecture, as Go names it.
    pub architecture: String,
    /// The architecture's variant, such as `v7`. `None` chooses the image without a variant, or
    /// else the one for the most capable variant.
    pub variant: Option<String>,
}

/// Variants of an architecture, the most capable first. Each one also runs images for those after
/// it.
fn known_variants(architecture: &str) -> &'static [&'static str] {
    match architecture {
        "arm" => &["v8", "v7", "v6", "v5"],
        "arm64" => &["v8"],
        _ => &[],
    }
}

impl WantedPlatform {
    /// The acceptable variants, the best first. The empty string stands for no variant.
    fn variants(&self) -> Vec<&str> {
        let known = known_variants(&self.architecture);
        let Some(wanted) = self.variant.as_deref() else {
            return [""].iter().chain(known).copied().collect();
        };
        let place = known.iter().position(|variant| *variant == wanted);
        let mut variants = place.map_or_else(|| vec![wanted], |place| known[place..].to_vec());
        variants.push("");
        variants
    }

    /// The descriptor of the image for this platform, or `None` if the index has none.
    ///
    /// The best variant wins, then an image with zstd, then the first one. An image without a
    /// platform is the last resort.
    ///
    /// # Errors
    ///
    /// If the chosen entry is not a valid descriptor.
    pub fn choose(&self, index: &Index) -> Result<Option<Descriptor>, DocumentError> {
        let variants = self.variants();
        let rank = |entry: &&Value| {
            let text = |field: &str| entry["platform"][field].as_str().unwrap_or_default();
            let place = if entry["platform"].is_null() {
                usize::MAX
            } else if text("os") == self.os && text("architecture") == self.architecture {
                variants.iter().position(|variant| *variant == text("variant"))?
            } else {
                return None;
            };
            Some((place, entry["annotations"][ZSTD].as_str() != Some("true")))
        };
        let candidates = index.entries().iter().filter_map(|entry| Some((rank(&entry)?, entry)));
        // Among equals, `min_by_key` takes the first.
        let chosen = candidates.min_by_key(|(rank, _)| *rank);
        chosen.map(|(_, entry)| Descriptor::parse(entry)).transpose()
    }

    /// The platforms of an index, in its order, as [`Self`] displays them.
    pub fn all(index: &Index) -> Vec<String> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let platform = |entry: &Value| {
            let platform = &entry["platform"];
            let (os, architecture) = (text(&platform["os"])?, text(&platform["architecture"])?);
            Some(Self { os, architecture, variant: text(&platform["variant"]) }.to_string())
        };
        index.entries().iter().filter_map(platform).collect()
    }
}

/// Formats as `linux/arm/v7`.
impl std::fmt::Display for WantedPlatform {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        let variant = self.variant.as_deref().filter(|variant| !variant.is_empty());
        variant.map_or(Ok(()), |variant| write!(formatter, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::digest::Digest;
    use serde_json::json;

    /// An index of these platforms. Each image's digest is that of its platform's text. A `+` marks
    /// an image with zstd, and `-` is an image without a platform.
    fn index(platforms: &str) -> Index {
        let entries = platforms.split(' ').map(|text| {
            let mut entry = Descriptor::new("m", Digest::of(text.as_bytes()), 2).to_value();
            let (platform, is_zstd) = text.strip_suffix('+').map_or((text, false), |t| (t, true));
            let mut parts = platform.split('/');
            if platform != "-" {
                entry["platform"] = json!({"os": parts.next(), "architecture": parts.next()});
                if let Some(variant) = parts.next() {
                    entry["platform"]["variant"] = variant.into();
                }
            }
            if is_zstd {
                entry["annotations"] = json!({ZSTD: "true"});
            }
            entry
        });
        let entries: Vec<_> = entries.collect();
        let document = json!({"schemaVersion": 2, "manifests": entries});
        Index::parse(document.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn the_image_is_the_one_that_skopeo_takes() {
        for (platforms, wanted, expected) in [
            ("linux/amd64 linux/arm64", "linux/arm64", Some("linux/arm64")),
            ("linux/amd64 linux/amd64", "linux/amd64", Some("linux/amd64")),
            ("windows/amd64 linux/s390x", "linux/amd64", None),
            ("linux/arm64/v8", "linux/arm64", Some("linux/arm64/v8")),
            ("linux/arm64/v8 linux/arm64", "linux/arm64", Some("linux/arm64")),
            ("linux/arm64/v9", "linux/arm64", None),
            ("linux/arm/v5 linux/arm/v7 linux/arm/v6", "linux/arm", Some("linux/arm/v7")),
            ("linux/arm/v5 linux/arm/v7 linux/arm/v6", "linux/arm/v6", Some("linux/arm/v6")),
            ("linux/arm/v7 linux/arm", "linux/arm/v6", Some("linux/arm")),
            ("linux/arm/v5 linux/arm/v7", "linux/arm/v6", Some("linux/arm/v5")),
            ("linux/amd64/v3 linux/amd64", "linux/amd64", Some("linux/amd64")),
            ("linux/amd64/v3 linux/amd64", "linux/amd64/v3", Some("linux/amd64/v3")),
            ("linux/amd64/v3", "linux/amd64", None),
            ("linux/amd64 linux/amd64+", "linux/amd64", Some("linux/amd64+")),
            ("linux/arm/v7+ linux/arm/v8", "linux/arm", Some("linux/arm/v8")),
            ("- linux/amd64", "linux/amd64", Some("linux/amd64")),
            ("linux/s390x -", "linux/amd64", Some("-")),
            ("unknown/unknown linux/amd64", "linux/amd64", Some("linux/amd64")),
        ] {
            let mut parts = wanted.split('/').map(str::to_owned);
            let platform = WantedPlatform {
                os: parts.next().unwrap(),
                architecture: parts.next().unwrap(),
                variant: parts.next(),
            };
            assert_eq!(platform.to_string(), wanted);
            let chosen = platform.choose(&index(platforms)).unwrap();
            let expected = expected.map(|text| Digest::of(text.as_bytes()));
            assert_eq!(chosen.map(|chosen| chosen.digest), expected, "{wanted} of {platforms}");
        }
        let all = WantedPlatform::all(&index("linux/arm/v7 - windows/amd64"));
        assert_eq!(all, ["linux/arm/v7", "windows/amd64"]);
    }
}
