//! A daemon's plugins, and what they export about themselves.

use std::path::PathBuf;

use crate::client::Client;
use crate::connection::Method;
use crate::error::Error;
use crate::messages::{ListPlugins, ListedPlugins, Plugin};

const PLUGINS: Method = Method {
    path: "/containerd.services.introspection.v1.Introspection/Plugins",
    action: "list its plugins",
};

/// The type of the plugin that stores blobs.
const CONTENT: &str = "io.containerd.content.v1";
/// The ID of the one that stores them as files.
const LOCAL: &str = "content";
/// The type of the plugin that records which namespace has which blob.
const METADATA: &str = "io.containerd.metadata.v1";

impl Client {
    /// The directory in which the daemon stores its blobs, as `blobs/ALGORITHM/HEX`, if any
    /// namespace may claim an existing blob by its digest and size. `None` if blobs are not stored
    /// as files, or if each namespace has to upload its own (the content sharing policy
    /// `isolated`).
    pub fn shared_content(&self) -> Result<Option<PathBuf>, Error> {
        let filters = [CONTENT, METADATA].map(|kind| format!("type==\"{kind}\"")).to_vec();
        let found: ListedPlugins = self.call(&PLUGINS, "", &ListPlugins { filters })?;
        Ok(shared_directory(&found.plugins))
    }
}

fn shared_directory(plugins: &[Plugin]) -> Option<PathBuf> {
    // With two such plugins, it would not be clear which one is used.
    let only = |kind| {
        let mut found = plugins.iter().filter(|plugin| plugin.kind == kind);
        found.next().filter(|plugin| plugin.error.is_none() && found.next().is_none())
    };
    let is_shared = only(METADATA)?.exports.get("policy").is_some_and(|policy| policy == "shared");
    let content = only(CONTENT).filter(|plugin| is_shared && plugin.id == LOCAL)?;
    let root = PathBuf::from(content.exports.get("root")?);
    root.is_absolute().then_some(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(kind: &str, id: &str, (key, value): (&str, &str)) -> Plugin {
        let exports = [(key.to_owned(), value.to_owned())].into();
        Plugin { kind: kind.into(), id: id.into(), exports, error: None }
    }

    #[test]
    fn blobs_are_only_shared_by_the_one_store_of_files() {
        let local = plugin(CONTENT, LOCAL, ("root", "/var/lib/containerd/content"));
        let shared = plugin(METADATA, "bolt", ("policy", "shared"));
        let directory = shared_directory(&[shared.clone(), local.clone()]);
        assert_eq!(directory, Some("/var/lib/containerd/content".into()));
        let isolated = plugin(METADATA, "bolt", ("policy", "isolated"));
        let old = plugin(METADATA, "bolt", ("path", "/meta.db"));
        let proxy = plugin(CONTENT, "proxy", ("address", "/run/proxy.sock"));
        let relative = plugin(CONTENT, LOCAL, ("root", "content"));
        let failed = Plugin { error: Some(()), ..local.clone() };
        for plugins in [
            vec![],
            vec![shared.clone()],
            vec![local.clone()],
            vec![isolated, local.clone()],
            vec![old, local.clone()],
            vec![shared.clone(), proxy.clone()],
            vec![shared.clone(), local, proxy],
            vec![shared.clone(), relative],
            vec![shared, failed],
        ] {
            assert_eq!(shared_directory(&plugins), None, "{plugins:?}");
        }
    }
}
