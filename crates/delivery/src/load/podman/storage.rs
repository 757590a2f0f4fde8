//! Places layers in podman's storage without podman's help.

use std::collections::HashSet;

use super::super::command::{self, Patience};
use super::super::preview::Held;
use super::super::{Delivery, Import, LoadError, Loaded};
use super::PODMAN;
use super::info::Info;
use super::remembered::{self, Question};
use crate::linked::{IntoStorage, LinkError, Ways, layer_ids, owners_on_disk};
use crate::trees::Rules;
use containers_storage::Storage;

/// Places the image in podman's storage, and checks that podman sees it.
pub(in crate::load) fn put(
    delivery: &Delivery<'_>,
    question: Question,
    import: Import,
) -> Result<Loaded, LoadError> {
    delivery.asking(PODMAN);
    let info = question.answer()?.map_err(|why| LoadError::NoImport { why })?;
    // Whatever went wrong, the storage may have changed.
    put_into(delivery, &info, import)
        .inspect_err(|_| remembered::forget(delivery.blobs.digester().cache()))
}

/// How many of the lowest layers are in podman's storage, and how the others would get there.
pub(in crate::load) fn preview_placed(
    delivery: &Delivery<'_>,
    question: Question,
    import: Import,
) -> Result<Held, LoadError> {
    let info = question.answer()?.map_err(|why| LoadError::NoImport { why })?;
    let storage = Storage::open(&info.graph_root).map_err(LinkError::from)?;
    let there = storage.read(delivery.command_limit()).map_err(LinkError::from)?.layers;
    let there: HashSet<_> = there.iter().map(|layer| layer.id).collect();
    let ids = layer_ids(delivery.blobs);
    let store = delivery.blobs.image().physical_store();
    let ways = Ways::find(&store, &info.graph_root.join("overlay"), import.into(), None);
    let ways = ways.map_err(LinkError::from)?;
    if let Some(why) = ways.why_not_better() {
        delivery.observer.note(&why);
    }
    let layers = ids.iter().take_while(|id| there.contains(id)).count();
    Ok(Held { layers, how: ways.way().into() })
}

fn put_into(delivery: &Delivery<'_>, info: &Info, import: Import) -> Result<Loaded, LoadError> {
    let name = delivery.name.local();
    let storage = Storage::open(&info.graph_root).map_err(LinkError::from)?;
    let store = delivery.blobs.image().physical_store();
    let trees = info.graph_root.join("overlay");
    let ways = Ways::find(&store, &trees, import.into(), None);
    let ways = ways.map_err(LinkError::from)?;
    if let Some(why) = ways.why_not_better() {
        delivery.observer.note(&why);
    }
    let owner_on_disk = owners_on_disk(info.is_rootless);
    let placed = IntoStorage {
        blobs: delivery.blobs,
        names: std::slice::from_ref(&name),
        storage: &storage,
        ways: &ways,
        rules: &Rules::containers_storage(&owner_on_disk, info.is_rootless),
        patience: delivery.command_limit(),
        observer: delivery.observer,
    }
    .put()?;
    delivery.asking(PODMAN);
    let patience = Patience::of(delivery.command_limit());
    let inspect = ["image", "inspect", "--format", "{{.Id}}", &name];
    let found = command::run(PODMAN, &inspect, &patience)?;
    if found.trim_start_matches("sha256:") != delivery.id().hex() {
        return Err(LoadError::Unexpected(format!(
            "podman does not see `{name}`, although it is in its storage `{}` now",
            info.graph_root.display()
        )));
    }
    let imported = Some(placed.counts.into());
    Ok(Loaded { into: PODMAN.into(), transfer: placed.transfer, imported })
}
