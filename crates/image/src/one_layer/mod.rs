//! Images of one layer, as made by nixpkgs' `dockerTools.buildImage`: the same archive, layer and
//! documents, byte for byte.
//!
//! Such an image is made in several steps, each run by a build in the Nix sandbox. [`copy()`]
//! copies trees into a root, instead of rsync. The image author's commands may change it.
//! [`pack()`] turns it into the start of a layer; if the commands were run as root and a tar file
//! records the owners, [`pack_tar()`] does so. Once Nix has found out what that refers to,
//! [`OneLayerImage`] writes the archive, in which the closure's files follow the packed ones.

mod base;
mod copy;
mod documents;
mod error;
mod layer;
mod listing;
mod members;
mod pack;
mod walk;
mod writer;

use std::io::{BufWriter, Write};
use std::path::Path;
use std::thread;

use base::Base;
pub use copy::{DirectoryLinks, copy};
use documents::LayerDocument;
pub use error::OneLayerError;
use formats::digest::HashWriter;
use formats::tar::{DIRECTORY, Member, REGULAR, SYMLINK};
use layer::Layer;
use listing::Listing;
use members::{Content, Members, Node, parse};
pub use pack::{pack, pack_tar};
use writer::Archive;
pub use writer::Owner;

/// The inputs of an archive with one new layer.
#[derive(Debug)]
pub struct OneLayerImage<'a> {
    /// The directory that [`pack()`] wrote.
    pub layer: &'a Path,
    /// The layer's closure: its store path and everything that it refers to.
    pub closure: &'a [String],
    /// The store's directory, such as `/nix/store`.
    pub store_dir: &'a str,
    /// The directory below which the store is read; usually empty.
    pub store_root: &'a Path,
    /// The file with the image's description: its architecture, config and date.
    pub description: &'a Path,
    /// The image's name.
    pub name: &'a str,
    /// The image's tag.
    pub tag: &'a str,
    /// The docker-archive of the base image.
    pub base: Option<&'a Path>,
    /// The time of all files, in seconds since 1970.
    pub mtime: i64,
}

impl OneLayerImage<'_> {
    /// Writes the archive. The layer is read twice: first for its digest, which a document contains
    /// that may come before the layer.
    pub fn write(&self, out: impl Write) -> Result<(), OneLayerError> {
        let description = documents::read_object(self.description)?;
        let base = self.base.map(Base::open).transpose()?;
        let mut present = Listing::new(self.store_dir);
        if let Some(base) = &base {
            base.list(&mut present)?;
        }
        let layer = Layer::new(self.layer, self.closure, self.store_root, present, self.mtime)?;
        let (mut diff_ids, (hash, size)) = thread::scope(|scope| {
            let below = scope.spawn(|| base.as_ref().map_or(Ok(Vec::new()), Base::diff_ids));
            let own = layer.write(HashWriter::default());
            let below = below.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok::<_, OneLayerError>((below?, own?))
        })?;
        diff_ids.push(hash.finish());

        let env = base.as_ref().map_or(&[][..], |base| &base.env);
        let config = documents::config(description, env, &diff_ids).map_err(|problem| {
            OneLayerError::Document { path: self.description.to_owned(), problem }
        })?;
        let of_layer = documents::read_object(&self.layer.join("json"))?;
        let parent = base.as_ref().map(|base| base.parent.as_str());
        let of_layer = LayerDocument::new(of_layer, parent);
        let file = base.as_ref().map(|base| base.file.try_clone()).transpose();
        let file = file.map_err(OneLayerError::io("open", self.base.unwrap_or(Path::new(""))))?;
        let (below, mut layers) =
            base.map_or_else(Default::default, |base| (base.members, base.layers));
        layers.push(format!("{}/layer.tar", of_layer.id));
        let members = self.members(below, of_layer, size, &layers, config);
        self.write_members(&members, &layer, size, file.as_ref(), out)
    }

    /// The base's members, except for its documents, and the image's own.
    fn members(
        &self,
        mut members: Members,
        layer: LayerDocument,
        size: u64,
        layers: &[String],
        config: String,
    ) -> Members {
        let is_document = |path: &[Vec<u8>], node: &Node| {
            let [name] = path else { return false };
            name.ends_with(b".json")
                && !name.starts_with(b".")
                && !matches!(node, Node::Directory(_))
        };
        members.0.retain(|path, node| !is_document(path, node));
        let id = layer.id.clone();
        let config_name = format!("{}.json", formats::digest::Digest::of(config.as_bytes()).hex());
        let manifest =
            documents::manifest(&format!("{}:{}", self.name, self.tag), layers, &config_name);
        let repositories = documents::repositories(self.name, self.tag, &id);
        for (name, content) in [
            (format!("{id}/VERSION"), Content::Text(documents::VERSION.into())),
            (format!("{id}/json"), Content::Text(layer.text(size))),
            (format!("{id}/layer.tar"), Content::Layer),
            (config_name, Content::Text(config)),
            ("manifest.json".into(), Content::Text(manifest)),
            ("repositories".into(), Content::Text(repositories)),
        ] {
            let path = parse(name.as_bytes()).unwrap_or_default();
            members.insert(path, Node::File(0o644, content));
        }
        members
    }

    fn write_members(
        &self,
        members: &Members,
        layer: &Layer,
        layer_size: u64,
        base: Option<&std::fs::File>,
        out: impl Write,
    ) -> Result<(), OneLayerError> {
        let owner = Owner::root(self.mtime);
        let mut archive = Archive::new(BufWriter::with_capacity(1 << 20, out));
        for (path, node) in &members.0 {
            let name = if path.is_empty() { b"./".to_vec() } else { path.join(&b'/') };
            let member = match node {
                Node::Directory(mode) => owner.member(&name, DIRECTORY, read_only(*mode)),
                Node::Link(target) => {
                    Member { target: transformed(target), ..owner.member(&name, SYMLINK, 0o777) }
                }
                Node::File(mode, content) => Member {
                    size: match content {
                        Content::Base(section) => section.size,
                        Content::Text(text) => text.len() as u64,
                        Content::Layer => layer_size,
                    },
                    ..owner.member(&name, REGULAR, read_only(*mode))
                },
            };
            archive.header(&member).map_err(OneLayerError::Write)?;
            match (node, base) {
                (Node::File(_, Content::Text(text)), _) => {
                    archive.file(&mut text.as_bytes(), member.size, Path::new(""), None)?;
                }
                (Node::File(_, Content::Base(section)), Some(file)) => {
                    let path = self.base.unwrap_or(Path::new(""));
                    archive.file(&mut section.of(file), member.size, path, None)?;
                }
                (Node::File(_, Content::Layer), _) => {
                    archive.nested(layer_size, |out| layer.write(out).map(|(_, size)| size))?;
                }
                _ => {}
            }
        }
        archive.finish().map(drop)
    }
}

/// A link's target after `--xform 's:^./::'`, which is meant for names.
fn transformed(target: &[u8]) -> &[u8] {
    if target.get(1) == Some(&b'/') { &target[2..] } else { target }
}

/// The mode after `chmod -R ug+rw` and `chmod -R a-w`.
fn read_only(mode: u32) -> u32 {
    (mode | 0o660) & !0o222
}
