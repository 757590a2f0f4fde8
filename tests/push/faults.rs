//! Faulty registries: the result is a clear error or a correct image, never a wrong tag.

use super::images::{Fixture, bytes, said};
use crate::support::failure_of;
use crate::support::registry::{Fault, Registry, Request};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// A fault for the first `times` requests that `choose` selects.
pub(super) fn first(
    times: usize,
    choose: impl Fn(&Request) -> bool + Send + Sync + 'static,
    fault: Fault,
) -> impl Fn(&Request) -> Option<Fault> + Send + Sync + 'static {
    let seen = AtomicUsize::new(0);
    move |request| {
        let meets = choose(request) && seen.fetch_add(1, Ordering::Relaxed) < times;
        meets.then(|| fault.clone())
    }
}

pub(super) fn image() -> Fixture {
    let mut image = Fixture::new(3, true);
    // One that is sent while it is compressed, and one that is compressed first.
    image.add("large", &bytes(77, 18 << 20));
    image.add("held", &bytes(78, 5 << 20));
    image
}

pub(super) fn is(
    method: &'static str,
    part: &'static str,
) -> impl Fn(&Request) -> bool + Send + Sync {
    move |request| request.method == method && request.target.contains(part)
}

/// The first choice's fault, or else the second's.
pub(super) fn either(
    one: impl Fn(&Request) -> Option<Fault> + Send + Sync + 'static,
    other: impl Fn(&Request) -> Option<Fault> + Send + Sync + 'static,
) -> impl Fn(&Request) -> Option<Fault> + Send + Sync + 'static {
    move |request| one(request).or_else(|| other(request))
}

/// Whether the request continues an interrupted upload.
pub(super) fn goes_on(request: &Request) -> bool {
    request.method == "PATCH" && request.headers.contains_key("content-range")
}

pub(super) fn status(status: u16) -> Fault {
    Fault::Answer(status, vec![], vec![])
}

#[test]
fn what_passes_is_tried_again() {
    let slow = Fault::Answer(429, vec![("retry-after", "1".into())], vec![]);
    let cases: Vec<(&str, Registry)> = vec![
        ("429", Registry::start_with(first(2, is("POST", "uploads"), slow))),
        ("500 at a blob's end", Registry::start_with(first(3, is("PUT", "uploads"), status(500)))),
        ("503 in an upload", Registry::start_with(first(2, is("PATCH", "uploads"), status(503)))),
        ("a drop in an upload", {
            Registry::start_with(first(2, is("PATCH", "uploads"), Fault::DropAfter(2 << 20)))
        }),
        ("a drop at a blob's end", {
            Registry::start_with(first(1, is("PUT", "uploads"), Fault::DropAfter(100)))
        }),
        ("a drop in a blob", {
            Registry::start_with(first(2, is("PUT", "uploads"), Fault::DropAfter(2 << 20)))
        }),
        ("a lost answer at a blob's end", {
            Registry::start_with(first(1, is("PUT", "uploads"), Fault::DropAnswer))
        }),
        ("a lost answer to an upload", {
            Registry::start_with(first(1, is("PATCH", "uploads"), Fault::DropAnswer))
        }),
        ("an upload that is forgotten", {
            let drop = first(1, is("PATCH", "uploads"), Fault::DropAfter(5 << 20));
            Registry::start_with(either(drop, first(1, is("GET", "uploads"), status(404))))
        }),
        ("an upload that is forgotten at its end", {
            Registry::start_with(first(1, is("PUT", "digest="), status(404)))
        }),
        ("an upload that may not go on", {
            let drop = first(1, is("PATCH", "uploads"), Fault::DropAfter(5 << 20));
            Registry::start_with(either(drop, first(1, goes_on, status(416))))
        }),
        ("an upload that breaks again", {
            let drop = first(1, is("PATCH", "uploads"), Fault::DropAfter(2 << 20));
            Registry::start_with(either(drop, first(2, goes_on, Fault::DropAfter(1 << 20))))
        }),
        ("drops of looks", Registry::start_with(first(3, is("HEAD", "blobs"), Fault::Drop))),
        ("a drop of the manifest", {
            Registry::start_with(first(1, is("PUT", "manifests"), Fault::Drop))
        }),
        ("502 of the manifest", {
            Registry::start_with(first(2, is("PUT", "manifests"), status(502)))
        }),
        ("no HEAD", Registry::start_with(first(usize::MAX, is("HEAD", ""), status(405)))),
    ];
    let image = image();
    for (case, registry) in cases {
        image.forget();
        let start = Instant::now();
        said(&mut image.push(&registry.name("me/app:1")));
        registry.check("me/app", "1");
        assert!(start.elapsed().as_secs() < 60, "{case}");
    }
}

