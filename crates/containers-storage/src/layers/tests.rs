//! Storages that no engine uses.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use formats::digest::Digest;
use tempfile::TempDir;

use crate::{Error, Facts, FinishedLayer, Kind, NewImage, NewLayer, Storage, layer_id};

const PATIENCE: Duration = Duration::from_secs(10);

/// An empty engine's storage.
fn engine(directory: &Path) -> Storage {
    for name in ["overlay/l", "overlay-layers", "overlay-images"] {
        fs::create_dir_all(directory.join(name)).unwrap();
    }
    fs::write(directory.join("overlay-images/images.lock"), "").unwrap();
    let storage = Storage::open(directory).unwrap();
    assert_eq!(storage.kind(), Kind::Engine);
    storage
}

/// Layers, each on top of the one before.
fn layers(names: &[&str]) -> Vec<NewLayer> {
    let mut parent = None;
    let next = |name: &&str| {
        let diff_id = Digest::of(name.as_bytes());
        let id = layer_id(parent, diff_id);
        let layer = NewLayer { id, parent, diff_id };
        parent = Some(id);
        layer
    };
    names.iter().map(next).collect()
}

fn add(storage: &Storage, new: &[NewLayer]) {
    let mut layers = storage.layers(PATIENCE).unwrap();
    for tree in layers.begin(new).unwrap() {
        fs::write(tree.join("file"), "content").unwrap();
    }
    let facts = Facts { size: 10240, uids: [0].into(), gids: [0, 5].into() };
    let mut tar_splits = vec![&b"tar-split"[..]; new.len()];
    let finish = |(layer, tar_split): (&NewLayer, _)| FinishedLayer {
        id: layer.id,
        facts: facts.clone(),
        tar_split,
        root_mode: None,
    };
    let tar_splits = tar_splits.iter_mut().map(|bytes| bytes as &mut dyn Read);
    layers.finish(new.iter().zip(tar_splits).map(finish).collect()).unwrap();
}

fn put(storage: &Storage, config: &str, names: &[&str], top_layer: Option<Digest>) -> Digest {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let new = NewImage {
        names: &names,
        top_layer,
        manifest: b"{}",
        config: config.as_bytes(),
        created: None,
    };
    storage.images(PATIENCE).unwrap().put(&new).unwrap()
}

/// All paths below a directory except locks and records.
fn names(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap()) {
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.retain(|path| path.extension().is_none_or(|name| name != "lock" && name != "json"));
    found.sort();
    found
}

#[test]
fn what_is_not_finished_goes() {
    for kind in [Kind::Engine, Kind::Additional] {
        let directory = TempDir::new().unwrap();
        let storage = match kind {
            Kind::Engine => engine(directory.path()),
            Kind::Additional => Storage::create(directory.path()).unwrap(),
        };
        let before = names(directory.path());
        let new = layers(&["a", "b"]);
        let mut layers = storage.layers(PATIENCE).unwrap();
        for tree in layers.begin(&new).unwrap() {
            fs::create_dir_all(tree.join("directory/below")).unwrap();
        }
        assert!(layers.get(new[0].id).is_none());
        let again = layers.begin(&new[..1]).unwrap_err();
        assert!(matches!(again, Error::LayerExists { .. }), "{again}");
        drop(layers);
        assert_eq!(names(directory.path()), before, "{kind:?}");
        add(&storage, &new);
        let snapshot = storage.read(PATIENCE).unwrap();
        assert_eq!(snapshot.layers.len(), 2);
        assert_eq!(snapshot.layers[1].parent, Some(new[0].id));
        assert_eq!(snapshot.layers[1].size, Some(10240));
    }
}

