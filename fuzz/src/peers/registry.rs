//! Fuzzes the answers of registries and token servers.

use std::fs::File;
use std::sync::LazyLock;

use formats::digest::Digest;

use delivery::pull::{self, FinalName, Source};
use oci::registry::{Login, Options};
use oci::{Reference, WantedPlatform};

use super::server::Server;
use super::{answers, check};
use crate::targets::scratch;

const GREETING: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const PASSWORD: &str = "s3cr3t-p4ssw0rd";

/// Finds an image and pulls it. In an input, `$r` is the registry's address.
pub fn registry(input: &[u8]) {
    static SERVER: LazyLock<Server> = LazyLock::new(|| {
        Server::tcp(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    });
    let server = &*SERVER;
    let mut all = vec![GREETING.to_vec()];
    all.extend(answers(input, &[("$r".into(), server.address.clone())]));
    server.answer_with(all);
    let login =
        Login { registry: server.address.clone(), user: "fuzz".into(), password: PASSWORD.into() };
    let options = Options { tls_verify: false, login: Some(login) };
    let reference = Reference::parse(&format!("{}/me/app:1", server.address)).unwrap();
    let platform =
        WantedPlatform { os: "linux".into(), architecture: "amd64".into(), variant: None };
    let source = match Source::find(&reference, &platform, &options) {
        Ok(source) => source,
        Err(error) => return check(&error, &[PASSWORD]),
    };
    match pull::lock(&source, &platform) {
        // The locked manifest must match its digest.
        Ok(lock) => {
            let manifest = lock["manifest"].as_str().unwrap();
            assert_eq!(Digest::of(manifest.as_bytes()), source.manifest_digest());
        }
        Err(error) => check(&error, &[PASSWORD]),
    }
    let file = File::create(scratch::path("pulled.tar")).unwrap();
    let name = FinalName::new("fuzz", "1").unwrap();
    if let Err(error) = pull::write_archive(&source, &name, &file, &()) {
        check(&error, &[PASSWORD]);
    } else {
        let path = scratch::path("pulled.tar");
        let pulled = image::Existing::open(path.to_str().unwrap(), "amd64", None);
        let pulled = pulled.unwrap();
        pulled.layers().iter().for_each(|layer| layer.verify().unwrap());
    }
    let authorized = format!("Basic {}", base64_of(&format!("fuzz:{PASSWORD}")));
    for request in server.requests() {
        let asks = |line: &str| line.to_ascii_lowercase().starts_with("authorization: basic");
        let sent = request.lines().find(|line| asks(line));
        assert!(sent.is_none_or(|line| line.ends_with(&authorized)), "{request}");
    }
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
