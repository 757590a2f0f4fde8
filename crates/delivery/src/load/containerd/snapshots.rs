//! Turns layers into containerd's snapshots: finds the right containerd and checks that this
//! program can write there.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

use super::super::preview::{Held, How};
use super::super::{Delivery, Import, LoadError, Loaded};
use super::CONTAINERD;
use super::{Client, SOCKET, address};
use crate::linked::{IntoContainerd, LinkError, chain_ids};

const NAMESPACE: &str = "CONTAINERD_NAMESPACE";
const SNAPSHOTTER: &str = "CONTAINERD_SNAPSHOTTER";

/// nerdctl's configuration file, which may name another containerd or namespace.
const NERDCTL_CONFIGURATION: &str = "/etc/nerdctl/nerdctl.toml";

/// The snapshots of a containerd.
#[derive(Debug)]
pub(in crate::load) struct Place {
    pub(in crate::load) socket: PathBuf,
    pub(in crate::load) namespace: String,
    pub(in crate::load) snapshotter: String,
}

/// The containerd that ctr or nerdctl would talk to; or why layers cannot be placed there.
pub(in crate::load) fn find() -> Result<Place, String> {
    if Client::find() == Client::Nerdctl {
        let told = env::var_os("NERDCTL_TOML").map(PathBuf::from);
        let told = told.unwrap_or_else(|| NERDCTL_CONFIGURATION.into());
        if told.exists() {
            let told = told.display();
            return Err(format!("`{told}` may point nerdctl to another containerd"));
        }
    }
    let named = |name, otherwise: &str| {
        let value = env::var(name).ok().filter(|value| !value.is_empty());
        value.unwrap_or_else(|| otherwise.to_owned())
    };
    let place = Place {
        socket: address().unwrap_or_else(|| SOCKET.into()),
        namespace: named(NAMESPACE, "default"),
        snapshotter: named(SNAPSHOTTER, "overlayfs"),
    };
    can_write(&place.socket)?;
    Ok(place)
}

/// Whether this program can write to the snapshots, and sees the same files as the daemon at a
/// socket.
pub(in crate::load) fn can_write(socket: &Path) -> Result<(), String> {
    if !geteuid().is_root() {
        return Err("only root can write to containerd's snapshots".into());
    }
    let failed =
        |error: std::io::Error| format!("cannot determine who listens on the socket ({error})");
    let peer = UnixStream::connect(socket).map_err(failed)?;
    let peer = socket_peercred(&peer).map_err(|error| failed(error.into()))?;
    let sight = |process: &str| {
        let namespace = fs::read_link(format!("/proc/{process}/ns/mnt"))?;
        let root = fs::metadata(format!("/proc/{process}/root/"))?;
        Ok((namespace, root.dev(), root.ino()))
    };
    let theirs = sight(&peer.pid.as_raw_nonzero().to_string()).map_err(failed)?;
    if theirs != sight("self").map_err(failed)? {
        return Err("containerd is in another mount namespace or root directory".into());
    }
    Ok(())
}

/// How many of the lowest layers have snapshots, and how those of the others would be made.
pub(in crate::load) fn preview(
    delivery: &Delivery<'_>,
    place: &Place,
    import: Import,
) -> Result<Held, LoadError> {
    let Place { socket, namespace, snapshotter } = place;
    let limit = delivery.command_limit();
    let client = containerd::Client::connect(socket, namespace, limit).map_err(LinkError::from)?;
    let snapshots = client.snapshots(snapshotter);
    let chain = chain_ids(delivery.blobs);
    let mut layers = chain.len();
    while layers > 0 && snapshots.stat(&chain[layers - 1]).map_err(LinkError::from)?.is_none() {
        layers -= 1;
    }
    let how = match import {
        Import::Auto | Import::Off => How::Placed,
        Import::Link => How::Linked,
        Import::Reflink => How::Reflinked,
        Import::Copy => How::Copied,
    };
    Ok(Held { layers, how })
}

/// Makes snapshots of the image's layers. With `keep`, an image that has the name now is kept under
/// another one, which starts with this prefix.
pub(in crate::load) fn put(
    delivery: &Delivery<'_>,
    place: &Place,
    import: Import,
    into: &str,
    keep: Option<&str>,
) -> Result<Loaded, LoadError> {
    let Place { socket, namespace, snapshotter } = place;
    let limit = delivery.command_limit();
    delivery.asking(CONTAINERD);
    let client = containerd::Client::connect(socket, namespace, limit).map_err(LinkError::from)?;
    let placed = IntoContainerd {
        blobs: delivery.blobs,
        name: &delivery.name.canonical(),
        keep,
        client: &client,
        snapshotter,
        import: import.into(),
        content: delivery.content,
        observer: delivery.observer,
    }
    .put()?;
    let imported = Some(placed.counts.into());
    Ok(Loaded { into: into.into(), transfer: placed.transfer, imported })
}
