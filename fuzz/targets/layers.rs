//! Tar files, and trees, tar-splits and blobs made of them.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use delivery::export;
use delivery::output::Output;
use formats::digest::Digest;
use formats::tar_split::TarSplit;
use image::Existing;
use image::compress::{Encoder, Pool, Settings};
use image::members::{Member, Members, Source};
use oci::Compression;
use serde_json::{Value, json};

use super::{parts, scratch};

/// A source of bytes in memory.
struct Bytes<'a>(Cursor<&'a [u8]>);

impl Read for Bytes<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

impl Source for Bytes<'_> {
    fn skip_to(&mut self, position: u64) -> io::Result<()> {
        assert!(position >= self.0.position(), "it goes back");
        if position > self.0.get_ref().len() as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.0.set_position(position);
        Ok(())
    }
}

/// Members: they do not overlap, and an archive of plain files is read as the crate `tar` reads it.
pub fn members(input: &[u8]) {
    let tar = parts::with_checksums(input);
    let Some(found) = all_members(&tar) else { return };
    let mut end = 0;
    for member in &found {
        assert!(member.offset >= end + 512 && member.offset % 512 == 0, "{member:?}");
        end = member.offset;
    }
    let is_plain = |member: &Member| {
        member.is_file() && member.records.is_empty() && !member.name.ends_with(b"/")
    };
    if !found.iter().all(is_plain) {
        return;
    }
    let mut archive = tar::Archive::new(&*tar);
    for (entry, member) in archive.entries().unwrap().raw(true).zip(&found) {
        let Ok(entry) = entry else { return };
        // An extended header without a record.
        if !entry.header().entry_type().is_file() {
            return;
        }
        assert_eq!(entry.raw_file_position(), member.offset);
        // The crate reads sizes that are not octal numbers differently.
        if entry.header().entry_size().is_ok_and(|size| size == member.size) {
            assert_eq!(entry.size(), member.size);
        }
    }
}

/// The members of an archive; `None` if it is not one.
fn all_members(tar: &[u8]) -> Option<Vec<Member>> {
    let mut members = Members::new(Bytes(Cursor::new(tar)));
    let mut found = Vec::new();
    while let Some(member) = members.next_member().ok()? {
        found.push(member);
    }
    Some(found)
}

/// tar-splits: the same one in whatever pieces the tar file arrives, and together with the files'
/// contents it gives the tar file again.
pub fn tar_split(input: &[u8]) {
    let tar = parts::with_checksums(input);
    let split = |length: usize| {
        let (mut split, mut lines) = (TarSplit::default(), Vec::new());
        let mut pieces = tar.chunks(length);
        pieces.try_for_each(|piece| split.update(piece, &mut lines)).ok()?;
        split.finish(&mut lines).ok().map(|()| lines)
    };
    let whole = split(tar.len().max(1));
    for length in [1, 511] {
        assert!(split(length) == whole, "in pieces of {length}");
    }
    let Some(lines) = whole else { return };
    let mut joined = Vec::new();
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        let line: Value = serde_json::from_slice(line).unwrap();
        if line["type"] == 2 {
            joined.extend(STANDARD.decode(line["payload"].as_str().unwrap()).unwrap());
        } else {
            let size = line["size"].as_u64().unwrap_or_default() as usize;
            let start = joined.len();
            joined.extend_from_slice(&tar[start..start + size]);
        }
    }
    assert!(joined == tar, "the tar file is another one");
}

/// Layers merged into one tree: it is a tar file that names each entry once, and merging it again
/// does not change it.
pub fn export(input: &[u8]) {
    let layers = parts::split(input);
    if layers.len() > 4 {
        return;
    }
    let layers: Vec<_> = layers.iter().map(|layer| parts::with_checksums(layer)).collect();
    let Some(tree) = tree(&layers, None) else { return };
    let members = all_members(&tree).unwrap();
    let mut names: Vec<_> = members.iter().map(|member| &member.name).collect();
    names.sort();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "an entry is there twice");
    for name in names {
        let parts: Vec<_> = name.split(|&byte| byte == b'/').collect();
        assert!(!parts.contains(&&b".."[..]) && !name.starts_with(b"/"), "{name:?}");
    }
    let alone = self::tree(std::slice::from_ref(&tree), None);
    assert!(alone == Some(tree), "merged alone it is another one");
}

