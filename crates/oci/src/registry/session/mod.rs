//! Authorized requests to one registry, and the interpretation of their statuses.
//!
//! A session knows how to log in, and where its secrets may go: to its registry, and to the token
//! server that the registry names. It turns error statuses into errors. It does not resolve
//! relative addresses, does not know what the requests are for, and retries only requests for
//! tokens.

mod answer;
mod challenge;
mod secrets;
mod token;

use std::io::Read;

use http::header::AUTHORIZATION;
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use parking_lot::Mutex;

use super::credentials::Credentials;
use super::transport::{Answer, Payload, Transport};
use super::{Attempts, LoginError, RegistryError, retry};
pub(super) use answer::read_bounded;
use answer::{describe, message};
use challenge::Challenge;
use formats::peer_text;
use secrets::Secrets;

/// Maximum length of an error's body that is read for its message.
const MAX_MESSAGE: u64 = 64 << 10;
/// Maximum number of characters shown of it.
const MAX_SAID: usize = 200;
/// Maximum number of characters shown of an address, which may come from the registry.
const MAX_ADDRESS: usize = 300;

/// Requests to one registry, authorized when it demands it.
#[derive(Debug)]
pub(super) struct Session {
    transport: Transport,
    /// The registry's name.
    registry: String,
    /// An address of the registry. Secrets go to its server only.
    server: Uri,
    /// Whether token servers may be reached without TLS.
    insecure: bool,
    credentials: Option<Credentials>,
    /// Whose credentials they are, if they were given for this session rather than stored.
    user: Option<String>,
    /// The scopes to request tokens for.
    scopes: Vec<String>,
    authorization: Mutex<Option<HeaderValue>>,
    /// Everything that no message may repeat.
    secrets: Mutex<Secrets>,
}

impl Session {
    pub(super) fn new(
        transport: Transport,
        registry: &str,
        server: Uri,
        insecure: bool,
        credentials: Option<Credentials>,
        scopes: Vec<String>,
    ) -> Self {
        let mut secrets = Secrets::default();
        for secret in credentials.iter().flat_map(Credentials::secrets) {
            secrets.add(&secret);
        }
        Self {
            transport,
            registry: registry.into(),
            server,
            insecure,
            credentials,
            user: None,
            scopes,
            authorization: Mutex::new(None),
            secrets: Mutex::new(secrets),
        }
    }

    /// The same session, whose credentials were given for it and are those of this user.
    pub(super) fn with_user(self, user: String) -> Self {
        Self { user: Some(user), ..self }
    }

    /// Makes a request once, or twice if a login is needed in between, which may use up some of the
    /// attempts. Statuses of 300 and above are errors, except the expected ones.
    pub(super) fn send(
        &self,
        request: &Request<Payload<'_>>,
        expected: &[StatusCode],
        attempts: &mut Attempts,
    ) -> Result<Answer, RegistryError> {
        let what = || self.describe(request.method(), &request.uri().to_string());
        let send = |authorization: Option<&HeaderValue>| {
            let request = authorized(request.clone(), authorization);
            let answer = self.transport.send(request);
            answer.map_err(|failure| RegistryError::Transport { what: what(), failure })
        };
        let authorization = self.authorization(request.uri());
        let mut answer = send(authorization.as_ref())?;
        if answer.status() == StatusCode::UNAUTHORIZED
            && self.is_ours(request.uri())
            && let Some(fresh) = self
                .log_in(&answer, authorization.as_ref(), attempts)
                .map_err(|error| self.wrong_login(error))?
        {
            // A body that was read to its end makes the connection reusable.
            let _ = read_bounded(&mut answer, MAX_MESSAGE, what);
            answer = send(Some(&fresh))?;
        }
        let judged = self.judge(answer, what, expected);
        judged.map_err(
            |error| {
                if self.is_ours(request.uri()) { self.wrong_login(error) } else { error }
            },
        )
    }

