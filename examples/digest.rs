//! Prints the digest and the size of each layer of an image, and on the way, as layers go by, what
//! they are made of.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints")]

use std::fs::File;
use std::path::PathBuf;

use nix_image::{Conf, Digester, DockerArchive, Error, Image, Layer, Observer, Output, Sink as _};

/// Prints where it is.
#[derive(Debug)]
struct Log;

impl Observer for Log {
    fn layer_started(&self, index: usize, layer: &Layer, _known: u64) {
        eprintln!("layer {}: {}", index + 1, layer.origins().join(" "));
    }

    fn warn(&self, warning: &str) {
        eprintln!("warning: {warning}");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let conf = std::env::args_os().nth(1).map(PathBuf::from).unwrap_or_default();
    let image = Image::new(Conf::load(&conf)?, None, None).map_err(Error::from)?;
    let digester = Digester::new(&image);
    let mut nowhere = Output::of_file(&File::create("/dev/null")?)?;
    DockerArchive::new(&mut nowhere).write(&digester, &Log)?;
    for layer in digester.digest_all()? {
        println!("{} {}", layer.digest, layer.size);
    }
    Ok(())
}
