//! Names of images, taken apart as Docker does it.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use formats::digest::Digest;
use formats::peer_text;

/// A name such as `ghcr.io/me/app:1`, and possibly a digest.
///
/// It is kept as it was written, since engines differ in what a name without a registry stands
/// for. [`Self::resolved`] is what Docker makes of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The registry, if the name has one: a first component with a dot or a port, or `localhost`.
    pub registry: Option<String>,
    /// The name in it, such as `me/app`.
    pub repository: String,
    /// The tag; `latest` where there is neither a tag nor a digest.
    pub tag: Option<String>,
    /// The digest of its manifest.
    pub digest: Option<Digest>,
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
/// Where its programming interface is, which some write in its place.
const DOCKER_HOST: &str = "registry-1.docker.io";
/// And where in it names of one component are.
const OFFICIAL: &str = "library";
/// The tag of names without one.
const DEFAULT_TAG: &str = "latest";
const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;

impl ReferenceError {
    /// Says that a part of a name is not as it must be.
    fn part(name: &str, part: &'static str, found: &str, problem: &'static str) -> Self {
        Self::Part { name: short(name), part, found: short(found), problem }
    }

    /// Says that a name, which is shown without it, has a user.
    fn user(name: &str) -> Self {
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
    /// Takes `[REGISTRY/]NAME[:TAG][@DIGEST]` apart.
    pub fn parse(name: &str) -> Result<Self, ReferenceError> {
        if let Some(name) = without_user(name) {
            return Err(ReferenceError::user(&name));
        }
        let error = |part, found, problem| ReferenceError::part(name, part, found, problem);
        let (named, digest) = match name.split_once('@') {
            None => (name, None),
            Some((named, digest)) => {
                let parsed = digest.parse().map_err(|_| error("digest", digest, "is no SHA-256"));
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
            return Err(error("registry", registry, "is no host name"));
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

    /// Reads the name of an image that is to be made, whose digest follows from its content.
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

    /// The tag; `latest` where the name has none.
    pub fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or(DEFAULT_TAG)
    }

    /// The name without tag and digest.
    pub fn name(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.repository),
            None => self.repository.clone(),
        }
    }

    /// The registry that the name stands for: without one, Docker Hub.
    pub fn registry(&self) -> &str {
        match self.registry.as_deref() {
            None | Some(DOCKER_BEFORE | DOCKER_HOST) => DOCKER,
            Some(registry) => registry,
        }
    }

    /// The same image by its whole name: on Docker Hub, names of one component are in `library`.
    #[must_use]
    pub fn resolved(&self) -> Self {
        let registry = self.registry();
        let repository = if registry == DOCKER && !self.repository.contains('/') {
            format!("{OFFICIAL}/{}", self.repository)
        } else {
            self.repository.clone()
        };
        Self { registry: Some(registry.into()), repository, ..self.clone() }
    }

    /// The whole name of the image that the name stands for, one for all names of it.
    pub fn canonical(&self) -> String {
        self.resolved().to_string()
    }

    /// The shortest name that stands for the same image, which is what Docker shows.
    pub fn familiar(&self) -> String {
        let canonical = self.canonical();
        let ours = canonical.strip_prefix(DOCKER).and_then(|rest| rest.strip_prefix('/'));
        let Some(ours) = ours else { return canonical };
        let official = ours.strip_prefix(OFFICIAL).and_then(|rest| rest.strip_prefix('/'));
        official.filter(|name| !name.contains('/')).unwrap_or(ours).to_owned()
    }

    /// The host to ask, with a port where one is given.
    pub fn host(&self) -> &str {
        let registry = self.registry();
        if registry == DOCKER { DOCKER_HOST } else { registry }
    }

    /// What names its manifest in its repository: the digest, or else the tag.
    pub fn manifest(&self) -> String {
        self.digest.map_or_else(|| self.tag().to_owned(), |digest| digest.to_string())
    }

    /// Whether the registry is on this machine.
    pub fn is_loopback(&self) -> bool {
        let registry = self.registry();
        let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name())?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(formatter, "@{digest}"),
            None => Ok(()),
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
        return Err("has other characters than letters, digits, `_.-`");
    }
    Ok(())
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
            assert_eq!((&*found.repository, found.tag()), (repository, tag), "{name}");
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

    #[test]
    fn whole_names_are_those_that_docker_reads() {
        let digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for (text, shown, host) in [
            ("app", "docker.io/library/app:latest", "registry-1.docker.io"),
            ("me/app:1", "docker.io/me/app:1", "registry-1.docker.io"),
            ("index.docker.io/me/app", "docker.io/me/app:latest", "registry-1.docker.io"),
            ("docker.io/app:1", "docker.io/library/app:1", "registry-1.docker.io"),
            ("index.docker.io/app", "docker.io/library/app:latest", "registry-1.docker.io"),
            ("registry-1.docker.io/app", "docker.io/library/app:latest", "registry-1.docker.io"),
            ("ghcr.io/me/app:v1.2-x", "ghcr.io/me/app:v1.2-x", "ghcr.io"),
            ("localhost/app", "localhost/app:latest", "localhost"),
            ("localhost:5000/a/b/c", "localhost:5000/a/b/c:latest", "localhost:5000"),
            ("[::1]:5000/app:1", "[::1]:5000/app:1", "[::1]:5000"),
            ("quay.io/a/b__c-d", "quay.io/a/b__c-d:latest", "quay.io"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.canonical(), shown);
            assert_eq!(reference.host(), host);
        }
        let reference: Reference = format!("ghcr.io/a/b@{digest}").parse().unwrap();
        assert_eq!(reference.to_string(), format!("ghcr.io/a/b@{digest}"));
        assert_eq!(reference.manifest(), digest.to_string());
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
    fn this_machine_is_known_by_its_names() {
        for (text, here) in [
            ("localhost/a", true),
            ("localhost:5000/a", true),
            ("127.0.0.1:5000/a", true),
            ("[::1]:5000/a", true),
            ("ghcr.io/a/b", false),
            ("localhost.example.com/a", false),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().is_loopback(), here, "{text}");
        }
    }

    #[test]
    fn the_name_of_an_image_to_be_made_has_no_digest() {
        let digest = Digest::of(b"");
        let error = Reference::of_image(&format!("app@{digest}")).unwrap_err().to_string();
        assert!(error.contains("follows from the image"), "{error}");
        assert_eq!(Reference::of_image("app").unwrap().to_string(), "app:latest");
    }
}
