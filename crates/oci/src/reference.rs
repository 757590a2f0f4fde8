//! Names of images, taken apart as Docker does it.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use formats::peer_text;

/// A name and tag, such as `ghcr.io/me/app:1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The registry, if the name has one: a first component with a dot or a port, or `localhost`.
    pub registry: Option<String>,
    /// The name in it, such as `me/app`.
    pub repository: String,
    /// The tag; `latest` where the name has none.
    pub tag: String,
}

/// A name that engines and registries do not take.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReferenceError {
    /// A part of it is not as it must be.
    #[error(
        "`{name}` is no image name: its {part} `{found}` {problem}; names look like \
         `ghcr.io/me/app:1`"
    )]
    Part {
        /// The name, shortened.
        name: String,
        /// The part.
        part: &'static str,
        /// What it is, shortened.
        found: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It has a user's name, and perhaps a password, which are not shown.
    #[error(
        "`{0}` is no image name: before its `@` stands a user name or password; leave it out, and \
         log in with `docker login`, `podman login` or `skopeo login`"
    )]
    User(String),
}

/// The registry of names without one.
const DOCKER: &str = "docker.io";
/// What it was called before.
const DOCKER_BEFORE: &str = "index.docker.io";
/// And where in it names of one component are.
const OFFICIAL: &str = "library";
const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;

impl ReferenceError {
    /// Says that a part of a name is not as it must be.
    pub(crate) fn part(name: &str, part: &'static str, found: &str, problem: &'static str) -> Self {
        Self::Part { name: short(name), part, found: short(found), problem }
    }

    /// Says that a name, which is shown without it, has a user.
    pub(crate) fn user(name: &str) -> Self {
        Self::User(short(name))
    }
}

/// The name as it may be shown, if it has a user or password: nothing but a digest may follow an
/// `@`.
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

/// A part of a name as it may be shown: the name may stand in somebody else's conf.
fn short(text: &str) -> String {
    peer_text::start(text, 300)
}

impl Reference {
    /// Takes `[REGISTRY/]NAME[:TAG]` apart.
    pub fn parse(name: &str) -> Result<Self, ReferenceError> {
        if let Some(name) = without_user(name) {
            return Err(ReferenceError::user(&name));
        }
        let error = |part, found, problem| ReferenceError::part(name, part, found, problem);
        let (path, tag) = match name.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, tag),
            _ => (name, "latest"),
        };
        let (registry, repository) = match path.split_once('/') {
            Some((first, rest)) if is_registry(first) => (Some(first), rest),
            _ => (None, path),
        };
        if let Some(registry) = registry
            && !is_host(registry)
        {
            return Err(error("registry", registry, "is no host name"));
        }
        if repository.len() > MAX_REPOSITORY {
            return Err(error("name", repository, "has more than 255 characters"));
        }
        if !repository.split('/').all(is_component) {
            let problem = "is not made of lower-case letters, digits and single separators";
            return Err(error("name", repository, problem));
        }
        if tag.is_empty() || tag.len() > MAX_TAG || tag.starts_with(['.', '-']) {
            return Err(error("tag", tag, "is empty, too long or starts with a separator"));
        }
        if !tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) {
            return Err(error("tag", tag, "has other characters than letters, digits, `_.-`"));
        }
        let registry = registry.map(str::to_owned);
        Ok(Self { registry, repository: repository.into(), tag: tag.into() })
    }

    /// The name without its tag.
    pub fn name(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.repository),
            None => self.repository.clone(),
        }
    }

    /// The registry and the repository in it that the name stands for: without a registry those
    /// of Docker Hub, where names of one component are in `library`.
    pub fn place(&self) -> (&str, Cow<'_, str>) {
        let repository = Cow::Borrowed(&*self.repository);
        match self.registry.as_deref() {
            Some(registry) if ![DOCKER, DOCKER_BEFORE].contains(&registry) => {
                (registry, repository)
            }
            _ if repository.contains('/') => (DOCKER, repository),
            _ => (DOCKER, format!("{OFFICIAL}/{repository}").into()),
        }
    }

    /// The whole name of the image that the name stands for, one for all names of it.
    pub fn canonical(&self) -> String {
        let (registry, repository) = self.place();
        format!("{registry}/{repository}:{}", self.tag)
    }

    /// The shortest name that stands for the same image, which is what Docker shows.
    pub fn familiar(&self) -> String {
        let canonical = self.canonical();
        let ours = canonical.strip_prefix(DOCKER).and_then(|rest| rest.strip_prefix('/'));
        let Some(ours) = ours else { return canonical };
        let official = ours.strip_prefix(OFFICIAL).and_then(|rest| rest.strip_prefix('/'));
        official.filter(|name| !name.contains('/')).unwrap_or(ours).to_owned()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.name(), self.tag)
    }
}

fn is_registry(component: &str) -> bool {
    component.contains(['.', ':']) || component == "localhost"
}

/// A name or address, and perhaps a port.
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

/// Lower-case letters and digits, between which stands `.`, `_`, `__` or any number of `-`.
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

    #[test]
    fn names_are_taken_apart_as_docker_does() {
        for (name, registry, repository, tag, canonical) in [
            ("app", None, "app", "latest", "docker.io/library/app:latest"),
            ("app:1", None, "app", "1", "docker.io/library/app:1"),
            ("me/app:1.0-x", None, "me/app", "1.0-x", "docker.io/me/app:1.0-x"),
            ("localhost/app", Some("localhost"), "app", "latest", "localhost/app:latest"),
            ("a.b/c__d/e---f:t", Some("a.b"), "c__d/e---f", "t", "a.b/c__d/e---f:t"),
            ("[::1]:5/app:2", Some("[::1]:5"), "app", "2", "[::1]:5/app:2"),
            ("h:5000/app", Some("h:5000"), "app", "latest", "h:5000/app:latest"),
            ("docker.io/app", Some("docker.io"), "app", "latest", "docker.io/library/app:latest"),
            (
                "index.docker.io/a",
                Some("index.docker.io"),
                "a",
                "latest",
                "docker.io/library/a:latest",
            ),
            ("index.docker.io/me/a:1", Some("index.docker.io"), "me/a", "1", "docker.io/me/a:1"),
        ] {
            let found = Reference::parse(name).unwrap();
            assert_eq!(found.registry.as_deref(), registry, "{name}");
            assert_eq!((&*found.repository, &*found.tag), (repository, tag), "{name}");
            assert_eq!(found.canonical(), canonical);
        }
    }

    #[test]
    fn names_are_shortened_as_docker_does() {
        for (name, familiar) in [
            ("docker.io/library/app:1", "app:1"),
            ("docker.io/app", "app:latest"),
            ("index.docker.io/library/app:1", "app:1"),
            ("library/app:1", "app:1"),
            ("docker.io/me/app:1", "me/app:1"),
            ("docker.io/library/a/b:1", "library/a/b:1"),
            ("docker.iox/library/a:1", "docker.iox/library/a:1"),
            ("ghcr.io/me/app:1", "ghcr.io/me/app:1"),
        ] {
            let name = Reference::parse(name).unwrap();
            assert_eq!(name.familiar(), familiar);
            assert_eq!(Reference::parse(familiar).unwrap().canonical(), name.canonical());
        }
    }

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
}
