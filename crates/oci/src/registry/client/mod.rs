//! Calls to one registry: where it is, and that each is repeated until it is answered for good.
//!
//! A client takes requests for paths from the registry's root, and for locations that the registry
//! gave. It knows that what fails may be tried again; what the requests are for is the
//! repository's to know, what authorizes them the session's.

mod address;

use std::io::Read;

use http::{Request, StatusCode, Uri};

use super::credentials::Credentials;
use super::session::Session;
use super::transport::{Answer, Payload, Transport};
use super::{Attempts, Login, LoginError, RegistryError};
use crate::Reference;
pub(super) use address::location;

/// A connection to one registry.
#[derive(Debug)]
pub struct Client {
    session: Session,
    /// An address of the registry, for its scheme, host and port.
    root: Uri,
}

/// How registries are reached.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether to check certificates and to refuse plain HTTP. A registry on this machine may
    /// always speak plain HTTP. An error that `false` may avoid says so:
    /// [`RegistryError::is_insecure`].
    pub tls_verify: bool,
    /// What to log in with to one registry, in place of what docker, podman or skopeo were given.
    pub login: Option<Login>,
}

impl Default for Options {
    /// With certificates checked, and no login of our own.
    fn default() -> Self {
        Self { tls_verify: true, login: None }
    }
}

impl Client {
    /// A client for a reference's registry that may write to the reference's repository, or only
    /// read it, and that may read those others.
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

    /// A client for a reference's registry with these rights.
    pub(super) fn with_scopes(
        reference: &Reference,
        scopes: Vec<String>,
        options: &Options,
    ) -> Result<Self, RegistryError> {
        let insecure = !options.tls_verify || reference.is_loopback();
        let registry = reference.registry();
        let given = options.login.as_ref().and_then(|login| login.credentials(registry));
        let found = given.map_or_else(|| Credentials::find(reference), |given| Ok(Some(given)));
        let credentials = found.map_err(|error| RegistryError::Login {
            registry: registry.into(),
            problem: LoginError::Credentials(error),
        })?;
        let transport = Transport::new(insecure);
        let root = address::find_root(&transport, reference, insecure)?;
        let server = root.clone();
        let session = Session::new(transport, registry, server, insecure, credentials, scopes);
        Ok(Self { session, root })
    }

    /// Makes a request until it is answered for good. Answers of status 300 and above are errors,
    /// but for those that are expected.
    pub(super) fn call(
        &self,
        request: Request<Payload<'_>>,
        expected: &[StatusCode],
    ) -> Result<Answer, RegistryError> {
        self.call_within(&mut Attempts::default(), request, expected)
    }

    /// The same with the attempts of something that this request is part of.
    pub(super) fn call_within(
        &self,
        attempts: &mut Attempts,
        request: Request<Payload<'_>>,
        expected: &[StatusCode],
    ) -> Result<Answer, RegistryError> {
        let request = self.addressed(request)?;
        attempts.repeat(|attempts| self.session.send(&request, expected, attempts))
    }

    /// Makes a request once, as after a failure the caller has to find out first what arrived. A
    /// login that it needs may take some of the attempts.
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

    /// A text with something in it that the registry said, as it may be shown.
    pub(super) fn show(&self, text: &str, limit: usize) -> String {
        self.session.show(text, limit)
    }

    /// A request to the whole address of the location that it is for.
    fn addressed<T>(&self, mut request: Request<T>) -> Result<Request<T>, RegistryError> {
        *request.uri_mut() = address::resolve(&self.root, request.uri())?;
        Ok(request)
    }
}
