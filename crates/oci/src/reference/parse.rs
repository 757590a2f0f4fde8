//! Parses and validates names.

use std::str::FromStr;

use thiserror::Error;

use super::{DEFAULT_TAG, Reference};
use formats::peer_text;

const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;

/// A name that engines and registries do not accept.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReferenceError {
    /// A part of the name is not valid.
    #[error(
        "`{name}` is not a valid image name: its {part} `{found}` {problem}; expected one such as \
         `ghcr.io/me/app:1`"
    )]
    Part {
        /// The name, shortened.
        name: String,
        /// The part.
        part: &'static str,
        /// The part's text, shortened.
        found: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The name contains a user name, and perhaps a password, which are not shown.
    #[error(
        "`{0}` is not a valid image name: it has a user name or password before the `@`; remove \
         it, and log in with `nix-image login`, `docker login` or `podman login`"
    )]
    User(String),
}

impl ReferenceError {
    /// An error about an invalid part of a name.
    fn part(name: &str, part: &'static str, found: &str, problem: &'static str) -> Self {
        Self::Part { name: short(name), part, found: short(found), problem }
    }

    /// An error about a user in a name. The name is given without it.
    fn user(name: &str) -> Self {
        Self::User(short(name))
    }
}

/// The name with any user and password replaced, or `None` if it has none. Only a digest may follow
/// an `@`.
pub fn without_user(name: &str) -> Option<String> {
    let is_digest =
        |text: &str| ["sha256:", "sha384:", "sha512:"].iter().any(|kind| text.starts_with(kind));
    let (named, digest) = match name.rsplit_once('@') {
        Some((named, digest)) if is_digest(digest) => (named, format!("@{digest}")),
        _ => (name, String::new()),
    };
    let (_, place) = named.rsplit_once('@')?;
    Some(format!("***@{place}{digest}"))
}

/// A name or a part of one, safe to display: it may come from someone else's conf.
fn short(text: &str) -> String {
    peer_text::start(text, 300)
}

impl Reference {
    /// Parses a name as Docker does.
    ///
    /// # Errors
    ///
    /// If a part is not valid, or a user name or password precedes an `@`. The error does not
    /// repeat the password.
    pub fn parse(name: &str) -> Result<Self, ReferenceError> {
        if let Some(name) = without_user(name) {
            return Err(ReferenceError::user(&name));
        }
        let error = |part, found, problem| ReferenceError::part(name, part, found, problem);
        let (named, digest) = match name.split_once('@') {
            None => (name, None),
            Some((named, digest)) => {
                let parsed =
                    digest.parse().map_err(|_| error("digest", digest, "is not a SHA-256 digest"));
                (named, Some(parsed?))
            }
        };
        let (path, tag) = match named.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (named, None),
        };
        let (registry, repository) = match path.split_once('/') {
            Some((first, rest)) if is_registry(first) => (Some(first), rest),
            _ => (None, path),
        };
        if let Some(registry) = registry
            && !is_host(registry)
        {
            return Err(error("registry", registry, "is not a valid host name"));
        }
        if repository.len() > MAX_REPOSITORY {
            return Err(error("name", repository, "has more than 255 characters"));
        }
        if !repository.split('/').all(is_component) {
            let problem = "is not made of lower-case letters, digits and single separators";
            return Err(error("name", repository, problem));
        }
        if let Some(tag) = tag {
            check_tag(tag).map_err(|problem| error("tag", tag, problem))?;
        }
        let implied = digest.is_none().then_some(DEFAULT_TAG);
        Ok(Self {
            registry: registry.map(str::to_owned),
            repository: repository.into(),
            tag: tag.or(implied).map(str::to_owned),
            digest,
        })
    }

    /// Parses the name for a new image.
    ///
    /// # Errors
    ///
    /// Those of [`Self::parse`], and if the name has a digest, which can only follow from the
    /// image.
    pub fn of_image(name: &str) -> Result<Self, ReferenceError> {
        let reference = Self::parse(name)?;
        match reference.digest {
            None => Ok(reference),
            Some(digest) => {
                let problem = "follows from the image; name a tag";
                Err(ReferenceError::part(name, "digest", &digest.to_string(), problem))
            }
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    if tag.is_empty() || tag.len() > MAX_TAG || tag.starts_with(['.', '-']) {
        return Err("is empty, too long or starts with a separator");
    }
    if !tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) {
        return Err("has characters other than letters, digits and `_.-`");
    }
    Ok(())
}

