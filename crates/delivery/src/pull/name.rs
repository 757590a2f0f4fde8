//! The name of the image in an archive.

use super::PullError;
use oci::Reference;

/// The host of Docker Hub's registry, which containers/image does not treat as Docker Hub.
const DOCKER_HOST: &str = "registry-1.docker.io";

/// A repository's full name and a tag, as containers/image writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalName {
    pub(super) repository: String,
    pub(super) tag: String,
}

impl FinalName {
    /// The full name of `name:tag`; `app` stands for `docker.io/library/app`.
    ///
    /// # Errors
    ///
    /// If it is not a valid name.
    pub fn new(name: &str, tag: &str) -> Result<Self, PullError> {
        let reference = Reference::of_image(&format!("{name}:{tag}"))?;
        let repository = if reference.registry.as_deref() == Some(DOCKER_HOST) {
            reference.name()
        } else {
            reference.resolved().name()
        };
        Ok(Self { repository, tag: tag.into() })
    }
}

impl std::fmt::Display for FinalName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.repository, self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_as_in_skopeos_archives() {
        for (name, expected) in [
            ("app", "docker.io/library/app:1"),
            ("me/app", "docker.io/me/app:1"),
            ("index.docker.io/app", "docker.io/library/app:1"),
            ("registry-1.docker.io/app", "registry-1.docker.io/app:1"),
            ("localhost/app", "localhost/app:1"),
            ("ghcr.io:443/a/b", "ghcr.io:443/a/b:1"),
        ] {
            assert_eq!(FinalName::new(name, "1").unwrap().to_string(), expected);
        }
        for (name, tag) in [("App", "1"), ("app", ""), ("app:1", "2"), ("app", "1@sha256:0")] {
            assert!(FinalName::new(name, tag).is_err(), "{name} {tag}");
        }
    }
}
