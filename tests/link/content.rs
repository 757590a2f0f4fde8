//! Blobs in containerd's content, written directly to where it stores them.

use super::disk::Disk;
use super::fixture::{Fixture, assert_saved, is_control, said};
use crate::support::engines::{self, Engine};
use crate::support::{sha256, stdout_of};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// What a load reports with `--verbose` if blobs are sent.
const SENT: &str = "sending blobs to containerd instead of writing them";

/// The files of the engine's blobs.
fn blobs(engine: &Engine) -> Vec<PathBuf> {
    let folder = engine.folder().join("data/io.containerd.content.v1.content/blobs/sha256");
    let files = fs::read_dir(folder).into_iter().flatten();
    files.map(|file| file.unwrap().path()).collect()
}

/// Fails if a file in containerd's content is not the blob that its name says.
pub(super) fn assert_whole(engine: &Engine) {
    for file in blobs(engine) {
        let name = file.file_name().unwrap().to_str().unwrap();
        // containerd may have collected it by now.
        let Ok(blob) = fs::read(&file) else { continue };
        assert_eq!(sha256(&blob), name);
        let Ok(found) = fs::metadata(&file) else { continue };
        assert_eq!(found.permissions().mode() & 0o7777, 0o444, "{}", file.display());
    }
}

/// Loads an image, and returns the messages, including verbose ones.
fn load(fixture: &Fixture, engine: &Engine, image: &str) -> String {
    let mut load = fixture.load(engine, image, "auto");
    load.arg("--verbose");
    let said = said(load);
    assert_saved(engine, fixture, image);
    assert_whole(engine);
    said
}

fn ctr(engine: &Engine, arguments: &[&str]) -> String {
    String::from_utf8(stdout_of(&mut engine.command("ctr", arguments))).unwrap()
}

/// Makes containerd collect what nothing refers to, and waits for it.
fn collect_garbage(engine: &Engine) {
    let lease = ctr(engine, &["leases", "create"]);
    ctr(engine, &["leases", "rm", "--sync", lease.trim()]);
}

#[test]
fn containerd_takes_blobs_that_are_written_for_it() {
    let (fixture, engine) = (Fixture::new(), engines::containerd());
    // Compressed base layers stay compressed.
    for image in ["twenty", "based"] {
        assert!(!load(&fixture, &engine, image).contains(SENT));
        let check = ctr(&engine, &["images", "check"]);
        let name = engine.full_name(&format!("{image}:1"));
        let line = check.lines().find(|line| line.starts_with(&name)).unwrap();
        assert!(line.contains(" complete "), "{line}");
    }
    let listed = ctr(&engine, &["content", "ls", "--quiet"]);
    let mut files: Vec<_> = blobs(&engine)
        .iter()
        .map(|file| format!("sha256:{}", file.file_name().unwrap().to_str().unwrap()))
        .collect();
    let mut listed: Vec<_> = listed.lines().collect();
    files.sort();
    listed.sort_unstable();
    assert_eq!(listed, files);
    // Another namespace gets what exists just by naming it.
    let mut other = fixture.load(&engine, "twenty", "auto");
    other.env("CONTAINERD_NAMESPACE", "other");
    let inode = |file: &PathBuf| std::os::unix::fs::MetadataExt::ino(&fs::metadata(file).unwrap());
    let inodes = |engine| blobs(engine).iter().map(inode).collect::<Vec<_>>();
    let before = inodes(&engine);
    said(other);
    assert_eq!(inodes(&engine), before);
    for (namespace, image) in [("default", "twenty"), ("default", "based"), ("other", "twenty")] {
        let name = engine.full_name(&format!("{image}:1"));
        ctr(&engine, &["--namespace", namespace, "images", "rm", "--sync", &name]);
    }
    assert_eq!(blobs(&engine), Vec::<PathBuf>::new());
}

#[test]
fn containerd_is_sent_blobs_that_it_does_not_share() {
    let (fixture, engine) = (Fixture::new(), engines::containerd_that_isolates());
    assert!(load(&fixture, &engine, "twenty").contains(SENT) || is_control());
}

/// The state that a kill leaves between naming a blob and telling containerd. The blob is collected
/// together with the next recorded one.
#[test]
fn containerd_collects_blobs_that_it_was_not_told_of() {
    let (fixture, engine) = (Fixture::new(), engines::containerd());
    load(&fixture, &engine, "small");
    let folder = blobs(&engine)[0].parent().unwrap().to_owned();
    let orphan = folder.join(sha256(b"orphan"));
    fs::write(&orphan, b"orphan").unwrap();
    let name = engine.full_name("small:1");
    ctr(&engine, &["images", "rm", "--sync", &name]);
    assert!(!orphan.exists());
}

/// containerd may collect a blob before it is told of it.
#[test]
fn containerd_collects_garbage_during_loads() {
    let (fixture, engine) = (Fixture::new(), engines::containerd());
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let collector = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                collect_garbage(&engine);
            }
        });
        for _ in 0..10 {
            load(&fixture, &engine, "twenty");
            let name = engine.full_name("twenty:1");
            ctr(&engine, &["images", "rm", "--sync", &name]);
        }
        ended.store(true, Ordering::Relaxed);
        collector.join().unwrap();
    });
}

/// On a separate disk, where neither snapshots nor blobs fit.
#[test]
fn containerd_is_whole_after_a_full_disk() {
    let fixture = Fixture::new();
    let disk = Disk::ext4(64);
    let engine = engines::containerd_on(disk.folder());
    load(&fixture, &engine, "small");
    let ballast = disk.folder().join("ballast");
    let needed = fs::metadata(fixture.archive("twenty")).unwrap().len();
    // Either not even the snapshots fit, or they fit but the blobs do not.
    for free in [256 << 10, needed / 2, needed] {
        disk.fill(&ballast, free);
        let output = fixture.load(&engine, "twenty", "auto").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert_eq!(output.status.code(), Some(1), "{free} bytes free: {said}");
        assert!(said.contains("no space left"), "{free} bytes free: {said}");
        fs::remove_file(&ballast).unwrap();
        assert_whole(&engine);
        assert_saved(&engine, &fixture, "small");
        collect_garbage(&engine);
    }
    load(&fixture, &engine, "twenty");
    fixture.assert_untouched("a full disk");
}

/// A pull through containerd leaves out the blobs of layers that it has unpacked.
fn gets_the_blobs_that_an_earlier_load_left_out(engine: &Engine) {
    let fixture = Fixture::new();
    let mut without = fixture.load(engine, "twenty", "auto");
    without.arg("--without-content");
    said(without);
    said(fixture.load(engine, "twenty", "off"));
    assert_saved(engine, &fixture, "twenty");
}

#[test]
fn containerd_gets_the_blobs_that_an_earlier_load_left_out() {
    gets_the_blobs_that_an_earlier_load_left_out(&engines::containerd());
}

#[test]
fn docker_gets_the_blobs_that_an_earlier_load_left_out() {
    let engine = engines::docker_with_containerd_store();
    // Older ones get no layers without blobs.
    engine.containerd_address();
    gets_the_blobs_that_an_earlier_load_left_out(&engine);
}
