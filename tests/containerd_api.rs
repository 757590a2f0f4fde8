//! The client of containerd's API, tested with a real containerd.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use containerd::{Client, Kind, Labels, Lease, Upload, writable_directory};
use nix_image::{BlobId, Digest};
use oci::Descriptor;

use crate::support::engines::{self, Engine};
use crate::support::stdout_of;

const OVERLAYFS: &str = "overlayfs";
const HOUR: Duration = Duration::from_secs(3600);
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

fn connect(engine: &Engine) -> Client {
    let socket = Path::new(engine.variable("CONTAINERD_ADDRESS"));
    Client::connect(socket, "default", Duration::from_secs(60)).unwrap()
}

fn labels<const N: usize>(labels: [(&str, &str); N]) -> Labels {
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn blob(bytes: &[u8]) -> BlobId {
    BlobId { digest: Digest::of(bytes), size: bytes.len() as u64 }
}

fn ctr(engine: &Engine, arguments: &[&str]) -> String {
    String::from_utf8(stdout_of(&mut engine.command("ctr", arguments))).unwrap()
}

/// Makes containerd collect its garbage.
fn collect(engine: &Engine) {
    ctr(engine, &["leases", "create", "--id", "collect"]);
    ctr(engine, &["leases", "delete", "--sync", "collect"]);
}

/// The upload of a blob that does not exist.
fn upload<'a>(client: &'a Client, reference: &str, bytes: &[u8]) -> Upload<'a> {
    client.upload(reference, blob(bytes), &Labels::new()).unwrap().expect("it does not exist yet")
}

fn write(client: &Client, bytes: &[u8], wanted: &Labels) -> Digest {
    let blob = blob(bytes);
    if let Some(mut upload) = client.upload("some", blob, wanted).unwrap() {
        upload.push(bytes).unwrap();
        upload.commit().unwrap();
    }
    blob.digest
}

/// Makes a snapshot with a file named after it.
fn snapshot(client: &Client, name: &str, parent: Option<&str>) {
    let snapshots = client.snapshots(OVERLAYFS);
    let key = format!("key of {name}");
    let mounts = snapshots.prepare(&key, parent, &Labels::new()).unwrap();
    assert_eq!(snapshots.mounts(&key).unwrap(), mounts);
    assert_eq!(snapshots.stat(&key).unwrap().unwrap().kind, Kind::Active);
    let directory = writable_directory(&mounts, parent.is_some()).expect("it is overlayfs");
    fs::write(directory.join(name), name).unwrap();
    snapshots.commit(name, &key, &labels([("made-by", name)])).unwrap();
}

#[test]
fn snapshots_are_made_in_a_chain() {
    let engine = engines::containerd();
    let client = connect(&engine);
    assert!(!client.version().unwrap().version.is_empty());
    let lease = client.lease(HOUR).unwrap();
    snapshot(&lease, "one", None);
    snapshot(&lease, "two", Some("one"));
    snapshot(&lease, "three", Some("two"));
    let snapshots = client.snapshots(OVERLAYFS);
    let two = snapshots.stat("two").unwrap().unwrap();
    assert_eq!(two.parent.as_deref(), Some("one"));
    assert_eq!((two.kind, two.labels), (Kind::Committed, labels([("made-by", "two")])));
    assert_eq!(snapshots.stat("key of two").unwrap(), None);

    // The engine has what was written.
    let mounts = lease.snapshots(OVERLAYFS).prepare("all", Some("three"), &Labels::new()).unwrap();
    let lower = mounts[0].options.iter().find_map(|o| o.strip_prefix("lowerdir=")).unwrap();
    for (directory, name) in lower.split(':').zip(["three", "two", "one"]) {
        assert_eq!(fs::read_to_string(Path::new(directory).join(name)).unwrap(), name);
    }

    // A second load of the same layer finds that it is too late, whatever the step.
    let target = labels([("containerd.io/snapshot.ref", "two")]);
    let prepared = lease.snapshots(OVERLAYFS).prepare("again", Some("one"), &target);
    assert!(prepared.unwrap_err().is_already_there());
    lease.snapshots(OVERLAYFS).prepare("again", Some("one"), &Labels::new()).unwrap();
    let error = lease.snapshots(OVERLAYFS).commit("two", "again", &Labels::new()).unwrap_err();
    assert!(error.is_already_there(), "{error}");
    lease.snapshots(OVERLAYFS).remove("again").unwrap();
    assert!(lease.snapshots(OVERLAYFS).remove("again").unwrap_err().is_not_found());
    let orphan = lease.snapshots(OVERLAYFS).prepare("orphan", Some("none"), &Labels::new());
    assert!(orphan.unwrap_err().is_not_found());
    // Other snapshots are based on it.
    let error = snapshots.remove("two").unwrap_err();
    assert_eq!(error.reason(), Some(containerd::Reason::FailedPrecondition), "{error}");
}

