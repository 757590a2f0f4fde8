//! Packs a tree into a layer, to which the closure's files are added later.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use serde_json::{Map, Value};

use super::OneLayerError;
use super::documents;
use super::walk::{Order, Walk};
use super::writer::{Archive, Owner};
use crate::content::Content;
use crate::layer::{LayerStream, TarReader};
use crate::members;
use formats::json;
use formats::tar::{BLOCK_DEVICE, CHARACTER, DIRECTORY, FIFO, HARD_LINK, Member, REGULAR, SYMLINK};
use formats::tarsum::{MemberSum, TarSum};

/// Packs `tree` into `out/layer.tar`, with the same bytes as `tar --sort=name --hard-dereference
/// --mtime --owner --group`. Also writes `out/json`, the image's description with the layer's
/// tarsum, and `out/VERSION`.
///
/// # Errors
///
/// If the tree or the description cannot be read, or the files cannot be written.
pub fn pack(
    tree: &Path,
    description: &Path,
    owner: &Owner,
    out: &Path,
) -> Result<(), OneLayerError> {
    let mut packing = Packing::new(description, out)?;
    let mut walk = Walk::new(&tree.join(""), [b".".to_vec()], Order::Depth)?;
    while let Some(entry) = walk.next_entry()? {
        packing.archive.add(&entry, &entry.path, owner, Some(&mut packing.sum))?;
    }
    packing.finish(out)
}

/// Packs the tree in a tar file, as [`pack()`] does one in a directory. The owners and the order
/// are those in the tar file, and hard links are preserved. `mtime` is the time of all files, in
/// seconds since 1970.
///
/// # Errors
///
/// If the tar file or the description cannot be read, if the tar file has members that are not files
/// of a tree, or if the files cannot be written.
pub fn pack_tar(
    tree: &Path,
    description: &Path,
    mtime: i64,
    out: &Path,
) -> Result<(), OneLayerError> {
    let mut packing = Packing::new(description, out)?;
    let content = Content::open(tree)
        .map_err(|error| OneLayerError::io("read", tree)(std::io::Error::other(error)))?;
    let reader = TarReader::new(LayerStream::File(Some(content)));
    let mut members = members::Members::new(reader);
    while let Some(member) = members.next_member().map_err(OneLayerError::io("read", tree))? {
        members.forget();
        let header = header(&member, mtime).ok_or_else(|| OneLayerError::Member {
            path: tree.to_owned(),
            name: String::from_utf8_lossy(&member.name).into_owned(),
        })?;
        let mut sum = MemberSum::new(&header);
        packing.archive.header(&header).map_err(OneLayerError::Write)?;
        if header.size > 0 {
            let mut content = members.content(header.size);
            packing.archive.file(&mut content, header.size, tree, Some(&mut sum))?;
        }
        packing.sum.add(sum);
    }
    packing.finish(out)
}

/// A member's header in the layer; `None` if it cannot be part of a tree.
fn header(member: &members::Member, mtime: i64) -> Option<Member<'_>> {
    let is_in_tree = member.name == b"." || member.name.starts_with(b"./");
    let typeflag = match member.typeflag {
        _ if member.is_file() => REGULAR,
        known @ (HARD_LINK | SYMLINK | CHARACTER | BLOCK_DEVICE | DIRECTORY | FIFO) => known,
        _ => return None,
    };
    // Like builds that pack other images' layers, which know no other names.
    let name = |id: i64| if id == 0 { &b"root"[..] } else { b"" };
    is_in_tree.then(|| Member {
        name: &member.name,
        typeflag,
        target: if matches!(typeflag, HARD_LINK | SYMLINK) { &member.target } else { b"" },
        mode: member.mode & 0o7777,
        uid: member.uid,
        gid: member.gid,
        uname: name(member.uid),
        gname: name(member.gid),
        mtime,
        size: if typeflag == REGULAR { member.size } else { 0 },
        device: member.device,
        ..Member::default()
    })
}

/// A layer's directory that is being written.
struct Packing {
    document: Map<String, Value>,
    archive: Archive<BufWriter<File>>,
    sum: TarSum,
}

impl Packing {
    fn new(description: &Path, out: &Path) -> Result<Self, OneLayerError> {
        let document = documents::read_object(description)?;
        fs::create_dir_all(out).map_err(OneLayerError::io("make", out))?;
        let path = out.join("layer.tar");
        let file = File::create(&path).map_err(OneLayerError::io("make", &path))?;
        let archive = Archive::new(BufWriter::with_capacity(1 << 20, file));
        Ok(Self { document, archive, sum: TarSum::new() })
    }

    fn finish(mut self, out: &Path) -> Result<(), OneLayerError> {
        self.archive.finish()?;
        self.document.insert("checksum".into(), self.sum.to_string().into());
        let write = |name: &str, text: &str| {
            let path = out.join(name);
            fs::write(&path, text).map_err(OneLayerError::io("write", &path))
        };
        write("json", &json::jshon(&Value::Object(self.document)))?;
        write("VERSION", documents::VERSION)
    }
}
