//! dockerd, at its API.

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

/// What the name of an image without a name begins with in containerd; the digest of its manifest
/// follows (`nameDanglingPrefix` of dockerd's containerd store).
#[cfg(target_os = "linux")]
const DANGLING: &str = "moby-dangling@";
/// Images that are asked for their layers; the newest come first.
const MAX_IMAGES: usize = 500;
/// Not quiet, as what dockerd says meanwhile shows that it goes on.
const LOAD: &str = "/images/load?quiet=0";
/// What it is called in what users read.
const DOCKERD: &str = "dockerd";

/// Why dockerd cannot be chosen, or `None` if it can. It cannot if its default socket does not
/// exist and the user names no other. A dockerd whose socket exists is chosen even if it does not
/// answer or refuses access: falling back to another engine would put the image where the user does
/// not expect it.
pub(super) fn absence() -> Result<Option<String>, LoadError> {
    let named = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if named("DOCKER_HOST") || named("DOCKER_CONTEXT") {
        return Ok(None);
    }
    let endpoint = Endpoint::of_user().map_err(LoadError::NoEndpoint)?;
    Ok(match endpoint {
        // One that may not even be looked at is there.
        Endpoint::Unix(path)
            if path == Path::new(endpoint::DEFAULT) && !path.try_exists().unwrap_or(true) =>
        {
            Some(format!("dockerd's socket `{}` is not there", path.display()))
        }
        Endpoint::Unix(_) | Endpoint::Tcp(_) | Endpoint::Command(_) => None,
    })
}

/// Has the image of a name, or an ID, written to a file, as a docker-archive.
pub(super) fn save(name: &str, timeout: Duration, file: &mut File) -> Result<(), LoadError> {
    let mut api = Api::connect(Endpoint::of_user()?, timeout)?;
    let found = api.download(&format!("/images/{name}/get"), file)?;
    if found { Ok(()) } else { Err(LoadError::NoImage { engine: DOCKERD, name: name.to_owned() }) }
}

/// An error if dockerd does not answer.
pub(super) fn check(timeout: Duration) -> Result<(), LoadError> {
    Api::connect(Endpoint::of_user()?, timeout).map(drop)
}

/// Where dockerd has its layers as containerd's snapshots; or why they cannot be put there.
#[cfg(target_os = "linux")]
pub(super) fn snapshots(timeout: Duration) -> Result<Result<Place, String>, LoadError> {
    let endpoint = Endpoint::of_user()?;
    if !endpoint.is_local() {
        return Ok(Err("dockerd is on another machine".into()));
    }
    let info = Api::connect(endpoint, timeout)?.get("/info")?.unwrap_or_default();
    if !is_containerd_store(&info) {
        return Ok(Err("dockerd keeps the layers of its own store to itself".into()));
    }
    let text = |value: &Value| value.as_str().map(str::to_owned).filter(|text| !text.is_empty());
    let containerd = &info["Containerd"];
    let socket = text(&containerd["Address"]).map(PathBuf::from);
    let place =
        socket.zip(text(&containerd["Namespaces"]["Containers"])).zip(text(&info["Driver"]));
    let Some(((socket, namespace), snapshotter)) = place else {
        return Ok(Err("dockerd does not say where its containerd is".into()));
    };
    let place = Place { socket, namespace, snapshotter };
    Ok(snapshots::can_write(&place.socket).map(|()| place))
}

/// Makes the image's layers snapshots of dockerd's containerd, and has dockerd confirm that it has
/// the image.
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
    // What loses its only name stays, as an image without one: so does `docker load` have it.
    let keep = docker.is_only_name()?.then_some(DANGLING);
    let loaded = snapshots::put(delivery, place, import, "docker", keep)?;
    // Without their blobs, dockerd does not know the layers.
    if delivery.content { docker.check() } else { docker.check_name() }?;
    Ok(loaded)
}

