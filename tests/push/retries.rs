//! The number of attempts: all requests of one task share their attempts.

use super::faults::{either, first, goes_on, is, status};
use super::images::{Fixture, bytes, said};
use crate::support::failure_of;
use crate::support::registry::{Fault, Registry, Request};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

type Choice = Box<dyn Fn(&Request) -> bool + Send + Sync>;

/// A registry in which some requests always fail, and the number of failures.
fn counting(choose: Choice, fault: Fault) -> (Registry, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let registry = Registry::start_with(move |request| {
        choose(request).then(|| {
            counted.fetch_add(1, Ordering::Relaxed);
            fault.clone()
        })
    });
    (registry, seen)
}

/// An image with one blob that is sent while it is compressed.
fn large() -> Fixture {
    let mut image = Fixture::new(0, true);
    image.add("large", &bytes(77, 18 << 20));
    image
}

#[test]
fn no_request_is_made_more_often_than_its_attempts() {
    let cases: Vec<(Choice, Fault)> = vec![
        (Box::new(is("GET", "/manifests/")), Fault::Drop),
        (Box::new(is("POST", "/uploads/")), status(503)),
        (Box::new(is("PATCH", "/uploads/")), status(503)),
        (Box::new(is("PATCH", "/uploads/")), Fault::DropAfter(100_000)),
        (Box::new(is("PUT", "digest=")), status(500)),
        (Box::new(is("PUT", "/manifests/")), Fault::Drop),
    ];
    let (small, large) = (Fixture::new(0, true), large());
    for (choose, fault) in cases {
        let is_patch = choose(&Request {
            method: "PATCH".into(),
            target: "/uploads/".into(),
            ..Request::default()
        });
        let image = if is_patch { &large } else { &small };
        image.forget();
        let shown = format!("{fault:?}");
        let (registry, seen) = counting(choose, fault);
        let error = failure_of(&mut image.push(&registry.name("me/app:1")));
        let seen = seen.load(Ordering::Relaxed);
        // Two layers are made at a time.
        assert!((5..=10).contains(&seen), "{shown}: {seen} requests, {error}");
        assert_eq!(error.matches("attempt").count(), 1, "{error}");
        assert!(error.contains("gave up after 5 attempts"), "{error}");
        assert!(registry.manifest("me/app", "1").is_none());
    }
}

/// All failures of one upload count together, whichever of its requests they belong to.
#[test]
fn the_requests_of_an_upload_share_their_attempts() {
    let (fails, broken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (enabled, counted) = (Arc::clone(&fails), Arc::clone(&broken));
    let refused = first(3, is("POST", "/uploads/"), status(503));
    let registry = Registry::start_with(move |request| {
        if !enabled.load(Ordering::Relaxed) {
            return None;
        }
        refused(request).or_else(|| {
            is("PATCH", "/uploads/")(request).then(|| {
                counted.fetch_add(1, Ordering::Relaxed);
                Fault::Drop
            })
        })
    });
    let name = registry.name("me/app:1");
    let mut image = Fixture::new(1, true);
    said(&mut image.push(&name));
    // Nothing else is sent after that.
    image.add("large", &bytes(77, 18 << 20));
    fails.store(true, Ordering::Relaxed);
    let error = failure_of(&mut image.push(&name));
    assert!(error.contains("gave up after 5 attempts"), "{error}");
    assert_eq!(broken.load(Ordering::Relaxed), 2, "3 had failed before: {error}");
}

#[test]
fn a_token_server_shares_the_attempts_of_what_needs_the_token() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let registry = Registry::start_with(move |request| {
        if request.target.starts_with("/token") {
            counted.fetch_add(1, Ordering::Relaxed);
            return Some(status(503));
        }
        let challenge = format!("Bearer realm=\"http://{}/token\"", request.headers["host"]);
        Some(Fault::Answer(401, vec![("www-authenticate", challenge)], vec![]))
    });
    let error = failure_of(&mut Fixture::new(3, true).push(&registry.name("me/app:1")));
    assert_eq!(asked.load(Ordering::Relaxed), 5, "{error}");
    assert!(error.contains("status 503") && error.contains("after 5 attempts"), "{error}");
    assert!(!error.contains("log in with"), "{error}");
}

