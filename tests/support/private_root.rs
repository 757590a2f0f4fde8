//! Runs programs where `/nix` is a directory of ours, as the programs that take no `--store-root`
//! need it.

use super::{TempStore, skip};
use std::process::Command;

/// Builds a root directory out of the old one's entries and another `/nix`, and runs a program in
/// it. All of it is seen by that program alone and gone when it ends.
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

/// A command that sees a store's `/nix` in the place of the real one.
pub(crate) fn command(store: &TempStore, program: &str) -> Command {
    let new = store.root().join("private-root");
    std::fs::create_dir_all(&new).unwrap();
    let mut command = super::command("unshare", &["-m", "sh", "-c", ENTER, "sh"]);
    command.arg(new).arg(store.root().join("nix")).arg(program);
    command
}

/// Needs that to be allowed, and a program to be found when the real `/nix` is gone.
pub(crate) fn need(store: &TempStore, program: &str) {
    let tried = command(store, program).arg("--help").output();
    if !tried.is_ok_and(|output| output.status.success()) {
        skip(&format!("cannot run {program} with a /nix of its own; that needs root"));
    }
}
