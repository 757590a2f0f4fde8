//! dockerd, through its API.

use std::fs::File;
use std::path::Path;
#[cfg(target_os = "linux")]
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::Transfer;

#[cfg(target_os = "linux")]
use super::Import;
use super::api::Api;
#[cfg(target_os = "linux")]
use super::containerd::snapshots::{self, Place};
use super::endpoint::{self, Endpoint};
use super::preview::{Held, How};
use super::{Delivery, LoadError, Loaded, Way};
use crate::http::Method;

/// The prefix of the names that dockerd's containerd store gives to unnamed images; the digest of
/// the manifest follows (`nameDanglingPrefix`).
#[cfg(target_os = "linux")]
const DANGLING: &str = "moby-dangling@";
/// The maximum number of images whose layers are looked up, the newest first.
const MAX_IMAGES: usize = 500;
/// Not quiet, as the messages show that there is progress.
const LOAD: &str = "/images/load?quiet=0";
/// Its name in messages.
const DOCKERD: &str = "dockerd";

/// Why dockerd cannot be chosen, or `None` if it can. It cannot if its default socket does not
/// exist and the user does not name another one. A dockerd whose socket exists is chosen even if it
/// does not answer or refuses access: falling back to another engine would load the image where the
/// user does not expect it.
pub(super) fn absence() -> Result<Option<String>, LoadError> {
    let named = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if named("DOCKER_HOST") || named("DOCKER_CONTEXT") {
        return Ok(None);
    }
    let endpoint = Endpoint::of_user().map_err(LoadError::NoEndpoint)?;
    Ok(match endpoint {
        // If it is not permitted to look, the socket counts as existing.
        Endpoint::Unix(path)
            if path == Path::new(endpoint::DEFAULT) && !path.try_exists().unwrap_or(true) =>
        {
            Some(format!("dockerd's socket `{}` does not exist", path.display()))
        }
        Endpoint::Unix(_) | Endpoint::Tcp(_) | Endpoint::Command(_) => None,
    })
}

/// Writes an image, given by name or ID, to a file, as a docker-archive.
pub(super) fn save(name: &str, timeout: Duration, file: &mut File) -> Result<(), LoadError> {
    let mut api = Api::connect(Endpoint::of_user()?, timeout)?;
    let found = api.download(&format!("/images/{name}/get"), file)?;
    if found { Ok(()) } else { Err(LoadError::NoImage { engine: DOCKERD, name: name.to_owned() }) }
}

/// Fails if dockerd does not answer.
pub(super) fn check(timeout: Duration) -> Result<(), LoadError> {
    Api::connect(Endpoint::of_user()?, timeout).map(drop)
}

/// The containerd in which dockerd stores its layers as snapshots; or why layers cannot be placed
/// there.
#[cfg(target_os = "linux")]
pub(super) fn snapshots(timeout: Duration) -> Result<Result<Place, String>, LoadError> {
    let endpoint = Endpoint::of_user()?;
    if !endpoint.is_local() {
        return Ok(Err("dockerd is on another machine".into()));
    }
    let info = Api::connect(endpoint, timeout)?.get("/info")?.unwrap_or_default();
    if !is_containerd_store(&info) {
        return Ok(Err("dockerd uses its own store, to which layers can only be sent".into()));
    }
    let text = |value: &Value| value.as_str().map(str::to_owned).filter(|text| !text.is_empty());
    let containerd = &info["Containerd"];
    let socket = text(&containerd["Address"]).map(PathBuf::from);
    let place =
        socket.zip(text(&containerd["Namespaces"]["Containers"])).zip(text(&info["Driver"]));
    let Some(((socket, namespace), snapshotter)) = place else {
        return Ok(Err("dockerd does not report where its containerd is".into()));
    };
    let place = Place { socket, namespace, snapshotter };
    Ok(snapshots::can_write(&place.socket).map(|()| place))
}

/// Makes snapshots of the image's layers in dockerd's containerd, and checks that dockerd has the
/// image.
#[cfg(target_os = "linux")]
pub(super) fn put(
    delivery: &Delivery<'_>,
    place: &Place,
    import: Import,
) -> Result<Loaded, LoadError> {
    check_name(delivery)?;
    delivery.asking(DOCKERD);
    let api = Api::connect(Endpoint::of_user()?, delivery.timeout)?;
    let mut docker = Docker::new(delivery, api);
    // An image that loses its only name is kept without one, as after `docker load`.
    let keep = docker.is_only_name()?.then_some(DANGLING);
    let loaded = snapshots::put(delivery, place, import, "docker", keep)?;
    // Without their blobs, dockerd does not report the layers.
    if delivery.content { docker.check() } else { docker.check_name() }?;
    Ok(loaded)
}

