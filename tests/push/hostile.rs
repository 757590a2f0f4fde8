//! Registries with harmful answers: the push is rejected or succeeds anyway, with little memory.

use super::images::{Fixture, said};
use crate::support::failure_of;
use crate::support::registry::{Fault, Registry};
use serde_json::{Value, json};

/// An image in a registry whose manifest is changed behind our back; the next push must still
/// result in a correct image.
fn survives(change: impl Fn(&Registry, &mut Value), reason: &str) {
    let mut image = Fixture::new(3, true);
    let registry = Registry::start();
    let name = registry.name("me/app:1");
    said(&mut image.push(&name));
    let mut manifest = registry.manifest("me/app", "1").unwrap();
    change(&registry, &mut manifest);
    registry.set_manifest("me/app", "1", manifest.to_string().as_bytes());
    image.forget();
    image.change(2);
    let text = said(&mut image.push(&name));
    assert!(text.contains(reason), "{reason}: {text}");
    registry.check("me/app", "1");
    let manifest = registry.manifest("me/app", "1").unwrap();
    let config = manifest["config"]["digest"].as_str().unwrap();
    assert_eq!(registry.blob("me/app", config).unwrap(), image.config(), "{reason}");
}

#[test]
fn documents_that_make_no_sense_teach_nothing() {
    survives(|_, manifest| *manifest = json!([]), "cannot learn from");
    survives(|_, manifest| manifest["layers"] = json!(0), "cannot learn from");
    survives(|_, manifest| manifest["config"]["digest"] = json!("sha256:../../x"), "digest");
    survives(|_, manifest| manifest["layers"][0]["digest"] = json!("../../../x"), "digest");
    survives(|_, manifest| manifest["config"]["size"] = json!(1_u64 << 60), "more than");
    survives(
        |_, manifest| {
            manifest["layers"].as_array_mut().unwrap().pop();
        },
        "diff_ids",
    );
    survives(
        |registry, manifest| {
            let config = registry.set_blob("me/app", b"[[[");
            manifest["config"]["digest"] = json!(config);
        },
        "cannot learn from",
    );
}

#[test]
fn wrong_sizes_are_not_believed() {
    survives(|_, manifest| manifest["layers"][0]["size"] = json!(1), "");
    survives(|_, manifest| manifest["layers"][1]["size"] = json!(u64::MAX), "");
}

#[test]
fn an_endless_manifest_is_left_alone() {
    let endless = vec![b' '; 32 << 20];
    let registry = Registry::start_with(move |request| {
        let manifest = request.method == "GET" && request.target.contains("/manifests/");
        manifest.then(|| Fault::Answer(200, vec![], endless.clone()))
    });
    let image = Fixture::new(1, true);
    let text = said(&mut image.push(&registry.name("me/app:1")));
    assert!(text.contains("more than 4194304 bytes"), "{text}");
    registry.check("me/app", "1");
}

#[test]
fn a_manifest_of_another_digest_is_refused() {
    let wrong = format!("sha256:{}", "0".repeat(64));
    let registry = Registry::start_with(move |request| {
        let put = request.method == "PUT" && request.target.contains("/manifests/");
        put.then(|| Fault::Header("docker-content-digest", wrong.clone()))
    });
    let image = Fixture::new(1, true);
    let error = failure_of(&mut image.push(&registry.name("me/app:1")));
    assert!(error.contains("instead of"), "{error}");
}

#[test]
fn a_config_of_another_digest_teaches_nothing() {
    let image = Fixture::new(2, true);
    let registry = Registry::start_with(|request| {
        let get = request.method == "GET" && request.target.contains("/blobs/");
        get.then(|| Fault::Answer(200, vec![], b"{}".to_vec()))
    });
    let name = registry.name("me/app:1");
    said(&mut image.push(&name));
    image.forget();
    let text = said(&mut image.push(&name));
    assert!(text.contains("instead of"), "{text}");
    registry.check("me/app", "1");
}
