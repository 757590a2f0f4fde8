//! Documents: confs, the programs that refer to them, manifests and indexes.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use formats::digest::Digest;
use image::conf::{Conf, Form};
use oci::{Flavor, Index, Manifest, Reference, WantedPlatform};
use serde_json::{Value, json};

use super::{parts, scratch};

/// Confs: the result depends only on the JSON's content, not on how it is written.
pub fn conf(input: &[u8]) {
    let parse = |text: &[u8]| Conf::parse(Path::new("conf.json"), text);
    let conf = parse(input);
    let Ok(value) = serde_json::from_slice::<Value>(input) else {
        return assert!(conf.is_err(), "it is not JSON");
    };
    let again = parse(serde_json::to_string_pretty(&value).unwrap().as_bytes());
    let (Ok(conf), Ok(again)) = (&conf, &again) else {
        return assert!(conf.is_err() && again.is_err(), "{conf:?}\n{again:?}");
    };
    // Everything else is the current time or unordered.
    let is_now = |key: &str| value[key] == "now";
    assert_eq!(conf.config, again.config);
    assert_eq!(conf.store_layers, again.store_layers);
    assert_eq!(conf.nar_hashes, again.nar_hashes);
    assert_eq!(conf.warnings.len(), again.warnings.len());
    if !is_now("created") && !is_now("mtime") {
        assert_eq!(conf.ownership, again.ownership);
        assert_eq!(conf.created, again.created);
    }
    for hash in conf.nar_hashes.values() {
        assert!(hash.parse::<Digest>().is_ok_and(|digest| digest.to_string() == *hash), "{hash}");
    }
}

/// Programs that stream an image: the path of the conf in one is absolute.
pub fn script(input: &[u8]) {
    let path = scratch::file("script", input);
    match Form::of(&path) {
        Ok(Form::Program(conf)) => {
            assert!(conf.is_absolute(), "{}", conf.display());
            assert_eq!(conf.extension().unwrap(), "json");
            assert!(input.starts_with(b"#!"));
        }
        Ok(Form::Conf) => assert!(input.starts_with(b"{")),
        Ok(Form::Other) | Err(_) => {}
    }
}

/// NAR hashes: all forms of a hash are read as the same hash, and other strings are not.
pub fn nar_hash(input: &[u8]) {
    let read = |hash: &str| {
        let conf = json!({
            "architecture": "amd64", "config": null, "created": "1970-01-01", "store_layers": [],
            "customisation_layer": "", "nar_hashes": {"path": hash},
        });
        Conf::from_json(conf).unwrap().nar_hashes.remove("path")
    };
    if let Ok(bytes) = input.try_into() {
        let digest = Digest(bytes);
        for form in forms(digest) {
            assert_eq!(read(&form), Some(digest.to_string()), "{form}");
        }
    }
    let Ok(text) = str::from_utf8(input) else { return };
    if let Some(hash) = read(text) {
        let forms = forms(hash.parse().unwrap());
        assert!(forms.iter().any(|form| form.eq_ignore_ascii_case(text)), "{text}: {forms:?}");
    }
}

/// A hash in the forms in which Nix writes it.
fn forms(digest: Digest) -> [String; 3] {
    const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
    // Five bits per character, the last ones first.
    let bit = |n: usize| digest.0.get(n / 8).map_or(0, |byte| byte >> (n % 8) & 1);
    let character = |n: usize| (0..5).map(|i| usize::from(bit(5 * n + i)) << i).sum::<usize>();
    let base32 = (0..52).rev().map(|n| char::from(ALPHABET[character(n)])).collect::<String>();
    [
        digest.to_string(),
        format!("sha256:{base32}"),
        format!("sha256-{}", STANDARD.encode(digest.0)),
    ]
}

/// Manifests: a written manifest is read as the same manifest.
pub fn manifest(input: &[u8]) {
    let Ok(manifest) = Manifest::parse(input, None) else { return };
    let written = manifest.to_json();
    let again = Manifest::parse(written.as_bytes(), None);
    assert_eq!(again.unwrap_or_else(|error| panic!("{written}: {error}")), manifest);
    let announced = manifest.flavor.manifest();
    assert!(Manifest::parse(input, Some(announced)).is_ok());
}

/// Indexes: unknown content stays, and an image that is added to one is found in it.
pub fn index(input: &[u8]) {
    let all = parts::split(input);
    let Ok(mut index) = Index::parse(all[0]) else { return };
    let written = index.to_json();
    assert_eq!(Index::parse(written.as_bytes()).unwrap(), index);
    let (before, after): (Value, Value) =
        (serde_json::from_slice(all[0]).unwrap(), serde_json::from_str(&written).unwrap());
    assert!(before == after, "{written}");
    for (os, architecture, variant) in
        [("linux", "amd64", None), ("linux", "arm", Some("v7")), ("windows", "arm64", None)]
    {
        let variant = variant.map(str::to_owned);
        let (os, architecture) = (os.to_owned(), architecture.to_owned());
        if let Ok(Some(chosen)) = (WantedPlatform { os, architecture, variant }).choose(&index) {
            assert!(index.descriptors().any(|entry| entry == chosen));
        }
    }
    let _ = WantedPlatform::all(&index);
    let name = parts::text(all.get(1));
    let Ok(name) = Reference::of_image(&name) else { return };
    let image = oci::Descriptor::of(Flavor::Oci.manifest(), b"image");
    index.put(image.clone(), &name);
    let named = |entry: &oci::Descriptor| {
        entry.annotations.get(oci::annotation::CONTAINERD_NAME) == Some(&name.canonical())
    };
    let found: Vec<_> = index.descriptors().filter(named).collect();
    assert!(found.iter().any(|entry| entry.digest == image.digest), "{}", index.to_json());
    // A second time changes nothing.
    let once = index.to_json();
    index.put(image, &name);
    assert_eq!(index.to_json(), once);
}
