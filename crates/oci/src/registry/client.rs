//! Requests to one registry: where it is, how they are authorised, and when they are repeated.

use std::io::Read;
use std::sync::{Mutex, PoisonError};

use ureq::http::Response;
use ureq::{Body, ResponseExt as _};

use super::auth::Challenge;
use super::failure::Failure;
use super::secrets::Secrets;
use super::text::{describe, message, read_bounded};
use super::transport::{Transport, is_same_server};
use super::{Attempts, Credentials, RegistryError, retry};
use crate::Reference;
use formats::peer_text;

/// The longest answer to a failed request that is read for its message.
const MAX_MESSAGE: u64 = 64 << 10;
/// Characters of it that are shown.
const MAX_SAID: usize = 200;
/// Characters of an address that are shown, which may be the registry's word.
const MAX_ADDRESS: usize = 300;

/// A connection to one registry.
#[derive(Debug)]
pub struct Client {
    pub(super) transport: Transport,
    pub(super) registry: String,
    /// `https://host:port`.
    base: String,
    pub(super) insecure: bool,
    pub(super) credentials: Option<Credentials>,
    /// What tokens are asked for.
    pub(super) scopes: Vec<String>,
    authorization: Mutex<Option<String>>,
    /// All that no message may repeat.
    secrets: Mutex<Secrets>,
}

/// How registries are reached.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether certificates are checked and plain HTTP is refused; on this machine it never is.
    pub tls_verify: bool,
}

/// One request to a registry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub(super) method: &'a str,
    /// A path from the registry's root, or a whole address that the registry gave.
    pub(super) place: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
    /// In parts, one after the other.
    pub(super) body: &'a [&'a [u8]],
}

impl Client {
    /// A client for a reference's registry that may write to the reference's repository, or only
    /// read it, and that may read those others.
    pub fn new(
        reference: &Reference,
        write: bool,
        readable: &[&str],
        options: Options,
    ) -> Result<Self, RegistryError> {
        let reference = &reference.resolved();
        let rights = if write { "pull,push" } else { "pull" };
        let mut scopes = vec![format!("repository:{}:{rights}", reference.repository)];
        let others = readable.iter().filter(|name| **name != reference.repository);
        scopes.extend(others.map(|name| format!("repository:{name}:pull")));
        let insecure = !options.tls_verify || reference.is_loopback();
        let credentials = Credentials::find(reference)?;
        let mut secrets = Secrets::default();
        for secret in credentials.iter().flat_map(Credentials::secrets) {
            secrets.add(&secret);
        }
        let mut client = Self {
            transport: Transport::new(insecure),
            registry: reference.registry().into(),
            base: format!("https://{}", reference.host()),
            insecure,
            secrets: Mutex::new(secrets),
            credentials,
            scopes,
            authorization: Mutex::new(None),
        };
        if insecure {
            client.find_scheme(reference)?;
        }
        Ok(client)
    }