/// Fails if dockerd would not accept the image's name as a name.
pub(super) fn check_name(delivery: &Delivery<'_>) -> Result<(), LoadError> {
    // It would be taken for a digest: dockerd loads such an image without its name.
    if delivery.name.familiar().starts_with("sha256:") {
        let name = delivery.name;
        return Err(LoadError::Unsupported(format!(
            "dockerd does not accept the name `{name}`; choose another one"
        )));
    }
    Ok(())
}

/// Sends the image, or what dockerd lacks of it.
pub(super) fn load(delivery: &Delivery<'_>) -> Result<Loaded, LoadError> {
    check_name(delivery)?;
    delivery.asking(DOCKERD);
    let endpoint = Endpoint::of_user()?;
    let into = named(&endpoint);
    let connect = || {
        let api = Api::connect(endpoint.clone(), delivery.timeout)?;
        Ok::<_, LoadError>(Docker::new(delivery, api))
    };
    // If dockerd does not answer now, the fallback need not be tried.
    let mut docker = connect()?;
    let short = move || {
        if delivery.way.is_none() && docker.tag_if_held()? {
            return Ok(delivery.nothing_sent());
        }
        docker.send_missing()
    };
    // The first connection may have broken in the middle of a message.
    let transfer = delivery.deliver(short, || connect()?.send(0))?;
    Ok(Loaded { into, transfer, imported: None })
}

/// The dockerd that would be used, and how many of the lowest layers it has.
pub(super) fn preview(delivery: &Delivery<'_>) -> Result<(String, Held), LoadError> {
    check_name(delivery)?;
    let endpoint = Endpoint::of_user()?;
    let into = named(&endpoint);
    let mut docker = Docker::new(delivery, Api::connect(endpoint, delivery.timeout)?);
    let layers =
        if docker.holds_image()? { docker.diff_ids.len() } else { docker.held_layers()? };
    Ok((into, Held { layers, how: How::Sent }))
}

/// dockerd's name in messages. It should be visible that an image goes to another machine.
fn named(endpoint: &Endpoint) -> String {
    if endpoint.is_local() { "docker".into() } else { format!("docker at {endpoint}") }
}

struct Docker<'a> {
    delivery: &'a Delivery<'a>,
    api: Api,
    /// The layers' diffIDs, as dockerd writes them.
    diff_ids: Vec<String>,
    id: String,
}

impl<'a> Docker<'a> {
    fn new(delivery: &'a Delivery<'a>, api: Api) -> Self {
        let blobs = delivery.blobs.all();
        let diff_ids = blobs.iter().map(|blob| blob.diff_id.to_string()).collect();
        Self { delivery, api, diff_ids, id: delivery.id().to_string() }
    }

    /// Only gives the image its name if dockerd already has it.
    fn tag_if_held(&mut self) -> Result<bool, LoadError> {
        if !self.holds_image()? {
            return Ok(false);
        }
        let id = self.id.clone();
        self.tag(&id)?;
        Ok(true)
    }

    fn send_missing(&mut self) -> Result<Transfer, LoadError> {
        let pull = match self.delivery.way {
            Some(way) => way == Way::Pull,
            None => self.has_containerd_store()?,
        };
        if pull { self.pull() } else { self.send_archive() }
    }

    fn send_archive(&mut self) -> Result<Transfer, LoadError> {
        let held = self.held_layers()?;
        self.send(held)
    }

    /// Sends the archive without the `held` lowest layers, which dockerd has.
    fn send(&mut self, held: usize) -> Result<Transfer, LoadError> {
        let delivery = self.delivery;
        let transfer = self.api.send(LOAD, |output| delivery.write(held, output, DOCKERD))?;
        self.check()?;
        Ok(transfer)
    }

    /// Makes dockerd pull what it lacks.
    fn pull(&mut self) -> Result<Transfer, LoadError> {
        if !self.api.endpoint().is_local() {
            let says = "dockerd is on another machine, so it cannot pull from this one";
            return Err(LoadError::Unsupported(says.into()));
        }
        let delivery = self.delivery;
        delivery.with_registry(DOCKERD, |source, _| {
            // Unlike a command's arguments, requests to dockerd cannot be read by other users.
            let source = &source.location;
            let (name, tag) = (source.name(), source.tag());
            self.api.work(&Method::POST, &format!("/images/create?fromImage={name}&tag={tag}"))?;
            let source = source.to_string();
            let tagged = self.check_pulled(&source).and_then(|()| self.tag(&source));
            let untagged = self.api.call(&Method::DELETE, &format!("/images/{source}?noprune=1"));
            delivery.tagged(tagged, untagged)
        })
    }

