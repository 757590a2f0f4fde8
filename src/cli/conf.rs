//! The CONF operand: a conf, standard input, or the program that Nix built.
//!
//! Such a program is a script that names its conf. The script is read, never run.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead as _, ErrorKind, Read};
use std::path::{Component, Path, PathBuf, absolute};

use anyhow::{anyhow, bail};

use super::not_an_image::{Found as Kind, NotAnImage};
use image::bounded;
use image::conf::{Conf, ConfError};
use image::store::Store;

/// The operand that means standard input.
pub(super) const STDIN: &str = "-";
/// How many bytes of a file tell its format: a tar file's magic number ends at byte 263.
const HEAD: u64 = 512;
/// The largest script that is searched for a conf, in bytes.
const MAX_SCRIPT: u64 = 64 << 10;
/// The suffix of a conf's file name, from nixpkgs' function and from this project's.
const SUFFIX: &str = "-conf.json";

/// A conf that was found, and the root of the store that it is in.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) conf: Conf,
    /// The directory below which its store paths are read, if not `/`.
    pub(super) store_root: Option<PathBuf>,
}

/// Reads the conf that an operand names. A given root is used as is; otherwise a conf, or its
/// program, in `ROOT/nix/store` implies that root.
pub(super) fn find(operand: &Path, store_root: Option<&Path>) -> anyhow::Result<Found> {
    if operand.as_os_str() == STDIN {
        if stdin_is_archive()? {
            bail!(
                "standard input is an archive, and this command reads a conf from it; save the \
                 archive to a file, and give its name"
            );
        }
        // It is in no store.
        return read(operand, io::stdin().lock(), |_| store_root.map(Path::to_owned));
    }
    let path = located(operand, store_root);
    check_link(&path)?;
    if path.is_dir() {
        bail!(NotAnImage::new(operand, Kind::Directory));
    }
    let file = File::open(&path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => anyhow!(NotAnImage::new(operand, Kind::Nothing)),
        _ => unreadable(operand, source).into(),
    })?;
    read(operand, file, |store| store_root.map(Path::to_owned).or_else(|| root_of(&path, store)))
}

/// Reads a conf, or the conf that a program names. `root` finds the root of a store.
fn read(
    operand: &Path,
    mut from: impl Read,
    root: impl Fn(&str) -> Option<PathBuf>,
) -> anyhow::Result<Found> {
    let head = read_all(operand, from.by_ref().take(HEAD))?;
    let rest = head.chain(from);
    if !head.starts_with(b"#!") {
        let conf = parse(operand, &head, rest)?;
        let store_root = root(&conf.store_dir);
        return Ok(Found { conf, store_root });
    }
    let script = read_all(operand, rest.take(MAX_SCRIPT))?;
    let named = named_conf(operand, &String::from_utf8_lossy(&script))?;
    let store = named.rsplit_once('/').map_or(&*named, |(store, _)| store);
    let store_root = root(store);
    let place = Store::new(store, store_root.as_deref())?.locate(&named, "the conf")?;
    let file = File::open(&place).map_err(|source| unreadable(&place, source))?;
    let conf = Conf::parse(&place, &read_all(&place, file)?)?;
    Ok(Found { conf, store_root })
}

/// Parses a file that begins with `head`, or says what it is instead of a conf.
fn parse(operand: &Path, head: &[u8], all: impl Read) -> anyhow::Result<Conf> {
    let begins = head.trim_ascii_start().first();
    let is_json = matches!(begins, Some(b'{' | b'['));
    if let Some(found) = Kind::of(head).filter(|_| !is_json) {
        bail!(NotAnImage::new(operand, found));
    }
    Conf::parse(operand, &read_all(operand, all)?).map_err(|error| match error {
        ConfError::Json { .. } if !is_json => anyhow!(NotAnImage::new(operand, Kind::Text)),
        error => error.into(),
    })
}

/// Whether an operand names an image in an archive or layout, `PATH` or `PATH#NAME`, not a conf.
pub(super) fn is_stored(operand: &str) -> bool {
    let path = Path::new(operand);
    let path = match operand.rsplit_once('#') {
        Some((before, _)) if !path.exists() => Path::new(before),
        _ => path,
    };
    // Opening a pipe would consume bytes that the conf's reader needs.
    let head = || read_all(path, File::open(path).ok()?.take(HEAD)).ok();
    path.join("index.json").exists()
        || path.is_file() && head().is_some_and(|head| is_archive(&head))
}

/// Whether standard input begins as an archive does. This consumes none of it.
pub(super) fn stdin_is_archive() -> io::Result<bool> {
    Ok(is_archive(io::stdin().lock().fill_buf()?))
}

