//! Fuzzes the answers of dockerd.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use delivery::load::{Delivery, Engine, Import, Kind};
use formats::digest::Digest;
use image::cache::Cache;
use image::conf::Conf;
use image::{Blobs, Digester, Image};
use serde_json::json;

use super::server::Server;
use super::{answers, check, set_environment};
use crate::targets::scratch;

const TIMEOUT: Duration = Duration::from_secs(2);

/// Sets `DOCKER_HOST` to the fuzzer's dockerd.
pub fn prepare() {
    // Like any Rust program: a closed connection is an error and does not kill the process.
    signal_hook::flag::register(signal_hook::consts::SIGPIPE, Arc::default()).unwrap();
    let socket = scratch::path("docker.sock");
    set_environment(&[("DOCKER_HOST", &format!("unix://{}", socket.display()))]);
}

/// Asks a dockerd which images it has, and loads one into it. In an input, `$id` is the image's ID.
pub fn dockerd(input: &[u8]) {
    static IMAGE: LazyLock<Image> = LazyLock::new(image);
    static CACHE: Cache = Cache::none();
    static DIGESTER: LazyLock<Digester<'_>> = LazyLock::new(|| Digester::new(&IMAGE));
    static BLOBS: LazyLock<Blobs<'_>> = LazyLock::new(|| Blobs::find(&DIGESTER).unwrap());
    static SERVER: LazyLock<Server> = LazyLock::new(|| {
        let otherwise = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}";
        Server::unix(&scratch::path("docker.sock"), otherwise)
    });
    let id = Digest::of(BLOBS.config_json().as_bytes()).hex();
    let diff_id = BLOBS.all()[0].diff_id.to_string();
    SERVER.answer_with(answers(input, &[("$diff".into(), diff_id), ("$id".into(), id)]));
    let engine = match Engine::find(Some(Kind::Docker), Import::Off, TIMEOUT, &CACHE, &()) {
        Ok(engine) => engine,
        Err(error) => return check(&error, &[]),
    };
    let delivery = Delivery {
        blobs: &BLOBS,
        name: &oci::Reference::parse("fuzz:1").unwrap(),
        observer: &(),
        content: true,
        way: None,
        timeout: TIMEOUT,
    };
    match delivery.preview(engine) {
        Ok(preview) => assert!(preview.missing.len() <= BLOBS.all().len()),
        Err(error) => return check(&error, &[]),
    }
    match Engine::find(Some(Kind::Docker), Import::Off, TIMEOUT, &CACHE, &()) {
        Ok(engine) => {
            if let Err(error) = delivery.load_into(engine) {
                check(&error, &[]);
            }
        }
        Err(error) => check(&error, &[]),
    }
}

/// An image of one empty layer.
fn image() -> Image {
    let path = format!("/nix/store/{}-customisation-layer", "c".repeat(32));
    let tar = vec![0; 10240];
    scratch::file(&format!("root{path}/layer.tar"), &tar);
    scratch::file(&format!("root{path}/checksum"), Digest::of(&tar).hex().as_bytes());
    let conf = json!({
        "architecture": "amd64", "config": {}, "created": "1970-01-01T00:00:01+00:00",
        "customisation_layer": path, "repo_tag": "fuzz:1", "store_layers": [],
    });
    let conf = Conf::from_json(conf).unwrap();
    let root = scratch::path("root");
    Image::open(conf, None, Some(&root)).unwrap()
}
