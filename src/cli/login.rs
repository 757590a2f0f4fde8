//! `nix-image login` and `nix-image logout`, and logins for a single command.

use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use anyhow::{Context as _, bail};
use serde::{Serialize, Serializer};
use serde_json::json;

use crate::report::{self, Mode, Style};
use oci::registry::{Login, Options, Place};
use oci::without_user;

/// The longest name or password that is read, in bytes.
const MAX: u64 = 64 << 10;
/// The terminal that the program runs in, if it does.
const TERMINAL: &str = "/dev/tty";
/// How to log in without one.
const PIPE: &str = "pipe it into `nix-image login --password-stdin`";

/// Log in to a registry, for this program and for others
///
/// The name and the password are checked with the registry, and then written to the file that
/// `REGISTRY_AUTH_FILE` names, or else to docker's file, `~/.docker/config.json` or `config.json`
/// in `DOCKER_CONFIG`, which podman, skopeo and buildah read as well. If that file names a
/// credential helper (`credsStore` or `credHelpers`), the helper stores the password; otherwise the
/// file holds it, unencrypted. If podman's own file, which is read before docker's, has an entry
/// for the registry, that is replaced too.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints nothing to standard output.

Examples:
  # Log in, prompting for name and password
  nix-image login ghcr.io

  # Log in with a password from a program
  pass show ghcr.io | nix-image login ghcr.io -u me --password-stdin

  # Log in to a registry without TLS
  nix-image login registry.local:5000 -u me --tls-verify=false")]
pub(super) struct Args {
    /// The registry, such as ghcr.io, localhost:5000 or docker.io
    registry: String,
    /// The user name [default: prompt for it]
    #[arg(short, long = "username", value_name = "USER")]
    user: Option<String>,
    /// Read the password from standard input instead of prompting for it
    #[arg(long, requires = "user")]
    password_stdin: bool,
    /// Check certificates, and refuse plain HTTP except to this machine
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    tls_verify: bool,
}

/// Remove the name and the password for a registry
///
/// They are removed from every file in which docker, podman and skopeo look for them, and from the
/// credential helpers that these files name for the registry. If `REGISTRY_AUTH_FILE` is set, only
/// that file is changed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints nothing to standard output.

Examples:
  # Log out of a registry
  nix-image logout ghcr.io")]
pub(super) struct Logout {
    /// The registry, such as ghcr.io, localhost:5000 or docker.io
    registry: String,
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        let registry = registry(&self.registry)?;
        let user = match self.user {
            Some(user) => user,
            None => ask_user(&registry)?,
        };
        check_user(&user)?;
        let password = if self.password_stdin {
            read_password()?
        } else {
            ask_password(&user, &registry, PIPE)?
        };
        let login = Login { registry, user, password };
        login.check(&Options { tls_verify: self.tls_verify, login: None })?;
        let places = login.save()?;
        let Login { registry, user, .. } = login;
        conclude(mode, &Done::LoggedIn { registry, user, places })
    }
}

impl Logout {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        let registry = registry(&self.registry)?;
        let places = Login::forget(&registry)?;
        conclude(mode, &Done::LoggedOut { registry, places })
    }
}

/// The login that `--creds USER[:PASSWORD]` describes. Prompts for a missing password.
pub(super) fn of_text(text: &str, registry: &str) -> anyhow::Result<Login> {
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(password.to_owned())),
        None => (text, None),
    };
    check_user(user)?;
    let remedy = format!("give it as `--creds {user}:PASSWORD`");
    let password = password.map_or_else(|| ask_password(user, registry, &remedy), Ok)?;
    Ok(Login { registry: registry.into(), user: user.into(), password })
}

fn registry(text: &str) -> anyhow::Result<String> {
    Login::registry_of(text).with_context(|| {
        let shown = without_user(text).unwrap_or_else(|| text.to_owned());
        format!(
            "`{shown}` is not a valid registry; expected one such as `ghcr.io` or `localhost:5000`"
        )
    })
}

/// Registries split the name from the password at the first colon.
fn check_user(user: &str) -> anyhow::Result<()> {
    if user.is_empty() || user.contains(':') || user.contains(char::is_control) {
        bail!("expected a user name that is not empty and contains no colon");
    }
    Ok(())
}

fn ask_user(registry: &str) -> anyhow::Result<String> {
    if !io::stdin().is_terminal() {
        bail!("there is no terminal to ask for the user name; give it with `--username`");
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "Username for {registry}: ").and_then(|()| stderr.flush())?;
    let mut user = String::new();
    io::stdin().lock().take(MAX).read_line(&mut user).context("reading the user name")?;
    Ok(user.trim().to_owned())
}

/// Asks at the terminal. `remedy` is what to do without one.
fn ask_password(user: &str, registry: &str, remedy: &str) -> anyhow::Result<String> {
    if File::open(TERMINAL).is_err() {
        bail!("there is no terminal to ask for the password; {remedy}");
    }
    let password = rpassword::prompt_password(format!("Password for {user} at {registry}: "));
    check_password(password.context("reading the password")?)
}

/// Reads the password from standard input, without the line ending.
fn read_password() -> anyhow::Result<String> {
    let mut text = String::new();
    let read = io::stdin().lock().take(MAX).read_to_string(&mut text);
    read.context("reading the password from standard input")?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    check_password(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

fn check_password(password: String) -> anyhow::Result<String> {
    if password.is_empty() || password.contains('\n') {
        bail!("expected a password on a single, non-empty line");
    }
    Ok(password)
}

/// The outcome of a login or logout.
#[derive(Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum Done {
    LoggedIn {
        #[serde(rename = "where")]
        registry: String,
        user: String,
        /// Where the password is stored.
        #[serde(serialize_with = "as_objects")]
        places: Vec<Place>,
    },
    LoggedOut {
        #[serde(rename = "where")]
        registry: String,
        /// Where a password was stored.
        #[serde(serialize_with = "as_objects")]
        places: Vec<Place>,
    },
}

fn conclude(mode: Mode, done: &Done) -> anyhow::Result<()> {
    report::new(mode, Style::READ).conclude(done)
}

/// Places for programs.
fn as_objects<S: Serializer>(places: &[Place], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(places.iter().map(|place| match place {
        Place::File(file) => json!({ "file": file.to_string_lossy() }),
        Place::Helper(helper) => json!({ "helper": helper }),
    }))
}

/// Places for users.
fn in_words(places: &[Place]) -> String {
    let word = |place: &Place| match place {
        Place::File(file) => format!("`{}`", file.display()),
        Place::Helper(helper) => format!("the credential helper `{helper}`"),
    };
    places.iter().map(word).collect::<Vec<_>>().join(" and ")
}

impl Display for Done {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoggedIn { registry, user, places } => {
                let places = in_words(places);
                write!(formatter, "logged in to `{registry}` as `{user}`; stored in {places}")
            }
            Self::LoggedOut { registry, places } if places.is_empty() => {
                write!(formatter, "not logged in to `{registry}`")
            }
            Self::LoggedOut { registry, places } => {
                let places = in_words(places);
                write!(formatter, "logged out of `{registry}`; removed from {places}")
            }
        }
    }
}