/// Where to read an operand: at its own path, or else below the root. Nix makes links such as
/// `result` that point into a store below another root.
fn located(operand: &Path, root: Option<&Path>) -> PathBuf {
    let below = || {
        let store = Store::new("/nix/store", Some(root?)).ok()?;
        let found = store.locate(absolute(operand).ok()?.to_str()?, "the conf").ok()?;
        found.exists().then_some(found)
    };
    if operand.exists() { operand.to_owned() } else { below().unwrap_or_else(|| operand.into()) }
}

/// The root that holds the store of this file, found by the file's path as given or with all links
/// resolved. `None` if the file is in no such store, or if the root is `/`.
fn root_of(path: &Path, store: &str) -> Option<PathBuf> {
    let parts: Vec<Component> =
        Path::new(store).components().filter(|part| *part != Component::RootDir).collect();
    let root = |path: PathBuf| {
        path.ancestors().skip(1).find_map(|directory| {
            let all: Vec<Component> = directory.components().collect();
            let root = all.strip_suffix(&*parts).map(|root| root.iter().collect::<PathBuf>())?;
            (!parts.is_empty() && root.parent().is_some()).then_some(root)
        })
    };
    absolute(path).ok().and_then(root).or_else(|| path.canonicalize().ok().and_then(root))
}

/// The conf that a script names: the only path in it with a conf's suffix.
fn named_conf(script: &Path, text: &str) -> anyhow::Result<String> {
    let is_other = |c: char| !(c.is_ascii_alphanumeric() || "+-._?=/".contains(c));
    let words = text.split(is_other).filter(|word| word.starts_with('/') && word.ends_with(SUFFIX));
    let confs: BTreeSet<&str> = words.collect();
    let shown = script.display();
    match (confs.first(), confs.len()) {
        (Some(conf), 1) => Ok((*conf).to_owned()),
        (None, _) => bail!(
            "`{shown}` is a script that names no conf; expected a program that \
             streamLayeredImage builds, which names one such as /nix/store/…{SUFFIX}"
        ),
        _ => {
            let confs: Vec<_> = confs.into_iter().collect();
            bail!("`{shown}` is a script that names several confs; use one of {}", confs.join(", "))
        }
    }
}

/// Whether a file that begins with these bytes is an archive, compressed or not.
fn is_archive(head: &[u8]) -> bool {
    // gzip, zstd, xz and bzip2.
    const COMPRESSED: [&[u8]; 4] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh"];
    head.get(257..262) == Some(b"ustar") || COMPRESSED.iter().any(|magic| head.starts_with(magic))
}

/// Fails for a dangling link, such as a `result` that points into a store below another root.
fn check_link(path: &Path) -> anyhow::Result<()> {
    if let Ok(target) = path.read_link()
        && !path.exists()
    {
        let (path, target) = (path.display(), target.display());
        bail!(
            "`{path}` is a link to `{target}`, which does not exist; build it again, or give the \
             root of its store with `--store-root`"
        );
    }
    Ok(())
}

fn read_all(path: &Path, from: impl Read) -> Result<Vec<u8>, ConfError> {
    bounded::read_document(from).map_err(|source| unreadable(path, source))
}

fn unreadable(path: &Path, source: io::Error) -> ConfError {
    ConfError::Read { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_what_stands_before_the_store() {
        for (path, store, root) in [
            ("/mnt/nix/store/a-conf.json", "/nix/store", Some("/mnt")),
            ("/mnt/nix/store/a-x/conf.json", "/nix/store", Some("/mnt")),
            ("/nix/store/a-root/nix/store/b-conf.json", "/nix/store", Some("/nix/store/a-root")),
            ("/nix/store/a-conf.json", "/nix/store", None),
            ("/mnt/nix/store", "/nix/store", None),
            ("/mnt/nix/storage/a-conf.json", "/nix/store", None),
            ("/home/me/nix/store/a-conf.json", "/home/me/nix/store", None),
            ("/mnt/gnu/store/a-conf.json", "/gnu/store", Some("/mnt")),
            ("/mnt/a-conf.json", "/", None),
        ] {
            assert_eq!(root_of(path.as_ref(), store).as_deref(), root.map(Path::new), "{path}");
        }
    }

    #[test]
    fn scripts_name_one_conf() {
        let conf = "/nix/store/0123-app-conf.json";
        for (script, found) in [
            // What this project's function, nixpkgs' makeWrapper and its older writeScript write.
            (format!("exec /nix/store/1-nix-image/bin/stream-layered-image {conf} \"$@\""), true),
            (format!("exec \"/nix/store/2-stream\"  {conf} \"$@\" "), true),
            (format!("/nix/store/2-python /nix/store/3-x.py '{conf}' \"$@\""), true),
            (format!("load) a {conf};; esac\nb {conf} \"$@\""), true),
            (format!("a {conf} {conf}2-conf.json"), false),
            ("echo -conf.json relative/x-conf.json".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(
                named_conf("result".as_ref(), &script).ok().as_deref(),
                found.then_some(conf),
                "{script}"
            );
        }
    }
}
