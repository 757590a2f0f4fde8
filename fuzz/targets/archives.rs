//! Untrusted images: docker-archives, OCI archives and OCI layouts.

use std::error::Error;
use std::io::{BufRead as _, Read as _, Write as _};
use std::path::Path;

use delivery::merge;
use delivery::output::Output;
use formats::digest::Digest;
use image::cache::Cache;
use image::layer::TarReader;
use image::members::Members;
use image::{Existing, Stored};
use oci::Compression;

use super::{parts, scratch};

/// The content of an image.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    config: Vec<u8>,
    names: Vec<String>,
    layers: Vec<FoundLayer>,
}

#[derive(Debug, PartialEq, Eq)]
struct FoundLayer {
    diff_id: Digest,
    /// The digest of its tar file.
    digest: Digest,
    /// The names of its members; `None` if it is not a tar file.
    members: Option<Vec<Vec<u8>>>,
}

/// An archive of any kind: the same archive compressed has the same image, and so has the archive
/// that it is merged into.
pub fn archive(input: &[u8]) {
    let input = &parts::with_checksums(input);
    if input.starts_with(b"{") || input.starts_with(b"#!") || is_compressed(input) {
        return;
    }
    let plain = scratch::file("archive.tar", input);
    let found = look(&plain);
    let packed = scratch::file("archive.tar.gz", &gzip(input));
    same(found.as_ref(), look(&packed).as_ref());
    let merged = scratch::path("merged.tar");
    let merging = merge_alone(&plain, &merged);
    if let (Some(found), Ok(()), false) = (&found, merging, is_layout(input)) {
        let again = look(&merged).unwrap();
        assert_eq!((&again.config, &again.layers), (&found.config, &found.layers));
    }
}

/// An image of parts with the right digests: the configuration, `manifest.json`, the manifest, the
/// index, and layers. `$c`, `$m` and `$0` are the digests of configuration, manifest and layers,
/// `$sc`, `$sm` and `$s0` their sizes, `$d0` is the digest of a layer's tar file.
pub fn image(input: &[u8]) {
    let all = parts::split(input);
    if !(5..9).contains(&all.len()) {
        return;
    }
    let (documents, layers) = all.split_at(4);
    let layers: Vec<Vec<u8>> = layers.iter().map(|layer| packed(layer)).collect();
    let mut values = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        values.extend(parts::names(&number.to_string(), layer));
        values.push((format!("$d{number}"), Digest::of(&unpacked(layer)).hex()));
    }
    let mut documents = documents.iter().map(|text| parts::text(Some(text)));
    let mut document = |name: &str, values: &mut Vec<_>| {
        let text = parts::fill(&documents.next().unwrap(), values);
        values.extend(parts::names(name, text.as_bytes()));
        text
    };
    let config = document("c", &mut values);
    let docker = document("j", &mut values);
    let manifest = document("m", &mut values);
    let index = document("i", &mut values);

    let mut members: Vec<(String, &[u8])> = vec![
        ("oci-layout".into(), oci::LAYOUT.as_bytes()),
        ("index.json".into(), index.as_bytes()),
    ];
    let blobs = [config.as_bytes(), manifest.as_bytes()];
    for blob in blobs.into_iter().chain(layers.iter().map(Vec::as_slice)) {
        members.push((format!("blobs/sha256/{}", Digest::of(blob).hex()), blob));
    }
    let layout = scratch::empty("layout");
    for (name, content) in &members {
        scratch::file(&format!("layout/{name}"), content);
    }
    let in_directory = look(&layout);
    let archive = |members: &[(String, &[u8])]| {
        let members: Vec<_> = members.iter().map(|(name, content)| (&**name, *content)).collect();
        look(&scratch::file("image.tar", &parts::archive(&members)))
    };
    same(in_directory.as_ref(), archive(&members).as_ref());
    members[1] = ("manifest.json".into(), docker.as_bytes());
    let in_docker = archive(&members);
    if let (Some(one), Some(other)) = (in_directory, in_docker)
        && one.layers.len() == other.layers.len()
    {
        for (one, other) in one.layers.iter().zip(&other.layers) {
            assert!(one.diff_id != other.diff_id || one == other, "{one:?}\n{other:?}");
        }
    }
}

