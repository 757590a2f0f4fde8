//! Command-line arguments: nothing is sent unless all of them make sense.

use super::images::{Fixture, said};
use crate::support::registry::Registry;
use crate::support::{command, failure_of, sha256};
use serde_json::json;
use std::process::Output;

/// A registry whose tag `1` has an image for two platforms, and that image.
fn two_platforms() -> (Registry, Fixture, String) {
    let image = Fixture::new(1, false);
    let arm = image.conf_with(|conf| conf["architecture"] = json!("arm64"));
    let registry = Registry::start();
    let name = registry.name("me/app:1");
    said(image.push(&name).arg("--platform-conf").arg(arm));
    registry.requests();
    (registry, image, name)
}

#[test]
fn a_mistyped_conf_is_no_target() {
    let (registry, image, name) = two_platforms();
    let before = registry.manifest("me/app", "1").unwrap();
    assert_eq!(before["manifests"].as_array().unwrap().len(), 2);
    let conf = image.conf().display().to_string();
    for absent in ["conf-arm64.json", "./conf-arm64.json", "/absent/conf-arm64.JSON"] {
        let error = failure_of(&mut image.push_with(&[&conf, &name, absent]));
        assert!(error.contains(&format!("--platform-conf {absent}")), "{error}");
        let mut push = image.push_with(&[&conf, &name, "--platform-conf", absent]);
        let error = failure_of(&mut push);
        assert!(error.contains(absent) && error.contains("conf"), "{error}");
    }
    // Nor one with a name that Nix gives to links.
    for absent in ["result-arm64", "out/conf"] {
        let error = failure_of(&mut image.push_with(&[&conf, &name, absent]));
        assert!(error.contains(&format!("--platform-conf {absent}")), "{error}");
    }
    // An existing file is not a reference either, whatever its name.
    let error = failure_of(&mut image.push_with(&[&conf, &name, &conf]));
    assert!(error.contains(&format!("--platform-conf {conf}")), "{error}");
    std::fs::create_dir(image.store.root().join("me")).unwrap();
    std::fs::copy(image.conf(), image.store.root().join("me/app")).unwrap();
    let mut push = image.push_with(&[&conf, &name, "me/app"]);
    let error = failure_of(push.current_dir(image.store.root()));
    assert!(error.contains("--platform-conf me/app"), "{error}");

    assert!(registry.requests().is_empty());
    assert_eq!(registry.manifest("me/app", "1").unwrap(), before);
}

#[test]
fn nothing_is_sent_before_all_operands_make_sense() {
    let (registry, image, name) = two_platforms();
    let conf = image.conf().display().to_string();
    let broken = image.store.root().join("broken.json");
    std::fs::write(&broken, "{").unwrap();
    let other = registry.name("me/other:1");
    let digest = format!("{other}@sha256:{}", sha256(b"x"));
    for (arguments, reason) in [
        (vec![&*name, "UPPER/app"], "not a valid image name"),
        (vec![&name, &digest], "push to a tag"),
        (vec![&name, "--platform-conf", broken.to_str().unwrap()], "not valid JSON"),
        (vec![&name, "--cache-from", "UPPER"], "not a valid image name"),
        (vec!["-t", "UPPER"], "not a valid image name"),
    ] {
        let mut push = image.push_with(&[&conf]);
        let error = failure_of(push.args(&arguments));
        assert!(error.contains(reason), "{arguments:?}: {error}");
        assert!(registry.requests().is_empty(), "{arguments:?}");
    }
}

#[test]
fn nothing_is_sent_before_all_registries_are_reached() {
    let (registry, image, name) = two_platforms();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = failure_of(image.push(&name).arg(format!("{closed}/me/app:1")));
    assert!(error.contains(&format!("nothing listens at `{closed}`")), "{error}");
    assert!(registry.requests().iter().all(|request| request.method == "GET"));
}

#[test]
fn a_tag_may_end_like_a_file() {
    let (registry, image, name) = two_platforms();
    said(image.push(&name).arg(registry.name("me/app:2.json")));
    assert!(registry.manifest("me/app", "2.json").is_some());
}