    /// Makes a request whose body can be sent only once.
    pub(super) fn stream(
        &self,
        request: Request<&mut dyn Read>,
        attempts: &mut Attempts,
    ) -> Result<Answer, RegistryError> {
        let (method, address) = (request.method().clone(), request.uri().clone());
        let what = || self.describe(&method, &address.to_string());
        let authorization = self.authorization(&address);
        let answer = self.transport.stream(authorized(request, authorization.as_ref()));
        let answer =
            answer.map_err(|failure| RegistryError::Transport { what: what(), failure })?;
        if answer.status() == StatusCode::UNAUTHORIZED && self.is_ours(&address) {
            self.log_in(&answer, authorization.as_ref(), attempts)?;
            return Err(RegistryError::Expired { what: what() });
        }
        self.judge(answer, what, &[])
    }

    /// Whether requests go without TLS.
    fn is_plain(&self) -> bool {
        self.server.scheme() == Some(&Scheme::HTTP)
    }

    /// Whether an address is on the registry's own server. Secrets go nowhere else.
    fn is_ours(&self, address: &Uri) -> bool {
        is_same_server(&self.server, address)
    }

    fn authorization(&self, address: &Uri) -> Option<HeaderValue> {
        let header = self.authorization.lock();
        header.clone().filter(|_| self.is_ours(address))
    }

    /// Answers a 401 with the header to use next, or `None` if there is none that could help.
    /// `used` is the rejected one; another thread may have obtained a better one by now.
    fn log_in(
        &self,
        answer: &Answer,
        used: Option<&HeaderValue>,
        attempts: &mut Attempts,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let mut header = self.authorization.lock();
        if header.as_ref() != used {
            return Ok(header.clone());
        }
        let Some(challenge) = Challenge::find(answer.headers()) else { return Ok(None) };
        let fresh = self.answer(&challenge, attempts)?.filter(|fresh| Some(fresh) != used);
        if let Some(fresh) = &fresh {
            let text = fresh.to_str().unwrap_or_default();
            let secret = text.split_once(' ').map_or(text, |(_, secret)| secret);
            self.secrets.lock().add(secret);
            *header = Some(fresh.clone());
        }
        Ok(fresh)
    }

    /// Turns an answer with an error status into an error.
    fn judge(
        &self,
        mut answer: Answer,
        what: impl Fn() -> String,
        expected: &[StatusCode],
    ) -> Result<Answer, RegistryError> {
        let status = answer.status();
        if status.as_u16() < 300 || expected.contains(&status) {
            return Ok(answer);
        }
        let retry_after = retry::asked(answer.headers());
        let text = read_bounded(&mut answer, MAX_MESSAGE, &what).unwrap_or_default();
        let said = message(&text).map(|text| self.show(&text, MAX_SAID));
        let said = said.filter(|text| !text.is_empty());
        let message = said.map(|text| format!(": {text}")).unwrap_or_default();
        Err(RegistryError::Refused { what: what(), status, message, retry_after })
    }

    /// Turns a refusal into an error that names the user, if the credentials were given for this
    /// session. For stored ones the error stays, as it says how to store others.
    fn wrong_login(&self, error: RegistryError) -> RegistryError {
        let Some(user) = self.user.clone() else { return error };
        let message = match error {
            // What registries say to this is only that a login is required.
            RegistryError::Refused { status: StatusCode::UNAUTHORIZED, .. } => String::new(),
            RegistryError::Login { problem: LoginError::Refused { message, .. }, .. } => message,
            error => return error,
        };
        RegistryError::WrongLogin { registry: self.registry.clone(), user, message }
    }

    /// Describes a request. The method and the registry's own host are not secret, even if a short
    /// password is part of them.
    fn describe(&self, method: &Method, address: &str) -> String {
        let text = describe(method, address);
        let host = self.server.host().unwrap_or_default();
        let mut known = method.as_str().len() + " ".len();
        let after_host = text[known..].strip_prefix(host);
        if after_host.is_some_and(|rest| rest.starts_with([':', '/'])) {
            known += host.len();
        }
        let (known, rest) = text.split_at(known);
        known.to_owned() + &self.show(rest, MAX_ADDRESS)
    }

