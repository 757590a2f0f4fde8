//! Addresses in a registry, and how to find its scheme.

use http::header::LOCATION;
use http::uri::Scheme;
use http::{HeaderMap, Request, StatusCode, Uri};

use crate::Reference;
use crate::registry::transport::{Failure, Transport, origin, read};
use crate::registry::{Attempts, RegistryError};

/// The root of the API, which every registry answers.
const ROOT: &str = "/v2/";
/// Longer answers are not read to the end, so their connection is not reused.
const MAX_GREETING: u64 = 64 << 10;

/// The location in an answer: a path from the registry's root, or a full address, possibly of
/// another server. `None` if there is none, or it is something else.
pub(in crate::registry) fn location(headers: &HeaderMap) -> Option<Uri> {
    let location: Uri = headers.get(LOCATION)?.to_str().ok()?.parse().ok()?;
    let usable = match location.scheme() {
        None => location.authority().is_none() && location.path().starts_with('/'),
        Some(scheme) => [Scheme::HTTP, Scheme::HTTPS].contains(scheme),
    };
    usable.then_some(location)
}

/// The full address of a location.
pub(super) fn resolve(root: &Uri, location: &Uri) -> Result<Uri, http::Error> {
    if location.scheme().is_some() {
        return Ok(location.clone());
    }
    let mut parts = root.clone().into_parts();
    parts.path_and_query = location.path_and_query().cloned();
    Ok(Uri::from_parts(parts)?)
}

/// The root of a reference's registry. If plain HTTP is allowed, this tests whether the registry
/// speaks TLS; on this machine, plain HTTP is tried first.
pub(super) fn find_root(
    transport: &Transport,
    reference: &Reference,
    insecure: bool,
) -> Result<Uri, RegistryError> {
    let host = reference.host();
    let root = |scheme| Uri::builder().scheme(scheme).authority(host).path_and_query(ROOT).build();
    let (https, http) = (root(Scheme::HTTPS)?, root(Scheme::HTTP)?);
    if !insecure {
        return Ok(https);
    }
    let roots = if reference.is_loopback() { [http, https] } else { [https, http] };
    Attempts::default().repeat(|_| {
        find_among(transport, &roots).map_err(|failure| RegistryError::Transport {
            what: format!("connecting to `{host}`"),
            failure,
        })
    })
}

/// The first of these roots at which a registry answers.
fn find_among(transport: &Transport, roots: &[Uri; 2]) -> Result<Uri, Failure> {
    let mut failures = Vec::new();
    for root in roots {
        match is_at(transport, root) {
            Ok(true) => return Ok(root.clone()),
            Ok(false) => {}
            Err(failure) => failures.push(failure),
        }
    }
    // The server rejected plain HTTP, and does not speak TLS.
    let plain = roots.iter().find(|root| is_plain(root));
    if let ([failure], Some(root)) = (&*failures, plain)
        && failure.is_plain_http()
    {
        return Ok(root.clone());
    }
    let last = &roots[1];
    failures.into_iter().reduce(Failure::or_later).map_or_else(|| Ok(last.clone()), Err)
}

/// Whether a registry answers at this root. `false` if plain HTTP was sent to a port that speaks
/// TLS.
fn is_at(transport: &Transport, root: &Uri) -> Result<bool, Failure> {
    let mut request = Request::new(&[][..]);
    *request.uri_mut() = root.clone();
    let mut answer = transport.send(request)?;
    // A TLS server answers plain HTTP with this status, or redirects it to HTTPS.
    let sends_on = origin(&answer).scheme() == Some(&Scheme::HTTPS);
    if is_plain(root) && (answer.status() == StatusCode::BAD_REQUEST || sends_on) {
        return Ok(false);
    }
    let _ = read(answer.body_mut(), MAX_GREETING);
    Ok(true)
}

fn is_plain(address: &Uri) -> bool {
    address.scheme() == Some(&Scheme::HTTP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_paths_or_whole_addresses_of_the_web() {
        let root = "https://reg.io:5000/v2/".parse().unwrap();
        for (text, whole) in [
            ("/v2/a?_state=x%2F", Some("https://reg.io:5000/v2/a?_state=x%2F")),
            ("//evil.io/v2/", Some("https://reg.io:5000//evil.io/v2/")),
            ("https://cdn.io/u?t=1", Some("https://cdn.io/u?t=1")),
            ("http://cdn.io/u", Some("http://cdn.io/u")),
            ("file:///etc/passwd", None),
            ("ftp://cdn.io/u", None),
            ("evil.io", None),
            ("v2/a", None),
            ("*", None),
            ("/a b", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, text.parse().unwrap());
            let found = location(&headers).map(|found| resolve(&root, &found).unwrap());
            assert_eq!(found.map(|found| found.to_string()).as_deref(), whole, "{text}");
        }
        assert_eq!(location(&HeaderMap::new()), None);
    }

    #[test]
    fn where_certificates_are_checked_nobody_is_asked() {
        let reference = |name: &str| name.parse::<Reference>().unwrap().resolved();
        let transport = Transport::new(false);
        for (name, root) in [
            ("reg.io:5000/a", "https://reg.io:5000/v2/"),
            ("a", "https://registry-1.docker.io/v2/"),
        ] {
            assert_eq!(find_root(&transport, &reference(name), false).unwrap(), root);
        }
        let odd = Reference { registry: Some("a b".into()), ..reference("a") };
        let error = find_root(&transport, &odd, false).unwrap_err();
        assert!(matches!(error, RegistryError::Request(_)), "{error}");
    }
}
