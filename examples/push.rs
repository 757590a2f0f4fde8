//! Pushes the image of a conf: `push CONF registry.example/me/app:1`.

#![allow(clippy::print_stdout, reason = "it prints")]

use nix_image::{Cache, Conf, Error, Image, Push, PushOptions, Reference};

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, conf, name] = &*arguments else { panic!("usage: push CONF REFERENCE") };
    let name = Reference::parse(name)?;
    let images = [Image::new(Conf::load(conf.as_ref())?)?];
    let (cache, options) = (Cache::of_user(), PushOptions::default());
    Push::new(&images, &cache, &options, &())?.to(&[name], |pushed| {
        println!("{}: {} bytes sent", pushed.digest, pushed.transfer.bytes_sent);
    })?;
    Ok(())
}
