//! What `inspect`, `diff`, `why` and `tree` find in images.

mod elsewhere;
mod hostile;
mod page;
mod pictures;
mod references;

use crate::bad_input::gzip;
use crate::export::{docker_archive, layer, put};
use crate::support::layout::{Form, Layout};
use crate::support::{NIX_IMAGE, TempStore, archive, command, stdout_of};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A store path whose hash is one repeated character.
fn path(digit: char, name: &str) -> String {
    format!("/nix/store/{}-{name}", digit.to_string().repeat(32))
}

/// A store with an image: app refers to lib and libc, lib to libc, and app has a copy of a file of
/// libc.
struct Fixture {
    store: TempStore,
    conf: PathBuf,
}

impl Fixture {
    fn new() -> Self {
        let store = TempStore::new();
        let (app, lib, libc) = (path('1', "app-1.0"), path('2', "lib-2.0"), path('3', "libc-3.0"));
        // On both sides of the size from which files are read separately.
        let mut large = vec![0; 200_000];
        large[131_060..131_060 + libc.len()].copy_from_slice(libc.as_bytes());
        store.write(&format!("{libc}/lib/libc.so"), vec![7; 70_000]);
        store.write(&format!("{lib}/lib/lib.so"), &large);
        store.write(&format!("{app}/bin/app"), format!("#!{libc}/bin/sh\n"));
        store.write(&format!("{app}/share/copy"), vec![7; 70_000]);
        std::os::unix::fs::symlink(format!("{lib}/lib"), store.place(&format!("{app}/lib")))
            .unwrap();
        let customisation = store.write_customisation_layer(&layer(&[(b'0', "etc/x", b"x")]));
        let conf = TempStore::conf(&json!([[libc], [lib, app]]), &customisation);
        let conf = store.write_conf("conf", &conf);
        Self { store, conf }
    }

    /// A command about the image of the conf, or about the same image in another form.
    fn run(&self, name: &str, image: &Path, args: &[&str]) -> Vec<u8> {
        stdout_of(self.store.nix_image(name, image).args(args))
    }

    fn json(&self, name: &str, args: &[&str]) -> Value {
        let args = [args, &["--json"]].concat();
        serde_json::from_slice(&self.run(name, &self.conf, &args)).unwrap()
    }
}

fn inspect(image: &Path) -> Command {
    let mut inspect = command(NIX_IMAGE, &["inspect"]);
    inspect.arg(image);
    inspect
}

/// The sizes were calculated by hand: a header of 512 bytes for each entry, and contents in blocks.
#[test]
fn sizes_are_those_of_the_tar_files() {
    let fixture = Fixture::new();
    let found = fixture.json("inspect", &[]);
    let libc = 2 * 512 + 512 + 70_144;
    let lib = 2 * 512 + 512 + 200_192;
    // The root, `bin` and its file, `lib`, `share` and its file.
    let app = 512 + (512 + 512 + 512) + 512 + (512 + 512 + 70_144);
    let sizes = |layer: usize| found["Layers"][layer]["PathSizes"].clone();
    let size = |path: String, size: usize| json!({ "Path": path, "Size": size });
    assert_eq!(sizes(0), json!([size(path('3', "libc-3.0"), libc)]));
    assert_eq!(sizes(1), json!([size(path('2', "lib-2.0"), lib), size(path('1', "app-1.0"), app)]));
    assert_eq!(sizes(2), json!([]));
    let stream = fixture.run("stream", &fixture.conf, &[]);
    let layers = archive::image(&stream).layers;
    for (number, tar) in layers.iter().enumerate() {
        let layer = &found["Layers"][number];
        assert_eq!(layer["Size"], tar.len());
        let paths = layer["PathSizes"].as_array().unwrap();
        let paths: u64 = paths.iter().map(|path| path["Size"].as_u64().unwrap()).sum();
        // `/nix`, `/nix/store`, and the end of the tar file.
        let rest = tar.len() as u64 - paths;
        assert!(number == 2 || (1024 + 1024..1024 + 10_240 + 1024).contains(&rest), "{rest}");
    }
    let all: usize = layers.iter().map(Vec::len).sum();
    assert_eq!(found["Size"], all);
}

