//! The user's name and password for one registry.

use std::fmt;

use http::{Request, StatusCode, Uri};

use super::credentials::{self, Credentials, CredentialsError, Place};
use super::{Client, Options, RegistryError};
use crate::Reference;

/// A name and a password for one registry. The `Debug` output hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The registry, as references name it: `ghcr.io`, `localhost:5000`.
    pub registry: String,
    /// The user name.
    pub user: String,
    /// The password, or a token that the registry accepts instead.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, user, .. } = self;
        formatter.debug_struct("Login").field("registry", registry).field("user", user).finish()
    }
}

impl Login {
    /// Asks the registry whether it accepts this name and password.
    ///
    /// # Errors
    ///
    /// [`RegistryError::WrongLogin`] if it does not, and others if it cannot be asked.
    #[doc(hidden)]
    pub fn check(&self, options: &Options) -> Result<(), RegistryError> {
        let reference = registry_only(&self.registry);
        let options = Options { login: Some(self.clone()), ..options.clone() };
        let client = Client::with_scopes(&reference, Vec::new(), &options)?;
        let mut request = Request::new(&[][..]);
        *request.uri_mut() = Uri::from_static("/v2/");
        client.call(request, &[]).map(drop).map_err(|error| match error {
            RegistryError::Refused { status: StatusCode::FORBIDDEN, .. } => {
                let Self { registry, user, .. } = self.clone();
                RegistryError::WrongLogin { registry, user, message: String::new() }
            }
            error => error,
        })
    }

    /// Stores the name and the password where docker, podman and skopeo look for them, and returns
    /// where that is: files and credential helpers.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or written, or a credential helper fails. Each file is replaced
    /// completely or not at all.
    #[doc(hidden)]
    pub fn save(&self) -> Result<Vec<Place>, CredentialsError> {
        credentials::save(self)
    }

    /// Removes the stored login for a registry, and returns where it was.
    ///
    /// # Errors
    ///
    /// Those of [`Self::save`].
    #[doc(hidden)]
    pub fn forget(registry: &str) -> Result<Vec<Place>, CredentialsError> {
        credentials::forget(registry)
    }

    /// A registry's name as references have it, given the name that a user or another program uses,
    /// such as `https://ghcr.io/`. `None` if it is not a valid name.
    #[doc(hidden)]
    pub fn registry_of(text: &str) -> Option<String> {
        let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let bare = bare.unwrap_or(text);
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        // Docker Hub's name in docker's file.
        let bare = if bare == "index.docker.io/v1" { "docker.io" } else { bare };
        let reference = Reference::parse(&format!("{bare}/x")).ok()?.resolved();
        let is_whole = !bare.contains(['/', '@']);
        let named =
            Reference::of_image(&format!("{bare}/x")).is_ok_and(|name| name.registry.is_some());
        (is_whole && named).then(|| reference.registry().to_owned())
    }

    pub(super) fn credentials(&self) -> Credentials {
        let Self { user, password, .. } = self.clone();
        Credentials::Basic { user, password }
    }
}

fn registry_only(registry: &str) -> Reference {
    Reference {
        registry: Some(registry.to_owned()),
        repository: "x".into(),
        tag: None,
        digest: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_taken_by_all_that_they_are_called() {
        for (text, registry) in [
            ("ghcr.io", Some("ghcr.io")),
            ("https://ghcr.io/", Some("ghcr.io")),
            ("localhost:5000", Some("localhost:5000")),
            ("docker.io", Some("docker.io")),
            ("index.docker.io", Some("docker.io")),
            ("https://index.docker.io/v1/", Some("docker.io")),
            ("", None),
            ("ghcr.io/me", None),
            ("ghcr", None),
            ("a b", None),
            ("user:secret@ghcr.io", None),
        ] {
            assert_eq!(Login::registry_of(text).as_deref(), registry, "{text}");
        }
    }

    #[test]
    fn the_password_is_shown_nowhere() {
        let login = Login { registry: "a.io".into(), user: "u".into(), password: "secret".into() };
        assert!(!format!("{login:?}").contains("secret"));
    }
}
