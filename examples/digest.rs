//! Prints the digest and the size of each layer of an image: `digest CONF`. It also writes the image
//! to /dev/null, and logs what the layers are made of.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints")]

use std::fs::File;
use std::path::PathBuf;

use nix_image::{Conf, Digester, DockerArchive, Image, Layer, Observer, Output, Sink as _};

/// Prints which layer is being written.
#[derive(Debug)]
struct Log;

impl Observer for Log {
    fn layer_started(&self, index: usize, layer: &Layer) {
        eprintln!("layer {}: {}", index + 1, layer.origins().join(" "));
    }

    fn warn(&self, warning: &str) {
        eprintln!("warning: {warning}");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let conf = std::env::args_os().nth(1).map(PathBuf::from).expect("usage: digest CONF");
    let image = Image::new(Conf::load(&conf)?)?;
    let digester = Digester::new(&image);
    let mut nowhere = Output::of_file(&File::create("/dev/null")?)?;
    DockerArchive::new(&mut nowhere).write(&digester, &Log)?;
    // By now, the digester knows all digests.
    for layer in digester.digest_all()? {
        println!("{} {}", layer.digest, layer.size);
    }
    Ok(())
}
