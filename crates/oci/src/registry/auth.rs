//! Logging in: what a registry's 401 asks for, and the header that answers it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use ureq::Body;
use ureq::http::Response;

use super::client::Client;
use super::text::{percent_encode, read_bounded};
use super::{Attempts, Credentials, RegistryError};

/// The largest answer of a token server.
const MAX_TOKEN: u64 = 1 << 20;

/// What a `WWW-Authenticate` header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token that another server makes.
    Bearer {
        /// Where.
        realm: String,
        /// For whom.
        service: Option<String>,
    },
}

impl Challenge {
    /// Reads a header such as `Bearer realm="https://...",service="..."`.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let parameters = parameters(rest);
        let value = |name: &str| {
            let found = parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        Some(Self::Bearer { realm: value("realm")?, service: value("service") })
    }
}

/// `name=value` and `name="value"` between commas.
fn parameters(mut text: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    while let Some((name, rest)) = text.split_once('=') {
        let rest = rest.trim_start();
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(',').map_or((rest, ""), |(value, rest)| (value.trim(), rest)),
        };
        parameters.push((name.trim_matches([' ', ',']).to_owned(), value.to_owned()));
        text = rest;
    }
    parameters
}

impl Client {
    /// The `Authorization` header that answers a challenge; nothing where we have nothing to say.
    pub(super) fn answer(
        &self,
        challenge: &Challenge,
        attempts: &mut Attempts,
    ) -> Result<Option<String>, RegistryError> {
        match (challenge, &self.credentials) {
            (Challenge::Basic, Some(Credentials::Basic { user, password })) => {
                Ok(Some(basic(user, password)))
            }
            (Challenge::Basic, _) => Ok(None),
            (Challenge::Bearer { realm, service }, _) => {
                let token = self.token(realm, service.as_deref(), attempts)?;
                Ok(Some(format!("Bearer {token}")))
            }
        }
    }

    fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        attempts: &mut Attempts,
    ) -> Result<String, RegistryError> {
        let login =
            |problem: String| RegistryError::Login { registry: self.registry.clone(), problem };
        // A registry that is reached safely must not make us send a password unsafely.
        let safe = realm.starts_with("https://");
        if !safe && !(realm.starts_with("http://") && (self.is_plain() || self.insecure)) {
            return Err(login("its token server is not reached by https".into()));
        }
        let response = attempts.repeat(|_| self.ask_for_token(realm, service));
        let mut response = response.map_err(|error| match error {
            RegistryError::Refused { status: status @ 400..=499, message, .. } => {
                let had = if self.credentials.is_some() { "these credentials" } else { "a guest" };
                login(format!(
                    "its token server refuses {had}, status {status}{message}; log in with `docker login`, \
                     `podman login` or `skopeo login`"
                ))
            }
            error => {
                let registry = self.registry.clone();
                RegistryError::TokenServer { registry, error: Box::new(error) }
            }
        })?;
        let text = read_bounded(response.body_mut(), MAX_TOKEN, String::new)
            .map_err(|_| login("its token server's answer cannot be read".into()))?;
        let answer: Value = serde_json::from_slice(&text).unwrap_or_default();
        let token = answer["token"].as_str().or_else(|| answer["access_token"].as_str());
        let plain = |token: &&str| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
        let token = token.filter(plain);
        token.map(str::to_owned).ok_or_else(|| login("its token server gives no token".into()))
    }

    /// Asks a token server once.
    fn ask_for_token(
        &self,
        realm: &str,
        service: Option<&str>,
    ) -> Result<Response<Body>, RegistryError> {
        let mut query: Vec<(&str, &str)> =
            service.map(|name| ("service", name)).into_iter().collect();
        let (method, response) = if let Some(Credentials::Identity(token)) = &self.credentials {
            let scopes = self.scopes.join(" ");
            query.extend([("grant_type", "refresh_token"), ("client_id", "nix-image")]);
            query.extend([("refresh_token", token.as_str()), ("scope", &scopes)]);
            let headers = [("content-type", "application/x-www-form-urlencoded")];
            (
                "POST",
                self.transport.send(
                    "POST",
                    realm,
                    headers.into_iter(),
                    &[encode(&query).as_bytes()],
                ),
            )
        } else {
            query.extend(self.scopes.iter().map(|scope| ("scope", scope.as_str())));
            let header = match &self.credentials {
                Some(Credentials::Basic { user, password }) => Some(basic(user, password)),
                _ => None,
            };
            let headers = header.iter().map(|header| ("authorization", header.as_str()));
            let separator = if realm.contains('?') { '&' } else { '?' };
            let address = format!("{realm}{separator}{}", encode(&query));
            ("GET", self.transport.send("GET", &address, headers, &[]))
        };
        let what = || self.describe(method, realm);
        let response =
            response.map_err(|failure| RegistryError::Transport { what: what(), failure })?;
        self.judge(response, what, &[])
    }
}

fn encode(query: &[(&str, &str)]) -> String {
    let pairs = query.iter().map(|(name, value)| format!("{name}={}", percent_encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_in_all_their_forms() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.into(), service: service.map(str::to_owned) })
        };
        for (header, expected) in [
            ("Basic realm=\"x\"", Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            ("Bearer realm=\"https://a/t\",service=\"s\"", bearer("https://a/t", Some("s"))),
            ("bearer service=s, realm=https://a/t", bearer("https://a/t", Some("s"))),
            ("Bearer realm=\"https://a/t?x=1\",scope=\"a,b\"", bearer("https://a/t?x=1", None)),
            ("Bearer service=\"s\"", None),
            ("Negotiate", None),
            ("", None),
        ] {
            assert_eq!(Challenge::parse(header), expected, "{header}");
        }
    }
}
