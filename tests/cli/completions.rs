//! What shells complete: bash's script is run, the others are searched.

use std::process::Command;

use crate::support::{NIX_IMAGE, need, stdout_of};

/// Prints what is offered for the last of the words.
const COMPLETE: &str = r#"
source <("$1" completions bash)
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
spec=$(complete -p nix-image)
function=${spec#*-F }
"${function%% *}" nix-image "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

fn completed(words: &[&str]) -> Vec<String> {
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", COMPLETE, "bash", NIX_IMAGE, "nix-image"]).args(words);
    String::from_utf8(stdout_of(&mut bash)).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    need("bash");
    for (words, expected) in [
        (&["lo"][..], &["load", "lock", "login", "logout"][..]),
        (&["load", "--eng"], &["--engine"]),
        (&["load", "--engine", "d"], &["docker"]),
        (&["load", "--engine", ""], &["auto", "docker", "podman", "containerd"]),
        (&["write", "conf.json", "out", "--format", "oci"], &["oci", "oci-archive"]),
        (&["push", "conf.json", "app:1", "--platf"], &["--platform-conf"]),
        (&["cache", "g"], &["gc"]),
        (&["cache", "gc", "--max-s"], &["--max-size"]),
        (&["store", "add", "--impo"], &["--import"]),
        (&["completions", "z"], &["zsh"]),
        // Hidden ones are for other programs.
        (&["build"], &[]),
        (&["page"], &[]),
        (&["load", "--wa"], &[]),
    ] {
        let found = completed(words);
        let found: Vec<_> = found.iter().filter(|word| !word.is_empty()).collect();
        assert_eq!(found, expected, "{words:?}");
    }
}

#[test]
fn no_shell_offers_what_is_hidden() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = stdout_of(Command::new(NIX_IMAGE).args(["completions", shell]));
        let script = String::from_utf8(script).unwrap();
        assert!(script.contains("prefetch") && script.contains("nix-image"), "{shell}");
        for hidden in ["build-image", "pages"] {
            assert!(!script.contains(hidden), "{shell}: {hidden}");
        }
    }
}
