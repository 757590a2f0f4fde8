//! Requests to one registry: where it is, how they are authorised, and when they are repeated.

use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::thread;

use ureq::http::Response;
use ureq::{Body, ResponseExt as _};

use super::auth::Challenge;
use super::text::{describe, message, read_bounded};
use super::transport::{Transport, is_same_server};
use super::{Credentials, Reference, RegistryError, retry};

/// The longest answer to a failed request that is read for its message.
const MAX_MESSAGE: u64 = 64 << 10;
/// Characters of it that are shown.
const MAX_SAID: usize = 200;

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
    secrets: Mutex<Vec<String>>,
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
        let rights = if write { "pull,push" } else { "pull" };
        let mut scopes = vec![format!("repository:{}:{rights}", reference.repository)];
        let others = readable.iter().filter(|name| **name != reference.repository);
        scopes.extend(others.map(|name| format!("repository:{name}:pull")));
        let insecure = !options.tls_verify || reference.is_loopback();
        let credentials = Credentials::find(reference)?;
        let secrets = credentials.iter().map(|credentials| credentials.secret().to_owned());
        let mut client = Self {
            transport: Transport::new(insecure),
            registry: reference.registry.clone(),
            base: format!("https://{}", reference.host()),
            insecure,
            secrets: Mutex::new(secrets.collect()),
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
        let mut last = None;
        for attempt in 1..=retry::ATTEMPTS {
            for scheme in schemes {
                self.base = format!("{scheme}://{host}");
                let address = format!("{}/v2/", self.base);
                match self.transport.send("GET", &address, [].into_iter(), &[]) {
                    // What servers of TLS answer to plain HTTP, or where they send it.
                    Ok(response)
                        if scheme == "http"
                            && (response.status() == 400
                                || response.get_uri().scheme_str() == Some("https")) => {}
                    Ok(mut response) => {
                        let _ = read_bounded(response.body_mut(), MAX_MESSAGE);
                        return Ok(());
                    }
                    Err(error) => last = Some(error),
                }
            }
            thread::sleep(retry::pause(attempt, None));
        }
        let source = Box::new(last.unwrap_or(ureq::Error::ConnectionFailed));
        let what = format!("connecting to `{host}`");
        Err(RegistryError::Transport { what, attempts: retry::ATTEMPTS, source })
    }

    /// Makes a request until it is answered for good. Answers of status 300 and above are errors,
    /// but for those that the caller expects.
    pub(super) fn call(
        &self,
        call: Call<'_>,
        expected: &[u16],
    ) -> Result<Response<Body>, RegistryError> {
        retry::repeat(|attempt| self.call_once(&call, expected, attempt))
    }

    /// Makes a request, once but for a login in between. `attempt` is for the message.
    pub(super) fn call_once(
        &self,
        call: &Call<'_>,
        expected: &[u16],
        attempt: u32,
    ) -> Result<Response<Body>, RegistryError> {
        let address = self.address(call.place);
        let what = || describe(call.method, &address);
        let send = |authorization: Option<&str>| {
            let header = authorization.map(|header| ("authorization", header));
            let headers = call.headers.iter().copied().chain(header);
            let response = self.transport.send(call.method, &address, headers, call.body);
            response.map_err(|source| RegistryError::Transport {
                what: what(),
                attempts: attempt,
                source: source.into(),
            })
        };
        let authorization = self.authorization(&address);
        let mut response = send(authorization.as_deref())?;
        if response.status() == 401
            && self.is_ours(&address)
            && let Some(fresh) = self.log_in(&response, authorization.as_deref())?
        {
            // What is read to its end leaves a connection that can be used again.
            let _ = read_bounded(response.body_mut(), MAX_MESSAGE);
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
    ) -> Result<Response<Body>, RegistryError> {
        let address = self.address(place);
        let what = || describe(method, &address);
        let authorization = self.authorization(&address);
        let header = authorization.as_deref().map(|header| ("authorization", header));
        let headers = headers.iter().copied().chain(header);
        let response = self.transport.stream(method, &address, headers, body);
        let response = response.map_err(|source| RegistryError::Transport {
            what: what(),
            attempts: 1,
            source: source.into(),
        })?;
        if response.status() == 401 && self.is_ours(&address) {
            self.log_in(&response, authorization.as_deref())?;
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
    ) -> Result<Option<String>, RegistryError> {
        let mut header = self.authorization.lock().unwrap_or_else(PoisonError::into_inner);
        if header.as_deref() != used {
            return Ok(header.clone());
        }
        let challenges = response.headers().get_all("www-authenticate");
        let mut challenges = challenges.iter().filter_map(|value| value.to_str().ok());
        let Some(challenge) = challenges.find_map(Challenge::parse) else { return Ok(None) };
        let fresh = self.answer(&challenge)?.filter(|fresh| Some(fresh.as_str()) != used);
        if let Some(fresh) = &fresh {
            let secret = fresh.split_once(' ').map_or(&**fresh, |(_, secret)| secret);
            self.secrets.lock().unwrap_or_else(PoisonError::into_inner).push(secret.into());
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
        let text = read_bounded(response.body_mut(), MAX_MESSAGE).unwrap_or_default();
        // First the secrets go, then the length: part of a secret would not be known for one.
        let said = message(&text).map(|text| self.redact(&text));
        let said = said.map(|text| text.chars().take(MAX_SAID).collect::<String>());
        let message = said.map(|text| format!(": {text}")).unwrap_or_default();
        Err(RegistryError::Refused { what: what(), status, message, retry_after })
    }

    /// A text from elsewhere without what we keep to ourselves, should it repeat that.
    pub(super) fn redact(&self, text: &str) -> String {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let secrets = secrets.iter().filter(|secret| !secret.is_empty());
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}
