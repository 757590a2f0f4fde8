//! Container engines, each started for a test in a separate folder and stopped with it, by
//! `tests/driver/engines.py`, which also serves the scripts of `tests/scripts`.

use super::{cannot_run, command, need, need_root, python3, skip, test_file};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// An engine, which runs as a daemon or is started on demand.
#[derive(Debug)]
pub(crate) struct Engine {
    /// Its name for `--engine`.
    pub(crate) name: &'static str,
    /// The environment variables by which programs find it.
    environment: BTreeMap<String, String>,
    /// A program that runs other programs as the engine's user.
    as_user: Option<String>,
    /// The process that started the engine, and stops it when its standard input ends.
    starter: Child,
}

/// dockerd with its own, classic store.
pub(crate) fn docker() -> Engine {
    start("docker", "docker", None, &["dockerd", "docker"])
}

/// The same with its files in a folder, which determines their file system.
pub(crate) fn docker_on(folder: PathBuf) -> Engine {
    start("docker", "docker", Some(folder), &["dockerd", "docker"])
}

/// dockerd with containerd's store, available since version 24.
pub(crate) fn docker_with_containerd_store() -> Engine {
    let engine = start("docker", "docker-with-containerd-store", None, &["dockerd", "docker"]);
    let mut info = engine.command("docker", &["info", "--format", "{{.DriverStatus}}"]);
    if String::from_utf8_lossy(&super::stdout_of(&mut info)).contains("io.containerd.snapshotter") {
        return engine;
    }
    cannot_run("this dockerd has no containerd store")
}

pub(crate) fn podman() -> Engine {
    start("podman", "podman", None, &["podman", "runc"])
}

/// podman with its storage in a folder, which determines its file system.
pub(crate) fn podman_on(folder: PathBuf) -> Engine {
    start("podman", "podman", Some(folder), &["podman", "runc"])
}

/// Rootless podman of a temporary user.
pub(crate) fn rootless_podman() -> Engine {
    start("podman", "rootless-podman", None, &ROOTLESS)
}

/// The same with its storage in a folder.
pub(crate) fn rootless_podman_on(folder: PathBuf) -> Engine {
    start("podman", "rootless-podman", Some(folder), &ROOTLESS)
}

/// Rootless podman of a user without subordinate IDs: all files belong to that user.
pub(crate) fn podman_without_ids() -> Engine {
    start("podman", "podman-without-ids", None, &ROOTLESS)
}

/// The same with its storage in a folder.
pub(crate) fn podman_without_ids_on(folder: PathBuf) -> Engine {
    start("podman", "podman-without-ids", Some(folder), &ROOTLESS)
}

const ROOTLESS: [&str; 4] = ["podman", "runc", "newuidmap", "setpriv"];

pub(crate) fn containerd() -> Engine {
    start("containerd", "containerd", None, &["containerd", "ctr"])
}

/// containerd with its files in a folder, which determines their file system.
pub(crate) fn containerd_on(folder: PathBuf) -> Engine {
    start("containerd", "containerd", Some(folder), &["containerd", "ctr"])
}

/// containerd whose namespaces share no content.
pub(crate) fn containerd_that_isolates() -> Engine {
    start("containerd", "isolating-containerd", None, &["containerd", "ctr"])
}

/// The starter's variable for [`Engine::as_user`].
const AS_USER: &str = "AS_USER";

/// Starts an engine, by its name in the starter.
fn start(
    name: &'static str,
    starters_name: &str,
    folder: Option<PathBuf>,
    programs: &[&str],
) -> Engine {
    need_root("start an engine");
    for program in programs {
        need(program);
    }
    let mut starter = Command::new(python3())
        .arg(test_file("driver/engines.py"))
        .arg(starters_name)
        .args(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(starter.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    if line.is_empty() {
        let mut said = String::new();
        starter.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        starter.wait().unwrap();
        skip(&format!("{name} does not start here: {said}"));
    }
    let mut environment: BTreeMap<_, _> = serde_json::from_str(&line).unwrap();
    let as_user = environment.remove(AS_USER);
    Engine { name, environment, as_user, starter }
}

impl Engine {
    /// A command that finds this engine.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        self.reach(command(program, arguments))
    }

    /// Makes a command find this engine.
    pub(crate) fn reach(&self, command: Command) -> Command {
        let mut reaching = command;
        if let Some(as_user) = &self.as_user {
            let wrapped = reaching;
            reaching = Command::new(as_user);
            reaching.arg(wrapped.get_program()).args(wrapped.get_args());
            for (name, value) in wrapped.get_envs() {
                match value {
                    Some(value) => reaching.env(name, value),
                    None => reaching.env_remove(name),
                };
            }
        }
        reaching.envs(&self.environment);
        reaching
    }

    /// Stops its daemon, by `stop` or `kill`, and starts it again with what it has on disk.
    pub(crate) fn restart(&mut self, how: &str) {
        writeln!(self.starter.stdin.as_mut().unwrap(), "{how}").unwrap();
        let mut line = String::new();
        BufReader::new(self.starter.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let environment: BTreeMap<_, _> = serde_json::from_str(&line).unwrap();
        assert_eq!(self.environment, environment, "where it is after a restart");
    }

    /// The folder with everything of the engine.
    pub(crate) fn folder(&self) -> PathBuf {
        let places = ["CONTAINERS_STORAGE_CONF", "CONTAINERD_ADDRESS"];
        let place = places.iter().find_map(|name| self.environment.get(*name)).unwrap();
        Path::new(place).parent().unwrap().to_owned()
    }

    /// The value of a variable in that environment.
    pub(crate) fn variable(&self, name: &str) -> &str {
        &self.environment[name]
    }

    /// Loads an archive by the engine's own means.
    pub(crate) fn load_archive(&self, archive: &Path) {
        self.try_archive(archive).unwrap_or_else(|failure| panic!("{failure}"));
    }

    /// The same, but returns a failure.
    pub(crate) fn try_archive(&self, archive: &Path) -> Result<(), String> {
        let archive = archive.to_str().unwrap();
        let mut command = match self.name {
            "containerd" => self.command("ctr", &["images", "import", archive]),
            name => self.command(name, &["load", "--quiet", "--input", archive]),
        };
        super::run(&mut command).map(drop)
    }

    /// The images, as `NAME ID`; an ID is the digest of an image's config.
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

    /// The address of the containerd in which dockerd has its store.
    pub(crate) fn containerd_address(&self) -> String {
        let format = "{{.Containerd.Address}}";
        // Docker 26 and older do not have the field.
        match super::run(&mut self.command("docker", &["info", "--format", format])) {
            Ok(said) if said.starts_with(b"/") => {
                String::from_utf8(said).unwrap().trim().to_owned()
            }
            _ => cannot_run("this dockerd does not say where its containerd is"),
        }
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

    /// What a container of an image prints. podman 4 and ctr 2 may exit before any of that has
    /// arrived; then there is one more container.
    pub(crate) fn output_of(&self, image: &str) -> String {
        let image = self.full_name(image);
        let run = |number: u32| {
            let mut run = match self.name {
                "containerd" => {
                    self.command("ctr", &["run", "--rm", &image, &format!("run-{number}")])
                }
                name => self.command(name, &["run", "--rm", "--network=none", &image]),
            };
            String::from_utf8(super::stdout_of(&mut run)).unwrap()
        };
        (0..10).map(run).find(|output| !output.is_empty()).unwrap_or_default()
    }

    /// The engine's name for an image whose name has no registry.
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
        self.starter.stdin = None;
        let _ = self.starter.wait();
    }
}
