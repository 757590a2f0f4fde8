//! podman: layers are placed in its storage, or it pulls them with its command.

#[cfg(target_os = "linux")]
mod info;
#[cfg(target_os = "linux")]
pub(super) mod remembered;
#[cfg(target_os = "linux")]
mod storage;

use std::fs::File;
use std::time::Duration;

use super::command::Patience;
use super::preview::{Held, How};
use super::pull::REGISTRIES_CONF;
use super::temporary::Temporary;
use super::{Delivery, LoadError, Way, command};
use crate::Transfer;
use crate::output::Writer;
use formats::digest::Digest;
use serde_json::Value;
#[cfg(target_os = "linux")]
pub(super) use storage::{preview_placed, put};

const PODMAN: &str = "podman";
const TMPDIR: &str = "TMPDIR";
/// The maximum number of images whose layers are looked up.
const MAX_IMAGES: usize = 500;
/// How many times an image gets back a name that it lost.
const TRIES: usize = 3;

/// Whether podman's large temporary files go to `TMPDIR`. If so, they get a directory of their own
/// there, because podman leaves them behind when a signal ends it. Otherwise podman chooses a place
/// with enough room.
fn has_tmpdir() -> bool {
    std::env::var_os(TMPDIR).is_some_and(|directory| !directory.is_empty())
}

/// Fails if podman is not on PATH.
pub(super) fn check() -> Result<(), LoadError> {
    command::require(PODMAN)
}

/// Writes an image, given by name or ID, to a file, as a docker-archive.
pub(super) fn save(name: &str, limit: Duration, file: &File) -> Result<(), LoadError> {
    command::fill(PODMAN, &["save", "--quiet", "--", name], &[], limit, file)
}

/// Sends the image.
pub(super) fn load(delivery: &Delivery<'_>) -> Result<Transfer, LoadError> {
    let id = delivery.id().hex();
    let name = delivery.name.local();
    let limit = delivery.command_limit();
    let pull = || {
        if delivery.way == Some(Way::Archive) {
            return Err(LoadError::whole_only(PODMAN));
        }
        delivery.with_registry(PODMAN, |source, patience| {
            let registries = source.registries_conf()?;
            let conf = registries.path().join(REGISTRIES_CONF);
            let source = source.alias.to_string();
            let pull = ["pull", "--quiet", "--tls-verify=false", &source];
            let variables = [("CONTAINERS_REGISTRIES_CONF", &*conf), (TMPDIR, registries.path())];
            let variables = if has_tmpdir() { &variables[..] } else { &variables[..1] };
            let pulled = command::run_with(variables, PODMAN, &pull, patience)?;
            let tagged = delivery
                .check_id(PODMAN, &pulled)
                .and_then(|()| command::run(PODMAN, &["tag", &id, &name], patience).map(drop));
            let untagged = command::run(PODMAN, &["untag", &pulled, &source], patience);
            delivery.tagged(tagged, untagged.map(drop))?;
            keep_name(&id, &name, patience)
        })
    };
    let tag_or_pull = || {
        // An image with this ID is complete: podman stores no incomplete ones.
        if delivery.way.is_none() {
            delivery.asking(PODMAN);
            match command::run(PODMAN, &["tag", &id, &name], &Patience::of(limit)) {
                Ok(_) => {
                    keep_name(&id, &name, &Patience::of(limit))?;
                    return Ok(delivery.nothing_sent());
                }
                Err(error) if error.is_stalled() => return Err(error),
                Err(_) => {}
            }
        }
        pull()
    };
    let whole = || {
        let load = ["load", "--quiet"];
        let write = |output: &mut dyn Writer| delivery.write(0, output, PODMAN);
        if !has_tmpdir() {
            return command::feed(PODMAN, &load, &[], limit, write);
        }
        let directory = Temporary::new()
            .map_err(|source| LoadError::Temporary { name: TMPDIR.to_owned(), source })?;
        command::feed(PODMAN, &load, &[(TMPDIR, directory.path())], limit, write)
    };
    delivery.deliver(tag_or_pull, whole)
}

/// How many of the lowest layers podman's images have.
pub(super) fn preview(delivery: &Delivery<'_>) -> Result<Held, LoadError> {
    let patience = Patience::of(delivery.command_limit());
    let list = command::run(PODMAN, &["images", "--all", "--quiet", "--no-trunc"], &patience)?;
    let mut ids: Vec<&str> = list.lines().filter(|id| id.parse::<Digest>().is_ok()).collect();
    ids.dedup();
    ids.truncate(MAX_IMAGES);
    let diff_ids = delivery.blobs.all().iter().map(|blob| blob.diff_id.to_string());
    let diff_ids: Vec<String> = diff_ids.collect();
    let mut layers = 0;
    if !ids.is_empty() {
        let inspect = [&["image", "inspect"][..], &ids].concat();
        let images = command::run(PODMAN, &inspect, &patience)?;
        let images: Value = serde_json::from_str(&images).map_err(|source| LoadError::NotJson {
            what: "podman's description of its images".into(),
            source,
        })?;
        for image in images.as_array().into_iter().flatten() {
            let theirs = image["RootFS"]["Layers"].as_array().into_iter().flatten();
            let same = theirs.zip(&diff_ids).take_while(|(a, b)| *a == b.as_str()).count();
            layers = layers.max(same);
        }
    }
    Ok(Held { layers, how: How::Sent })
}

/// Gives an image its name again if it was lost: podman always rewrites all names of an image, so
/// it may drop one that another podman process has just added.
fn keep_name(id: &str, name: &str, patience: &Patience<'_>) -> Result<(), LoadError> {
    let exists = || command::run(PODMAN, &["image", "exists", name], patience);
    for _ in 0..TRIES {
        if exists().is_ok() {
            return Ok(());
        }
        command::run(PODMAN, &["tag", id, name], patience)?;
    }
    exists()
        .map(drop)
        .map_err(|error| LoadError::NameLost { name: name.to_owned(), source: Box::new(error) })
}
