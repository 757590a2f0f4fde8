//! Compares `containers_storage` with the real podman.

use crate::golden::Golden;
use crate::link::state::drop_empty_signatures;
use crate::support::engines::{self, Engine};
use crate::support::{cannot_run, command, need_root, sha256, stdout_of};
use containers_storage::{Facts, FinishedLayer, Layer, NewImage, NewLayer, Storage};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const NAME: &str = "localhost/golden:1";

/// podman, and the location of its storage.
pub(crate) struct Podman {
    pub(crate) engine: Engine,
    pub(crate) root: PathBuf,
}

impl Podman {
    pub(crate) fn start() -> Self {
        let engine = engines::podman();
        let format = "{{.Store.GraphDriverName}} {{.Store.GraphRoot}}";
        let info = stdout_of(&mut engine.command("podman", &["info", "--format", format]));
        let info = String::from_utf8(info).unwrap();
        let Some(root) = info.trim().strip_prefix("overlay ") else {
            cannot_run("podman has no overlay driver here")
        };
        let root = root.into();
        Self { engine, root }
    }

    pub(crate) fn podman(&self, arguments: &[&str]) -> String {
        let mut command = self.engine.command("podman", arguments);
        String::from_utf8(stdout_of(&mut command)).unwrap()
    }

    fn storage(&self) -> Storage {
        Storage::open(&self.root).unwrap()
    }

    fn load_golden(&self, golden: &Golden, folder: &Path) {
        let (conf, _) = golden.arguments("everything");
        let archive = folder.join("archive.tar");
        fs::write(&archive, stdout_of(&mut golden.store.nix_image("stream", conf))).unwrap();
        self.engine.load_archive(&archive);
    }

    fn records(&self, name: &str) -> Vec<Value> {
        records(&self.root, name)
    }
}