fn is_registry(component: &str) -> bool {
    component.contains(['.', ':']) || component == "localhost"
}

/// Whether this is a host name or address, optionally with a port.
fn is_host(registry: &str) -> bool {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_name = !host.is_empty()
        && !host.starts_with(['.', '-'])
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    let is_address =
        inner.is_some_and(|inner| inner.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'));
    (is_name || is_address) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Whether this consists of lower-case letters and digits, separated by `.`, `_`, `__` or any
/// number of `-`.
fn is_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    ends.is_some_and(|(&first, &last)| alphanumeric(first) && alphanumeric(last))
        && bytes.iter().all(|&b| alphanumeric(b) || b"._-".contains(&b))
        && component.split(|c: char| c.is_ascii_alphanumeric()).all(|between| {
            matches!(between, "" | "." | "_" | "__") || !between.contains(['.', '_'])
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::digest::Digest;

    #[test]
    fn passwords_are_refused_and_not_shown() {
        for (name, shown) in [
            ("bob:secret@host.io/app:1", "`***@host.io/app:1`"),
            ("secret@host.io/app", "`***@host.io/app`"),
            ("bob:se@cr/et@host.io/app", "`***@host.io/app`"),
            ("https://bob:secret@host.io:5000/app:1", "`***@host.io:5000/app:1`"),
            ("bob:secret@host.io/app:1@sha256:00", "`***@host.io/app:1@sha256:00`"),
            ("bob:secret@cafe:5000", "`***@cafe:5000`"),
            ("secret@", "`***@`"),
        ] {
            let error = Reference::parse(name).unwrap_err().to_string();
            assert!(error.contains(shown) && error.contains("docker login"), "{error}");
            assert!(!error.contains("secret") && !error.contains("cr/et"), "{error}");
        }
        assert_eq!(without_user("app:1@sha256:00"), None);
    }

    #[test]
    fn what_is_wrong_with_a_name_is_shown_plain() {
        for name in ["a:\u{1b}[31mred", "\u{1b}[31mred", "\u{9b}31m.x/a", "u@\u{202e}\n/a"] {
            let error = Reference::parse(name).unwrap_err().to_string();
            assert_eq!(peer_text::plain(&error), error);
        }
    }

    #[test]
    fn what_no_registry_takes_is_refused() {
        for bad in [
            "",
            ":1",
            "App",
            "app:",
            "app:-1",
            "app:ä",
            "a//b",
            "/a",
            "a/",
            "../a",
            "a/../b",
            "x/a.-b",
            "a___b",
            "-a",
            "a_",
            "a b",
            "a@b",
            "a:b:c",
            "a.b/c?x=1",
            "a:/1",
            "a:99999/b",
            ":1/b",
            "a:1:2/b",
            "é.x/a",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
        assert!(Reference::parse(&"a".repeat(256)).is_err());
        assert!(Reference::parse(&format!("a:{}", "t".repeat(129))).is_err());
    }

    #[test]
    fn what_could_lead_elsewhere_is_no_name() {
        for text in [
            "",
            "App",
            "a//b",
            "/a",
            "a/",
            "../a",
            "ghcr.io/../a",
            "ghcr.io/a/../b",
            "ghcr.io/a/.",
            "a:b c",
            "a:",
            "a:-x",
            "ghcr.io/a?b",
            "ghcr.io/a#b",
            "ghcr.io/a%2fb",
            "a@sha256:00",
            "user@host.io/a",
            "ho st.io/a",
            "x.io:99999/a",
            "x.io:/a",
            "-x.io/a",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
        let long = "a".repeat(256);
        assert!(long.parse::<Reference>().is_err());
    }

    #[test]
    fn the_name_of_an_image_to_be_made_has_no_digest() {
        let digest = Digest::of(b"");
        let error = Reference::of_image(&format!("app@{digest}")).unwrap_err().to_string();
        assert!(error.contains("follows from the image"), "{error}");
        assert_eq!(Reference::of_image("app").unwrap().to_string(), "app:latest");
    }
}
