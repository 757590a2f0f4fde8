//! The store's files are unchanged whatever is done with an image that links them, and the image
//! stays complete whatever happens to the store.

use super::fixture::{Fixture, HELLO, assert_saved, said};
use super::state;
use crate::support::engines::{self, Engine};
use crate::support::{command, run, stdout_of};
use std::fs;

/// What a container does as root to everything it can reach. Whatever is forbidden, such as
/// renaming a folder from another layer, does not matter here.
pub(super) const ABUSE: &str = "
set +e
for file in $(find /nix /bin /tmp -xdev -type f | grep -v busybox | grep -v ' '); do
    chmod 4777 $file; chown 1234:4321 $file; echo spoiled >> $file; touch $file
    mv $file $file.moved && mv $file.moved $file
done
find /nix -xdev -type d -exec chmod 0777 {} + -exec chown 1:1 {} +
find /nix -xdev -type l -exec chown -h 1:1 {} + -exec touch -h {} +
cp /nix/store/*-tools-1.0/bin/busybox /tmp/busybox
find /nix -xdev -name busybox -exec chmod 0700 {} + -exec chown 5:5 {} +
/tmp/busybox sh -c 'for file in $(/tmp/busybox find /nix -name busybox); do echo spoiled >> $file; done'
/tmp/busybox rm -rf /nix/store/*-package-*
/tmp/busybox rm -f /nix/store/*/share/hello
/tmp/busybox ls /nix/store > /tmp/rest
echo done
";

fn podman(engine: &Engine, arguments: &[&str]) -> Vec<u8> {
    stdout_of(&mut engine.command("podman", arguments))
}

/// The image of twenty layers, in a podman that runs containers.
fn loaded() -> (Fixture, Engine) {
    let (fixture, engine) = (Fixture::new(), engines::podman());
    state::graph_root(&engine);
    said(fixture.load(&engine, "twenty", "auto"));
    said(fixture.load(&engine, "sharing", "auto"));
    (fixture, engine)
}

#[test]
fn by_a_container_that_spoils_all_it_sees() {
    let (fixture, engine) = loaded();
    let image = "localhost/twenty:1";
    let abuse = ["run", "--name=abuse", "--network=none", image, "sh", "-c", ABUSE];
    let output = podman(&engine, &abuse);
    assert!(output.ends_with(b"done\n"), "{}", String::from_utf8_lossy(&output));
    let changes = podman(&engine, &["diff", "abuse"]);
    assert!(
        changes.len() > 5000,
        "the container changed little: {}",
        String::from_utf8_lossy(&changes)
    );
    fixture.assert_untouched("a container's abuse");
    // The modified container also becomes an image, which is removed again.
    podman(&engine, &["commit", "--quiet", "abuse", "spoiled:1"]);
    let exported = fixture.store.root().join("exported.tar");
    podman(&engine, &["export", "--output", exported.to_str().unwrap(), "abuse"]);
    podman(
        &engine,
        &["run", "--rm", "--network=none", "spoiled:1", "/tmp/busybox", "cat", "/tmp/rest"],
    );
    fixture.assert_untouched("commit and export");
    podman(&engine, &["rm", "abuse"]);
    podman(&engine, &["rmi", "spoiled:1"]);
    assert_eq!(engine.output_of("twenty:1"), HELLO);
    assert_saved(&engine, &fixture, "twenty");
}

#[test]
fn by_a_privileged_container_and_mounts() {
    let (fixture, engine) = loaded();
    let image = "localhost/twenty:1";
    let abuse = ["run", "--rm", "--privileged", "--network=none", image, "sh", "-c", ABUSE];
    assert!(podman(&engine, &abuse).ends_with(b"done\n"));
    podman(&engine, &["image", "mount", image]);
    podman(&engine, &["image", "unmount", image]);
    let created = podman(&engine, &["create", "--network=none", image]);
    let container = String::from_utf8(created).unwrap().trim().to_owned();
    let mounted = String::from_utf8(podman(&engine, &["mount", &container])).unwrap();
    let folder = std::path::Path::new(mounted.trim());
    for change in [&["chown", "-h", "7:7"][..], &["touch", "-h"], &["chmod", "a+rwx"]] {
        let mut find = command("find", &[folder.join("nix")]);
        let links = if change[0] == "chmod" { &["!", "-type", "l"][..] } else { &[] };
        stdout_of(find.args(links).arg("-exec").args(change).args(["{}", "+"]));
    }
    podman(&engine, &["umount", &container]);
    podman(&engine, &["rm", &container]);
    fixture.assert_untouched("what was done to a mounted container");
}