#[test]
fn all_is_pushed_even_if_nobody_reads_the_names() {
    let image = Fixture::new(1, false);
    let registry = Registry::start();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut push = image.push(&registry.name("me/one:1"));
    let push = push.arg(registry.name("me/two:1")).stdout(full());
    let Output { status, stderr, .. } = push.output().unwrap();
    let error = String::from_utf8_lossy(&stderr);
    assert!(status.code() == Some(1) && error.contains("everything was pushed, but"), "{error}");
    registry.check("me/one", "1");
    registry.check("me/two", "1");
}

#[test]
fn a_closed_standard_output_is_noticed_before_anything_is_sent() {
    let image = Fixture::new(1, false);
    let registry = Registry::start();
    let push = image.push(&registry.name("me/app:1"));
    let mut shell = command("sh", &["-c", "exec \"$@\" >&-", "sh"]);
    shell.arg(push.get_program()).args(push.get_args());
    let error = failure_of(&mut shell);
    assert!(error.contains("standard output is closed"), "{error}");
    assert!(registry.requests().is_empty());
}

#[test]
fn a_reference_in_the_confs_place_says_so() {
    let image = Fixture::new(1, false);
    let conf = image.conf().display().to_string();
    for name in ["host.io/app:1", "app:1", "host.io/app", "localhost/app", "docker://a.io/b"] {
        let error = failure_of(&mut image.push_with(&[name, &conf]));
        let expected = format!(
            "`{name}` looks like a reference, and no such file exists; the conf comes first"
        );
        assert!(error.contains(&expected), "{error}");
        let error = failure_of(&mut image.push_with(&[&conf, "a:1", "--platform-conf", name]));
        assert!(error.contains("no such file exists; --platform-conf takes"), "{error}");
    }
    for path in ["absent", "./absent", "absent/conf.json", "host.io/conf.json"] {
        let error = failure_of(&mut image.push_with(&[path, "host.io/app:1"]));
        assert!(error.contains(path) && !error.contains("looks like"), "{error}");
    }
}

#[test]
fn a_tag_is_not_dropped() {
    let (registry, image, name) = two_platforms();
    let conf = image.conf().display().to_string();
    for arguments in [
        vec![&*conf, &name, "-t", "a:1"],
        vec![&conf, "--tag", "a:1", "--platform-conf", &conf],
        vec![&conf, "--repo_tag", "a:1", &name, "--platform-conf", &conf],
    ] {
        let Output { status, stderr, .. } = image.push_with(&arguments).output().unwrap();
        let error = String::from_utf8_lossy(&stderr);
        assert!(status.code() == Some(2) && error.contains("cannot be used with"), "{error}");
    }
    assert!(registry.requests().is_empty());
    // It is the name to push to, like the conf's.
    let tag = registry.name("me/tagged:2");
    said(&mut image.push_with(&[&*conf, "-t", &tag]));
    assert!(registry.manifest("me/tagged", "2").is_some());
    let own = registry.name("me/own:3");
    let named = image.conf_with(|conf| conf["repo_tag"] = json!(own));
    said(&mut image.push_with(&[named]));
    assert!(registry.manifest("me/own", "3").is_some());
}

#[test]
fn no_password_is_shown() {
    let image = Fixture::new(1, false);
    let conf = image.conf().display().to_string();
    let name = "bob:topsecret@host.io/app:1";
    let named = image.conf_with(|conf| conf["repo_tag"] = json!(name));
    let named = named.to_str().unwrap();
    for arguments in [
        vec![&*conf, name],
        vec![&conf, "docker://bob:topsecret@host.io/app:1"],
        vec![&conf, "bob:topsecret@host.io"],
        vec![&conf, "bob:topsecret@host.io/app.json"],
        vec!["bob:topsecret@host.io/conf.json"],
        vec![&conf, "-t", name],
        vec![&conf, "host.io/app", "--cache-from", name],
        vec![name],
        vec![&conf, "--platform-conf", name],
        vec![named],
    ] {
        let error = failure_of(&mut image.push_with(&arguments));
        assert!(error.contains("***@host.io") && !error.contains("topsecret"), "{error}");
    }
}
