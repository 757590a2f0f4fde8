//! Names of images, parsed as Docker does.

mod parse;

use std::fmt;

use formats::digest::Digest;
pub use parse::{ReferenceError, without_user};

/// An image's name: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`.
///
/// The name is kept as written, since engines disagree on what a name without a registry means.
/// [`Self::resolved`] gives Docker's interpretation.
///
/// # Examples
///
/// ```
/// # mod nix_image { pub use nix_image_oci::Reference; }
/// use nix_image::Reference;
///
/// let name = Reference::parse("ghcr.io/me/app:1")?;
/// assert_eq!((name.registry(), &*name.repository, name.tag()), ("ghcr.io", "me/app", "1"));
///
/// let name = Reference::parse("app")?;
/// assert_eq!(name.canonical(), "docker.io/library/app:latest");
/// # Ok::<(), nix_image_oci::ReferenceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The registry, if the name has one: a first component with a dot or a colon, or `localhost`.
    pub registry: Option<String>,
    /// The repository's name in the registry, such as `me/app`.
    pub repository: String,
    /// The tag, which is `latest` if the name has neither a tag nor a digest.
    pub tag: Option<String>,
    /// The digest of the image's manifest, if the name has one.
    pub digest: Option<Digest>,
}

/// The registry of names without one.
const DOCKER: &str = "docker.io";
/// Its former name.
const DOCKER_BEFORE: &str = "index.docker.io";
/// The host of its API, which some write instead.
const DOCKER_HOST: &str = "registry-1.docker.io";
/// The namespace of its repositories with one component.
const OFFICIAL: &str = "library";
/// The tag of names that have none.
const DEFAULT_TAG: &str = "latest";

impl Reference {
    /// The tag, or `latest` if the name has none.
    pub fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or(DEFAULT_TAG)
    }

    /// The registry, if the name has one, and the repository: the name without tag and digest.
    pub fn name(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.repository),
            None => self.repository.clone(),
        }
    }

    /// The registry that the name refers to, which is `docker.io` if the name has none.
    pub fn registry(&self) -> &str {
        match self.registry.as_deref() {
            None | Some(DOCKER_BEFORE | DOCKER_HOST) => DOCKER,
            Some(registry) => registry,
        }
    }

    /// The full name of the same image. On Docker Hub, repositories with one component are in
    /// `library`.
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

    /// The full name as a string. It is the same for all names of an image.
    pub fn canonical(&self) -> String {
        self.resolved().to_string()
    }

    /// The shortest name of the same image, as Docker shows it. Docker also shortens
    /// `docker.io/example.org/app` to the name of an image in another registry, which this does not.
    pub fn familiar(&self) -> String {
        let canonical = self.canonical();
        let ours = canonical.strip_prefix(DOCKER).and_then(|rest| rest.strip_prefix('/'));
        let Some(ours) = ours else { return canonical };
        let official = ours.strip_prefix(OFFICIAL).and_then(|rest| rest.strip_prefix('/'));
        let short = official.filter(|name| !name.contains('/')).unwrap_or(ours);
        let is_same = Self::parse(short).is_ok_and(|same| same.canonical() == canonical);
        if is_same { short.to_owned() } else { canonical }
    }

    /// The name that podman gives to a loaded image: without a registry, it is in `localhost`.
    pub fn local(&self) -> String {
        match self.registry {
            Some(_) => self.to_string(),
            None => format!("localhost/{self}"),
        }
    }

    /// The host that serves the registry, including any port.
    pub fn host(&self) -> &str {
        let registry = self.registry();
        if registry == DOCKER { DOCKER_HOST } else { registry }
    }

    /// How a registry identifies the manifest: by the digest if there is one, or else by the tag.
    pub fn manifest(&self) -> String {
        self.digest.map_or_else(|| self.tag().to_owned(), |digest| digest.to_string())
    }

    /// Whether the registry is on this machine: `localhost` or a loopback address.
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
            ("docker.io/example.org/a:1", "docker.io/example.org/a:1"),
            ("docker.io/localhost/a:1", "docker.io/localhost/a:1"),
            ("ghcr.io/me/app:1", "ghcr.io/me/app:1"),
        ] {
            let name = Reference::parse(name).unwrap();
            assert_eq!(name.familiar(), familiar);
            assert_eq!(Reference::parse(familiar).unwrap().canonical(), name.canonical());
        }
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
}
