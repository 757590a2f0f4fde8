//! Streams the image of a conf to standard output: `stream CONF | docker load`.

use std::path::PathBuf;

use nix_image::{Cache, Conf, Digester, DockerArchive, Error, Image, Output, Sink as _};

fn main() -> Result<(), Error> {
    let conf = std::env::args_os().nth(1).map(PathBuf::from).expect("usage: stream CONF");
    let image = Image::new(Conf::load(&conf)?)?;
    let cache = Cache::of_user();
    let digester = Digester::new(&image).with_cache(&cache);
    let mut output = Output::stdout()?;
    DockerArchive::new(&mut output).write(&digester, &())?;
    Ok(())
}
