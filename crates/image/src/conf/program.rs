//! The program that Nix builds for an image: a shell script that passes a conf to the streaming
//! program.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::ConfError;

/// The largest script that is read; those of nixpkgs and this project have less than 1 KiB.
const MAX_SCRIPT: u64 = 64 << 10;

/// The type of a file that may describe an image, detected from its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A conf.
    Conf,
    /// A program that streams the image of this conf.
    Program(PathBuf),
    /// Anything else.
    Other,
}

impl Form {
    /// Detects the type of the file at `path`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is a script that does not name a conf.
    pub fn of(path: &Path) -> Result<Self, ConfError> {
        let read_error = |source| ConfError::Read { path: path.to_owned(), source };
        // Opening a pipe would wait for a writer.
        if !path.metadata().map_err(read_error)?.is_file() {
            return Ok(Self::Other);
        }
        let mut start = Vec::new();
        let mut file = File::open(path).map_err(read_error)?;
        file.by_ref().take(2).read_to_end(&mut start).map_err(read_error)?;
        match &start[..] {
            [b'{', ..] => Ok(Self::Conf),
            b"#!" => {
                file.take(MAX_SCRIPT).read_to_end(&mut start).map_err(read_error)?;
                let conf = conf_of(&String::from_utf8_lossy(&start)).map(PathBuf::from);
                conf.map(Self::Program).ok_or_else(|| ConfError::Script(path.to_owned()))
            }
            _ => Ok(Self::Other),
        }
    }
}

/// The conf that the script passes to a program: the last argument of the last command before the
/// script's own arguments.
fn conf_of(script: &str) -> Option<&str> {
    let command = script.lines().rev().find(|line| line.trim_start().starts_with("exec "))?;
    let word = command.trim_end().strip_suffix("\"$@\"")?.split_whitespace().next_back()?;
    let word = word.trim_matches(['"', '\'']);
    let is_conf = Path::new(word).extension().is_some_and(|extension| extension == "json");
    (word.starts_with('/') && is_conf).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_ours_and_of_nixpkgs_name_their_conf() {
        let conf = Some("/nix/store/x-app-conf.json");
        for (script, expected) in [
            (
                "#!/bin/sh\ncase \"${1-}\" in\n  a | b)\n    exec /p/nix-image \"$command\" \
                 /nix/store/x-app-conf.json \"$@\"\n    ;;\nesac\n\
                 exec /p/stream-layered-image /nix/store/x-app-conf.json \"$@\"\n",
                conf,
            ),
            ("#! /bin/bash -e\nexec \"/p/stream\"  /nix/store/x-app-conf.json \"$@\" \n", conf),
            ("#!/bin/sh\nexec '/p/stream' '/nix/store/x-app-conf.json' \"$@\"", conf),
            ("#!/bin/sh\nexec /p/stream \"$@\"\n", None),
            ("#!/bin/sh\nexec \"$@\"\n", None),
            ("#!/bin/sh\necho /nix/store/x-app-conf.json\n", None),
            ("#!", None),
        ] {
            assert_eq!(conf_of(script), expected, "{script}");
        }
    }
}