    /// Whether requests go without TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.base.starts_with("http://")
    }

    /// Finds out whether the registry speaks TLS. On this machine plain HTTP is tried first.
    fn find_scheme(&mut self, reference: &Reference) -> Result<(), RegistryError> {
        let host = reference.host();
        let mut schemes = ["https", "http"];
        if reference.is_loopback() {
            schemes.reverse();
        }
        let mut attempts = Attempts::default();
        let what = format!("connecting to `{host}`");
        loop {
            let mut failures = Vec::new();
            for scheme in schemes {
                self.base = format!("{scheme}://{host}");
                match self.try_base() {
                    Ok(true) => return Ok(()),
                    Ok(false) => {}
                    Err(failure) => failures.push(failure),
                }
            }
            // It answered plain HTTP with a refusal, and does not speak TLS.
            if failures.len() == 1 && failures[0].is_plain_http() {
                self.base = format!("http://{host}");
                return Ok(());
            }
            let may_help = failures.iter().any(Failure::is_passing);
            let Some(failure) = failures.pop() else { return Ok(()) };
            attempts.again(RegistryError::Transport { what: what.clone(), failure }, may_help)?;
        }
    }

    /// Whether a registry answers there, or else only what answers plain HTTP where TLS is spoken.
    fn try_base(&self) -> Result<bool, Failure> {
        let address = format!("{}/v2/", self.base);
        let mut response = self.transport.send("GET", &address, [].into_iter(), &[])?;
        // What servers of TLS answer to plain HTTP, or where they send it.
        let sends_on = response.get_uri().scheme_str() == Some("https");
        if self.is_plain() && (response.status() == 400 || sends_on) {
            return Ok(false);
        }
        let _ = read_bounded(response.body_mut(), MAX_MESSAGE, String::new);
        Ok(true)
    }

    /// Makes a request until it is answered for good. Answers of status 300 and above are errors,
    /// but for those that the caller expects.
    pub(super) fn call(
        &self,
        call: Call<'_>,
        expected: &[u16],
    ) -> Result<Response<Body>, RegistryError> {
        self.call_within(&mut Attempts::default(), call, expected)
    }

    /// The same with the attempts of something that this request is part of.
    pub(super) fn call_within(
        &self,
        attempts: &mut Attempts,
        call: Call<'_>,
        expected: &[u16],
    ) -> Result<Response<Body>, RegistryError> {
        attempts.repeat(|attempts| self.call_once(&call, expected, attempts))
    }

    /// Makes a request, once but for a login in between, which may take some of the attempts.
    pub(super) fn call_once(
        &self,
        call: &Call<'_>,
        expected: &[u16],
        attempts: &mut Attempts,
    ) -> Result<Response<Body>, RegistryError> {
        let address = self.address(call.place);
        let what = || self.describe(call.method, &address);
        let send = |authorization: Option<&str>| {
            let header = authorization.map(|header| ("authorization", header));
            let headers = call.headers.iter().copied().chain(header);
            let response = self.transport.send(call.method, &address, headers, call.body);
            response.map_err(|failure| RegistryError::Transport { what: what(), failure })
        };
        let authorization = self.authorization(&address);
        let mut response = send(authorization.as_deref())?;
        if response.status() == 401
            && self.is_ours(&address)
            && let Some(fresh) = self.log_in(&response, authorization.as_deref(), attempts)?
        {
            // What is read to its end leaves a connection that can be used again.
            let _ = read_bounded(response.body_mut(), MAX_MESSAGE, what);
            response = send(Some(&fresh))?;
        }
        self.judge(response, what, expected)
    }

    /// Makes a request whose body can be sent only once.
    pub(super) fn stream(
        &self,
        method: &str,
        place: &str,
        headers: &[(&str, &str)],
        body: &mut dyn Read,
        attempts: &mut Attempts,
    ) -> Result<Response<Body>, RegistryError> {
        let address = self.address(place);
        let what = || self.describe(method, &address);
        let authorization = self.authorization(&address);
        let header = authorization.as_deref().map(|header| ("authorization", header));
        let headers = headers.iter().copied().chain(header);
        let response = self.transport.stream(method, &address, headers, body);
        let response =
            response.map_err(|failure| RegistryError::Transport { what: what(), failure })?;
        if response.status() == 401 && self.is_ours(&address) {
            self.log_in(&response, authorization.as_deref(), attempts)?;
            return Err(RegistryError::Expired { what: what() });
        }
        self.judge(response, what, &[])
    }

    /// The address of a place in the registry.
    fn address(&self, place: &str) -> String {
        if place.starts_with('/') { format!("{}{place}", self.base) } else { place.into() }
    }

    /// Whether an address is the registry's own; secrets are for no other.
    fn is_ours(&self, address: &str) -> bool {
        is_same_server(&self.base, address)
    }

    fn authorization(&self, address: &str) -> Option<String> {
        let header = self.authorization.lock().unwrap_or_else(PoisonError::into_inner);
        header.clone().filter(|_| self.is_ours(address))
    }

    /// Answers a 401: the header to come again with, unless there is none that could help. `used`
    /// is the one that was refused; another thread may have a better one by now.
    fn log_in(
        &self,
        response: &Response<Body>,
        used: Option<&str>,
        attempts: &mut Attempts,
    ) -> Result<Option<String>, RegistryError> {
        let mut header = self.authorization.lock().unwrap_or_else(PoisonError::into_inner);
        if header.as_deref() != used {
            return Ok(header.clone());
        }
        let challenges = response.headers().get_all("www-authenticate");
        let mut challenges = challenges.iter().filter_map(|value| value.to_str().ok());
        let Some(challenge) = challenges.find_map(Challenge::parse) else { return Ok(None) };
        let fresh = self.answer(&challenge, attempts)?.filter(|fresh| Some(fresh.as_str()) != used);
        if let Some(fresh) = &fresh {
            let secret = fresh.split_once(' ').map_or(&**fresh, |(_, secret)| secret);
            self.secrets.lock().unwrap_or_else(PoisonError::into_inner).add(secret);
            *header = Some(fresh.clone());
        }
        Ok(fresh)
    }

    /// An answer as it is, or as the error that it stands for.
    pub(super) fn judge(
        &self,
        mut response: Response<Body>,
        what: impl Fn() -> String,
        expected: &[u16],
    ) -> Result<Response<Body>, RegistryError> {
        let status = response.status().as_u16();
        if status < 300 || expected.contains(&status) {
            return Ok(response);
        }
        let retry_after = retry::asked(response.headers());
        let text = read_bounded(response.body_mut(), MAX_MESSAGE, &what).unwrap_or_default();
        let said = message(&text).map(|text| self.show(&text, MAX_SAID));
        let said = said.filter(|text| !text.is_empty());
        let message = said.map(|text| format!(": {text}")).unwrap_or_default();
        Err(RegistryError::Refused { what: what(), status, message, retry_after })
    }

    /// A request in words.
    pub(super) fn describe(&self, method: &str, address: &str) -> String {
        self.show(&describe(method, address), MAX_ADDRESS)
    }

    /// A text from elsewhere as it may be shown: plain, without what we keep to ourselves should
    /// it repeat that, and not too long. In this order, as what is taken out could hide a secret,
    /// and part of a secret would not be known for one.
    pub(super) fn show(&self, text: &str, limit: usize) -> String {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        peer_text::shortened(&secrets.redact(&peer_text::plain(text)), limit)
    }
}
