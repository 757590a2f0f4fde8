//! Answers to challenges: the header, and the token in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Uri};
use serde_json::Value;

use super::Session;
use super::answer::read_bounded;
use super::challenge::Challenge;
use crate::registry::credentials::Credentials;
use crate::registry::query::{query, with_query};
use crate::registry::transport::{Answer, Failure, Payload};
use crate::registry::{Attempts, LoginError, RegistryError};

/// The maximum size of a token server's answer.
const MAX_TOKEN: u64 = 1 << 20;
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
/// This program's client ID at token servers.
const CLIENT: &str = "nix-image";

impl Session {
    /// The `Authorization` header that answers a challenge, or `None` if there are no credentials
    /// for it.
    pub(super) fn answer(
        &self,
        challenge: &Challenge,
        attempts: &mut Attempts,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        match (challenge, &self.credentials) {
            (Challenge::Basic, Some(Credentials::Basic { user, password })) => {
                Ok(basic(user, password))
            }
            (Challenge::Basic, _) => Ok(None),
            (Challenge::Bearer { realm, service }, _) => {
                let token = self.token(realm, service.as_deref(), attempts);
                let token = token.map_err(|problem| self.login_failed(problem))?;
                let header = secret(&format!("Bearer {token}"));
                header.map(Some).ok_or_else(|| self.login_failed(LoginError::NoToken))
            }
        }
    }

    fn login_failed(&self, problem: LoginError) -> RegistryError {
        RegistryError::Login { registry: self.registry.clone(), problem }
    }

    fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        attempts: &mut Attempts,
    ) -> Result<String, LoginError> {
        // A registry that is reached over TLS must not make us send a password without it.
        let safe = realm.starts_with("https://");
        if !safe && !(realm.starts_with("http://") && (self.is_plain() || self.insecure)) {
            return Err(LoginError::Unsafe);
        }
        let answer = attempts.repeat(|_| self.ask_for_token(realm, service));
        let mut answer = answer.map_err(|error| match error {
            RegistryError::Refused { status, message, .. } if status.is_client_error() => {
                LoginError::Refused { guest: self.credentials.is_none(), status, message }
            }
            error => LoginError::Unavailable(error.into()),
        })?;
        let text = read_bounded(&mut answer, MAX_TOKEN, String::new);
        let text = text.map_err(|_| LoginError::Unreadable)?;
        token_of(&text).ok_or(LoginError::NoToken)
    }

    /// Requests a token once.
    fn ask_for_token(&self, realm: &str, service: Option<&str>) -> Result<Answer, RegistryError> {
        let service = service.map(|name| ("service", name));
        if let Some(Credentials::Identity(token)) = &self.credentials {
            let scopes = self.scopes.join(" ");
            let form = [("grant_type", "refresh_token"), ("client_id", CLIENT)];
            let form = form.into_iter().chain([("refresh_token", &**token), ("scope", &scopes)]);
            let form = query(&service.into_iter().chain(form).collect::<Vec<_>>());
            let body = [form.as_bytes()];
            let request = Request::post(self.token_server(&Method::POST, realm)?);
            let request = request.header(CONTENT_TYPE, FORM).body(&body[..])?;
            return self.ask(realm, request);
        }
        let scopes = self.scopes.iter().map(|scope| ("scope", scope.as_str()));
        let address = with_query(realm, &service.into_iter().chain(scopes).collect::<Vec<_>>());
        let mut request: Request<Payload<'_>> =
            Request::get(self.token_server(&Method::GET, &address)?).body(&[][..])?;
        if let Some(Credentials::Basic { user, password }) = &self.credentials
            && let Some(header) = basic(user, password)
        {
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        self.ask(realm, request)
    }

    /// Parses the address of a token server, which the registry gives.
    fn token_server(&self, method: &Method, address: &str) -> Result<Uri, RegistryError> {
        address.parse().map_err(|_| RegistryError::Transport {
            what: self.describe(method, address),
            failure: Failure::not_a_url(),
        })
    }

    /// Sends a request without the registry's authorization header.
    fn ask(&self, realm: &str, request: Request<Payload<'_>>) -> Result<Answer, RegistryError> {
        let method = request.method().clone();
        let what = || self.describe(&method, realm);
        let answer = self.transport.send(request);
        let answer =
            answer.map_err(|failure| RegistryError::Transport { what: what(), failure })?;
        self.judge(answer, what, &[])
    }
}

/// The token in a token server's answer.
fn token_of(text: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(text).unwrap_or_default();
    let token = answer["token"].as_str().or_else(|| answer["access_token"].as_str());
    let plain = |token: &&str| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
    token.filter(plain).map(str::to_owned)
}

fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    secret(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

/// A header value that is never shown, or `None` if the text is not a valid value.
fn secret(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_taken_by_either_name_and_only_plain() {
        for (text, token) in [
            (r#"{"token":"a.b"}"#, Some("a.b")),
            (r#"{"access_token":"c"}"#, Some("c")),
            (r#"{"token":"a","access_token":"b"}"#, Some("a")),
            (r#"{"token":""}"#, None),
            (r#"{"token":"a b"}"#, None),
            (r#"{"token":"a\r\nx: y"}"#, None),
            ("{}", None),
            ("<html>", None),
        ] {
            assert_eq!(token_of(text.as_bytes()).as_deref(), token, "{text}");
        }
    }

    #[test]
    fn headers_with_secrets_do_not_show_them() {
        let header = basic("u", "secret").unwrap();
        assert_eq!(header, "Basic dTpzZWNyZXQ=");
        assert!(!format!("{header:?}").contains("dTpz"));
        assert_eq!(secret("Bearer a\nb"), None);
    }
}
