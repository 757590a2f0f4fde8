//! Debian's registry.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::need;

/// `docker-registry` on a free port with temporary data; stopped when this is dropped.
#[derive(Debug)]
pub(crate) struct DockerRegistry {
    process: Child,
    pub(crate) address: String,
    _data: TempDir,
}

/// The user of a registry with a password, and the password.
pub(crate) const USER: &str = "me";
pub(crate) const PASSWORD: &str = "s3cret: ü";
/// Both, in htpasswd's file format.
const HTPASSWD: &str = "me:$2b$05$abcdefghijklmnopqrstuumrnZPrrmvLscLtnez0J1NlBQJHtHMWW\n";

impl DockerRegistry {
    /// A registry without authentication.
    pub(crate) fn start() -> Self {
        Self::start_with(false)
    }

    /// A registry that requires [`USER`] and [`PASSWORD`].
    pub(crate) fn with_password() -> Self {
        Self::start_with(true)
    }

    fn start_with(has_password: bool) -> Self {
        need("docker-registry");
        let data = TempDir::with_prefix("nix-image-test-").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let [config, root, users] =
            ["config.yml", "data", "htpasswd"].map(|name| data.path().join(name));
        let auth = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", users.display());
        let auth = if has_password { &*auth } else { "" };
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nhttp: {{addr: \"{address}\"}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\n{auth}",
            root.display()
        );
        if has_password {
            std::fs::write(&users, HTPASSWD).unwrap();
        }
        std::fs::write(&config, text).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self { process, address, _data: data };
        for _ in 0..200 {
            if TcpStream::connect(&registry.address).is_ok() {
                return registry;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("docker-registry does not listen");
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
