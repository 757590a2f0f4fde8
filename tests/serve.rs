//! `nix-image serve`: what good and bad clients get.

use crate::golden::Golden;
use crate::support::{TempStore, command, failure_of, need, sha256, stdout_of};
use delivery::http::{Body, Fields, ResponseHead, header};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const DIGEST: header::HeaderName = header::HeaderName::from_static("docker-content-digest");

/// A server that is stopped when this is dropped.
#[derive(Debug)]
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(store: &TempStore, confs: &[PathBuf]) -> Self {
        let mut command = store.nix_image("serve", &confs[0]);
        command.args(&confs[1..]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut address = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut address).unwrap();
        Self { process, address: address.trim().to_owned() }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).unwrap()
    }

    /// Sends a message; returns the first line, fields and body of the answer.
    fn ask(&self, message: &str) -> (String, Fields, Vec<u8>) {
        let mut stream = self.connect();
        // A server may close before it has read everything.
        let _ = stream.write_all(message.as_bytes());
        let mut input = BufReader::new(stream);
        let mut line = String::new();
        input.read_line(&mut line).unwrap();
        let mut head = line.as_bytes().chain(&mut input);
        let fields = ResponseHead::read(&mut head, None).unwrap().fields;
        let mut body = Vec::new();
        if !message.starts_with("HEAD") {
            let length = fields.content_length().unwrap().unwrap();
            Body::of_length(&mut input, length).read_to_end(&mut body).unwrap();
        }
        (line.trim_end().to_owned(), fields, body)
    }

    fn get(&self, path: &str, fields: &str) -> (String, Fields, Vec<u8>) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"))
    }

    fn get_json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.get(path, "").2).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A server of two golden images, and the digest of a layer with large files.
fn start(golden: &Golden) -> (Server, String) {
    let mut confs = Vec::new();
    for (case, tag) in [("everything", "golden:1"), ("base-gz", "ghcr.io/me/based:2")] {
        let mut conf: Value =
            serde_json::from_slice(&std::fs::read(golden.arguments(case).0).unwrap()).unwrap();
        conf["repo_tag"] = tag.into();
        confs.push(golden.store.write_conf(case, &conf));
    }
    let digest = golden.expected["everything"]["layers"][1].as_str().unwrap().to_owned();
    (Server::start(&golden.store, &confs), digest)
}

#[test]
fn clients_get_what_the_store_has() {
    let golden = Golden::new();
    let (server, layer) = start(&golden);
    assert_eq!(server.get_json("/v2/")["errors"], Value::Null);
    let catalog = server.get_json("/v2/_catalog");
    assert_eq!(catalog["repositories"], Value::from(["golden", "me/based"].to_vec()));
    let (_, head, _) = server.get("/v2/_catalog?n=1", "");
    assert_eq!(head.get(header::LINK), Some("</v2/_catalog?n=1&last=golden>; rel=\"next\""));
    assert_eq!(server.get_json("/v2/me/based/tags/list")["tags"][0], "2");
    let (_, head, manifest) = server.get("/v2/golden/manifests/1", "");
    let digest = format!("sha256:{}", sha256(&manifest));
    assert_eq!(head.get(DIGEST), Some(&*digest));
    let (_, _, again) = server.get(&format!("/v2/golden/manifests/{digest}"), "");
    assert_eq!(manifest, again);
    assert_eq!(
        server.get_json(&format!("/v2/golden/referrers/{digest}"))["manifests"][0],
        Value::Null
    );
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let config = manifest["config"]["digest"].as_str().unwrap();
    assert_eq!(
        config,
        format!("sha256:{}", golden.expected["everything"]["config"].as_str().unwrap())
    );
    let layers = manifest["layers"].as_array().unwrap();
    for digest in layers.iter().map(|layer| layer["digest"].as_str().unwrap()).chain([config]) {
        let (line, head, body) = server.get(&format!("/v2/golden/blobs/{digest}"), "");
        assert_eq!(line, "HTTP/1.1 200 OK");
        assert_eq!(format!("sha256:{}", sha256(&body)), digest);
        let request = format!("HEAD /v2/golden/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(
            server.ask(&request).1.content_length().unwrap(),
            head.content_length().unwrap()
        );
    }
    assert!(layers.iter().any(|known| known["digest"] == format!("sha256:{layer}")));
}