#[test]
fn a_broken_upload_goes_on_where_it_broke() {
    let mut image = Fixture::new(1, true);
    image.add("large", &bytes(77, 24 << 20));
    let whole = is("PATCH", "uploads");
    let registry = Registry::start_with(first(1, whole, Fault::DropAfter(10 << 20)));
    said(&mut image.push(&registry.name("me/app:1")));
    registry.check("me/app", "1");
    let requests = registry.requests();
    let rest: Vec<_> = requests.iter().filter(|request| request.method == "PATCH").collect();
    assert!(rest.iter().all(|request| goes_on(request)));
    let sent: usize = rest.iter().map(|request| request.body.len()).sum();
    assert!(sent > 12 << 20 && sent < 15 << 20, "{sent}");
}

#[test]
fn what_does_not_pass_is_an_error_and_no_tag() {
    let wrong = format!("sha256:{}", "0".repeat(64));
    let digest = |value: &str| Fault::Header("docker-content-digest", value.into());
    let cases: Vec<(&str, Registry)> = vec![
        ("status 500", Registry::start_with(first(99, is("PATCH", ""), status(500)))),
        ("status 403", Registry::start_with(first(99, is("POST", "uploads"), status(403)))),
        ("log in with", Registry::start_with(first(99, is("POST", "uploads"), status(401)))),
        ("status 413", Registry::start_with(first(99, is("PUT", "uploads"), status(413)))),
        ("instead of", Registry::start_with(first(99, is("PUT", "uploads"), digest(&wrong)))),
        ("not a SHA-256", Registry::start_with(first(99, is("PUT", "uploads"), digest("../x")))),
        ("without a usable location", {
            let fault = Fault::Header("location", "file:///etc/passwd".into());
            Registry::start_with(first(99, is("POST", "uploads"), fault))
        }),
        (
            "gave up after 5 attempts",
            Registry::start_with(first(99, is("PATCH", ""), Fault::DropAfter(100_000))),
        ),
    ];
    let image = image();
    for (reason, registry) in cases {
        image.forget();
        let error = failure_of(&mut image.push(&registry.name("me/app:1")));
        assert!(error.contains(reason), "{reason}: {error}");
        assert!(registry.manifest("me/app", "1").is_none(), "{reason}");
    }
}

#[test]
fn tokens_are_fetched_once_and_again_when_they_end() {
    let tokens = AtomicUsize::new(0);
    let used = AtomicUsize::new(0);
    let registry = Registry::start_with(move |request| {
        if request.target.starts_with("/token") {
            let number = tokens.fetch_add(1, Ordering::Relaxed);
            let wanted = "scope=repository%3Ame/app%3Apull%2Cpush";
            let asked = request.target.contains(wanted) && request.target.contains("service=me");
            let basic = request.headers.get("authorization").map(String::as_str);
            let status = if asked && basic == Some("Basic dTpzZWNyZXQ=") { 200 } else { 403 };
            let body = format!("{{\"token\":\"secret-{number}\"}}");
            return Some(Fault::Answer(status, vec![], body.into_bytes()));
        }
        // A token is valid for ten requests.
        let current = used.fetch_add(1, Ordering::Relaxed) / 10;
        let given = request.headers.get("authorization").map(String::as_str);
        let good = given.is_some_and(|given| {
            let number = given.trim_start_matches("Bearer secret-").parse();
            number.is_ok_and(|number: usize| number + 1 >= current)
        });
        let host = &request.headers["host"];
        let challenge = format!("Bearer realm=\"http://{host}/token?x=y\",service=\"me\"");
        let refused = Fault::Answer(401, vec![("www-authenticate", challenge)], vec![]);
        (!good).then_some(refused)
    });
    let image = image();
    let host = registry.name("");
    let auth = image.store.root().join("auth.json");
    let entry =
        serde_json::json!({"auths": {host.trim_end_matches('/'): {"auth": "dTpzZWNyZXQ="}}});
    std::fs::write(&auth, entry.to_string()).unwrap();
    said(image.push(&registry.name("me/app:1")).env("REGISTRY_AUTH_FILE", &auth));
    registry.check("me/app", "1");
    // Without the password, which no message may contain.
    image.forget();
    let error = failure_of(&mut image.push(&registry.name("me/app:2")));
    assert!(error.contains("log in") && !error.contains("secret"), "{error}");
    assert!(registry.manifest("me/app", "2").is_none());
}

