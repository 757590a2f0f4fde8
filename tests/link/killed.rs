//! Loads that are interrupted, or run at the same time as another one: the engine's state stays
//! consistent, and the next load succeeds.

use super::content;
use super::disk::Disk;
use super::fixture::{Fixture, assert_saved, is_control, said, saved};
use super::listing::assert_same_but_more_links;
use super::state;
use crate::support::engines::{self, Engine};
use crate::support::{run, stdout_of};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Random moments, reproducible from a seed.
#[derive(Debug)]
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let seed = std::env::var("NIX_IMAGE_TEST_SEED").map(|seed| seed.parse().unwrap());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let seed = seed.unwrap_or(u64::from(now.subsec_nanos()));
        #[expect(clippy::print_stdout, reason = "a failure must be reproducible")]
        let () = println!("NIX_IMAGE_TEST_SEED={seed}");
        Self(seed)
    }

    /// A random time up to a limit.
    fn next(&mut self, limit: Duration) -> Duration {
        // The constants of Knuth's MMIX.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        limit.mul_f64(f64::from(u32::try_from(self.0 >> 32).unwrap()) / f64::from(u32::MAX))
    }
}

/// How often a load is killed.
fn kills() -> usize {
    std::env::var("NIX_IMAGE_TEST_KILLS").map_or(50, |kills| kills.parse().unwrap())
}

fn has(engine: &Engine, image: &str) -> bool {
    let name = engine.full_name(&format!("{image}:1"));
    engine.images().iter().any(|image| image.split(' ').next() == Some(&name))
}

/// Makes the engine forget the image and its layers.
fn remove(engine: &Engine, image: &str) {
    let name = engine.full_name(&format!("{image}:1"));
    stdout_of(&mut match engine.name {
        "containerd" => engine.command("ctr", &["images", "rm", "--sync", &name]),
        program => engine.command(program, &["rmi", "--force", &name]),
    });
}

fn is_whole_after_kills(start: fn() -> Engine) {
    let (fixture, engine) = (Fixture::new(), start());
    // Digests are remembered from here on; half of the loads forget them again.
    let started = Instant::now();
    said(fixture.load(&engine, "twenty", "auto"));
    let first = started.elapsed();
    remove(&engine, "twenty");
    let started = Instant::now();
    said(fixture.load(&engine, "twenty", "auto"));
    let again = started.elapsed();
    remove(&engine, "twenty");
    let mut moments = Moments::new();
    for kill in 0..kills() {
        let remembered = kill % 2 == 0;
        let moment = moments.next(if remembered { again } else { first }.mul_f64(1.1));
        let mut load = fixture.load(&engine, "twenty", "auto");
        if !remembered {
            load.arg("--no-cache");
        }
        let mut child = load.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
        // If the name exists, so does all of the image.
        if has(&engine, "twenty") {
            assert_saved(&engine, &fixture, "twenty");
            remove(&engine, "twenty");
        }
        if kill % 5 == 4 {
            said(fixture.load(&engine, "twenty", "auto"));
            assert_saved(&engine, &fixture, "twenty");
            remove(&engine, "twenty");
        }
    }
    said(fixture.load(&engine, "twenty", "auto"));
    said(fixture.load(&engine, "sharing", "auto"));
    for image in ["twenty", "sharing"] {
        assert_saved(&engine, &fixture, image);
    }
    if engine.name == "containerd" {
        content::assert_whole(&engine);
    }
    let theirs = start();
    for image in ["twenty", "sharing"] {
        theirs.load_archive(&fixture.archive(image));
    }
    assert_same_but_more_links("after the kills", &state::of(&engine), &state::of(&theirs));
    fixture.assert_untouched("the kills");
}

#[test]
fn podman_is_whole_after_kills() {
    is_whole_after_kills(engines::podman);
}

#[test]
fn containerd_is_whole_after_kills() {
    is_whole_after_kills(engines::containerd);
}

/// The engine stops while a load is under way, and is started again.
fn is_whole_after_restarts(start: fn() -> Engine) {
    let (fixture, mut engine) = (Fixture::new(), start());
    said(fixture.load(&engine, "small", "auto"));
    for layer in [1, 9, 17] {
        let mut load = fixture.load(&engine, "twenty", "auto");
        load.args(["--no-cache", "--progress", "lines"]);
        let mut load = load.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(load.stderr.take().unwrap());
        let mut said = String::new();
        // A line for the image, and one for each layer.
        for _ in 0..=layer {
            lines.read_line(&mut said).unwrap();
        }
        // dockerd may complete a load before it stops.
        engine.restart(if layer == 9 { "stop" } else { "kill" });
        lines.read_to_string(&mut said).unwrap();
        let status = load.wait().unwrap();
        // The exit status is right, and if the name exists, so does all of the image.
        match status.code() {
            Some(0) => assert!(has(&engine, "twenty"), "at layer {layer}: {said}"),
            Some(1) => assert!(said.contains("error: "), "at layer {layer}: {said}"),
            _ => panic!("at layer {layer}: {status}: {said}"),
        }
        if has(&engine, "twenty") {
            assert_saved(&engine, &fixture, "twenty");
        }
        assert_saved(&engine, &fixture, "small");
        super::fixture::said(fixture.load(&engine, "twenty", "auto"));
        assert_saved(&engine, &fixture, "twenty");
        remove(&engine, "twenty");
    }
    if engine.name == "containerd" {
        content::assert_whole(&engine);
    }
    fixture.assert_untouched("the restarts");
}