/// podman copies the layers for another ID map, or mounts them with it.
#[test]
fn by_containers_with_other_ids() {
    let (fixture, engine) = loaded();
    let image = "localhost/twenty:1";
    for map in
        [&["--uidmap=0:100000:5000", "--gidmap=0:100000:5000"][..], &["--userns=auto:size=5000"]]
    {
        let mut command = engine.command("podman", &["run", "--rm", "--network=none"]);
        // `auto` needs the IDs of a user by name; without them, a failure is fine.
        let done = run(command.args(map).args([image, "sh", "-c", ABUSE]));
        if map.len() == 2 {
            let output = done.unwrap_or_else(|why| panic!("{why}"));
            assert!(output.ends_with(b"done\n"), "{}", String::from_utf8_lossy(&output));
        }
        fixture.assert_untouched(&format!("a container with {map:?}"));
    }
    assert_saved(&engine, &fixture, "twenty");
}

#[test]
fn by_a_build_on_top() {
    let (fixture, engine) = loaded();
    let folder = fixture.store.root().join("context");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("abuse"), ABUSE).unwrap();
    let text =
        "FROM localhost/twenty:1\nCOPY abuse /abuse\nRUN sh /abuse\nRUN /tmp/busybox touch /bin\n";
    fs::write(folder.join("Containerfile"), text).unwrap();
    for layers in ["--layers=true", "--squash-all"] {
        let mut build =
            engine.command("podman", &["build", "--network=host", "--isolation=chroot", layers]);
        stdout_of(build.args(["--tag", "built:1"]).arg(&folder));
        fixture.assert_untouched(&format!("podman build {layers}"));
    }
    podman(&engine, &["rmi", "--force", "built:1"]);
    podman(&engine, &["image", "prune", "--all", "--force"]);
    fixture.assert_untouched("prune");
    podman(&engine, &["system", "reset", "--force"]);
    fixture.assert_untouched("system reset");
}

#[test]
fn by_containerd() {
    let (fixture, engine) = (Fixture::new(), engines::containerd());
    said(fixture.load(&engine, "twenty", "auto"));
    let ctr = |arguments: &[&str]| stdout_of(&mut engine.command("ctr", arguments));
    let image = "docker.io/library/twenty:1";
    let busybox = format!("{}/bin/sh", tools(&fixture));
    let arguments =
        ["run", "--rm", "--snapshotter=overlayfs", image, "abuse", &busybox, "-c", ABUSE];
    assert!(ctr(&arguments).ends_with(b"done\n"));
    fixture.assert_untouched("a container's abuse in containerd");
    assert_eq!(engine.output_of("twenty:1"), HELLO);
    ctr(&["images", "rm", "--sync", image]);
    fixture.assert_untouched("the removal of the image");
}

/// The store path of the programs.
fn tools(fixture: &Fixture) -> String {
    let conf: serde_json::Value =
        serde_json::from_slice(&fs::read(fixture.conf("small")).unwrap()).unwrap();
    conf["store_layers"][0][0].as_str().unwrap().to_owned()
}

/// The other way round: what a garbage collection deletes stays in the image.
#[test]
fn the_image_runs_when_its_paths_are_gone() {
    for start in [engines::podman, engines::containerd] {
        let (fixture, engine) = (Fixture::new(), start());
        said(fixture.load(&engine, "twenty", "auto"));
        fixture.archive("twenty");
        fs::remove_dir_all(fixture.store.place("/nix/store")).unwrap();
        assert_eq!(engine.output_of("twenty:1"), HELLO);
        assert_saved(&engine, &fixture, "twenty");
    }
}
