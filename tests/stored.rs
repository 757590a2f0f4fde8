//! Images in archives and layouts, as input of `write`, `push` and `load`: nothing in them changes.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::golden::Golden;
use crate::support::archive;
use crate::support::docker_registry::DockerRegistry;
use crate::support::engines::{self, Engine};
use crate::support::{TempStore, command, failure_of, need, run, stdout_of};

/// The forms of an image, by how they are made.
const FORMS: [&str; 4] = ["docker-archive", "docker-archive.gz", "oci", "oci-archive"];

/// The golden image of a case in one of the forms.
fn stored(golden: &Golden, case: &str, form: &str) -> PathBuf {
    let place = golden.store.root().join(format!("{case}.{form}"));
    let (format, pack) = form.strip_suffix(".gz").map_or((form, false), |format| (format, true));
    let mut write = golden.store.nix_image("write", golden.arguments(case).0);
    stdout_of(write.arg(&place).args(["--format", format]));
    if pack {
        stdout_of(command("gzip", &["-f", "-n"]).arg(&place));
        fs::rename(format!("{}.gz", place.display()), &place).unwrap();
    }
    place
}

#[test]
fn an_archive_of_an_archive_is_the_same_one() {
    let golden = Golden::new();
    for case in ["everything", "base-gz"] {
        let stream = stored(&golden, case, "docker-archive");
        for form in FORMS {
            let image = stored(&golden, case, form);
            let copy = golden.store.root().join("copy");
            let mut write = golden.store.nix_image("write", image);
            stdout_of(write.arg(&copy).args(["--format", "docker-archive"]));
            let [ours, theirs] =
                [&copy, &stream].map(|file| archive::image(&fs::read(file).unwrap()));
            assert_eq!(ours.id, golden.id(case), "{case}, {form}");
            assert_eq!(ours.manifest["RepoTags"], theirs.manifest["RepoTags"], "{case}, {form}");
            assert!(ours.layers == theirs.layers, "{case}, {form}");
        }
    }
}

#[test]
fn a_registry_gets_the_image_that_is_in_an_archive() {
    need("skopeo");
    let golden = Golden::new();
    let registry = DockerRegistry::start();
    for form in FORMS {
        let name = format!("{}/me/{}:1", registry.address, form.replace('.', "-"));
        let image = stored(&golden, "everything", form);
        stdout_of(golden.store.nix_image("push", image).arg(&name));
        let place = format!("docker://{name}");
        let raw = ["inspect", "--raw", "--tls-verify=false", &place];
        let raw: Value = serde_json::from_slice(&stdout_of(&mut command("skopeo", &raw))).unwrap();
        let id = format!("sha256:{}", golden.id("everything"));
        assert_eq!(raw["config"]["digest"], id, "{form}");
        // Copying checks every digest.
        let to = format!("dir:{}", golden.store.root().join("copied").display());
        let copy = ["copy", "--insecure-policy", "-q", "--src-tls-verify=false", &place, &to];
        stdout_of(&mut command("skopeo", &copy));
    }
}

fn loads(engine: &Engine) {
    let golden = Golden::new();
    for form in FORMS {
        let name = format!("loaded:{}", form.replace('.', "-"));
        let mut load = golden.store.nix_image("load", stored(&golden, "everything", form));
        load.args(["--engine", engine.name, "-t", &name]);
        stdout_of(&mut engine.reach(load));
        let images = engine.images();
        let image = format!("{name} sha256:{}", golden.id("everything"));
        assert!(images.iter().any(|found| found.ends_with(&image)), "{form}: {images:?}");
    }
}

#[test]
fn podman_loads_what_is_in_an_archive() {
    loads(&engines::podman());
}

#[test]
fn docker_loads_what_is_in_an_archive() {
    loads(&engines::docker());
}

#[test]
fn containerd_loads_what_is_in_an_archive() {
    loads(&engines::containerd());
}

/// Writes an image as a docker-archive, and returns its name and ID.
fn written(store: &TempStore, image: &str, more: &[&str]) -> Result<(String, String), String> {
    let copy = store.root().join("copy");
    let mut write = store.nix_image("write", image);
    run(write.arg(&copy).args(["--format", "docker-archive"]).args(more))?;
    let image = archive::image(&fs::read(copy).unwrap());
    Ok((image.manifest["RepoTags"][0].as_str().unwrap().to_owned(), image.id))
}

#[test]
fn one_of_several_images_is_named_and_gets_another_name_if_one_is_given() {
    let golden = Golden::new();
    let layout = golden.store.root().join("layout");
    for (case, tag) in [("everything", "a:1"), ("simple", "b:2")] {
        let mut write = golden.store.nix_image("write", golden.arguments(case).0);
        stdout_of(write.arg(&layout).args(["--format", "oci", "-t", tag]));
    }
    let of = |name: &str, more: &[&str]| {
        written(&golden.store, &format!("{}#{name}", layout.display()), more).unwrap()
    };
    assert_eq!(of("a:1", &[]).1, golden.id("everything"));
    let (name, id) = of("b:2", &["-t", "other:3"]);
    assert_eq!((&*name, &*id), ("other:3", golden.id("simple")));
    let said = failure_of(golden.store.nix_image("write", &layout).args([
        "x",
        "--format",
        "docker-archive",
    ]));
    assert!(said.contains('2') && said.contains("a:1"), "{said}");
}

/// An archive with a single layer, and this config and manifest.
fn small(store: &TempStore, change: impl Fn(&mut Value, &mut Value)) -> String {
    let layer = vec![0; 10240];
    let diff_id = format!("sha256:{}", crate::support::sha256(&layer));
    let mut config = json!({
        "architecture": "arm64", "os": "linux", "config": { "Cmd": ["sh"] },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
    });
    let mut manifest = json!([{ "Config": "c.json", "RepoTags": ["x:1"], "Layers": ["l"] }]);
    change(&mut config, &mut manifest);
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in [
        ("l", layer),
        ("c.json", config.to_string().into_bytes()),
        ("manifest.json", manifest.to_string().into_bytes()),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, &*content).unwrap();
    }
    let path = store.root().join("small.tar");
    fs::write(&path, tar.into_inner().unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn what_is_no_image_for_linux_or_has_no_name_is_refused() {
    let store = TempStore::new();
    let nameless = |_: &mut Value, manifest: &mut Value| manifest[0]["RepoTags"] = Value::Null;
    let image = small(&store, nameless);
    let said = written(&store, &image, &[]).unwrap_err();
    assert!(said.contains("has no name") && said.contains("hint: name it with `-t"), "{said}");
    assert_eq!(written(&store, &image, &["-t", "y:2"]).unwrap().0, "y:2");
    let windows = |config: &mut Value, _: &mut Value| config["os"] = json!("windows");
    let said = written(&store, &small(&store, windows), &[]).unwrap_err();
    assert!(said.contains("is for windows, not for linux"), "{said}");
    let no_architecture = |config: &mut Value, _: &mut Value| config["architecture"] = Value::Null;
    let said = written(&store, &small(&store, no_architecture), &[]).unwrap_err();
    assert!(said.contains("names no architecture"), "{said}");
    assert_eq!(written(&store, &small(&store, |_, _| {}), &[]).unwrap().0, "x:1");
}
