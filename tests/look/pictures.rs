//! The pictures in the documents are those that the commands draw.
//!
//! `SNAPSHOTS=overwrite cargo test --test integration -- look::pictures` redraws them.

use super::path;
use crate::export::layer;
use crate::support::sources::project_file;
use crate::support::{TempStore, stdout_of};
use serde_json::json;
use snapbox::{Assert, Data};
use std::fs::File;
use std::path::PathBuf;

/// Packages in layers, with their sizes in kB.
type Packages = &'static [&'static [(&'static str, u64)]];

/// A typical image of realistic size. The sizes are made up, and the contents are all zeros.
const BEFORE: Packages = &[
    &[("glibc-2.40", 29_900)],
    &[("gcc-lib-14.3.0", 9_400), ("zlib-1.3.1", 130)],
    &[("ncurses-6.5", 4_900), ("readline-8.3", 480), ("bash-5.3", 1_700)],
    &[("openssl-3.5.2", 7_900)],
    &[("tzdata-2025b", 1_900), ("mailcap-2.1.54", 120), ("cacert-3.115", 500)],
    &[("sqlite-3.50.2", 1_700), ("libffi-3.5.2", 80), ("expat-2.7.1", 250), ("xz-5.8.1", 280)],
    &[("python3-3.13.6", 118_000)],
    &[("gcc-14.3.0", 204_000)],
    &[("pillow-11.3.0", 5_100), ("numpy-2.3.2", 34_000), ("libjpeg-turbo-3.1.1", 1_400)],
    &[("git-2.50.1", 38_000), ("curl-8.15.0", 1_000), ("pcre2-10.44", 1_500)],
    &[("app-1.4.0", 2_700)],
];

/// The next version: without a compiler, and with a new openssl.
const AFTER: Packages = &[
    &[("glibc-2.40", 29_900)],
    &[("gcc-lib-14.3.0", 9_400), ("zlib-1.3.1", 130)],
    &[("ncurses-6.5", 4_900), ("readline-8.3", 480), ("bash-5.3", 1_700)],
    &[("tzdata-2025b", 1_900), ("mailcap-2.1.54", 120), ("cacert-3.115", 500)],
    &[("sqlite-3.50.2", 1_700), ("libffi-3.5.2", 80), ("expat-2.7.1", 250), ("xz-5.8.1", 280)],
    &[("python3-3.13.6", 118_000)],
    &[("pillow-11.3.0", 5_100), ("numpy-2.3.2", 34_000), ("libjpeg-turbo-3.1.1", 1_400)],
    &[("git-2.50.1", 38_000), ("curl-8.15.0", 1_000), ("pcre2-10.44", 1_500)],
    &[("openssl-3.5.4", 8_100)],
    &[("libwebp-1.6.0", 2_600)],
    &[("app-1.5.0", 2_800)],
];

/// Writes a conf of packages whose store paths have one sparse file each, which takes up no space
/// on the disk.
fn write_conf(store: &TempStore, name: &str, packages: Packages) -> PathBuf {
    let layers = packages.iter().map(|layer| {
        let path = |(name, size): &(&str, u64)| {
            let path = path('0', name);
            let file = format!("{path}/file");
            store.write(&file, "");
            let file = File::options().write(true).open(store.place(&file)).unwrap();
            file.set_len(size * 1000).unwrap();
            path
        };
        layer.iter().map(path).collect::<Vec<_>>()
    });
    let layers = layers.collect::<Vec<_>>();
    let customisation = store.write_customisation_layer(&layer(&[(b'0', "etc/x", b"x")]));
    let mut conf = TempStore::conf(&json!(layers), &customisation);
    conf["repo_tag"] = json!(name);
    store.write_conf(name, &conf)
}

fn is_drawn(picture: &[u8], name: &str) {
    let file = project_file("docs").join(name);
    let expected = Data::read_from(&file, Some(snapbox::data::DataFormat::Text)).raw();
    let picture = String::from_utf8(picture.to_owned()).unwrap();
    Assert::new().action_env("SNAPSHOTS").eq(picture, expected);
}

#[test]
fn those_in_the_documents_are_drawn_by_the_commands() {
    let store = TempStore::new();
    let old = write_conf(&store, "app:1.4", BEFORE);
    let new = write_conf(&store, "app:1.5", AFTER);
    let picture = ["--svg", "-"];
    is_drawn(&stdout_of(store.nix_image("inspect", &old).args(picture)), "image.svg");
    is_drawn(&stdout_of(store.nix_image("diff", &old).arg(&new).args(picture)), "changes.svg");
}