#[test]
fn what_will_not_be_there_is_asked_for_once() {
    let image = Fixture::new(1, true);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (name, reason) in [
        (format!("127.0.0.1:{port}/app:1"), format!("nothing listens at `127.0.0.1:{port}`")),
        (format!("0.0.0.0:{port}/app:1"), format!("nothing listens at `0.0.0.0:{port}`")),
        ("no-such-host.invalid/app:1".into(), "`no-such-host.invalid` is not known".into()),
    ] {
        let error = failure_of(&mut image.push(&name));
        assert!(error.contains(&reason), "{error}");
        assert!(!error.contains("attempts"), "{error}");
    }
    let mut push = image.push("reg.invalid/app:1");
    let proxy = format!("http://u:topsecret@127.0.0.1:{port}");
    let error = failure_of(push.env("HTTPS_PROXY", proxy).env_remove("NO_PROXY"));
    assert!(error.contains(&format!("no proxy listens at `127.0.0.1:{port}`")), "{error}");
    assert!(!error.contains("attempts") && !error.contains("topsecret"), "{error}");
}

#[test]
fn a_registry_of_plain_http_is_named_as_such() {
    let image = Fixture::new(1, true);
    let registry = Registry::start();
    // An address of this machine that does not look like one.
    let name = registry.name("me/app:1").replace("127.0.0.1", "0.0.0.0");
    let error = failure_of(&mut image.push(&name));
    let server = name.split('/').next().unwrap();
    assert!(error.contains(&format!("`{server}` speaks plain HTTP, not TLS")), "{error}");
    assert!(error.contains("--tls-verify=false") && !error.contains("certificate"), "{error}");
    let remedy = "hint: use `--tls-verify=false` if you trust the network in between";
    assert!(error.trim_end().ends_with(remedy), "{error}");
    said(image.push(&name).arg("--tls-verify=false"));
    registry.check("me/app", "1");
}

#[test]
fn what_may_not_be_read_is_not_asked_for_blobs() {
    let mut image = Fixture::new(20, true);
    image.add("held", &bytes(78, 5 << 20));
    // So that it remembers blobs to ask for.
    said(&mut image.push(&Registry::start().name("me/app:1")));
    for code in [401, 403] {
        let registry = Registry::start_with(move |request| {
            let challenge = ("www-authenticate", "Basic realm=\"x\"".to_owned());
            let all = request.target != "/v2/";
            all.then(|| Fault::Answer(code, vec![challenge], vec![]))
        });
        let error =
            failure_of(image.push(&registry.name("me/app:1")).arg(registry.name("me/app:2")));
        assert!(error.contains(&format!("status {code}")), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        let asked: Vec<_> = registry.requests().into_iter().map(|r| r.target).collect();
        assert_eq!(asked, ["/v2/", "/v2/me/app/manifests/1"]);
    }
    // An image that may not be read is a different case.
    let registry =
        Registry::start_with(|request| request.target.contains("/you/").then(|| status(403)));
    let text = said(
        image.push(&registry.name("me/app:1")).arg("--cache-from").arg(registry.name("you/app:1")),
    );
    assert!(text.contains("cannot learn from"), "{text}");
    registry.check("me/app", "1");
}

/// A registry that claims to have more or less of an interrupted upload than it has.
#[test]
fn lies_about_what_arrived_cost_attempts_and_no_image() {
    let image = large();
    let breaks = |times| {
        let whole = |request: &Request| request.method == "PATCH" && !goes_on(request);
        first(times, whole, Fault::DropAfter(5 << 20))
    };
    let lies = |times, claim: &str| {
        first(times, is("GET", "/uploads/"), Fault::Header("range", claim.into()))
    };
    // Once: then the upload is restarted, or continues from there, and succeeds in the end.
    for claim in ["0-1048575", "0-10000000", "0-18446744073709551615"] {
        image.forget();
        let registry = Registry::start_with(either(breaks(1), lies(1, claim)));
        said(&mut image.push(&registry.name("me/app:1")));
        registry.check("me/app", "1");
    }
    // For uploads that all break: the attempts end.
    for claim in ["0-10000000", "0-99999999999"] {
        image.forget();
        let registry = Registry::start_with(either(breaks(usize::MAX), lies(usize::MAX, claim)));
        let error = failure_of(&mut image.push(&registry.name("me/app:1")));
        assert!(error.contains("gave up after 5 attempts"), "{claim}: {error}");
        assert!(registry.manifest("me/app", "1").is_none());
        let asked = registry.requests().into_iter().filter(|r| r.method == "GET").count();
        assert!(asked < 20, "{claim}: asked {asked} times");
    }
}

#[test]
fn announcements_of_answers_are_passed_over() {
    let registry = Registry::start_with(|request| {
        let every = ["PUT", "POST", "HEAD"].contains(&&*request.method);
        every.then_some(Fault::Continue(1000))
    });
    said(&mut Fixture::new(1, true).push(&registry.name("me/app:1")));
    registry.check("me/app", "1");
}