#[test]
fn clients_get_the_kind_of_manifest_that_they_take() {
    let golden = Golden::new();
    let (server, _) = start(&golden);
    let oci = "application/vnd.oci.image.manifest.v1+json";
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    for (accepted, expected) in [
        (format!("Accept: {oci}\r\n"), oci),
        (format!("Accept: {docker}\r\n"), docker),
        (format!("Accept: {docker}\r\nAccept: {oci}\r\n"), oci),
        (format!("Accept: text/html, {docker};q=0.1\r\n"), docker),
        ("Accept: */*\r\n".into(), oci),
        (String::new(), oci),
    ] {
        let (line, head, body) = server.get("/v2/golden/manifests/1", &accepted);
        assert_eq!(line, "HTTP/1.1 200 OK", "{accepted}");
        let manifest: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(head.get(header::CONTENT_TYPE), Some(expected), "{accepted}");
        assert_eq!(manifest["mediaType"], expected, "{accepted}");
        let id = golden.expected["everything"]["config"].as_str().unwrap();
        assert_eq!(manifest["config"]["digest"], format!("sha256:{id}"));
        // Each can also be found by its digest.
        let digest = format!("sha256:{}", sha256(&body));
        let by_digest = server.get(&format!("/v2/golden/manifests/{digest}"), &accepted);
        assert_eq!(by_digest.2, body, "{accepted}");
    }
    let (line, _, body) = server.get("/v2/golden/manifests/1", "Accept: text/html\r\n");
    assert_eq!(line, "HTTP/1.1 404 Not Found");
    let said = String::from_utf8(body).unwrap();
    assert!(
        said.contains("MANIFEST_UNKNOWN") && said.contains(oci) && said.contains(docker),
        "{said}"
    );
}

#[test]
fn parts_of_layers_are_served() {
    let golden = Golden::new();
    let (server, layer) = start(&golden);
    let path = format!("/v2/golden/blobs/sha256:{layer}");
    let (_, _, whole) = server.get(&path, "");
    let size = whole.len();
    for (range, start, end) in [
        ("0-0".to_owned(), 0, 1),
        ("1-511".into(), 1, 512),
        ("1000-300000".into(), 1000, 300_001),
        (format!("{}-", size - 1_500_000), size - 1_500_000, size),
        ("-7".into(), size - 7, size),
        (format!("{}-{}", size / 2, size * 2), size / 2, size),
    ] {
        let (line, head, part) = server.get(&path, &format!("Range: bytes={range}\r\n"));
        assert_eq!(line, "HTTP/1.1 206 Partial Content", "{range}");
        assert!(part == whole[start..end], "{range}");
        let expected = format!("bytes {start}-{}/{size}", end - 1);
        assert_eq!(head.get(header::CONTENT_RANGE), Some(&*expected));
    }
    let (line, head, _) = server.get(&path, &format!("Range: bytes={size}-\r\n"));
    assert_eq!(line, "HTTP/1.1 416 Range Not Satisfiable");
    assert_eq!(head.get(header::CONTENT_RANGE), Some(&*format!("bytes */{size}")));
}

