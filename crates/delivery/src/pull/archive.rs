//! The docker-archive of an image, byte for byte the one that skopeo writes, since the hashes of
//! nixpkgs' `pullImage` are those of skopeo's archives.
//!
//! The order of the members: each distinct layer, `<diffID>.tar`; the config, `<digest>.json`; for
//! each layer the members of [`legacy`]; `manifest.json` and `repositories`.

use std::fs::File;

use serde_json::json;

use super::layers::Layers;
use super::{FinalName, PullError, Source, legacy};
use crate::{Observer, Step, Transfer};
use formats::digest::Digest;
use formats::tar::{self, go};

/// Writes an image's archive to a file, starting at the file's position. The image gets this name.
///
/// # Errors
///
/// If a layer cannot be fetched or does not match the image's documents, or if the file cannot be
/// written. The file is incomplete then.
pub fn write_archive(
    source: &Source,
    name: &FinalName,
    file: &File,
    observer: &dyn Observer,
) -> Result<Transfer, PullError> {
    observer.step(Step::Fetching, Some(source.size()));
    let mut layers = Layers::new(source, file, observer)?;
    let transfer = layers.write()?;
    observer.documents_started();
    layers.put(&documents(source, name)?)?;
    observer.finished();
    Ok(transfer)
}

/// Everything after the layers.
fn documents(source: &Source, name: &FinalName) -> Result<Vec<u8>, PullError> {
    let mut out = Vec::new();
    let config = format!("{}.json", source.manifest.config.digest.hex());
    put(&mut out, &config, &source.config);
    let layers = legacy::layers(&source.diff_ids, &source.config).map_err(|error| {
        PullError::Config { image: source.reference.to_string(), source: error }
    })?;
    for (layer, diff_id) in layers.iter().zip(&source.diff_ids) {
        let id = &layer.id;
        go::symlink(&format!("{id}/layer.tar"), &format!("../{}", member(*diff_id)), &mut out);
        put(&mut out, &format!("{id}/VERSION"), legacy::VERSION);
        put(&mut out, &format!("{id}/json"), layer.json.as_bytes());
    }
    let members: Vec<_> = source.diff_ids.iter().copied().map(member).collect();
    let manifest = json!([{"Config": config, "RepoTags": [name.to_string()], "Layers": members}]);
    put(&mut out, "manifest.json", manifest.to_string().as_bytes());
    let repositories = match layers.last() {
        None => json!({}),
        Some(last) => json!({&*name.repository: {&*name.tag: last.id}}),
    };
    put(&mut out, "repositories", repositories.to_string().as_bytes());
    out.extend_from_slice(&go::TRAILER);
    Ok(out)
}

/// The name of a layer's member.
pub(super) fn member(diff_id: Digest) -> String {
    format!("{}.tar", diff_id.hex())
}

fn put(out: &mut Vec<u8>, name: &str, content: &[u8]) {
    go::file(name, content.len() as u64, out);
    out.extend_from_slice(content);
    out.extend_from_slice(tar::padding(content.len() as u64));
}
