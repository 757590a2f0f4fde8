//! Runs programs with a `/nix` of our own, for programs that take no `--store-root`.

use super::{TempStore, skip};
use std::process::Command;

/// Builds a root directory from the entries of the old one and another `/nix`, and runs a program
/// in it. Only that program sees it, and it is gone when the program ends.
const ENTER: &str = r#"
set -e
new=$1 nix=$2
shift 2
mount -t tmpfs tmpfs "$new"
for entry in /*; do
    if [ -L "$entry" ]; then
        cp -P "$entry" "$new$entry"
    elif [ -d "$entry" ] && [ "$entry" != /nix ]; then
        mkdir "$new$entry"
        mount --rbind "$entry" "$new$entry"
    fi
done
mkdir "$new/nix"
mount --rbind "$nix" "$new/nix"
exec chroot "$new" "$@"
"#;

/// A command that sees a store's `/nix` instead of the real one.
pub(crate) fn command(store: &TempStore, program: &str) -> Command {
    let new = store.root().join("private-root");
    std::fs::create_dir_all(&new).unwrap();
    let mut command = super::command("unshare", &["-m", "sh", "-c", ENTER, "sh"]);
    command.arg(new).arg(store.root().join("nix")).arg(program);
    command
}

/// Skips the test unless this is allowed, and the program still exists without the real `/nix`.
pub(crate) fn need(store: &TempStore, program: &str) {
    let tried = command(store, program).arg("--help").output();
    if !tried.is_ok_and(|output| output.status.success()) {
        skip(&format!("cannot run {program} with a private /nix; that needs root"));
    }
}