#[test]
fn bad_requests_are_refused_and_the_server_goes_on() {
    let golden = Golden::new();
    let (server, layer) = start(&golden);
    let blob = format!("/v2/golden/blobs/sha256:{layer}");
    let none = format!("/v2/golden/blobs/sha256:{}", "0".repeat(64));
    let other = format!("/v2/me/none/blobs/sha256:{layer}");
    let long = "x".repeat(1 << 20);
    for (message, status) in [
        (format!("POST {blob} HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"), 405),
        (format!("DELETE {blob} HTTP/1.1\r\n\r\n"), 405),
        (format!("GET {none} HTTP/1.1\r\n\r\n"), 404),
        (format!("GET {other} HTTP/1.1\r\n\r\n"), 404),
        ("GET /v2/golden/manifests/none HTTP/1.1\r\n\r\n".into(), 404),
        ("GET /v2/../../etc/passwd HTTP/1.1\r\n\r\n".into(), 404),
        ("GET /v2/golden/blobs/..%2f..%2fetc HTTP/1.1\r\n\r\n".into(), 404),
        ("GET /v2/ HTTP/3\r\n\r\n".into(), 400),
        ("GET\r\n\r\n".into(), 400),
        ("\u{1}\u{2}\r\nx\r\n\r\n".into(), 400),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), 400),
        (format!("GET /v2/ HTTP/1.1\r\nx: {long}\r\n\r\n"), 400),
    ] {
        let (line, _, _) = server.ask(&message);
        let start: String = message.chars().take(60).collect();
        assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{start}: {line}");
    }
    // Clients that go away in the middle of an answer.
    for _ in 0..20 {
        server.connect().write_all(format!("GET {blob} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
    }
    assert_eq!(sha256(&server.get(&blob, "").2), layer);
}

#[test]
fn many_clients_are_served_at_once() {
    let golden = Golden::new();
    let (server, layer) = start(&golden);
    let blob = format!("/v2/golden/blobs/sha256:{layer}");
    // More than the server handles at a time: silent ones are dropped.
    let idle: Vec<_> = (0..30).map(|_| server.connect()).collect();
    std::thread::scope(|scope| {
        for _ in 0..60 {
            scope.spawn(|| {
                let close = "Connection: close\r\n";
                assert_eq!(sha256(&server.get(&blob, close).2), layer);
            });
        }
    });
    drop(idle);
}

#[test]
fn skopeo_copies_what_is_served() {
    need("skopeo");
    let golden = Golden::new();
    let (server, _) = start(&golden);
    for image in ["golden:1", "me/based:2"] {
        let to = format!("dir:{}", golden.store.root().join(&image[..2]).display());
        let from = format!("docker://{}/{image}", server.address);
        let copy = ["copy", "--insecure-policy", "--quiet", "--src-tls-verify=false", &from, &to];
        stdout_of(&mut command("skopeo", &copy));
    }
}

/// Clients keep connections open for later, and hostile ones keep them open for no reason.
#[test]
fn idle_clients_make_room_for_others() {
    let golden = Golden::new();
    let (server, layer) = start(&golden);
    let idle: Vec<_> = (0..200)
        .map(|_| {
            let mut client = server.connect();
            client.write_all(b"GET /v2/ HTT").unwrap();
            client
        })
        .collect();
    let start = Instant::now();
    let blob = server.get(&format!("/v2/golden/blobs/sha256:{layer}"), "").2;
    assert_eq!(sha256(&blob), layer);
    // Each of them may take 20 s for a request.
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    drop(idle);
}

#[test]
fn what_cannot_be_served_is_an_error() {
    let golden = Golden::new();
    let conf = golden.arguments("simple").0;
    let mut twice = golden.store.nix_image("serve", &conf);
    assert!(failure_of(twice.arg(&conf)).contains("two of the images"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = golden.store.nix_image("serve", &conf);
    let error = failure_of(command.args(["--listen", &address]));
    assert!(error.contains(&address) && error.contains("--listen"), "{error}");
    for bad in ["5000", "localhost", "127.0.0.1:99999", ""] {
        let mut command = golden.store.nix_image("serve", &conf);
        let output = command.args(["--listen", bad]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{bad}: {said}");
        assert!(said.contains("such as localhost:5000"), "{bad}: {said}");
    }
}

#[test]
fn an_address_in_use_is_named_with_the_remedy() {
    let golden = Golden::new();
    let (server, _) = start(&golden);
    let mut serve = golden.store.nix_image("serve", &golden.arguments("everything").0);
    let said = failure_of(serve.args(["--listen", &server.address]));
    let expected = format!("error: cannot listen on {}: Address already in use", server.address);
    assert!(said.contains(&expected), "{said}");
    assert!(said.ends_with("\nhint: choose another address with `--listen`\n"), "{said}");
}

#[test]
fn all_addresses_are_announced_with_one_to_pull_from() {
    let golden = Golden::new();
    let mut serve = golden.store.nix_image("serve", &golden.arguments("everything").0);
    let mut process = serve
        .args(["--listen", ":0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut address).unwrap();
    let port = address.trim().strip_prefix("0.0.0.0:").unwrap().to_owned();
    process.kill().unwrap();
    let said = process.wait_with_output().unwrap().stderr;
    let said = String::from_utf8(said).unwrap();
    let expected = format!(
        "serving localhost:{port}/golden:1, to other machines under the addresses of this one\n"
    );
    assert!(said.ends_with(&expected), "{said}");
}