    /// Makes a foreign text safe to display: escaped, redacted and shortened. The order matters:
    /// escaping first, as removed characters could hide a secret, and shortening last, as part of a
    /// secret would not be recognized.
    pub(super) fn show(&self, text: &str, limit: usize) -> String {
        let secrets = self.secrets.lock();
        peer_text::shortened(&secrets.redact(&peer_text::plain(text)), limit)
    }
}

fn authorized<T>(mut request: Request<T>, authorization: Option<&HeaderValue>) -> Request<T> {
    if let Some(header) = authorization {
        request.headers_mut().insert(AUTHORIZATION, header.clone());
    }
    request
}

/// Whether two addresses are on the same server.
fn is_same_server(one: &Uri, other: &Uri) -> bool {
    let server = |address: &Uri| {
        let scheme = address.scheme()?.clone();
        let usual = if scheme == Scheme::HTTPS { 443 } else { 80 };
        let host = address.host()?.to_ascii_lowercase();
        Some((scheme, host, address.port_u16().unwrap_or(usual)))
    };
    server(one).is_some_and(|one| server(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(server: &str, credentials: Option<Credentials>) -> Session {
        let server = server.parse().unwrap();
        Session::new(Transport::new(true), "reg.io", server, true, credentials, Vec::new())
    }

    #[test]
    fn secrets_are_for_one_server() {
        let ours = session("https://reg.io", None);
        for (address, expected) in [
            ("https://reg.io/v2/", true),
            ("https://reg.io:443/v2/?a", true),
            ("https://REG.io?a", true),
            ("http://reg.io/v2/", false),
            ("https://reg.io:444/v2/", false),
            ("https://reg.io.evil.io/", false),
            ("https://reg.io@evil.io/", false),
            ("https://evil.io/https://reg.io/", false),
            ("/v2/", false),
        ] {
            assert_eq!(ours.is_ours(&address.parse().unwrap()), expected, "{address}");
        }
        let ours = session("http://[::1]:5000", None);
        assert!(ours.is_ours(&"http://[::1]:5000/v2/".parse().unwrap()) && ours.is_plain());
    }

    #[test]
    fn what_is_shown_repeats_no_credentials_and_is_cut_last() {
        let password = "topsecret".to_owned();
        let ours =
            session("https://reg.io", Some(Credentials::Basic { user: "u".into(), password }));
        let address = "https://reg.io/v2/topsecret/blobs/?_state=x";
        assert_eq!(ours.describe(&Method::GET, address), "GET reg.io/v2/***/blobs/");
        assert_eq!(ours.show("a topsecret", 4), "a **");
        // A short password may be part of the registry's host, which is not a secret.
        let short = Credentials::Basic { user: "u".into(), password: "e".into() };
        let ours = session("https://reg.io", Some(short));
        assert_eq!(ours.describe(&Method::GET, "https://reg.io/v2/app"), "GET reg.io/v2/app");
        assert_eq!(ours.describe(&Method::GET, "https://reg.io/v2/e"), "GET reg.io/v2/***");
        assert_eq!(ours.describe(&Method::GET, "https://reg.io.e/v2"), "GET r***g.io.***/v2");
        assert!(!format!("{ours:?}").contains("topsecret"));
    }

    #[test]
    fn the_header_goes_to_the_registry_only() {
        let ours = session("https://reg.io", None);
        *ours.authorization.lock() = Some(HeaderValue::from_static("Bearer t"));
        let header = |address: &str| ours.authorization(&address.parse().unwrap());
        assert_eq!(header("https://reg.io/v2/").unwrap(), "Bearer t");
        assert_eq!(header("https://cdn.reg.io/v2/"), None);
    }
}
