//! `nix-image serve`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;

use super::image_args::ReadingArgs;
use crate::report::{self, Mode, Serving, Style};
use delivery::serve::{Repository, Server};
use image::Blobs;
use image::Image;
use image::conf::Conf;
use oci::Reference;

/// Serve images as a read-only registry, straight out of the store
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The images' confs, JSON files
    #[arg(required = true)]
    confs: Vec<PathBuf>,
    /// Address and port to listen on; port 0 is any that is free
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0",
          value_parser = address)]
    listen: SocketAddr,
    #[command(flatten)]
    reading: ReadingArgs,
}

/// Names are not looked up: which of its addresses would be served?
fn address(text: &str) -> Result<SocketAddr, String> {
    let expected = "expected an IP address and a port, such as 127.0.0.1:5000 or [::1]:5000";
    text.parse().map_err(|_| expected.into())
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        let report = report::new(mode, Style::Bytes { verb: "Sent", verbose: false });
        let image = |conf: &PathBuf| {
            let conf = Conf::load(conf)?;
            Ok(Image::open(conf, None, self.reading.store_root.as_deref())?)
        };
        let images = self.confs.iter().map(image).collect::<anyhow::Result<Vec<_>>>()?;
        let warnings = images.iter().flat_map(Image::warnings);
        warnings.for_each(|warning| report.warn(warning));
        let cache = self.reading.cache();
        let digesters: Vec<_> =
            images.iter().map(|image| self.reading.digester(image, &cache)).collect();
        let blobs = digesters.iter().map(Blobs::find).collect::<Result<Vec<_>, _>>()?;
        let mut repository = Repository::default();
        let mut names = Vec::with_capacity(blobs.len());
        for blobs in &blobs {
            let name = Reference::of_image(blobs.image().repo_tag())?;
            repository.add(&name, blobs)?;
            names.push(name);
        }
        let server = Server::bind(self.listen, &repository, &*report)
            .context("choose another address with `--listen`")?;
        let address = server.address();
        for name in &names {
            let image = format!("{}:{}", name.repository, name.tag());
            report.conclude(&Serving { address, image: &image });
        }
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{address}")
            .and_then(|()| stdout.flush())
            .context("writing the address to standard output")?;
        drop(stdout);
        server.run();
        Ok(())
    }
}
