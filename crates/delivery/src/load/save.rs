//! The way back: an image that an engine has, as an archive.

use std::fs::File;
use std::time::Duration;

use super::{Kind, LoadError, STANDSTILL, containerd, docker, podman};
use crate::observer::{Observer, Step};
use oci::{Platform, Reference};

/// The shortest ID that engines show.
const SHORT_ID: usize = 12;

/// Has an engine write an image into a file: dockerd and podman as a docker-archive, containerd as an
/// OCI archive. The image is named by its name or, but for containerd's, by its ID. Where containerd's
/// name stands for several images, `platform` chooses. The engine may take `timeout` for an answer, and
/// stand still for ten times that.
///
/// # Errors
///
/// If the name is not one, or the engine is not there, has no such image, or cannot write it.
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
