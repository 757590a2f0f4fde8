//! Saves an image of an engine to an archive.

use std::fs::File;
use std::time::Duration;

use super::{Kind, LoadError, STANDSTILL, containerd, docker, podman};
use crate::observer::{Observer, Step};
use oci::{Platform, Reference};

/// The length of the shortest IDs that engines show.
const SHORT_ID: usize = 12;

/// Makes an engine write an image to a file: dockerd and podman as a docker-archive, containerd as
/// an OCI archive. The image is given by its name or, except for containerd, by its ID. If
/// containerd has several images under the name, `platform` chooses one. The engine may take
/// `timeout` to answer, and go without progress for ten times that.
///
/// # Errors
///
/// If the name is not valid, or if the engine is not available, does not have the image, or cannot
/// write it.
pub fn save(
    kind: Kind,
    name: &str,
    platform: &Platform,
    timeout: Duration,
    file: &mut File,
    observer: &dyn Observer,
) -> Result<(), LoadError> {
    let is_id = name.len() >= SHORT_ID && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let named = |form: fn(&Reference) -> String| {
        if is_id {
            Ok(name.to_owned())
        } else {
            Reference::parse(name).map(|reference| form(&reference))
        }
    };
    observer.step(Step::Asking(kind.name()), None);
    match kind {
        Kind::Docker => docker::save(&named(Reference::familiar)?, timeout, file),
        Kind::Podman => podman::save(&named(Reference::to_string)?, timeout * STANDSTILL, file),
        Kind::Containerd => {
            let platform = format!("{}/{}", platform.os, platform.architecture);
            containerd::save(&named(Reference::canonical)?, &platform, timeout, file)
        }
    }
}