/// Changes between the tree of layers and another tree: a layer of the changes on top of the layers
/// makes the other tree. Times are ignored.
pub fn changes(input: &[u8]) {
    let mut layers: Vec<_> =
        parts::split(input).iter().map(|layer| parts::with_checksums(layer)).collect();
    let Some(changed) = layers.pop().filter(|_| layers.len() < 4) else { return };
    // In a tree, these are ordinary files; in a layer they are whiteouts.
    if changed.windows(4).any(|window| window == b".wh.") {
        return;
    }
    let path = scratch::file("changed.tar", &changed);
    let image = image_of(&layers);
    let Some(layer) = written(|output| export::export_changes(image.layers(), &path, output))
    else {
        return;
    };
    layers.push(layer);
    let (made, wanted) = (tree(&layers, Some(0)), tree(&[changed], Some(0)));
    assert!(made.is_some(), "the layer is refused");
    assert!(made == wanted, "it makes another tree");
}

/// The tree of layers as a tar file, with this time or their own. `None` if they are rejected.
fn tree(layers: &[Vec<u8>], mtime: Option<i64>) -> Option<Vec<u8>> {
    let image = image_of(layers);
    written(|output| export::export(image.layers(), mtime, output))
}

/// What a function writes to its output. `None` if it fails.
fn written<T, E>(write: impl FnOnce(&mut Output) -> Result<T, E>) -> Option<Vec<u8>> {
    let path = scratch::path("written.tar");
    let mut output = Output::of_file(&File::create(&path).unwrap()).unwrap();
    write(&mut output).ok()?;
    drop(output);
    Some(std::fs::read(path).unwrap())
}

/// An image of these layers, in a docker-archive.
fn image_of(layers: &[Vec<u8>]) -> Existing {
    let ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    let names: Vec<_> = (0..layers.len()).map(|number| number.to_string()).collect();
    let config = json!({ "rootfs": { "type": "layers", "diff_ids": ids } }).to_string();
    let manifest = json!([{ "Config": "config", "Layers": names }]).to_string();
    let mut members = vec![("manifest.json", manifest.as_bytes()), ("config", config.as_bytes())];
    members.extend(names.iter().map(String::as_str).zip(layers.iter().map(Vec::as_slice)));
    let path = scratch::file("layers.tar", &parts::archive(&members));
    Existing::open(path.to_str().unwrap(), "amd64", None).unwrap()
}

/// Compression: decompressing gives the same bytes again.
pub fn codec(input: &[u8]) {
    type Case = (Settings, Pool);
    static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
        let case = |(compression, level)| {
            let settings = Settings { compression, level };
            (settings, Pool::new(settings, 1))
        };
        [(Compression::Gzip, 3), (Compression::Gzip, 12), (Compression::Zstd, 3)].map(case).into()
    });
    let Some((&choice, input)) = input.split_first() else { return };
    let (settings, pool) = &CASES[usize::from(choice) % CASES.len()];
    let mut encoder = Encoder::new(pool, *settings);
    encoder.write(input.to_vec()).unwrap();
    let packed = encoder.read().unwrap().unwrap();
    let mut unpacked = Vec::new();
    if settings.compression == Compression::Zstd {
        unpacked = zstd::decode_all(&*packed).unwrap();
    } else {
        flate2::read::MultiGzDecoder::new(&*packed).read_to_end(&mut unpacked).unwrap();
    }
    assert!(unpacked == input, "{settings:?}");
}
