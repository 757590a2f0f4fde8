//! podman: layers are put into its storage, or it pulls them by its command.

#[cfg(target_os = "linux")]
mod info;
#[cfg(target_os = "linux")]
pub(super) mod remembered;
#[cfg(target_os = "linux")]
mod storage;

use super::command::Patience;
use super::pull::REGISTRIES_CONF;
use super::{Delivery, LoadError, Way, command};
use crate::Transfer;
#[cfg(target_os = "linux")]
pub(super) use storage::put;

const PODMAN: &str = "podman";
/// How often an image is given a name that it loses.
const TRIES: usize = 3;

/// Fails where podman is not on PATH.
pub(super) fn check() -> Result<(), LoadError> {
    command::require(PODMAN)
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
        delivery.with_registry(|source, patience| {
            let registries = source.registries_conf()?;
            let conf = registries.path().join(REGISTRIES_CONF);
            let source = source.alias.to_string();
            let pull = ["pull", "--quiet", "--tls-verify=false", &source];
            let variable = Some(("CONTAINERS_REGISTRIES_CONF", &*conf));
            let pulled = command::run_with(variable, PODMAN, &pull, patience)?;
            let tagged = delivery
                .check_id(PODMAN, &pulled)
                .and_then(|()| command::run(PODMAN, &["tag", &id, &name], patience).map(drop));
            let untagged = command::run(PODMAN, &["untag", &pulled, &source], patience);
            delivery.tagged(tagged, untagged.map(drop))?;
            keep_name(&id, &name, patience)
        })
    };
    let tag_or_pull = || {
        // An image of that ID is this image, whole: podman keeps no other.
        if delivery.way.is_none() {
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
        command::feed(PODMAN, &load, None, limit, |output| delivery.write(0, output))
    };
    delivery.deliver(tag_or_pull, whole)
}

/// Gives an image its name again if it is lost: podman writes all names of an image anew, so one
/// that another podman has just given may go.
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
