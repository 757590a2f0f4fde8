//! Chooses one of several images.

use formats::digest::Digest;
use oci::{Platform, Reference};

/// The operating system of all images built here.
const OS: &str = "linux";

/// Selects one image of an archive or layout.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// The image's name, its tag, or both, as in `me/app:1`. `None` selects the first image of a
    /// docker-archive, or the only one of a layout.
    pub name: Option<&'a str>,
    /// The architecture (Go's name for it) to choose where there are several.
    pub architecture: &'a str,
    /// The diffIDs of layers that are not going to be read, so a layout may lack their blobs.
    pub without: &'a [Digest],
}

impl Choice<'_> {
    /// Whether an index entry fits the platform. An entry without a platform fits any.
    pub(super) fn takes(&self, platform: Option<&Platform>) -> bool {
        platform.is_none_or(|it| it.architecture == self.architecture && it.os == OS)
    }

    /// The platform as shown in messages.
    pub(super) fn platform(&self) -> String {
        format!("{OS}/{}", self.architecture)
    }

    /// The selected item: the first one with exactly the wanted name, or else the only one whose
    /// full name or tag it is. Otherwise returns all names.
    pub(super) fn find<'i, T>(
        &self,
        items: &'i [T],
        names: impl Fn(&'i T) -> Vec<&'i str>,
    ) -> Result<&'i T, Vec<String>> {
        let wanted = self.name.unwrap_or_default();
        let canonical = |name: &str| Reference::of_image(name).ok().map(|name| name.canonical());
        let whole = canonical(wanted);
        let exact = |name: &str| name == wanted;
        let same = |name: &str| whole.is_some() && canonical(name) == whole;
        let tagged = |name: &str| {
            name.rsplit_once(':').is_some_and(|(_, tag)| !tag.contains('/') && tag == wanted)
        };
        if let Some(item) = items.iter().find(|item| names(item).into_iter().any(exact)) {
            return Ok(item);
        }
        for matches in [&same as &dyn Fn(&str) -> bool, &tagged] {
            let mut found = items.iter().filter(|item| names(item).into_iter().any(matches));
            if let (Some(item), None) = (found.next(), found.next()) {
                return Ok(item);
            }
        }
        Err(items.iter().flat_map(names).map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_by_name_whole_name_and_tag() {
        let items = [vec!["app:1"], vec!["me/app:2", "app:3"], vec!["x.y/app:2"], vec!["1"]];
        let find = |name| {
            let choice = Choice { name: Some(name), architecture: "amd64", without: &[] };
            let found = choice.find(&items, Vec::clone);
            found.ok().map(|found| items.iter().position(|item| item == found).unwrap())
        };
        for (name, expected) in [
            ("app:1", Some(0)),
            ("docker.io/library/app:1", Some(0)),
            ("app:3", Some(1)),
            ("3", Some(1)),
            ("me/app:2", Some(1)),
            ("docker.io/me/app:2", Some(1)),
            // Two images match.
            ("2", None),
            ("1", Some(3)),
            ("app", None),
            ("", None),
        ] {
            assert_eq!(find(name), expected, "{name}");
        }
    }
}
