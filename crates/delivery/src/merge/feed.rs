//! Writes an image in another form as a docker-archive.

use serde_json::{Value, json};

use crate::archive::put_document;
use crate::error::MergeError;
use crate::output::{Output, Writer as _};
use crate::{DockerArchive, Error, Sink as _};
use formats::digest::Digest;
use formats::python;
use formats::tar::{self, Member};
use image::cache::Cache;
use image::layer::{LayerError, LayerReader};
use image::{Digester, Existing, Stored};
use oci::Reference;

/// How many bytes are copied at a time.
const COPY: usize = 256 << 10;
const MODE: u32 = 0o644;

/// Writes an image as a docker-archive.
pub(super) fn feed(
    image: &Existing,
    name: &str,
    cache: &Cache,
    threads: usize,
    output: &mut Output,
) -> Result<(), Error> {
    match image {
        Existing::Made(image) => {
            let digester = Digester::new(image).with_cache(cache).with_threads(threads);
            DockerArchive::new(output).write(&digester, &()).map(drop)
        }
        Existing::Stored(stored) => feed_stored(stored, name, output),
    }
}

fn feed_stored(image: &Stored, name: &str, output: &mut Output) -> Result<(), Error> {
    let layer_error = |error: LayerError| MergeError::of_image(name, error);
    let mut layers = Vec::new();
    for layer in &image.layers {
        let Some(base) = layer.as_base() else { continue };
        let member = format!("{}/layer.tar", base.diff_id.hex());
        // The header with the size comes first, so a compressed layer is read twice.
        let mut size = 0;
        let tar = || Ok::<_, LayerError>(LayerReader::new(layer.tar()?));
        read(
            tar().map_err(layer_error)?,
            |bytes| {
                size += bytes.len() as u64;
                Ok(())
            },
            name,
        )?;
        let mut header = Vec::new();
        let own = Member {
            name: member.as_bytes(),
            typeflag: tar::REGULAR,
            mode: MODE,
            size,
            ..Member::default()
        };
        tar::encode(&own, &mut header);
        output.put(&header)?;
        read(tar().map_err(layer_error)?, |bytes| Ok(output.put(bytes)?), name)?;
        output.put(tar::padding(size))?;
        layer.verify().map_err(layer_error)?;
        layers.push(member);
    }
    let config = String::from_utf8_lossy(image.config());
    let config_name = format!("{}.json", Digest::of(image.config()).hex());
    put_document(output, &config_name, &config, 0)?;
    let manifest = json!([{
        "Config": config_name,
        "RepoTags": repo_tag(image.names()),
        "Layers": layers,
    }]);
    put_document(output, "manifest.json", &python::json::dumps(&manifest), 0)?;
    output.put(tar::trailer(output.position()))?;
    Ok(output.finish()?)
}

fn read(
    mut reader: LayerReader<'_>,
    mut each: impl FnMut(&[u8]) -> Result<(), Error>,
    name: &str,
) -> Result<(), Error> {
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let filled = reader.fill(&mut buffer, COPY);
        filled.map_err(|error| MergeError::of_image(name, error))?;
        each(&buffer)?;
        if buffer.len() < COPY {
            return Ok(());
        }
    }
}

/// The name for engines: the first name that has a repository, not just a tag; null if there is
/// none.
fn repo_tag(names: &[String]) -> Value {
    let whole = names.iter().find_map(|name| {
        let reference = Reference::of_image(name).ok()?;
        name.contains(':').then(|| reference.familiar())
    });
    whole.map_or(Value::Null, |name| json!([name]))
}
