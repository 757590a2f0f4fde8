//! Calls to one registry: finds its address, and repeats each call until the result is final.
//!
//! A client takes requests for paths from the registry's root, and for locations that the registry
//! gave. It decides which failures to retry; the repository layer knows what the requests mean, and
//! the session authorizes them.

mod address;

use std::io::Read;

use http::{Request, StatusCode, Uri};

use super::credentials::Credentials;
use super::session::Session;
use super::transport::{Answer, Payload, Transport};
use super::{Attempts, Login, LoginError, RegistryError};
use crate::Reference;
pub(super) use address::location;

/// A client for one registry.
#[derive(Debug)]
pub struct Client {
    session: Session,
    /// An address of the registry, of which the scheme, host and port are used.
    root: Uri,
}

/// How to reach registries.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether to check certificates and refuse plain HTTP. A registry on this machine may always
    /// speak plain HTTP. [`RegistryError::is_insecure`] tells whether `false` may avoid an error.
    pub tls_verify: bool,
    /// The login for one registry, instead of the credentials stored for docker, podman or skopeo.
    pub login: Option<Login>,
}

impl Default for Options {
    /// Checks certificates, and uses stored credentials.
    fn default() -> Self {
        Self { tls_verify: true, login: None }
    }
}

impl Client {
    /// A client for a reference's registry, with read or write access to the reference's repository
    /// and read access to the `readable` ones.
    pub fn new(
        reference: &Reference,
        write: bool,
        readable: &[&str],
        options: &Options,
    ) -> Result<Self, RegistryError> {
        let reference = &reference.resolved();
        let rights = if write { "pull,push" } else { "pull" };
        let mut scopes = vec![format!("repository:{}:{rights}", reference.repository)];
        let others = readable.iter().filter(|name| **name != reference.repository);
        scopes.extend(others.map(|name| format!("repository:{name}:pull")));
        Self::with_scopes(reference, scopes, options)
    }

    /// A client for a reference's registry with these scopes.
    pub(super) fn with_scopes(
        reference: &Reference,
        scopes: Vec<String>,
        options: &Options,
    ) -> Result<Self, RegistryError> {
        let insecure = !options.tls_verify || reference.is_loopback();
        let registry = reference.registry();
        let login = options.login.clone().filter(|login| login.registry == registry);
        let given = login.as_ref().map(Login::credentials);
        let found = given.map_or_else(|| Credentials::find(reference), |given| Ok(Some(given)));
        let credentials = found.map_err(|error| RegistryError::Login {
            registry: registry.into(),
            problem: LoginError::Credentials(error),
        })?;
        let transport = Transport::new(insecure);
        let root = address::find_root(&transport, reference, insecure)?;
        let server = root.clone();
        let session = Session::new(transport, registry, server, insecure, credentials, scopes);
        let session = match login {
            Some(login) => session.with_user(login.user),
            None => session,
        };
        Ok(Self { session, root })
    }

    /// Makes a request, repeating it until the result is final. Statuses of 300 and above are
    /// errors, except the expected ones.
    pub(super) fn call(
        &self,
        request: Request<Payload<'_>>,
        expected: &[StatusCode],
    ) -> Result<Answer, RegistryError> {
        self.call_within(&mut Attempts::default(), request, expected)
    }

    /// Like `call`, but as part of something that already has attempts.
    pub(super) fn call_within(
        &self,
        attempts: &mut Attempts,
        request: Request<Payload<'_>>,
        expected: &[StatusCode],
    ) -> Result<Answer, RegistryError> {
        let request = self.addressed(request)?;
        attempts.repeat(|attempts| self.session.send(&request, expected, attempts))
    }

    /// Makes a request once: after a failure the caller has to find out first what arrived. A login
    /// that it needs may use up some of the attempts.
    pub(super) fn call_once(
        &self,
        attempts: &mut Attempts,
        request: Request<Payload<'_>>,
    ) -> Result<Answer, RegistryError> {
        self.session.send(&self.addressed(request)?, &[], attempts)
    }

    /// Makes a request whose body can be sent only once.
    pub(super) fn stream(
        &self,
        attempts: &mut Attempts,
        request: Request<&mut dyn Read>,
    ) -> Result<Answer, RegistryError> {
        self.session.stream(self.addressed(request)?, attempts)
    }

    /// A text that includes something from the registry, made safe to display.
    pub(super) fn show(&self, text: &str, limit: usize) -> String {
        self.session.show(text, limit)
    }

    /// Completes the request's location to a full address.
    fn addressed<T>(&self, mut request: Request<T>) -> Result<Request<T>, RegistryError> {
        *request.uri_mut() = address::resolve(&self.root, request.uri())?;
        Ok(request)
    }
}
