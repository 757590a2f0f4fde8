//! Which of several images is meant.

use formats::digest::Digest;
use oci::{Platform, Reference};

/// The operating system of all images that are made here.
const OS: &str = "linux";

/// Which image of an archive or layout is meant.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// Its name, its tag, or both, as in `me/app:1`. `None` means the first one of a docker-archive,
    /// and the only one of a layout.
    pub name: Option<&'a str>,
    /// The architecture that it is for, by Go's name, where there are several.
    pub architecture: &'a str,
    /// Layers of a layout, by their diffIDs, whose blobs need not be there: they are not read.
    pub without: &'a [Digest],
}

impl Choice<'_> {
    /// Whether an entry of an index is for the platform; one that names none is for any.
    pub(super) fn takes(&self, platform: Option<&Platform>) -> bool {
        platform.is_none_or(|it| it.architecture == self.architecture && it.os == OS)
    }

    /// The platform, as messages have it.
    pub(super) fn platform(&self) -> String {
        format!("{OS}/{}", self.architecture)
    }

    /// The item that is meant: the first one of exactly the wanted name, or else the only one whose
    /// whole name, or whose tag, is the wanted one. If there is none, the names of all.
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
            // Two have it.
            ("2", None),
            ("1", Some(3)),
            ("app", None),
            ("", None),
        ] {
            assert_eq!(find(name), expected, "{name}");
        }
    }
}