/// Fails if dockerd would not take the image's name for one.
pub(super) fn check_name(delivery: &Delivery<'_>) -> Result<(), LoadError> {
    // It would be taken for a digest: dockerd loads such an image without its name.
    if delivery.name.familiar().starts_with("sha256:") {
        let name = delivery.name;
        return Err(LoadError::Unsupported(format!(
            "dockerd does not take the name `{name}`; choose another one"
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
    // If dockerd is not there, it need not be tried again.
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

/// Where dockerd is, and how many of the lowest layers it has.
pub(super) fn preview(delivery: &Delivery<'_>) -> Result<(String, Held), LoadError> {
    check_name(delivery)?;
    let endpoint = Endpoint::of_user()?;
    let into = named(&endpoint);
    let mut docker = Docker::new(delivery, Api::connect(endpoint, delivery.timeout)?);
    let layers =
        if docker.holds_image()? { docker.diff_ids.len() } else { docker.held_layers()? };
    Ok((into, Held { layers, how: How::Sent }))
}

/// What dockerd is called in what is said. That an image went to another machine should be seen.
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

    /// An image that is there need only get its name.
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

    /// Sends the archive without this many of the lowest layers, which dockerd holds.
    fn send(&mut self, held: usize) -> Result<Transfer, LoadError> {
        let delivery = self.delivery;
        let transfer = self.api.send(LOAD, |output| delivery.write(held, output, DOCKERD))?;
        self.check()?;
        Ok(transfer)
    }

    /// Has dockerd pull what it lacks.
    fn pull(&mut self) -> Result<Transfer, LoadError> {
        if !self.api.endpoint().is_local() {
            let says = "dockerd is not on this machine, so it cannot pull from it";
            return Err(LoadError::Unsupported(says.into()));
        }
        let delivery = self.delivery;
        delivery.with_registry(DOCKERD, |source, _| {
            // Others cannot read what is asked of dockerd, as they can a command's arguments.
            let source = &source.location;
            let (name, tag) = (source.name(), source.tag());
            self.api.work(&Method::POST, &format!("/images/create?fromImage={name}&tag={tag}"))?;
            let source = source.to_string();
            let tagged = self.check_pulled(&source).and_then(|()| self.tag(&source));
            let untagged = self.api.call(&Method::DELETE, &format!("/images/{source}?noprune=1"));
            delivery.tagged(tagged, untagged)
        })
    }

    /// How many of the lowest layers dockerd has: it knows a layer together with those below.
    fn held_layers(&mut self) -> Result<usize, LoadError> {
        let images = self.api.get("/images/json?all=1")?.unwrap_or_default();
        let images = images.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut held = 0;
        for image in images.iter().take(MAX_IMAGES) {
            let Some(id) = image["Id"].as_str().filter(|id| is_id(id)) else { continue };
            // It may have been removed since.
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
            let says = format!("dockerd was given the image, but has no image {name} now");
            LoadError::Unexpected(says)
        })
    }

    /// Whether some image has the name, and no other.
    #[cfg(target_os = "linux")]
    fn is_only_name(&mut self) -> Result<bool, LoadError> {
        let name = self.delivery.name.to_string();
        let image = self.api.get(&format!("/images/{name}/json"))?;
        Ok(image.is_some_and(|image| image["RepoTags"].as_array().is_some_and(|n| n.len() == 1)))
    }

    /// The engine must have an image under its name now.
    #[cfg(target_os = "linux")]
    fn check_name(&mut self) -> Result<(), LoadError> {
        self.named().map(drop)
    }

    /// The engine must have this very image under its name now.
    fn check(&mut self) -> Result<(), LoadError> {
        let name = self.delivery.name.to_string();
        let image = self.named()?;
        // A containerd store has IDs of its own, so there the layers must do.
        let same_id = image["Id"] == *self.id || self.has_containerd_store()?;
        if same_id && layers_of(&image).eq(&self.diff_ids) {
            return Ok(());
        }
        let says = format!("dockerd took the archive, but its image {name} is not this one");
        Err(LoadError::Unexpected(says))
    }

    fn check_pulled(&mut self, source: &str) -> Result<(), LoadError> {
        let image = self.api.get(&format!("/images/{source}/json"))?;
        let image = image.ok_or_else(|| {
            LoadError::Unexpected("dockerd pulled the image, but does not have it now".into())
        })?;
        if layers_of(&image).eq(&self.diff_ids) {
            return Ok(());
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

/// Whether it is an ID; nothing else is put into a request.
fn is_id(id: &str) -> bool {
    id.parse::<formats::digest::Digest>().is_ok()
}
