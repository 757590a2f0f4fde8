//! containerd, by nerdctl or by its own ctr.

use std::path::Path;

use anyhow::bail;

use super::{Delivery, Way, command};
use crate::sink::Written;

const NERDCTL: &str = "nerdctl";
const CTR: &str = "ctr";
/// Where both look for containerd unless they are told.
const SOCKET: &str = "/run/containerd/containerd.sock";

pub(super) fn is_there() -> bool {
    let program = command::find(NERDCTL).or_else(|| command::find(CTR)).is_some();
    program && (std::env::var_os("CONTAINERD_ADDRESS").is_some() || Path::new(SOCKET).exists())
}

pub(super) fn load(delivery: &Delivery<'_>) -> anyhow::Result<Written> {
    if delivery.way == Some(Way::Archive) {
        bail!("containerd takes whole archives only; choose another way");
    }
    let (name, limit) = (delivery.name.canonical(), delivery.command_limit());
    if command::find(NERDCTL).is_some() {
        let pull = || {
            delivery.with_registry(|source, patience| {
                let source = source.to_string();
                command::run(
                    NERDCTL,
                    &["pull", "--quiet", "--insecure-registry", &source],
                    patience,
                )?;
                let tagged = command::run(NERDCTL, &["tag", &source, &name], patience);
                let untagged = command::run(NERDCTL, &["rmi", &source], patience);
                tagged.and(untagged).map(drop)
            })
        };
        let whole = || command::feed(NERDCTL, &["load"], limit, |output| delivery.stream(output));
        return delivery.deliver(pull, whole);
    }
    let pull = || {
        delivery.with_registry(|source, patience| {
            let source = source.to_string();
            command::run(CTR, &["images", "pull", "--plain-http", &source], patience)?;
            let tagged = command::run(CTR, &["images", "tag", "--force", &source, &name], patience);
            let untagged = command::run(CTR, &["images", "rm", &source], patience);
            tagged.and(untagged).map(drop)
        })
    };
    let whole =
        || command::feed(CTR, &["images", "import", "-"], limit, |output| delivery.stream(output));
    delivery.deliver(pull, whole)
}