#[test]
fn an_image_is_the_same_however_it_is_kept() {
    let fixture = Fixture::new();
    let root = fixture.store.root();
    let stream = fixture.run("stream", &fixture.conf, &[]);
    let layout = root.join("layout");
    stdout_of(
        fixture.store.nix_image("write", &fixture.conf).arg(&layout).args(["--format", "oci"]),
    );
    let mut packed = Layout::default();
    let layers = archive::image(&stream).layers;
    let forms = [Form::Zstd, Form::Gzip, Form::Plain];
    let forms: Vec<_> = forms.into_iter().zip(layers.iter().map(Vec::as_slice)).collect();
    let image = packed.image(&forms, &[]);
    packed.entry(image, None);
    let numbers = |image: &Path| {
        let found = fixture.run("inspect", image, &["--json"]);
        let found: Value = serde_json::from_slice(&found).unwrap();
        let layers = found["Layers"].as_array().unwrap().iter();
        let layers =
            layers.map(|layer| json!([layer["DiffID"], layer["Size"], layer["PathSizes"]]));
        let tree = fixture.run("tree", image, &[]);
        let tree = String::from_utf8(tree).unwrap();
        let why = fixture.run("why", image, &["libc", "--json"]);
        (found["Size"].clone(), layers.collect::<Vec<_>>(), tree, why)
    };
    let expected = numbers(&fixture.conf);
    assert!(expected.2.contains("└─ libc-3.0"), "{}", expected.2);
    for image in [
        put(root, "archive.tar", &stream),
        put(root, "archive.tar.gz", &gzip(&stream)),
        put(root, "packed.tar", &packed.archive("./")),
        layout,
    ] {
        assert_eq!(numbers(&image), expected, "{}", image.display());
        let diff = fixture.run("diff", &fixture.conf, &[image.to_str().unwrap(), "--json"]);
        let diff: Value = serde_json::from_slice(&diff).unwrap();
        assert_eq!(diff["unpacked"]["layers"], 0);
        assert_eq!(diff["changes"], json!([]));
    }
}

/// Its layers are those of the old image, so nothing is transferred and no path changes.
#[test]
fn an_image_without_the_top_layer_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let layers = [layer(&[(b'0', "etc/a", b"a")]), layer(&[(b'0', "etc/b", b"b")])];
    let both = put(folder.path(), "both.tar", &docker_archive(&layers));
    let lower = put(folder.path(), "lower.tar", &docker_archive(&layers[..1]));
    for (old, new, differs) in [(&both, &lower, true), (&lower, &both, true), (&both, &both, false)]
    {
        let mut diff = command(NIX_IMAGE, &["diff"]);
        let output = diff.arg(old).arg(new).arg("--exit-code").output().unwrap();
        assert_eq!(output.status.code(), Some(i32::from(differs)), "{}", new.display());
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.contains("no difference"), !differs, "{text}");
    }
}

#[test]
fn what_is_there_twice_or_hidden_is_waste() {
    let folder = tempfile::tempdir().unwrap();
    let shared = vec![1; 10_000];
    let layers = [
        layer(&[(b'0', "etc/a", &shared), (b'0', "etc/b", &[2; 6000]), (b'0', "etc/c", &shared)]),
        layer(&[(b'0', "etc/b", &[3; 100]), (b'0', "etc/.wh.c", b""), (b'0', "opt/a", &shared)]),
    ];
    let size: usize = layers.iter().map(Vec::len).sum();
    // A second copy of `a`, and from the lower layer `b` and `c` with their headers.
    let waste = 10_000 + (512 + 6144) + (512 + 10_240);
    #[expect(clippy::cast_precision_loss, reason = "a share is shown with one digit")]
    let share = f64::from(waste) / size as f64 * 100.0;
    let image = put(folder.path(), "image.tar", &docker_archive(&layers));
    let above = format!("{:.2}%", share + 0.01);
    stdout_of(inspect(&image).args(["--max-waste", &above]));
    let below = format!("{:.2}%", share - 0.01);
    let said = crate::support::failure_of(inspect(&image).args(["--max-waste", &below]));
    assert!(said.contains(&format!("error: {share:.1}% of the image (27.4 kB)")), "{said}");
}

/// Something repeated as a whole, such as a path that is listed twice, does not count as a
/// duplicate too.
#[test]
fn a_store_path_in_two_layers_is_wasted_once() {
    let fixture = Fixture::new();
    let conf = std::fs::read_to_string(&fixture.conf).unwrap();
    let mut conf: Value = serde_json::from_str(&conf).unwrap();
    conf["store_layers"] = json!([[path('2', "lib-2.0")], [path('2', "lib-2.0")]]);
    let conf = fixture.store.write_conf("twice", &conf);
    let mut run = fixture.store.nix_image("inspect", &conf);
    let said = crate::support::failure_of(run.args(["--max-waste", "1%"]));
    assert!(said.contains("(202 kB)"), "{said}");
}