fn records(root: &Path, name: &str) -> Vec<Value> {
    let text = fs::read(root.join(format!("overlay-{name}/{name}.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The layers of a storage, ready to be made in another one.
fn new_layers(from: &Path) -> Vec<NewLayer> {
    let snapshot = Storage::open(from).unwrap().read(PATIENCE).unwrap();
    let new = |layer: Layer| NewLayer {
        id: layer.id,
        parent: layer.parent,
        diff_id: layer.diff_id.unwrap(),
    };
    snapshot.layers.into_iter().map(new).collect()
}

/// Makes the layers of one storage in another.
fn copy_layers(from: &Path, to: &Storage) {
    let new = new_layers(from);
    let mut layers = to.layers(PATIENCE).unwrap();
    let trees = layers.begin(&new).unwrap();
    let snapshot = Storage::open(from).unwrap().read(PATIENCE).unwrap();
    let sizes = snapshot.layers.iter().map(|layer| layer.size.unwrap());
    let mut tar_splits = Vec::new();
    for (layer, tree) in new.iter().zip(&trees) {
        let original = from.join("overlay").join(layer.id.hex()).join("diff/.");
        stdout_of(Command::new("cp").args(["-a", "--no-target-directory"]).arg(original).arg(tree));
        let tar_split = from.join(format!("overlay-layers/{}.tar-split.gz", layer.id.hex()));
        tar_splits.push(fs::File::open(tar_split).unwrap());
    }
    let finished = new.iter().zip(&mut tar_splits).zip(sizes);
    let finished = finished.map(|((layer, tar_split), size)| FinishedLayer {
        id: layer.id,
        facts: Facts { size, uids: [0].into(), gids: [0].into() },
        tar_split,
        root_mode: None,
    });
    layers.finish(finished.collect()).unwrap();
    assert_eq!(layers.get(new[0].id).unwrap().diff_id, Some(new[0].diff_id));
}

/// Records the only image of a storage in another, under these names.
fn copy_image(from: &Path, to: &Storage, names: &[&str]) {
    let image = &Storage::open(from).unwrap().read(PATIENCE).unwrap().images[0];
    let documents = fs::read_dir(from.join("overlay-images").join(image.id.hex())).unwrap();
    let documents: BTreeMap<String, Vec<u8>> = documents
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .map(|bytes| (sha256(&bytes), bytes))
        .collect();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let new = NewImage {
        names: &names,
        top_layer: image.top_layer,
        manifest: &documents[&image.digest.unwrap().hex()],
        config: &documents[&image.id.hex()],
        created: Some("1970-01-01T00:00:01+00:00"),
    };
    assert_eq!(to.images(PATIENCE).unwrap().put(&new).unwrap(), image.id);
}

/// Names, types and modes below a directory, but not inside layers. Names of links are random, so
/// they and the files that list them are left out.
fn listing(root: &Path) -> String {
    let mut find = Command::new("find");
    find.current_dir(root).args(["overlay", "overlay-layers", "overlay-images"]);
    find.args(["-path", "*/diff/*", "-prune", "-o", "-path", "overlay/l/*"]);
    find.args(["-printf", "link %y %l\n", "-o", "-printf", "%p %y %m\n"]);
    let found = String::from_utf8(stdout_of(&mut find)).unwrap();
    // Versions of podman differ in these: "signature-" in base64 (see without_signatures), and
    // since 5.8 the lower layers' IDs and folders for deletions.
    let of_some =
        ["/=c2lnbmF0dXJlL", "/lower-layers f ", "overlay-layers/tmp d ", "overlay/tempdirs d "];
    let is_of_all = |line: &&str| !of_some.iter().any(|name| line.contains(name));
    let mut lines: Vec<&str> = found.lines().filter(is_of_all).collect();
    lines.sort_unstable();
    lines.join("\n")
}

fn without_dates(mut records: Vec<Value>) -> Vec<Value> {
    for record in &mut records {
        record.as_object_mut().unwrap().remove("created").unwrap();
    }
    records
}

/// podman 5 leaves out empty lists of signatures, which podman 4 requires.
fn without_signatures(mut records: Vec<Value>) -> Vec<Value> {
    for record in &mut records {
        drop_empty_signatures(record.as_object_mut().unwrap());
    }
    records
}

/// `podman save` writes layers with the right digests.
fn check_saved(podman: &Podman, folder: &Path, golden: &Golden) {
    check_saved_with(podman, &[], folder, golden);
}

/// The same with podman options.
pub(crate) fn check_saved_with(podman: &Podman, options: &[&str], folder: &Path, golden: &Golden) {
    let saved = folder.join("saved.tar");
    let _ = fs::remove_file(&saved);
    let save = ["save", "--quiet", "--output", saved.to_str().unwrap(), NAME];
    podman.podman(&[options, &save].concat());
    let image = crate::support::archive::image(&fs::read(&saved).unwrap());
    assert_eq!(golden.expected["everything"]["layers"], Value::from(image.layer_digests));
    assert_eq!(golden.id("everything"), image.id);
}

#[test]
fn what_is_written_is_what_podman_writes() {
    let (golden, folder) = (Golden::new(), TempDir::new().unwrap());
    let (theirs, ours) = (Podman::start(), Podman::start());
    theirs.load_golden(&golden, folder.path());
    copy_layers(&theirs.root, &ours.storage());
    copy_image(&theirs.root, &ours.storage(), &[NAME]);
    let layers = ours.records("layers");
    // Field by field, in this order.
    assert_eq!(
        serde_json::to_string(&without_dates(layers)).unwrap(),
        serde_json::to_string(&without_dates(theirs.records("layers"))).unwrap()
    );
    assert_eq!(
        serde_json::to_string(&without_signatures(ours.records("images"))).unwrap(),
        serde_json::to_string(&without_signatures(theirs.records("images"))).unwrap()
    );
    assert_eq!(listing(&ours.root), listing(&theirs.root));
    let inspect = |podman: &Podman| {
        let said = podman.podman(&["image", "inspect", NAME]);
        said.replace(podman.root.to_str().unwrap(), "ROOT")
    };
    assert_eq!(inspect(&ours), inspect(&theirs));
    check_saved(&ours, folder.path(), &golden);
    let mounted = ours.podman(&["image", "mount", NAME]);
    assert!(Path::new(mounted.trim()).join("nix/store").is_dir(), "{mounted}");
    let id = Storage::open(&ours.root).unwrap().read(PATIENCE).unwrap().layers[0].id;
    // What podman uses is not removed.
    let storage = ours.storage();
    let error = storage.layers(PATIENCE).unwrap().remove(&[id]).unwrap_err();
    assert!(error.to_string().contains("is used by layer"), "{error}");
    ours.podman(&["image", "unmount", NAME]);
    ours.podman(&["rmi", NAME]);
    assert_eq!(ours.records("layers"), Vec::<Value>::new());
    assert_eq!(fs::read_dir(ours.root.join("overlay/l")).unwrap().count(), 0);
}

/// A copy of a storage at a moment when a kill could have left it.
fn keep(root: &Path, folder: &Path) -> PathBuf {
    let kept = folder.join("kept");
    stdout_of(Command::new("cp").arg("-a").arg(root).arg(&kept));
    kept
}

fn restore(kept: &Path, root: &Path) {
    fs::remove_dir_all(root).unwrap();
    stdout_of(Command::new("cp").arg("-a").arg(kept).arg(root));
}

#[test]
fn podman_removes_what_a_killed_run_has_left() {
    let (golden, folder) = (Golden::new(), TempDir::new().unwrap());
    let (theirs, ours) = (Podman::start(), Podman::start());
    theirs.load_golden(&golden, folder.path());
    let new = new_layers(&theirs.root);
    let storage = ours.storage();
    let before = listing(&ours.root);
    let mut layers = storage.layers(PATIENCE).unwrap();
    let trees = layers.begin(&new).unwrap();
    fs::write(trees[1].join("file"), "half of it").unwrap();
    let kept = keep(&ours.root, folder.path());
    assert!(layers.get(new[0].id).is_none(), "an incomplete layer exists");
    layers.abandon().unwrap();
    let after = listing(&ours.root);
    assert_eq!(after.replace("overlay-layers/layers.json f 600\n", ""), before);
    restore(&kept, &ours.root);
    assert_eq!(ours.records("layers").len(), new.len());
    // podman 4.3 finds only every other one per run; newer ones find all.
    for _ in 0..new.len() {
        ours.podman(&["images"]);
    }
    assert_eq!(ours.records("layers"), Vec::<Value>::new());
    assert!(trees.iter().all(|tree| !tree.exists()));
    // And so does the next load.
    restore(&kept, &ours.root);
    copy_layers(&theirs.root, &storage);
    copy_image(&theirs.root, &storage, &[NAME]);
    assert!(!trees[1].join("file").exists());
    check_saved(&ours, folder.path(), &golden);
    assert_eq!(listing(&ours.root), listing(&theirs.root));
}

#[test]
fn podman_may_write_at_the_same_time() {
    let (golden, folder) = (Golden::new(), TempDir::new().unwrap());
    let (theirs, ours) = (Podman::start(), Podman::start());
    theirs.load_golden(&golden, folder.path());
    let storage = ours.storage();
    copy_layers(&theirs.root, &storage);
    copy_image(&theirs.root, &storage, &[NAME]);
    let (conf, _) = golden.arguments("base-gz");
    let other = folder.path().join("other.tar");
    let mut stream = golden.store.nix_image("stream", conf);
    fs::write(&other, stdout_of(stream.args(["-t", "other:1"]))).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..4 {
                ours.engine.load_archive(&other);
                ours.podman(&["tag", "localhost/other:1", &format!("localhost/theirs:{number}")]);
            }
        });
        for number in 0..200 {
            let name = format!("localhost/ours:{number}");
            let mut images = storage.images(PATIENCE).unwrap();
            let id = images.by_name(NAME).unwrap().id;
            images.add_name(id, &name).unwrap();
            if number % 2 == 1 {
                images.remove_name(&name).unwrap();
            }
        }
    });
    let images = ours.engine.images();
    for name in (0..4).map(|number| format!("localhost/theirs:{number} ")) {
        assert!(images.iter().any(|image| image.starts_with(&name)), "{images:?}");
    }
    let names = images.iter().filter(|image| image.starts_with("localhost/ours:"));
    assert_eq!(names.count(), 100);
    check_saved(&ours, folder.path(), &golden);
}

