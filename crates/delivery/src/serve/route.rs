//! The resource that a request asks for.

use formats::digest::Digest;

/// A resource of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// The base URL, which tells clients that this is a registry.
    Base,
    /// The list of repositories.
    Catalog,
    /// The list of a repository's tags.
    Tags(String),
    /// A manifest.
    Manifest(String, Target),
    /// A layer or a config.
    Blob(String, Digest),
    /// The list of what refers to a manifest.
    Referrers(String, Digest),
}

/// The tag or digest that identifies a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Tag(String),
    Digest(Digest),
}

/// The requested part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// The maximum number of entries.
    pub(super) limit: Option<usize>,
    /// The entry after which the page starts.
    pub(super) after: Option<String>,
}

impl Route {
    /// Parses a request's target.
    pub(super) fn parse(target: &str) -> Option<(Self, Page)> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = decode(path)?;
        let page = Page::parse(query);
        let rest = path.strip_prefix("/v2")?;
        if rest.is_empty() || rest == "/" {
            return Some((Self::Base, page));
        }
        let rest = rest.strip_prefix('/')?;
        if rest == "_catalog" {
            return Some((Self::Catalog, page));
        }
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Some((Self::Tags(name.into()), page));
        }
        let (rest, last) = rest.rsplit_once('/')?;
        let (name, kind) = rest.rsplit_once('/')?;
        let digest = last.parse().ok();
        let route = match kind {
            "manifests" if last.contains(':') => {
                Self::Manifest(name.into(), Target::Digest(digest?))
            }
            "manifests" => Self::Manifest(name.into(), Target::Tag(last.into())),
            "blobs" => Self::Blob(name.into(), digest?),
            "referrers" => Self::Referrers(name.into(), digest?),
            _ => return None,
        };
        Some((route, page))
    }

    /// Whether the resource is a list of names.
    pub(super) fn lists_names(&self) -> bool {
        matches!(self, Self::Catalog | Self::Tags(_))
    }
}

impl Page {
    fn parse(query: &str) -> Self {
        let value = |name| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(known, _)| *known == name).and_then(|(_, value)| decode(value))
        };
        Self { limit: value("n").and_then(|n| n.parse().ok()), after: value("last") }
    }

    /// The page of a sorted list, and whether there are more entries after it.
    pub(super) fn of<'a>(&self, all: &[&'a str]) -> (Vec<&'a str>, bool) {
        let after = |name: &&&str| self.after.as_deref().is_none_or(|after| **name > after);
        let mut page: Vec<_> = all.iter().filter(after).copied().collect();
        let more = self.limit.is_some_and(|limit| page.len() > limit);
        page.truncate(self.limit.unwrap_or(usize::MAX));
        (page, more)
    }
}

/// Decodes percent-encoding.
fn decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut decoded = parts.next()?.as_bytes().to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        decoded.push(u8::from_str_radix(code, 16).ok()?);
        decoded.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_understood() {
        let digest = Digest::of(b"x");
        let name = || "me/app".to_owned();
        for (target, route) in [
            ("/v2".to_owned(), Route::Base),
            ("/v2/".into(), Route::Base),
            ("/v2/_catalog".into(), Route::Catalog),
            ("/v2/me/app/tags/list".into(), Route::Tags(name())),
            ("/v2/me/app/manifests/1".into(), Route::Manifest(name(), Target::Tag("1".into()))),
            (
                format!("/v2/me/app/manifests/{digest}"),
                Route::Manifest(name(), Target::Digest(digest)),
            ),
            (format!("/v2/me/app/blobs/sha256%3A{}", digest.hex()), Route::Blob(name(), digest)),
            (format!("/v2/me/app/referrers/{digest}"), Route::Referrers(name(), digest)),
        ] {
            assert_eq!(Route::parse(&target), Some((route, Page::default())), "{target}");
        }
    }

    #[test]
    fn what_no_registry_has_is_refused() {
        for target in [
            "",
            "/",
            "/v1/",
            "/v2x",
            "/v2/app",
            "/v2/app/blobs/sha256:00",
            "/v2/app/blobs/x",
            "/v2/app/manifests/sha512:0",
            "/v2/app/uploads/x",
            "/v2/%",
            "/v2/%zz/tags/list",
            "/v2/%ff/tags/list",
            "/etc/passwd",
            "http://host/v2/",
        ] {
            assert_eq!(Route::parse(target), None, "{target}");
        }
    }

    #[test]
    fn lists_are_cut_into_pages() {
        let all = ["a", "b", "c"];
        for (query, expected, more) in [
            ("", &["a", "b", "c"][..], false),
            ("n=2", &["a", "b"], true),
            ("n=2&last=b", &["c"], false),
            ("n=0", &[], true),
            ("n=x&last=zz", &[], false),
        ] {
            assert_eq!(Page::parse(query).of(&all), (expected.to_vec(), more), "{query}");
        }
    }
}