#[test]
fn content_is_written_once() {
    let engine = engines::containerd();
    let client = connect(&engine);
    let lease = client.lease(HOUR).unwrap();
    let bytes: Vec<u8> =
        (0..64_u32 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let large = blob(&bytes);
    assert_eq!(client.content(&large.digest).unwrap(), None);
    let named = labels([("containerd.io/uncompressed", "sha256:x")]);
    let mut upload = lease.upload("large", large, &named).unwrap().unwrap();
    // In pieces that do not fit into one message.
    bytes.chunks(777_777).for_each(|piece| upload.write_all(piece).unwrap());
    upload.commit().unwrap();
    let found = client.content(&large.digest).unwrap().unwrap();
    assert_eq!((found.size, found.labels), (large.size, named.clone()));
    assert_eq!(client.read_content(large).unwrap().as_deref(), Some(&*bytes));

    // It exists now, and only gets further labels.
    let more = labels([("other.example/a.b", "c")]);
    assert!(lease.upload("elsewhere", large, &more).unwrap().is_none());
    let all: Labels = named.into_iter().chain(more).collect();
    assert_eq!(client.content(&large.digest).unwrap().unwrap().labels, all);
    // Another namespace has it only once a client that knows its digest asks for it.
    let socket = Path::new(engine.variable("CONTAINERD_ADDRESS"));
    let other = Client::connect(socket, "other", Duration::from_secs(60)).unwrap();
    assert_eq!(other.content(&large.digest).unwrap(), None);
    assert!(other.upload("large", large, &Labels::new()).unwrap().is_none());
    assert_eq!(other.content(&large.digest).unwrap().unwrap().size, large.size);

    // An empty blob is valid too.
    write(&lease, b"", &Labels::new());
    assert_eq!(client.read_content(blob(b"")).unwrap().as_deref(), Some(&b""[..]));
    assert_eq!(client.read_content(blob(b"none")).unwrap(), None);
}

#[test]
fn a_write_that_broke_is_taken_up() {
    let engine = engines::containerd();
    let client = connect(&engine);
    let lease = client.lease(HOUR).unwrap();
    let bytes = vec![7; 5 << 20];
    // The upload is dropped after some messages.
    let mut broken = upload(&lease, "broken", &bytes);
    broken.push(&vec![1; 3 << 20]).unwrap();
    drop(broken);
    let mut second = upload(&lease, "broken", &bytes);
    second.push(&bytes).unwrap();
    second.commit().unwrap();

    // All bytes were sent but never committed, and they are wrong.
    let bytes = vec![8; 3 << 20];
    let mut wrong = upload(&lease, "wrong", &bytes);
    wrong.push(&vec![9; 3 << 20]).unwrap();
    wait_until_written(&engine, &client, "wrong", "3.146MB");
    drop(wrong);
    let mut right = upload(&lease, "wrong", &bytes);
    right.push(&bytes).unwrap();
    right.commit().unwrap();
    assert_eq!(client.read_content(blob(&bytes)).unwrap().as_deref(), Some(&*bytes));

    // They are right.
    let bytes = vec![10; 3 << 20];
    let mut whole = upload(&lease, "whole", &bytes);
    whole.push(&bytes).unwrap();
    wait_until_written(&engine, &client, "whole", "3.146MB");
    drop(whole);
    assert!(lease.upload("whole", blob(&bytes), &Labels::new()).unwrap().is_none());
    assert!(client.content(&Digest::of(&bytes)).unwrap().is_some());

    // Wrong bytes do not become the blob.
    let bytes = vec![11; 3 << 20];
    let mut wrong = upload(&lease, "lie", &bytes);
    wrong.push(&vec![12; 3 << 20]).unwrap();
    let error = wrong.commit().unwrap_err();
    assert_eq!(error.reason(), Some(containerd::Reason::FailedPrecondition), "{error}");
    assert_eq!(client.content(&Digest::of(&bytes)).unwrap(), None);
    let mut short = upload(&lease, "short", &bytes);
    short.push(&bytes[1..]).unwrap();
    assert!(short.push(&bytes[..2]).is_err());
    assert!(short.commit().unwrap_err().to_string().contains("has 3145727 bytes, expected"));
}

/// Waits until containerd has received this much of an upload.
fn wait_until_written(engine: &Engine, client: &Client, reference: &str, size: &str) {
    let is_written = || {
        // The connection makes progress while a caller waits for an answer.
        client.version().unwrap();
        let active = ctr(engine, &["content", "active"]);
        let mut lines = active.lines();
        lines.any(|line| line.starts_with(reference) && line.contains(size))
    };
    let done = (0..100).any(|_| {
        is_written() || {
            std::thread::sleep(Duration::from_millis(100));
            false
        }
    });
    assert!(done, "{}", ctr(engine, &["content", "active"]));
}

#[test]
fn two_who_write_the_same_wait_for_each_other() {
    let engine = engines::containerd();
    let client = connect(&engine);
    let lease = client.lease(HOUR).unwrap();
    let bytes = vec![3; 8 << 20];
    let mut first = upload(&lease, "same", &bytes);
    first.push(&bytes[..4 << 20]).unwrap();
    let second = connect(&engine);
    std::thread::scope(|scope| {
        let second =
            scope.spawn(|| second.upload("same", blob(&bytes), &Labels::new()).unwrap().is_none());
        std::thread::sleep(Duration::from_millis(300));
        first.push(&bytes[4 << 20..]).unwrap();
        first.commit().unwrap();
        assert!(second.join().unwrap());
    });
}

#[test]
fn images_are_put_and_deleted() {
    let engine = engines::containerd();
    let client = connect(&engine);
    let lease = client.lease(HOUR).unwrap();
    let name = "docker.io/library/app:1";
    assert_eq!(client.image(name).unwrap(), None);
    let first = put(&lease, name, "one", &labels([("a.b/c", "1"), ("stays", "1")]));
    let found = client.image(name).unwrap().unwrap();
    assert_eq!(found.target, first);
    let second = put(&lease, name, "two", &labels([("a.b/c", "2")]));
    let found = client.image(name).unwrap().unwrap();
    assert_ne!(first, second);
    assert_eq!((found.target, found.labels), (second, labels([("a.b/c", "2"), ("stays", "1")])));
    assert!(ctr(&engine, &["images", "ls", "-q"]).contains(name));

    // What the image refers to survives the lease, and is deleted with the image.
    lease.end().unwrap();
    collect(&engine);
    let config = Digest::of(b"two");
    assert!(client.snapshots(OVERLAYFS).stat("two").unwrap().is_some());
    assert!(client.snapshots(OVERLAYFS).stat("one").unwrap().is_none());
    assert!(client.content(&config).unwrap().is_some());
    client.delete_image(name).unwrap();
    assert!(client.delete_image(name).unwrap_err().is_not_found());
    collect(&engine);
    assert!(client.snapshots(OVERLAYFS).stat("two").unwrap().is_none());
    assert_eq!(client.content(&config).unwrap(), None);
}

/// Makes an image of one snapshot; its manifest and config need not be readable.
fn put(lease: &Lease, name: &str, what: &str, wanted: &Labels) -> Descriptor {
    snapshot(lease, what, None);
    let config = Descriptor::of(CONFIG, what.as_bytes());
    write(lease, what.as_bytes(), &labels([("containerd.io/gc.ref.snapshot.overlayfs", what)]));
    let manifest = format!("manifest of {what}");
    let digest = config.digest.to_string();
    write(lease, manifest.as_bytes(), &labels([("containerd.io/gc.ref.content.config", &digest)]));
    let mut target = Descriptor::of(MANIFEST, manifest.as_bytes());
    target.annotations = BTreeMap::from([("org.example".into(), what.into())]);
    lease.put_image(name, &target, wanted).unwrap();
    target
}

#[test]
fn what_a_killed_program_leaves_is_collected() {
    let engine = engines::containerd();
    let client = connect(&engine);
    let kept = client.lease(HOUR).unwrap();
    // As if it was killed: the lease is not ended.
    let killed = client.lease(Duration::from_secs(2)).unwrap();
    snapshot(&killed, "left", None);
    snapshot(&killed, "shared", None);
    let left = write(&killed, b"left", &Labels::new());
    let shared = write(&killed, b"shared", &Labels::new());
    kept.keep_snapshot(OVERLAYFS, "shared").unwrap();
    kept.keep_content(&shared).unwrap();
    std::mem::forget(killed);
    collect(&engine);
    assert!(client.content(&left).unwrap().is_some());
    std::thread::sleep(Duration::from_secs(3));
    collect(&engine);
    assert_eq!(client.content(&left).unwrap(), None);
    assert_eq!(client.snapshots(OVERLAYFS).stat("left").unwrap(), None);
    // What another lease protects stays.
    assert!(client.content(&shared).unwrap().is_some());
    assert!(client.snapshots(OVERLAYFS).stat("shared").unwrap().is_some());
    let list = ctr(&engine, &["leases", "ls", "-q"]);
    assert_eq!(list.trim(), kept.id());
    drop(kept);
    assert_eq!(ctr(&engine, &["leases", "ls", "-q"]).trim(), "");
}
