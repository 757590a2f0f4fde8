//! `nix-image login` and `logout` with a registry that needs a password, and other programs that
//! read what they write.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::docker_registry::{DockerRegistry, PASSWORD, USER};
use crate::support::{NIX_IMAGE, TempStore, failure_of, need, run, stdout_of};

/// A user's home directory, for all logins.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(TempDir::with_prefix("nix-image-test-").unwrap())
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env("HOME", self.0.path()).stdin(Stdio::null());
        for variable in ["XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "DOCKER_CONFIG"] {
            command.env_remove(variable);
        }
        for variable in ["REGISTRY_AUTH_FILE", "DOCKER_AUTH_CONFIG", "DOCKER_HOST"] {
            command.env_remove(variable);
        }
        command
    }

    fn file(&self) -> PathBuf {
        self.0.path().join(".docker/config.json")
    }

    fn config(&self) -> Value {
        serde_json::from_slice(&fs::read(self.file()).unwrap()).unwrap()
    }

    fn login(&self, registry: &str, password: &str) -> Command {
        let mut command = self.command(
            "sh",
            &[
                "-c",
                "printf '%s\\n' \"$1\" | exec \"$2\" login \"$3\" -u \"$4\" --password-stdin",
                "sh",
            ],
        );
        command.args([password, NIX_IMAGE, registry, USER]);
        command
    }
}