#[test]
fn only_an_engine_is_shown_what_is_incomplete() {
    let directories = [(); 2].map(|()| TempDir::new().unwrap());
    let storages = [engine(directories[0].path()), Storage::create(directories[1].path()).unwrap()];
    for (storage, recorded) in storages.iter().zip([true, false]) {
        let mut layers = storage.layers(PATIENCE).unwrap();
        layers.begin(&self::layers(&["a"])).unwrap();
        let text = fs::read_to_string(storage.root().join("overlay-layers/layers.json"));
        assert_eq!(text.unwrap().contains(r#""flags":{"incomplete":true}"#), recorded);
    }
}

#[test]
fn an_additional_store_can_be_read_while_it_is_written() {
    let directory = TempDir::new().unwrap();
    let storage = Storage::create(directory.path()).unwrap();
    let mut writer = storage.layers(PATIENCE).unwrap();
    writer.begin(&layers(&["a"])).unwrap();
    assert_eq!(storage.read(Duration::ZERO).unwrap().layers, []);
    let other = storage.layers(Duration::ZERO).unwrap_err();
    assert!(matches!(other, Error::Busy { .. }), "{other}");
    drop(writer);
    storage.layers(Duration::ZERO).unwrap();
}

#[test]
fn a_parent_has_to_be_there() {
    let directory = TempDir::new().unwrap();
    let storage = engine(directory.path());
    let new = layers(&["a", "b", "c"]);
    let mut layers = storage.layers(PATIENCE).unwrap();
    let error = layers.begin(&new[1..]).unwrap_err();
    assert!(matches!(error, Error::LayerMissing { id, .. } if id == new[0].id), "{error}");
    drop(layers);
    add(&storage, &new[..2]);
    add(&storage, &new[2..]);
    let lower = |layer: &NewLayer| {
        fs::read_to_string(directory.path().join("overlay").join(layer.id.hex()).join("lower"))
    };
    assert!(lower(&new[0]).is_err());
    let lower = lower(&new[2]).unwrap();
    let trees = lower.split(':').map(|link| directory.path().join("overlay").join(link));
    let trees: Vec<_> = trees.map(|link| fs::canonicalize(link).unwrap()).collect();
    let storage = storage.layers(PATIENCE).unwrap();
    assert_eq!(trees, [1, 0].map(|at| fs::canonicalize(storage.tree(new[at].id)).unwrap()));
}

#[test]
fn layers_in_use_stay() {
    let directory = TempDir::new().unwrap();
    let storage = engine(directory.path());
    let before = names(directory.path());
    let new = layers(&["a", "b"]);
    add(&storage, &new);
    let ids: Vec<Digest> = new.iter().map(|layer| layer.id).collect();
    let image = put(&storage, "config", &["localhost/a:1"], Some(ids[1]));
    let remove = |ids: &[Digest]| {
        let removed = storage.layers(PATIENCE).unwrap().remove(ids);
        removed.map_err(|error| error.to_string())
    };
    assert!(remove(&ids[..1]).unwrap_err().contains(&format!("used by layer {}", ids[1].hex())));
    assert!(remove(&ids).unwrap_err().contains(&format!("used by image {}", image.hex())));
    let containers = directory.path().join("overlay-containers");
    fs::create_dir(&containers).unwrap();
    let container = format!(r#"[{{"id":"c","image":"{}","layer":"d"}}]"#, image.hex());
    fs::write(containers.join("volatile-containers.json"), container).unwrap();
    let error = storage.images(PATIENCE).unwrap().remove(image).unwrap_err();
    assert!(error.to_string().contains("used by container c"), "{error}");
    fs::remove_dir_all(containers).unwrap();
    storage.images(PATIENCE).unwrap().remove(image).unwrap();
    remove(&ids).unwrap();
    assert_eq!(names(directory.path()), before);
}

#[test]
fn garbage_is_what_no_image_has() {
    let directory = TempDir::new().unwrap();
    let storage = Storage::create(directory.path()).unwrap();
    let before = names(directory.path());
    let (one, other) = (layers(&["a", "b"]), layers(&["a", "c"]));
    add(&storage, &one);
    add(&storage, &other[1..]);
    let image = put(&storage, "config", &["localhost/a:1"], Some(one[1].id));
    let nameless = put(&storage, "nameless", &[], Some(other[1].id));
    // Leftovers of a killed run.
    let id = Digest::of(b"killed").hex();
    fs::create_dir_all(directory.path().join("overlay").join(&id).join("diff")).unwrap();
    fs::write(directory.path().join("overlay-layers/.nix-image-a.tmp"), "").unwrap();
    fs::write(directory.path().join("overlay/.nix-image-1-1"), "").unwrap();
    let collect = || storage.layers(PATIENCE).unwrap().collect_garbage(PATIENCE).unwrap();
    let collected = collect();
    assert_eq!(collected.images, [nameless]);
    assert_eq!((collected.removed, collected.leftovers), (vec![other[1].id], 1));
    assert_eq!(storage.read(PATIENCE).unwrap().layers.len(), 2);
    storage.images(PATIENCE).unwrap().remove(image).unwrap();
    assert_eq!(collect().removed.len(), 2);
    assert_eq!(names(directory.path()), before);
}

#[test]
fn a_name_is_one_images() {
    let directory = TempDir::new().unwrap();
    let storage = engine(directory.path());
    let first = put(&storage, "1", &["localhost/a:1", "localhost/b:1"], None);
    let second = put(&storage, "2", &["localhost/a:1"], None);
    let mut images = storage.images(PATIENCE).unwrap();
    assert_eq!(images.by_name("localhost/a:1").unwrap().id, second);
    assert_eq!(images.get(first).unwrap().names, ["localhost/b:1"]);
    images.add_name(first, "localhost/a:1").unwrap();
    assert_eq!(images.get(first).unwrap().names, ["localhost/a:1", "localhost/b:1"]);
    assert_eq!(images.get(second).unwrap().names, [""; 0]);
    images.remove_name("localhost/b:1").unwrap();
    assert!(images.by_name("localhost/b:1").is_none());
    assert!(matches!(images.remove_name("x").unwrap_err(), Error::ImageMissing { .. }));
    drop(images);
    // The same image again keeps its other names.
    put(&storage, "1", &["localhost/c:1"], None);
    let images = storage.images(PATIENCE).unwrap().list();
    assert_eq!(images.len(), 2);
    assert_eq!(images[0].names, ["localhost/c:1", "localhost/a:1"]);
    let names = [];
    let top_layer = Some(first);
    let new = NewImage { names: &names, top_layer, manifest: b"", config: b"1", created: None };
    let error = storage.images(PATIENCE).unwrap().put(&new).unwrap_err();
    assert!(matches!(error, Error::OtherLayers { .. }), "{error}");
}

#[test]
fn unknown_storages_are_left_alone() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let why = |opened: Result<Storage, Error>| match opened.unwrap_err() {
        Error::Unsupported { why, .. } => why,
        other => panic!("{other}"),
    };
    assert_eq!(why(Storage::open(&path.join("x"))), "no such directory");
    assert_eq!(why(Storage::open(path)), "it has no directory `overlay-layers`");
    fs::create_dir(path.join("vfs-layers")).unwrap();
    assert_eq!(why(Storage::open(path)), "it belongs to the storage driver vfs");
    assert!(why(Storage::create(path)).starts_with("expected an empty directory"));
    fs::remove_dir(path.join("vfs-layers")).unwrap();
    let storage = engine(path);
    assert!(why(Storage::create(path)).starts_with("expected an empty directory"));
    let error = storage.layers(PATIENCE).unwrap().collect_garbage(PATIENCE).unwrap_err();
    assert!(error.to_string().contains("the storage of an engine"), "{error}");
    for (records, text) in [("layers", "{}"), ("images", "[[]]")] {
        fs::write(path.join(format!("overlay-{records}/{records}.json")), text).unwrap();
    }
    assert!(matches!(storage.layers(PATIENCE), Err(Error::Unsupported { .. })));
    assert!(matches!(storage.images(PATIENCE), Err(Error::Unsupported { .. })));
}

/// As when an image's record cannot be written after its layers were.
#[test]
fn finished_layers_can_be_taken_back_though_images_cannot_be_read() {
    let directory = TempDir::new().unwrap();
    let storage = engine(directory.path());
    let new = layers(&["a", "b"]);
    add(&storage, &new[..1]);
    let before = names(directory.path());
    add(&storage, &new[1..]);
    fs::create_dir(directory.path().join("overlay-images/images.json")).unwrap();
    let mut layers = storage.layers(PATIENCE).unwrap();
    layers.remove(&[new[1].id]).unwrap_err();
    layers.undo(&[new[1].id]).unwrap();
    assert!(layers.get(new[0].id).is_some() && layers.get(new[1].id).is_none());
    assert_eq!(names(directory.path()), before);
}
