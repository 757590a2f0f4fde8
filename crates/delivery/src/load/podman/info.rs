//! What podman reports about its storage, and whether layers can be placed in it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::LoadError;
use super::super::command::{self, Patience};
use super::PODMAN;

/// The major versions of podman whose storage is supported.
const VERSIONS: [&str; 2] = ["4", "5"];

/// A variable that makes `podman info` fast. Most of its time goes into dpkg, which it runs to find
/// the packages of its helpers. Without a database, dpkg gives up at once, and podman reports
/// `Unknown`.
const NO_PACKAGES: (&str, &str) = ("DPKG_ADMINDIR", "/nonexistent");

/// Options of the overlay driver that affect neither layers nor the file system they are on.
const HARMLESS: [&str; 3] = ["overlay.mountopt", "overlay.imagestore", "overlay.skip_mount_home"];

/// podman's storage.
#[derive(Debug)]
pub(in crate::load) struct Info {
    /// Its graph root.
    pub(super) graph_root: PathBuf,
    /// Whether it belongs to an ordinary user.
    pub(super) is_rootless: bool,
}

/// Asks podman for its storage; the inner error is why layers cannot be placed in it.
pub(in crate::load) fn ask(patience: &Patience<'_>) -> Result<Result<Info, String>, LoadError> {
    let (variable, value) = NO_PACKAGES;
    let variable = Some((variable, Path::new(value)));
    let said =
        command::run_with(variable.as_slice(), PODMAN, &["info", "--format", "json"], patience)?;
    let info = serde_json::from_str(&said).map_err(|source| {
        let what = "the output of `podman info`".to_owned();
        LoadError::NotJson { what, source }
    })?;
    Ok(read(&info))
}

fn read(info: &Value) -> Result<Info, String> {
    let (host, store) = (&info["host"], &info["store"]);
    if host["serviceIsRemote"] == true {
        return Err("podman is on another machine".into());
    }
    let version = info["version"]["Version"].as_str().unwrap_or_default();
    let known = version.split_once('.').is_some_and(|(major, _)| VERSIONS.contains(&major));
    if !known {
        return Err(format!("the storage of podman {version} is not supported"));
    }
    let driver = store["graphDriverName"].as_str().unwrap_or_default();
    if driver != "overlay" {
        return Err(format!("podman's storage driver is {driver}, not overlay"));
    }
    let options = store["graphOptions"].as_object().into_iter().flatten();
    for (option, value) in options {
        let is_off = ["", "false"].iter().any(|off| value == off);
        if !HARMLESS.contains(&option.as_str()) && !is_off {
            return Err(format!("podman's storage has the option {option}"));
        }
    }
    if let Some(option) = remapping(store["configFile"].as_str().unwrap_or_default()) {
        return Err(format!("podman's storage has the option {option}"));
    }
    let graph_root = store["graphRoot"].as_str().filter(|root| root.starts_with('/'));
    let graph_root = graph_root.ok_or("podman does not report where its storage is")?.into();
    Ok(Info { graph_root, is_rootless: host["security"]["rootless"] == true })
}

/// The option with which a configuration changes the owners in all layers, if it has one.
fn remapping(configuration: &str) -> Option<String> {
    let text = std::fs::read_to_string(configuration).ok()?;
    let mut names = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
    names.find(|name| name.trim_start().starts_with("remap-")).map(|name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn storages_that_are_not_known_are_left_alone() {
        let usual = json!({
            "host": { "serviceIsRemote": false, "security": { "rootless": false } },
            "store": {
                "graphDriverName": "overlay",
                "graphRoot": "/var/lib/containers/storage",
                "graphOptions": { "overlay.mountopt": "nodev", "overlay.ignore_chown_errors": "" },
            },
            "version": { "Version": "4.3.1" },
        });
        let root = read(&usual).unwrap().graph_root;
        assert_eq!(root, PathBuf::from("/var/lib/containers/storage"));
        for (pointer, value, why) in [
            ("/host/serviceIsRemote", json!(true), "another machine"),
            ("/version/Version", json!("3.4.4"), "podman 3.4.4 is not supported"),
            ("/version/Version", json!("40.1"), "podman 40.1 is not supported"),
            ("/version/Version", json!(null), "is not supported"),
            ("/store/graphDriverName", json!("vfs"), "storage driver is vfs"),
            ("/store/graphRoot", json!("storage"), "does not report where"),
            (
                "/store/graphOptions",
                json!({ "overlay.mount_program": { "Executable": "/usr/bin/fuse-overlayfs" } }),
                "the option overlay.mount_program",
            ),
            (
                "/store/graphOptions",
                json!({ "overlay.ignore_chown_errors": "true" }),
                "the option overlay.ignore_chown_errors",
            ),
        ] {
            let mut info = usual.clone();
            *info.pointer_mut(pointer).unwrap() = value;
            let found = read(&info).unwrap_err();
            assert!(found.contains(why), "{found}");
        }
    }

    #[test]
    fn remapped_storages_are_found_by_their_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("storage.conf");
        for (text, expected) in [
            ("[storage]\ndriver = \"overlay\"\n# remap-uids = \"0:1:2\"\n", None),
            ("[storage.options]\n  remap-user = \"containers\"\n", Some("remap-user")),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(remapping(file.to_str().unwrap()).as_deref(), expected);
        }
        assert_eq!(remapping(""), None);
    }
}