#[test]
fn docker_is_whole_after_restarts() {
    is_whole_after_restarts(engines::docker);
}

#[test]
fn docker_with_a_containerd_store_is_whole_after_restarts() {
    is_whole_after_restarts(engines::docker_with_containerd_store);
}

#[test]
fn containerd_is_whole_after_restarts() {
    is_whole_after_restarts(engines::containerd);
}

fn takes_loads_at_once(start: fn() -> Engine) {
    let (fixture, engine) = (Fixture::new(), start());
    let images = ["twenty", "twenty", "sharing", "based"];
    for round in 0..3 {
        let mut loads: Vec<_> = images
            .iter()
            .map(|image| fixture.load(&engine, image, "auto"))
            .map(|mut load| load.stderr(Stdio::piped()).spawn().unwrap())
            .collect();
        for load in loads.drain(..) {
            let output = load.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "round {round}: {said}");
        }
        for image in ["twenty", "sharing", "based"] {
            assert_saved(&engine, &fixture, image);
            remove(&engine, image);
        }
    }
    fixture.assert_untouched("loads at once");
}

#[test]
fn podman_takes_loads_at_once() {
    takes_loads_at_once(engines::podman);
}

#[test]
fn containerd_takes_loads_at_once() {
    takes_loads_at_once(engines::containerd);
}

/// podman's own commands run at the same time, and take the same locks.
#[test]
fn podman_works_during_loads() {
    let (fixture, engine) = (Fixture::new(), engines::podman());
    let archive = format!("docker-archive:{}", fixture.archive("based").display());
    fixture.archive("sharing");
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        // Stops the other threads if this one fails.
        let _end = End(&ended);
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                podman_may_miss(&engine, &["images", "--all"]);
            }
        });
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                podman_may_miss(&engine, &["pull", "--quiet", &archive]);
                podman_may_miss(&engine, &["rmi", "--force", "localhost/based:1"]);
            }
        });
        for round in 0..8 {
            for image in ["twenty", "sharing"] {
                let output = fixture.load(&engine, image, "auto").output().unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                // podman's own load may also miss a layer.
                assert!(is_control() || output.status.success(), "round {round}: {said}");
                if output.status.success() {
                    assert_saved(&engine, &fixture, image);
                }
            }
            for image in ["twenty", "sharing"] {
                podman_may_miss(&engine, &["rmi", "--force", &format!("localhost/{image}:1")]);
            }
        }
    });
    for image in ["twenty", "sharing", "based"] {
        said(fixture.load(&engine, image, "auto"));
        assert_saved(&engine, &fixture, image);
    }
    fixture.assert_untouched("podman's own commands");
}

/// Sets the flag when it is dropped.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs a podman command during which an image or a layer may be removed. podman does not lock its
/// lists for the whole command, so it may miss something that it saw before. This also happens
/// without us: while two `podman load` and a `podman rmi` run, podman 5.8 reports a missing layer
/// for every sixth load.
fn podman_may_miss(engine: &Engine, arguments: &[&str]) {
    if let Err(why) = run(&mut engine.command("podman", arguments)) {
        let missed = [
            "not known",
            "not found",
            "does not exist",
            "no such file or directory",
            "identifier is not",
        ];
        assert!(missed.iter().any(|words| why.contains(words)), "{why}");
    }
}

/// On a separate disk, so that files are copied, and do not fit.
#[test]
fn podman_is_whole_after_a_full_disk() {
    let fixture = Fixture::new();
    let disk = Disk::ext4(24);
    let engine = engines::podman_on(disk.folder());
    state::graph_root(&engine);
    // Compute the digests first, and load an image that fits.
    said(fixture.load(&engine, "small", "auto"));
    let ballast = disk.folder().join("ballast");
    for free in [0, 1, 2] {
        disk.fill(&ballast, free << 20);
        let output = fixture.load(&engine, "twenty", "auto").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{free} MB free: {said}");
        assert!(said.contains("o space left"), "{free} MB free: {said}");
        // podman 5 needs space to remove incomplete layers.
        std::fs::remove_file(&ballast).unwrap();
        assert!(!has(&engine, "twenty"), "{free} MB free");
        assert_saved(&engine, &fixture, "small");
    }
    said(fixture.load(&engine, "twenty", "auto"));
    assert_saved(&engine, &fixture, "twenty");
    assert!(saved(&engine, "localhost/none:1").is_err());
    fixture.assert_untouched("a full disk");
}

/// On a separate disk that has room for the first layer only.
#[test]
fn docker_is_whole_after_a_full_disk() {
    let fixture = Fixture::new();
    let disk = Disk::ext4(64);
    let engine = engines::docker_on(disk.folder());
    said(fixture.load(&engine, "small", "auto"));
    let ballast = disk.folder().join("ballast");
    let needed = std::fs::metadata(fixture.archive("twenty")).unwrap().len();
    for free in [0, 1 << 20, needed / 2] {
        disk.fill(&ballast, free);
        let output = fixture.load(&engine, "twenty", "auto").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{free} bytes free: {said}");
        assert!(said.contains("no space left"), "{free} bytes free: {said}");
        std::fs::remove_file(&ballast).unwrap();
        assert!(!has(&engine, "twenty"), "{free} bytes free");
        assert_saved(&engine, &fixture, "small");
    }
    said(fixture.load(&engine, "twenty", "auto"));
    assert_saved(&engine, &fixture, "twenty");
}
