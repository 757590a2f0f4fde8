//! `nix-image store`: images that podman reads in place, as root and as an ordinary user.

use super::fixture::{Fixture, HELLO, is_control};
use crate::support::archive;
use crate::support::engines::{self, Engine};
use crate::support::{command, run, stdout_of};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Makes an image store for all users of the machine.
fn store_of(fixture: &Fixture, images: &[&str]) -> PathBuf {
    let folder = fixture.store.root().join("images");
    if is_control() {
        for image in images {
            let mut load = command("podman", &["--storage-driver=overlay", "--root"]);
            load.arg(&folder).arg("--runroot").arg(fixture.store.root().join("run"));
            stdout_of(load.args(["load", "--quiet", "--input"]).arg(fixture.archive(image)));
        }
        stdout_of(command("chmod", &["-R", "a+rX"]).arg(&folder));
        return folder;
    }
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
    let mut add = command(fixture.store.root().join("nix-image"), &["store", "add"]);
    add.arg(&folder).args(images.iter().map(|image| fixture.conf(image)));
    add.arg("--store-root").arg(fixture.store.root());
    stdout_of(add.env("XDG_CACHE_HOME", fixture.store.root().join("cache")));
    folder
}

/// podman with that store in addition to its own storage.
fn podman(engine: &Engine, store: &std::path::Path, arguments: &[&str]) -> Vec<u8> {
    let option = format!("additionalimagestore={}", store.display());
    let mut podman = engine.command("podman", &["--storage-opt", &option]);
    stdout_of(podman.args(arguments))
}

fn runs_out_of_the_store(start: fn() -> Engine, images: &[&str]) {
    let (fixture, engine) = (Fixture::new(), start());
    let store = store_of(&fixture, images);
    for &image in images {
        let name = format!("localhost/{image}:1");
        let output = podman(&engine, &store, &["run", "--rm", "--network=none", &name]);
        assert_eq!(String::from_utf8(output).unwrap(), HELLO, "{image}");
        let saved = archive::image(&podman(&engine, &store, &["save", &name]));
        let expected = fixture.image(image);
        assert_eq!(saved.layer_digests, expected.layer_digests, "{image}");
        assert_eq!(saved.id, expected.id, "{image}");
    }
    // Nothing was loaded.
    assert!(engine.images().is_empty(), "{:?}", engine.images());
    // Images outside the user's own storage cannot be removed.
    let option = format!("additionalimagestore={}", store.display());
    let remove = ["--storage-opt", &option, "rmi", "--force", "localhost/small:1"];
    let _ = run(&mut engine.command("podman", &remove));
    podman(&engine, &store, &["run", "--rm", "--network=none", "localhost/small:1"]);
    fixture.assert_untouched("runs out of a store of images");
}

#[test]
fn root_runs_images_out_of_a_store_of_images() {
    runs_out_of_the_store(engines::podman, &["small", "twenty", "based"]);
}

/// podman makes `/etc/mtab` in each container. It cannot do so in an image where `/etc` belongs to
/// root, if the user's IDs do not include root.
#[test]
fn an_ordinary_user_runs_images_out_of_a_store_of_images() {
    runs_out_of_the_store(engines::rootless_podman, &["small", "twenty"]);
}

/// Neither by programs in containers, nor by podman's cleanup commands.
#[test]
fn a_store_of_images_is_not_written_to() {
    let (fixture, engine) = (Fixture::new(), engines::podman());
    let store = store_of(&fixture, &["twenty"]);
    let before = super::listing::listing(&store.join("overlay"));
    let abuse =
        ["run", "--network=none", "localhost/twenty:1", "sh", "-c", super::store_untouched::ABUSE];
    podman(&engine, &store, &abuse);
    podman(&engine, &store, &["container", "prune", "--force"]);
    podman(&engine, &store, &["image", "prune", "--all", "--force"]);
    let option = format!("additionalimagestore={}", store.display());
    stdout_of(
        &mut engine.command("podman", &["--storage-opt", &option, "system", "reset", "--force"]),
    );
    fixture.assert_untouched("a container's abuse");
    let after = super::listing::listing(&store.join("overlay"));
    super::listing::assert_same("the store of images", &after, &before);
}