#[test]
fn a_token_server_in_trouble_is_asked_again() {
    let asked = AtomicUsize::new(0);
    let registry = Registry::start_with(move |request| {
        if request.target.starts_with("/token") {
            return Some(match asked.fetch_add(1, Ordering::Relaxed) {
                0 => status(503),
                1 => Fault::Answer(429, vec![("retry-after", "1".into())], vec![]),
                2 => Fault::Drop,
                _ => Fault::Answer(200, vec![], b"{\"token\":\"t\"}".to_vec()),
            });
        }
        let given = request.headers.get("authorization").map(String::as_str);
        let challenge = format!("Bearer realm=\"http://{}/token\"", request.headers["host"]);
        let refused = Fault::Answer(401, vec![("www-authenticate", challenge)], vec![]);
        (given != Some("Bearer t")).then_some(refused)
    });
    said(&mut Fixture::new(1, true).push(&registry.name("me/app:1")));
    registry.check("me/app", "1");
}

/// If followed, such a request would turn into a read, and find there what existed before.
#[test]
fn what_is_sent_on_elsewhere_is_not_stored() {
    for code in [301, 302, 303, 307, 308] {
        for part in ["/manifests/", "digest="] {
            let registry = Registry::start_with(move |request| {
                let location = ("location", request.target.replace("/uploads/", "/?"));
                let put = request.method == "PUT" && request.target.contains(part);
                put.then(|| Fault::Answer(code, vec![location], vec![]))
            });
            registry.set_manifest("me/app", "1", b"{}");
            let image = Fixture::new(1, true);
            let error = failure_of(&mut image.push(&registry.name("me/app:1")));
            assert!(error.contains(&format!("status {code}; name the registry")), "{error}");
            assert_eq!(registry.manifest("me/app", "1").unwrap(), serde_json::json!({}));
        }
    }
}

#[test]
fn a_closed_port_is_named_wherever_it_is() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let registry = Registry::start_with(move |request| {
        let location = ("location", format!("http://{closed}/blob"));
        is("GET", "/manifests/")(request).then(|| Fault::Answer(307, vec![location], vec![]))
    });
    let name = registry.name("me/app:1");
    let error = failure_of(&mut Fixture::new(1, true).push(&name));
    assert!(error.contains(&format!("nothing listens at `{closed}`")), "{error}");
}

#[test]
fn an_upload_at_another_place_takes_no_secret_along() {
    let other = Registry::start();
    let place = format!("http://{}", other.name("v2/me/app/blobs/uploads/x"));
    let registry = Registry::start_with(move |request| {
        if !request.headers.contains_key("authorization") {
            let challenge = ("www-authenticate", "Basic realm=\"x\"".to_owned());
            return Some(Fault::Answer(401, vec![challenge], vec![]));
        }
        is("POST", "uploads")(request).then(|| Fault::Header("location", place.clone()))
    });
    let image = Fixture::new(1, true);
    let host = registry.name("");
    let auth = image.store.root().join("auth.json");
    let entry =
        serde_json::json!({"auths": {host.trim_end_matches('/'): {"auth": "dTpzZWNyZXQ="}}});
    std::fs::write(&auth, entry.to_string()).unwrap();
    // The other place does not know such an upload.
    let mut push = image.push(&registry.name("me/app:1"));
    assert!(failure_of(push.env("REGISTRY_AUTH_FILE", &auth)).contains("status 404"));
    let sent = other.requests();
    assert!(!sent.is_empty());
    assert!(sent.iter().all(|request| !request.headers.contains_key("authorization")));
}

#[test]
fn a_registry_that_is_not_there_is_an_error() {
    let image = Fixture::new(1, true);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = failure_of(&mut image.push(&format!("{port}/me/app:1")));
    assert!(error.contains(&format!("connecting to `{port}`")), "{error}");
    for name in ["me/../app:1", "127.0.0.1:1/UPPER", "127.0.0.1:1/a:b c"] {
        let error = failure_of(&mut image.push(name));
        assert!(error.contains("not a valid image name"), "{error}");
    }
}