/// A directory for all users; that of `TempDir` is accessible only to its owner.
pub(crate) fn public_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn all_users_read_an_additional_image_store() {
    let (golden, folder) = (Golden::new(), public_folder());
    let (theirs, ours) = (Podman::start(), Podman::start());
    theirs.load_golden(&golden, folder.path());
    let store = folder.path().join("store");
    let storage = Storage::create(&store).unwrap();
    assert_eq!(Storage::create(&store).unwrap().kind(), storage.kind());
    copy_layers(&theirs.root, &storage);
    copy_image(&theirs.root, &storage, &[NAME]);
    let option = format!("additionalimagestore={}", store.display());
    let read = ["--storage-opt", &option];
    let images =
        ours.podman(&[&read[..], &["images", "--format", "{{.Names}} {{.ReadOnly}}"]].concat());
    assert_eq!(images, format!("[{NAME}] true\n"));
    let container = ours.podman(&[&read[..], &["create", NAME, "true"]].concat());
    let mounted = ours.podman(&[&read[..], &["mount", container.trim()]].concat());
    assert!(Path::new(mounted.trim()).join("nix/store").is_dir(), "{mounted}");
    // Without its image, the layers that a container runs from stay while their mount is visible.
    let image = storage.images(PATIENCE).unwrap().by_name(NAME).unwrap();
    storage.images(PATIENCE).unwrap().remove(image.id).unwrap();
    let collected = storage.layers(PATIENCE).unwrap().collect_garbage(PATIENCE).unwrap();
    assert_eq!((collected.removed.len(), collected.mounted.len()), (0, 8));
    ours.podman(&[&read[..], &["unmount", container.trim()]].concat());
    ours.podman(&[&read[..], &["rm", container.trim()]].concat());
    // A container that another test starts at the same time also has the mount for a moment.
    let mut removed = 0;
    for _ in 0..100 {
        let collected = storage.layers(PATIENCE).unwrap().collect_garbage(PATIENCE).unwrap();
        removed += collected.removed.len();
        if collected.mounted.is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(removed, 8);
    assert_eq!(storage.read(PATIENCE).unwrap().layers, []);
    assert_eq!(fs::read_dir(store.join("overlay")).unwrap().count(), 1);
}

#[test]
fn an_additional_image_store_is_readable_by_everyone() {
    need_root("become another user");
    let (golden, folder) = (Golden::new(), public_folder());
    let theirs = Podman::start();
    theirs.load_golden(&golden, folder.path());
    let store = folder.path().join("store");
    let storage = Storage::create(&store).unwrap();
    copy_layers(&theirs.root, &storage);
    copy_image(&theirs.root, &storage, &[NAME]);
    // As a user who owns nothing of it.
    let find = format!(
        "find {} -path '*/diff/*' -prune -o ! -type l ! -readable -print -o -type d ! -executable -print",
        store.display()
    );
    let arguments = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c", &find];
    let unreadable = String::from_utf8(stdout_of(&mut command("setpriv", &arguments))).unwrap();
    assert_eq!(unreadable, "");
}
