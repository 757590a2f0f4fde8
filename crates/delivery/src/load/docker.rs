//! dockerd, at its API.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::Transfer;
use crate::observer::Step;

use super::api::Api;
use super::endpoint::{self, Endpoint};
use super::{Delivery, Loaded, NotNamed, Way};
use crate::http::Method;

/// Images that are asked for their layers; the newest come first.
const MAX_IMAGES: usize = 500;
/// Not quiet, as what dockerd says meanwhile shows that it goes on.
const LOAD: &str = "/images/load?quiet=0";

/// Why dockerd is not to be taken, if it is not: at the socket that is looked at unless the user
/// says something else, there is none. One that is there is taken, even if nobody answers or the
/// user may not use it; otherwise an image would go where nobody looks for it.
pub(super) fn absence() -> anyhow::Result<Option<String>> {
    let named = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if named("DOCKER_HOST") || named("DOCKER_CONTEXT") {
        return Ok(None);
    }
    let endpoint = Endpoint::of_user().context("cannot tell where dockerd is")?;
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

/// An error if dockerd does not answer.
pub(super) fn check(timeout: Duration) -> anyhow::Result<()> {
    Api::connect(Endpoint::of_user()?, timeout).map(drop)
}

pub(super) fn load(delivery: &Delivery<'_>) -> anyhow::Result<Loaded> {
    // It would be taken for a digest: dockerd loads such an image without its name.
    if delivery.name.familiar().starts_with("sha256:") {
        bail!("dockerd does not take the name `{}`; choose another one", delivery.name);
    }
    let endpoint = Endpoint::of_user()?;
    // Another machine is one to be told of.
    let into = if endpoint.is_local() { "docker".into() } else { format!("docker at {endpoint}") };
    let connect = || {
        let api = Api::connect(endpoint.clone(), delivery.timeout)?;
        anyhow::Ok(Docker::new(delivery, api))
    };
    // That dockerd is not there is no reason to try it again.
    let mut docker = connect()?;
    let short = move || {
        if delivery.way.is_none() && docker.tag_if_held()? {
            return Ok(delivery.nothing_sent());
        }
        docker.send_missing()
    };
    // The first connection may have broken in the middle of a message.
    let transfer = delivery.deliver(short, || connect()?.send_whole())?;
    Ok(Loaded { into, transfer })
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
    fn tag_if_held(&mut self) -> anyhow::Result<bool> {
        if !self.holds_image()? {
            return Ok(false);
        }
        let id = self.id.clone();
        self.tag(&id)?;
        Ok(true)
    }

    fn send_missing(&mut self) -> anyhow::Result<Transfer> {
        let pull = match self.delivery.way {
            Some(way) => way == Way::Pull,
            None => self.has_containerd_store()?,
        };
        if pull { self.pull() } else { self.send_archive() }
    }

    fn send_archive(&mut self) -> anyhow::Result<Transfer> {
        let blobs = self.delivery.blobs;
        let held = self.held_layers()?;
        let sent = &blobs.all()[held..];
        let sent = Transfer {
            layers_sent: sent.len(),
            bytes_sent: sent.iter().map(|blob| blob.size).sum(),
            ..self.delivery.nothing_sent()
        };
        let (delivery, observer) = (self.delivery, self.delivery.observer);
        observer.step(Step::Sending, Some(sent.bytes_sent));
        self.api.send(LOAD, |output| {
            delivery.write_without(held, output)?;
            observer.step(Step::Unpacking, None);
            Ok(())
        })?;
        self.check()?;
        Ok(sent)
    }

    fn send_whole(&mut self) -> anyhow::Result<()> {
        let delivery = self.delivery;
        self.api.send(LOAD, |output| delivery.stream(output))?;
        self.check()
    }

    /// Has dockerd pull what it lacks.
    fn pull(&mut self) -> anyhow::Result<Transfer> {
        if !self.api.endpoint().is_local() {
            bail!("dockerd is not on this machine, so it cannot pull from it");
        }
        let delivery = self.delivery;
        delivery.with_registry(|source, _| {
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
    fn held_layers(&mut self) -> anyhow::Result<usize> {
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

    fn has_containerd_store(&mut self) -> anyhow::Result<bool> {
        let info = self.api.get("/info")?.unwrap_or_default();
        let status = info["DriverStatus"].as_array().into_iter().flatten();
        let mut kinds = status.filter(|entry| entry[0] == "driver-type");
        Ok(kinds.any(|entry| {
            entry[1].as_str().is_some_and(|kind| kind.starts_with("io.containerd.snapshotter"))
        }))
    }

    fn holds_image(&mut self) -> anyhow::Result<bool> {
        let image = self.api.get(&format!("/images/{}/json", self.id))?;
        Ok(image.is_some_and(|image| layers_of(&image).eq(&self.diff_ids)))
    }

    /// The engine must have this very image under its name now.
    fn check(&mut self) -> anyhow::Result<()> {
        let name = self.delivery.name.to_string();
        let image = self.api.get(&format!("/images/{name}/json"))?;
        let image = image
            .with_context(|| format!("dockerd took the archive, but has no image {name} now"))?;
        // A containerd store has IDs of its own, so there the layers must do.
        let same_id = image["Id"] == *self.id || self.has_containerd_store()?;
        if same_id && layers_of(&image).eq(&self.diff_ids) {
            return Ok(());
        }
        bail!("dockerd took the archive, but its image {name} is not this one")
    }

    fn check_pulled(&mut self, source: &str) -> anyhow::Result<()> {
        let image = self.api.get(&format!("/images/{source}/json"))?;
        let image = image.context("dockerd pulled the image, but does not have it now")?;
        if layers_of(&image).eq(&self.diff_ids) {
            return Ok(());
        }
        let found = image["Id"].as_str().unwrap_or("without an ID");
        Err(self.delivery.wrong_image("dockerd", found))
    }

    fn tag(&mut self, source: &str) -> anyhow::Result<()> {
        let (name, tag) = (self.delivery.name.name(), self.delivery.name.tag());
        let tagged =
            self.api.call(&Method::POST, &format!("/images/{source}/tag?repo={name}&tag={tag}"));
        tagged.map_err(|error| error.context(NotNamed(self.delivery.name.to_string())))
    }
}

fn layers_of(image: &Value) -> impl Iterator<Item = &str> {
    image["RootFS"]["Layers"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// What is no ID is not put into a request.
fn is_id(id: &str) -> bool {
    id.parse::<formats::digest::Digest>().is_ok()
}
