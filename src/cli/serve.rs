//! `nix-image serve`.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context as _;

use super::image_args::{ReadingArgs, TagArg};
use crate::report::{self, Mode, Serving, Style};
use delivery::Observer as _;
use delivery::Step;
use delivery::serve::{Repository, Server};
use image::Blobs;
use image::Image;
use oci::Reference;

/// Serve images as a read-only registry, straight out of the store
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints the address that it listens on to standard output, on one line.

Examples:
  # Serve an image to this machine, until you press ctrl-c
  nix-image serve ./result --listen localhost:5000

  # Serve it to other machines, under another name
  nix-image serve ./result -t app:2 --listen :5000

  # Serve several images on a free port
  nix-image serve ./result ./result-2")]
pub(super) struct Args {
    /// The images: the programs that Nix built (`./result`), their confs (JSON files), or archives
    /// or layouts as PATH or PATH#NAME
    #[arg(required = true, value_name = "CONF")]
    confs: Vec<PathBuf>,
    #[command(flatten)]
    tag: TagArg,
    /// Address and port to listen on, such as `localhost:5000` or `[::1]:5000`; without an address,
    /// as in `:5000`, all addresses of this machine; port 0 is any free port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: Listen,
    #[command(flatten)]
    reading: ReadingArgs,
}

/// Where to listen: a host, or an empty string for all addresses of this machine, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listen {
    host: String,
    port: u16,
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected =
            "expected an address and a port, such as localhost:5000, :5000 or [::1]:5000";
        let (host, port) = text.rsplit_once(':').ok_or(expected)?;
        let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if in_brackets.is_none() && host.contains([':', '[', ']', '/']) {
            return Err(expected);
        }
        let port = port.parse().map_err(|_| expected)?;
        Ok(Self { host: in_brackets.unwrap_or(host).to_owned(), port })
    }
}

impl Listen {
    /// The address to listen on. If a name has several, the first IPv4 one, since every client
    /// tries that.
    fn resolve(&self) -> anyhow::Result<SocketAddr> {
        let Self { host, port } = self;
        if host.is_empty() {
            return Ok((Ipv4Addr::UNSPECIFIED, *port).into());
        }
        let found = (host.as_str(), *port).to_socket_addrs();
        let found: Vec<_> =
            found.with_context(|| format!("looking up the address of `{host}`"))?.collect();
        let address = found.iter().find(|address| address.is_ipv4()).or(found.first());
        address.copied().with_context(|| format!("`{host}` has no address"))
    }
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        let report = report::new(mode, Style::READ);
        self.tag.check_count(self.confs.len())?;
        let image = |conf: &PathBuf| self.reading.image(conf, self.tag.tag.clone());
        let images = self.confs.iter().map(image).collect::<anyhow::Result<Vec<_>>>()?;
        let warnings = images.iter().flat_map(Image::warnings);
        warnings.for_each(|warning| report.warn(warning));
        let cache = self.reading.cache();
        let digesters: Vec<_> =
            images.iter().map(|image| self.reading.digester(image, &cache, &report)).collect();
        report.step(Step::Reading, None);
        let blobs = digesters.iter().map(Blobs::find).collect::<Result<Vec<_>, _>>()?;
        let mut repository = Repository::default();
        let mut names = Vec::with_capacity(blobs.len());
        for blobs in &blobs {
            let name = Reference::of_image(blobs.image().repo_tag())?;
            repository.add(&name, blobs)?;
            names.push(name);
        }
        let server = Server::bind(self.listen.resolve()?, &repository, &report)?;
        let address = server.address();
        let reference = |name: &Reference| format!("{}:{}", name.repository, name.tag());
        let references = names.iter().map(reference).collect();
        report.conclude(&Serving { what: "serving", address, references })?;
        report.print(&address.to_string())?;
        server.run();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_hosts_of_all_kinds_and_a_port() {
        for (text, expected) in [
            ("127.0.0.1:5000", Some("127.0.0.1:5000")),
            ("[::1]:0", Some("[::1]:0")),
            (":5000", Some("0.0.0.0:5000")),
            ("localhost:5000", Some("127.0.0.1:5000")),
            ("5000", None),
            ("::1:5000", None),
            ("localhost", None),
            ("localhost:port", None),
            ("localhost:65536", None),
            ("http://localhost:5000", None),
            ("", None),
        ] {
            let listen = text.parse::<Listen>();
            let found = listen.map(|listen| listen.resolve().unwrap().to_string());
            assert_eq!(found.ok().as_deref(), expected, "{text}");
        }
    }
}
