//! How files are imported, depending on the user and on where the store and the storage are; and
//! that the image then runs and can be saved unchanged.

use super::disk::Disk;
use super::fixture::{Fixture, HELLO, assert_saved, is_control, said, ways};
use super::state;
use crate::support::engines::{self, Engine};
use crate::support::{command, failure_of, stdout_of};
use std::path::PathBuf;

/// Loads an image, checks how its files were imported, runs it, and saves it.
fn check(engine: &Engine, fixture: &Fixture, import: &str, expected: &[&str]) {
    state::graph_root(engine);
    let summary = said(fixture.load(engine, "small", import));
    if !is_control() {
        assert_eq!(ways(&summary), expected, "--import {import}: {summary}");
    }
    assert_eq!(engine.output_of("small:1"), HELLO);
    assert_saved(engine, fixture, "small");
    // The next load finds everything, whatever `--import` it uses.
    said(fixture.load(engine, "small", "auto"));
    fixture.assert_untouched(&format!("--import {import}"));
}

#[test]
fn root_links() {
    let fixture = Fixture::new();
    check(&engines::podman(), &fixture, "auto", &["linked"]);
    check(&engines::podman(), &fixture, "link", &["linked"]);
    check(&engines::podman(), &fixture, "copy", &["copied"]);
}

/// As NixOS mounts it.
#[test]
fn root_links_out_of_a_read_only_mount() {
    let fixture = Fixture::new();
    let store = ReadOnly::mount(fixture.store.place("/nix/store"));
    check(&engines::podman(), &fixture, "auto", &["linked"]);
    check(&engines::podman(), &fixture, "copy", &["copied"]);
    drop(store);
}

#[test]
fn root_copies_from_another_file_system() {
    let disk = Disk::ext4(64);
    let fixture = Fixture::new();
    check(&engines::podman_on(disk.folder()), &fixture, "auto", &["copied"]);
    if !is_control() {
        for way in ["link", "reflink"] {
            let engine = engines::podman_on(disk.folder());
            let why = failure_of(&mut fixture.load(&engine, "small", way));
            assert!(why.contains(&disk.folder().display().to_string()), "{why}");
            assert!(engine.images().is_empty());
        }
    }
}

fn links_or_reflinks(disk: &Disk) {
    let fixture = Fixture::new_in(&disk.folder());
    check(&engines::podman_on(disk.folder()), &fixture, "auto", &["linked"]);
    check(&engines::podman_on(disk.folder()), &fixture, "reflink", &["reflinked"]);
    check(&engines::rootless_podman_on(disk.folder()), &fixture, "auto", &["reflinked"]);
    check(&engines::podman_without_ids_on(disk.folder()), &fixture, "auto", &["reflinked"]);
}

#[test]
fn btrfs_links_or_reflinks() {
    links_or_reflinks(&Disk::btrfs(512));
}

#[test]
fn xfs_links_or_reflinks() {
    links_or_reflinks(&Disk::xfs(512));
}

/// Subvolumes are different devices, but can share content.
#[test]
fn btrfs_reflinks_between_subvolumes() {
    let disk = Disk::btrfs(512);
    let (store, storage) = (disk.folder().join("store"), disk.folder().join("storage"));
    for folder in [&store, &storage] {
        stdout_of(command("btrfs", &["subvolume", "create"]).arg(folder));
    }
    let fixture = Fixture::new_in(&store);
    check(&engines::podman_on(storage), &fixture, "auto", &["reflinked"]);
}

/// An ordinary user may not link root's files.
#[test]
fn an_ordinary_user_copies() {
    let fixture = Fixture::new();
    check(&engines::rootless_podman(), &fixture, "auto", &["copied"]);
    let store = ReadOnly::mount(fixture.store.place("/nix/store"));
    check(&engines::rootless_podman(), &fixture, "auto", &["copied"]);
    drop(store);
}

#[test]
fn an_ordinary_user_without_subordinate_ids_copies() {
    let fixture = Fixture::new();
    check(&engines::podman_without_ids(), &fixture, "auto", &["copied"]);
}

#[test]
fn an_ordinary_user_copies_from_another_file_system() {
    let disk = Disk::ext4(128);
    let fixture = Fixture::new();
    check(&engines::rootless_podman_on(disk.folder()), &fixture, "auto", &["copied"]);
}

/// Owners for which the user has subordinate IDs.
#[test]
fn an_ordinary_user_gets_files_of_other_owners() {
    let (fixture, engine) = (Fixture::new(), engines::rootless_podman());
    state::graph_root(&engine);
    for image in ["owned", "strangers", "twenty"] {
        said(fixture.load(&engine, image, "auto"));
        assert_saved(&engine, &fixture, image);
        assert_eq!(engine.output_of(&format!("{image}:1")), HELLO, "{image}");
    }
    let show = [
        "run",
        "--rm",
        "--network=none",
        "localhost/owned:1",
        "stat",
        "-c",
        "%u:%g %a",
        "/home/user/.profile",
    ];
    assert_eq!(stdout_of(&mut engine.command("podman", &show)), b"1000:100 600\n");
    fixture.assert_untouched("loads of an ordinary user");
}

/// A folder bind-mounted on itself, read-only, until this is dropped.
struct ReadOnly(PathBuf);

impl ReadOnly {
    fn mount(folder: PathBuf) -> Self {
        stdout_of(command("mount", &["--bind"]).args([&folder, &folder]));
        let mounted = Self(folder);
        stdout_of(command("mount", &["-o", "remount,bind,ro"]).arg(&mounted.0));
        mounted
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = command("umount", &["--lazy"]).arg(&self.0).status();
    }
}
