//! The user's own paths, which change more often than all others.

use std::collections::BTreeSet;

use super::graph::Closure;

/// No path in the closure matches.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{wanted}` is named as the user's own, but is not in the closure; expected a store path, or \
     a package's name with or without its version"
)]
pub struct NotThere {
    /// The path or name that was not found.
    pub wanted: String,
}

/// The numbers of the paths given by their store path, or by their package's name with or without
/// its version. A name may match several paths.
pub fn find(closure: &Closure, wanted: &[String]) -> Result<BTreeSet<usize>, NotThere> {
    let mut own = BTreeSet::new();
    for wanted in wanted {
        let meant = |&number: &usize| is_meant(&closure.paths[number], wanted);
        let mut found = (0..closure.paths.len()).filter(meant).peekable();
        if found.peek().is_none() {
            return Err(NotThere { wanted: wanted.clone() });
        }
        own.extend(found);
    }
    Ok(own)
}

/// Whether a path is the given one or has the given name.
#[must_use]
pub fn is_meant(path: &str, wanted: &str) -> bool {
    let name = path.split_once('-').map_or("", |(_, name)| name);
    path == wanted || !name.is_empty() && (name == wanted || without_version(name) == wanted)
}

/// A package's name without its version, which starts after the first `-` that is not followed by a
/// letter, as in Nix's `parseDrvName`.
fn without_version(name: &str) -> &str {
    let starts_version = |&(at, _): &(usize, &str)| {
        !name[at + 1..].starts_with(|next: char| next.is_ascii_alphabetic())
    };
    name.match_indices('-').find(starts_version).map_or(name, |(at, _)| &name[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_paths_and_names() {
        let path = "/nix/store/0a-acme-web-static-1.0-rc1";
        for wanted in [path, "acme-web-static-1.0-rc1", "acme-web-static"] {
            assert!(is_meant(path, wanted), "{wanted}");
        }
        for wanted in ["acme-web", "acme", "", "0a-acme-web-static", "acme-web-static-1.0"] {
            assert!(!is_meant(path, wanted), "{wanted}");
        }
        assert!(is_meant("/nix/store/0a-source", "source"));
        assert!(!is_meant("/nix/store/source", ""));
    }
}
