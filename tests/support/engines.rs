//! Container engines, each started for a test in a directory of its own and ended with it.

use super::{command, is_root, run, skip};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How long a daemon may take to start: a busy machine is slow.
const TRIES: u32 = 300;
const PAUSE: Duration = Duration::from_millis(200);

/// Whether a program is there; a word about it where it is not.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !found {
        skip(&format!("there is no {program} on PATH"));
    }
    found
}

/// An engine that is running, or would run, by itself.
#[derive(Debug)]
pub(crate) struct Engine {
    /// As `--engine` calls it.
    pub(crate) name: &'static str,
    /// What programs need in their environment to find it.
    environment: Vec<(&'static str, String)>,
    daemon: Option<Child>,
    folder: TempDir,
}

/// Those of the engines that can be started here.
pub(crate) fn all() -> Vec<Engine> {
    if !is_root() {
        skip("engines are started as root only");
        return Vec::new();
    }
    [docker(), podman(), containerd()].into_iter().flatten().collect()
}

/// dockerd with its own, classic, store.
pub(crate) fn docker() -> Option<Engine> {
    docker_with("{\"features\": {\"containerd-snapshotter\": false}}")
}

/// dockerd with containerd's store, which it has since version 24.
pub(crate) fn docker_with_containerd_store() -> Option<Engine> {
    let engine = docker_with("{\"features\": {\"containerd-snapshotter\": true}}")?;
    let mut info = engine.command("docker", &["info", "--format", "{{.DriverStatus}}"]);
    if String::from_utf8_lossy(&super::stdout_of(&mut info)).contains("io.containerd.snapshotter") {
        return Some(engine);
    }
    skip("this dockerd has no containerd store");
    None
}

fn docker_with(config: &str) -> Option<Engine> {
    if !is_root() || !has("dockerd") || !has("docker") {
        return None;
    }
    let folder = folder();
    fs::write(folder.path().join("config.json"), config).unwrap();
    let socket = format!("unix://{}", folder.path().join("s").display());
    let mut daemon = Command::new("dockerd");
    daemon.args(["--host", &socket, "--bridge=none", "--iptables=false", "--ip6tables=false"]);
    for (option, name) in [
        ("--config-file", "config.json"),
        ("--data-root", "data"),
        ("--exec-root", "exec"),
        ("--pidfile", "pid"),
    ] {
        daemon.arg(option).arg(folder.path().join(name));
    }
    let environment = vec![("DOCKER_HOST", socket)];
    start("docker", daemon, environment, folder, &["docker", "version"])
}

pub(crate) fn podman() -> Option<Engine> {
    if !has("podman") {
        return None;
    }
    let folder = folder();
    let place = |name| folder.path().join(name).display().to_string();
    let (storage, containers) = (place("storage.conf"), place("containers.conf"));
    let (root, run) = (place("root"), place("run"));
    let text =
        format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{root}\"\nrunroot = \"{run}\"\n");
    fs::write(&storage, text).unwrap();
    let text = format!("[engine]\ntmp_dir = \"{}\"\nevents_logger = \"none\"\n", place("tmp"));
    fs::write(&containers, text).unwrap();
    let environment = vec![("CONTAINERS_STORAGE_CONF", storage), ("CONTAINERS_CONF", containers)];
    Some(Engine { name: "podman", environment, daemon: None, folder })
}

pub(crate) fn containerd() -> Option<Engine> {
    if !has("containerd") || !has("ctr") {
        return None;
    }
    let folder = folder();
    let place = |name| folder.path().join(name);
    let config = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";
    fs::write(place("config.toml"), config).unwrap();
    let mut daemon = Command::new("containerd");
    for (option, name) in
        [("--config", "config.toml"), ("--address", "s"), ("--root", "root"), ("--state", "state")]
    {
        daemon.arg(option).arg(place(name));
    }
    let environment = vec![("CONTAINERD_ADDRESS", place("s").display().to_string())];
    start("containerd", daemon, environment, folder, &["ctr", "version"])
}

fn folder() -> TempDir {
    // Short, because the paths of sockets may not be long.
    TempDir::with_prefix("nix-image-").unwrap()
}

/// Starts a daemon and waits until `check` succeeds.
fn start(
    name: &'static str,
    mut daemon: Command,
    environment: Vec<(&'static str, String)>,
    folder: TempDir,
    check: &[&str],
) -> Option<Engine> {
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let daemon = daemon.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let daemon = daemon.spawn().unwrap();
    let mut engine = Engine { name, environment, daemon: Some(daemon), folder };
    for _ in 0..TRIES {
        if run(&mut engine.command(check[0], &check[1..])).is_ok() {
            return Some(engine);
        }
        if engine.daemon.as_mut().unwrap().try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    let log = fs::read_to_string(engine.folder.path().join("log")).unwrap();
    let end = log.lines().rev().take(3).collect::<Vec<_>>().join("\n");
    skip(&format!("{name} does not start here:\n{end}"));
    None
}

impl Engine {
    /// A command that finds this engine.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        self.reach(command(program, arguments))
    }

    /// The same command, finding this engine.
    pub(crate) fn reach(&self, mut command: Command) -> Command {
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Loads an archive by the engine's own means.
    pub(crate) fn load_archive(&self, archive: &Path) {
        let archive = archive.to_str().unwrap();
        let mut command = match self.name {
            "containerd" => self.command("ctr", &["images", "import", archive]),
            name => self.command(name, &["load", "--quiet", "--input", archive]),
        };
        super::stdout_of(&mut command);
    }

    /// The images, as `NAME ID`; an ID is the digest of an image's configuration.
    pub(crate) fn images(&self) -> Vec<String> {
        if self.name == "containerd" {
            return self.containerd_images();
        }
        let format = "{{.Repository}}:{{.Tag}} {{.ID}}";
        let mut list = self.command(self.name, &["images", "--no-trunc", "--format", format]);
        let mut images = lines(&super::stdout_of(&mut list));
        images.retain(|image| !image.starts_with("<none>"));
        images.sort();
        images
    }

    fn containerd_images(&self) -> Vec<String> {
        let list = super::stdout_of(&mut self.command("ctr", &["images", "ls"]));
        let image = |line: &String| {
            let mut words = line.split_whitespace();
            let (name, digest) = (words.next().unwrap(), words.nth(1).unwrap());
            let mut get = self.command("ctr", &["content", "get", digest]);
            let manifest: serde_json::Value =
                serde_json::from_slice(&super::stdout_of(&mut get)).unwrap();
            format!("{name} {}", manifest["config"]["digest"].as_str().unwrap())
        };
        let mut images: Vec<_> = lines(&list).iter().skip(1).map(image).collect();
        images.sort();
        images
    }

    /// What the engine calls an image whose name says no registry.
    pub(crate) fn full_name(&self, name: &str) -> String {
        match self.name {
            "docker" => name.to_owned(),
            "podman" => format!("localhost/{name}"),
            _ if name.contains('/') => format!("docker.io/{name}"),
            _ => format!("docker.io/library/{name}"),
        }
    }
}

fn lines(output: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(output).lines().map(str::to_owned).collect()
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = Command::new("kill").arg(daemon.id().to_string()).status();
            for _ in 0..TRIES {
                if !matches!(daemon.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(PAUSE);
            }
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        // What an engine has left mounted is not to be deleted through.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let folder = format!("{}/", self.folder.path().display());
        let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for target in targets.filter(|target| target.starts_with(&folder)) {
            let _ = Command::new("umount").args(["--lazy", target]).status();
        }
    }
}
