//! The store of `make_store.py`, its images, and ways to load them.

use super::listing::{Lines, assert_same, listing};
use crate::support::archive::{self, Image};
use crate::support::engines::Engine;
use crate::support::{
    NIX_IMAGE, TempStore, command, need, need_root, python3, run, skip, stdout_of, test_file,
};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All images of the store.
pub(super) const IMAGES: [&str; 9] =
    ["small", "twenty", "sharing", "owned", "strangers", "based", "copied", "merged", "rooted"];

/// What the images print when they are run.
pub(super) const HELLO: &str = "hello from the store\n";

/// A store, and its state when it was made.
#[derive(Debug)]
pub(super) struct Fixture {
    pub(super) store: TempStore,
    before: Lines,
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self::new_in(&std::env::temp_dir())
    }

    /// In a folder, which determines its file system.
    pub(super) fn new_in(folder: &Path) -> Self {
        let store = TempStore::new_in(folder);
        // Ordinary users read the store and run the program.
        let readable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(store.root(), readable).unwrap();
        let program = store.root().join("nix-image");
        fs::copy(NIX_IMAGE, program).unwrap();
        need_root("make files that are the store's");
        let mut make = Command::new(python3());
        stdout_of(make.arg(test_file("link/make_store.py")).arg(store.root()).arg(busybox()));
        let before = listing(&store.place("/nix"));
        Self { store, before }
    }

    pub(super) fn conf(&self, image: &str) -> PathBuf {
        self.store.root().join(format!("confs/{image}.json"))
    }

    /// The archive of an image, written once.
    pub(super) fn archive(&self, image: &str) -> PathBuf {
        let file = self.store.root().join(format!("{image}.tar"));
        if !file.exists() {
            let mut stream = self.store.nix_image("stream", self.conf(image));
            fs::write(&file, stdout_of(&mut stream)).unwrap();
        }
        file
    }

    /// The contents of that archive.
    pub(super) fn image(&self, image: &str) -> Image {
        archive::image(&fs::read(self.archive(image)).unwrap())
    }

    /// `nix-image load` of an image, with a value for `--import`.
    pub(super) fn load(&self, engine: &Engine, image: &str, import: &str) -> Command {
        let mut load = command(self.store.root().join("nix-image"), &["load"]);
        load.arg(self.conf(image)).arg("--store-root").arg(self.store.root());
        load.env("XDG_CACHE_HOME", self.store.root().join("cache"));
        load.args(["--engine", engine.name]).args(import_options(import));
        engine.reach(load)
    }

    /// Fails if a file of the store has changed.
    pub(super) fn assert_untouched(&self, after: &str) {
        let now = listing(&self.store.place("/nix"));
        assert_same(&format!("the store after {after}"), &now, &self.before);
    }
}

/// A static busybox, which runs in a container without other files.
pub(super) fn busybox() -> PathBuf {
    need("busybox");
    let path = std::env::var_os("PATH").unwrap();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join("busybox"));
    let busybox = found.find(|file| file.is_file()).unwrap();
    if run(&mut command("ldd", &[&busybox])).is_ok() {
        skip(&format!("{} is not statically linked", busybox.display()));
    }
    busybox
}

/// Whether this is a control run, without links.
pub(super) fn is_control() -> bool {
    std::env::var("NIX_IMAGE_TEST_IMPORT").is_ok_and(|value| value == "off")
}

/// The options for a value of `--import`.
pub(super) fn import_options(import: &str) -> Vec<&str> {
    // In a control run the whole archive, as for the engine's own load.
    if is_control() { vec!["--way", "stream"] } else { vec!["--import", import] }
}

/// Which of "linked", "reflinked" and "copied" a load reported.
pub(super) fn ways(said: &str) -> Vec<&'static str> {
    ["linked", "reflinked", "copied"]
        .into_iter()
        .filter(|way| said.split(|c: char| !c.is_alphabetic()).any(|word| word == *way))
        .collect()
}

/// Runs a load, and returns its standard error.
pub(super) fn said(mut load: Command) -> String {
    let output = load.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{load:?} failed and said:\n{said}");
    said
}

/// The image that an engine saves.
pub(super) fn saved(engine: &Engine, name: &str) -> Result<Image, String> {
    let mut save = match engine.name {
        "containerd" => export(engine, name),
        program => engine.command(program, &["save", name]),
    };
    run(&mut save).map(|archive| archive::image(&archive))
}

/// Exports from containerd. Since version 2, ctr may exit before all of an archive has come through
/// the daemon, unless it writes the archive itself.
fn export(engine: &Engine, name: &str) -> Command {
    let help = stdout_of(&mut engine.command("ctr", &["images", "export", "--help"]));
    let local = String::from_utf8(help).unwrap().contains("--local");
    let mut export = engine.command("ctr", &["images", "export"]);
    export.args(local.then_some("--local")).args(["-", name]);
    export
}

/// Fails if what the engine saves is not the image.
pub(super) fn assert_saved(engine: &Engine, fixture: &Fixture, image: &str) {
    let name = engine.full_name(&format!("{image}:1"));
    let expected = fixture.image(image);
    let saved = saved(engine, &name).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(saved.layer_digests, expected.layer_digests, "{image}");
    assert_eq!(saved.id, expected.id, "{image}");
}