/// The image in a file. `None` if it is rejected, with a message that can be shown.
fn look(path: &Path) -> Option<Found> {
    match try_look(path) {
        Ok(found) => found,
        Err(error) => {
            let mut error: Option<&(dyn Error + 'static)> = Some(&*error);
            while let Some(cause) = error {
                let said = cause.to_string();
                assert!(said.len() < 20_000, "a message of {} bytes", said.len());
                error = cause.source();
            }
            None
        }
    }
}

fn try_look(path: &Path) -> Result<Option<Found>, Box<dyn Error>> {
    let root = scratch::path("no-store");
    let image = Existing::open(path.to_str().unwrap(), "amd64", Some(&root))?;
    let Existing::Stored(stored) = image else { return Ok(None) };
    Ok(Some(read(&stored)?))
}

fn read(stored: &Stored) -> Result<Found, Box<dyn Error>> {
    let diff_ids = stored.diff_ids();
    let mut layers = Vec::new();
    for (layer, diff_id) in stored.layers.iter().zip(diff_ids) {
        layer.verify()?;
        let mut bytes = Vec::new();
        let mut tar = TarReader::new(layer.tar()?);
        // Larger layers are not worth the time.
        tar.by_ref().take(4 << 20).read_to_end(&mut bytes)?;
        if !tar.fill_buf()?.is_empty() {
            return Err("it is too large".into());
        }
        let digest = Digest::of(&bytes);
        assert_eq!(digest, diff_id, "a layer is not the one that its image names");
        layers.push(FoundLayer { diff_id, digest, members: members(TarReader::new(layer.tar()?)) });
    }
    Ok(Found { config: stored.config().to_vec(), names: stored.names().to_vec(), layers })
}

fn members(tar: TarReader<'_>) -> Option<Vec<Vec<u8>>> {
    let (mut members, mut names) = (Members::new(tar), Vec::new());
    while let Some(member) = members.next_member().ok()? {
        names.push(member.name);
    }
    Some(names)
}

fn same(one: Option<&Found>, other: Option<&Found>) {
    assert!(one == other, "{one:?}\n{other:?}");
}

fn merge_alone(path: &Path, merged: &Path) -> Result<(), Box<dyn Error>> {
    let input = merge::Input::open(path.to_str().unwrap(), "amd64", None)?;
    let file = std::fs::File::create(merged)?;
    let mut output = Output::of_file(&file)?;
    Ok(merge::merge(vec![input], Compression::None, (&Cache::none(), 1), &mut output)?)
}

fn is_layout(archive: &[u8]) -> bool {
    !archive.windows(13).any(|window| window == b"manifest.json")
}

fn is_compressed(bytes: &[u8]) -> bool {
    let magics: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    magics.iter().any(|magic| bytes.starts_with(magic))
}

/// A layer of an input. What follows `gzip:` or `zstd:` gets compressed.
fn packed(layer: &[u8]) -> Vec<u8> {
    match layer.split_at_checked(5) {
        Some((b"gzip:", tar)) => gzip(&parts::with_checksums(tar)),
        Some((b"zstd:", tar)) => zstd::encode_all(&*parts::with_checksums(tar), 1).unwrap(),
        // Already compressed, perhaps wrongly.
        Some((b"blob:", blob)) => blob.to_vec(),
        _ => parts::with_checksums(layer),
    }
}

fn unpacked(layer: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    let decoded = match layer {
        [0x1f, 0x8b, ..] => {
            flate2::read::MultiGzDecoder::new(layer).take(4 << 20).read_to_end(&mut tar)
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd::Decoder::new(layer)
            .and_then(|decoder| decoder.take(4 << 20).read_to_end(&mut tar)),
        _ => return layer.to_vec(),
    };
    if decoded.is_ok() { tar } else { Vec::new() }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