    /// How many of the lowest layers dockerd has: it identifies a layer together with those below
    /// it.
    fn held_layers(&mut self) -> Result<usize, LoadError> {
        let images = self.api.get("/images/json?all=1")?.unwrap_or_default();
        let images = images.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut held = 0;
        for image in images.iter().take(MAX_IMAGES) {
            let Some(id) = image["Id"].as_str().filter(|id| is_id(id)) else { continue };
            // It may have been removed meanwhile.
            let Some(image) = self.api.get(&format!("/images/{id}/json"))? else { continue };
            let same = layers_of(&image).zip(&self.diff_ids).take_while(|(a, b)| a == b);
            held = held.max(same.count());
            if held == self.diff_ids.len() {
                break;
            }
        }
        Ok(held)
    }

    fn has_containerd_store(&mut self) -> Result<bool, LoadError> {
        Ok(is_containerd_store(&self.api.get("/info")?.unwrap_or_default()))
    }

    fn holds_image(&mut self) -> Result<bool, LoadError> {
        let image = self.api.get(&format!("/images/{}/json", self.id))?;
        Ok(image.is_some_and(|image| layers_of(&image).eq(&self.diff_ids)))
    }

    /// The image that has the name now.
    fn named(&mut self) -> Result<Value, LoadError> {
        let name = self.delivery.name.to_string();
        let image = self.api.get(&format!("/images/{name}/json"))?;
        image.ok_or_else(|| {
            let says = format!("dockerd was sent the image but has no image {name} now");
            LoadError::Unexpected(says)
        })
    }

    /// Whether an image has the name and no other names.
    #[cfg(target_os = "linux")]
    fn is_only_name(&mut self) -> Result<bool, LoadError> {
        let name = self.delivery.name.to_string();
        let image = self.api.get(&format!("/images/{name}/json"))?;
        Ok(image.is_some_and(|image| image["RepoTags"].as_array().is_some_and(|n| n.len() == 1)))
    }

    /// Checks that dockerd has an image with the name.
    #[cfg(target_os = "linux")]
    fn check_name(&mut self) -> Result<(), LoadError> {
        self.named().map(drop)
    }

    /// Checks that dockerd has exactly this image under the name.
    fn check(&mut self) -> Result<(), LoadError> {
        let name = self.delivery.name.to_string();
        let image = self.named()?;
        // The containerd store uses other IDs, so only the layers are compared there.
        let same_id = image["Id"] == *self.id || self.has_containerd_store()?;
        if same_id && layers_of(&image).eq(&self.diff_ids) {
            return Ok(());
        }
        let says = format!("dockerd accepted the archive, but its image {name} is a different one");
        Err(LoadError::Unexpected(says))
    }

    fn check_pulled(&mut self, source: &str) -> Result<(), LoadError> {
        let image = self.api.get(&format!("/images/{source}/json"))?;
        let image = image.ok_or_else(|| {
            LoadError::Unexpected("dockerd pulled the image but does not have it now".into())
        })?;
        if layers_of(&image).eq(&self.diff_ids) {
            return Ok(());
        }
        // containerd does not fetch the blobs of layers that it has already unpacked. Without them,
        // dockerd does not report the layers.
        if image["Id"].as_str().is_some_and(is_id) && layers_of(&image).next().is_none() {
            let says = "dockerd pulled the image without the blobs of layers that it had unpacked";
            return Err(LoadError::Unexpected(says.into()));
        }
        let found = image["Id"].as_str().unwrap_or("without an ID");
        Err(self.delivery.wrong_image("dockerd", found))
    }

    fn tag(&mut self, source: &str) -> Result<(), LoadError> {
        let (name, tag) = (self.delivery.name.name(), self.delivery.name.tag());
        let tagged =
            self.api.call(&Method::POST, &format!("/images/{source}/tag?repo={name}&tag={tag}"));
        tagged.map_err(|error| {
            let name = self.delivery.name.to_string();
            LoadError::NotNamed { name, source: Box::new(error) }
        })
    }
}

fn is_containerd_store(info: &Value) -> bool {
    let status = info["DriverStatus"].as_array().into_iter().flatten();
    let mut kinds = status.filter(|entry| entry[0] == "driver-type");
    kinds.any(|entry| {
        entry[1].as_str().is_some_and(|kind| kind.starts_with("io.containerd.snapshotter"))
    })
}

fn layers_of(image: &Value) -> impl Iterator<Item = &str> {
    image["RootFS"]["Layers"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Whether this is an ID; nothing else may go into a request.
fn is_id(id: &str) -> bool {
    id.parse::<formats::digest::Digest>().is_ok()
}