#[test]
fn what_login_writes_is_read_by_others_until_logout() {
    need("skopeo");
    let registry = DockerRegistry::with_password();
    let home = Home::new();
    let address = &*registry.address;
    let store = TempStore::new();
    let customisation = store.write_customisation_layer(&[0; 1024]);
    let conf = store.write_conf("conf", &TempStore::conf(&json!([]), &customisation));
    let [conf, root] = [&*conf, store.root()].map(|path| path.to_str().unwrap());
    let name = format!("{address}/app:1");
    let push = |arguments: &[&str]| {
        let arguments = [&["push", conf, &name, "--store-root", root][..], arguments].concat();
        home.command(NIX_IMAGE, &arguments)
    };
    let refused = failure_of(&mut push(&[]));
    assert!(refused.contains("log in with `nix-image login`"), "{refused}");

    // A login for a single push writes nothing.
    let preview = push(&["--dry-run", "--creds", &format!("{USER}:{PASSWORD}")]).output().unwrap();
    let said = String::from_utf8(preview.stderr).unwrap();
    assert!(said.starts_with(&format!("would push {name}: 1 of 1 layers, ")), "{said}");
    assert!(
        String::from_utf8(preview.stdout).unwrap().starts_with(&format!("{address}/app sha256:"))
    );
    let digest_file = home.0.path().join("digest");
    let digest = ["--digest-file", digest_file.to_str().unwrap()];
    let creds = format!("{USER}:{PASSWORD}");
    let pushed = stdout_of(push(&["--creds", &creds]).args(digest));
    let digest = fs::read_to_string(digest_file).unwrap();
    assert_eq!(String::from_utf8(pushed).unwrap(), format!("{address}/app@{digest}\n"));
    let said = push(&["--dry-run", "--creds", &creds]).output().unwrap();
    assert!(String::from_utf8(said.stderr).unwrap().contains("0 of 1 layers, 0 bytes of "));
    let wrong = failure_of(&mut push(&["--creds", "me:wrong"]));
    assert!(wrong.starts_with("error: `--creds` was refused: "), "{wrong}");
    let refused = format!(": `{address}` does not accept this password for `me`; some registries");
    assert!(wrong.contains(&refused) && !wrong.contains("wrong"), "{wrong}");
    let asked = failure_of(&mut push(&["--creds", "me"]));
    assert!(
        asked.ends_with(
            "there is no terminal to ask for the password; give it as `--creds me:PASSWORD`\n"
        ),
        "{asked}"
    );
    assert!(!home.file().exists());

    // Existing settings stay.
    fs::create_dir(home.0.path().join(".docker")).unwrap();
    fs::write(home.file(), r#"{"psFormat":"x","auths":{"other.io":{"auth":"dTpw"}}}"#).unwrap();
    let wrong = failure_of(&mut home.login(address, "wrong"));
    assert!(wrong.contains("does not accept this password for `me`"), "{wrong}");
    assert_eq!(home.config()["auths"].as_object().unwrap().len(), 1);
    let Output { stdout, stderr, status } = home.login(address, PASSWORD).output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(status.success() && stdout.is_empty(), "{said}");
    assert!(said.starts_with(&format!("logged in to `{address}` as `me`; stored in `")), "{said}");
    assert_eq!(home.config()["psFormat"], "x");
    assert_eq!(fs::metadata(home.file()).unwrap().permissions().mode() & 0o777, 0o600);

    stdout_of(&mut push(&[]));
    let place = format!("docker://{name}");
    let inspect = || home.command("skopeo", &["inspect", "--raw", "--tls-verify=false", &place]);
    stdout_of(&mut inspect());
    stdout_of(&mut home.command(NIX_IMAGE, &["logout", address]));
    assert_eq!(home.config()["auths"], json!({ "other.io": { "auth": "dTpw" } }));
    assert!(run(&mut inspect()).is_err());
    let again = home.command(NIX_IMAGE, &["logout", address]).output().unwrap();
    assert!(String::from_utf8(again.stderr).unwrap().starts_with("not logged in to "));
}

#[test]
fn what_login_writes_is_what_podman_and_docker_read() {
    let registry = DockerRegistry::with_password();
    let home = Home::new();
    let address = &*registry.address;
    stdout_of(&mut home.login(address, PASSWORD));
    need("podman");
    let user = stdout_of(&mut home.command("podman", &["login", "--get-login", address]));
    assert_eq!(String::from_utf8(user).unwrap().trim(), USER);
    // Podman's own file is read first, so an entry in it is replaced.
    let [podmans, podmans_file] = [".config/containers", ".config/containers/auth.json"];
    fs::create_dir_all(home.0.path().join(podmans)).unwrap();
    let old = json!({ "auths": { address: { "auth": "b2xkOm9sZA==" } } });
    fs::write(home.0.path().join(podmans_file), old.to_string()).unwrap();
    stdout_of(&mut home.login(address, PASSWORD));
    let user = stdout_of(&mut home.command("podman", &["login", "--get-login", address]));
    assert_eq!(String::from_utf8(user).unwrap().trim(), USER);
}

#[test]
fn a_credential_helper_keeps_the_password() {
    let registry = DockerRegistry::with_password();
    let home = Home::new();
    let address = &*registry.address;
    let helper = home.0.path().join("docker-credential-test");
    let kept = home.0.path().join("kept");
    let script = format!(
        "#!/bin/sh\ncase $1 in store) cat > {0};; get) cat > /dev/null; cat {0};; erase) rm {0};; \
         esac\n",
        kept.display()
    );
    fs::File::create(&helper).unwrap().write_all(script.as_bytes()).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(home.0.path().join(".docker")).unwrap();
    fs::write(home.file(), r#"{"credsStore":"test"}"#).unwrap();
    let path = format!("{}:{}", home.0.path().display(), std::env::var("PATH").unwrap());
    let said = home.login(address, PASSWORD).env("PATH", &path).output().unwrap().stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(
        said.ends_with("; stored in the credential helper `docker-credential-test`\n"),
        "{said}"
    );
    let secret: Value = serde_json::from_slice(&fs::read(&kept).unwrap()).unwrap();
    assert_eq!(secret, json!({ "ServerURL": address, "Username": USER, "Secret": PASSWORD }));
    assert_eq!(home.config()["auths"], json!({ address: {} }));
    let out = home.command(NIX_IMAGE, &["logout", address, "--json"]).env("PATH", &path).output();
    let out: Value = serde_json::from_slice(&out.unwrap().stdout).unwrap();
    assert_eq!(out["places"], json!([{ "helper": "docker-credential-test" }]));
    assert!(!kept.exists());
    assert_eq!(home.config(), json!({ "credsStore": "test", "auths": {} }));
}
