//! Names of images in registries: where a name leads to, and possibly a digest.

use std::fmt;
use std::str::FromStr;

use crate::{Reference as Name, ReferenceError, without_user};
use formats::digest::Digest;

/// Docker Hub.
const DOCKER_HUB: &str = "docker.io";
/// Where its programming interface is.
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";
/// The tag of names that say none.
const DEFAULT_TAG: &str = "latest";
/// The name of an image in a registry: `registry/repository:tag`, possibly with a digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Host, with a port where one is given.
    pub registry: String,
    /// The repository's path.
    pub repository: String,
    /// The tag; `latest` where neither tag nor digest is given.
    pub tag: Option<String>,
    /// The digest.
    pub digest: Option<Digest>,
}

impl Reference {
    /// The host to ask.
    pub fn host(&self) -> &str {
        if self.registry == DOCKER_HUB { DOCKER_HUB_HOST } else { &self.registry }
    }

    /// What names the manifest: the digest, or else the tag.
    pub fn manifest(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => format!("sha256:{digest}"),
            (None, tag) => tag.clone().unwrap_or_else(|| DEFAULT_TAG.into()),
        }
    }

    /// The name without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Whether the registry is on this machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.registry.rsplit_once(':').map_or(&*self.registry, |(host, _)| host);
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
            Some(digest) => write!(formatter, "@sha256:{digest}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if let Some(name) = without_user(text) {
            return Err(ReferenceError::user(&name));
        }
        let bare = text.strip_prefix("docker://").unwrap_or(text);
        let (bare, digest) = match bare.split_once('@') {
            None => (bare, None),
            Some((rest, digest)) => {
                let found = digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
                let error = || ReferenceError::part(text, "digest", digest, "is no SHA-256");
                (rest, Some(found.ok_or_else(error)?))
            }
        };
        let mut name = Name::parse(bare)?;
        name.registry = name.registry.filter(|registry| registry != DOCKER_HUB_HOST);
        let (registry, repository) = name.place();
        let (registry, repository) = (registry.to_owned(), repository.into_owned());
        // With a digest, a tag is there only if it was given.
        let tag = bare.ends_with(&format!(":{}", name.tag)) || digest.is_none();
        Ok(Self { registry, repository, tag: tag.then_some(name.tag), digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_docker_reads_them() {
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
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
            ("docker://quay.io/a/b__c-d", "quay.io/a/b__c-d:latest", "quay.io"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), shown);
            assert_eq!(reference.host(), host);
        }
        let reference: Reference = format!("ghcr.io/a/b@sha256:{digest}").parse().unwrap();
        assert_eq!(reference.to_string(), format!("ghcr.io/a/b@sha256:{digest}"));
        assert_eq!(reference.manifest(), format!("sha256:{digest}"));
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
}
