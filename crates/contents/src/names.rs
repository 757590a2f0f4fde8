//! The parts of a store path's name.

/// The number of characters of the hash in a store path's name (160 bits in Nix's base 32).
pub const HASH_LEN: usize = 32;

/// The base name `<hash>-<name>` of a store path.
pub fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The hash of a store path, or the whole base name if it has none.
pub fn hash(path: &str) -> &str {
    split(base_name(path)).map_or(base_name(path), |(hash, _)| hash)
}

/// The name of a store path without its hash, such as `glibc-2.40-66`.
pub fn full_name(path: &str) -> &str {
    split(base_name(path)).map_or(base_name(path), |(_, name)| name)
}

/// The name of a store path's package and its version, split as by Nix's `parseDrvName`: the
/// version starts after the first dash that is not followed by a letter. It may be empty.
pub fn package(path: &str) -> (&str, &str) {
    let name = full_name(path);
    let is_version = |&(dash, _): &(usize, &str)| {
        let after = name[dash + 1..].chars().next();
        after.is_some_and(|first| !first.is_ascii_alphabetic())
    };
    match name.match_indices('-').find(is_version) {
        Some((dash, _)) => (&name[..dash], &name[dash + 1..]),
        None => (name, ""),
    }
}

/// The names of outputs by nixpkgs' conventions, except the main one.
const OUTPUTS: [&str; 11] =
    ["bin", "debug", "dev", "devdoc", "devman", "doc", "info", "lib", "libgcc", "man", "static"];

/// The output that a store path is, such as `dev`, or `None` for the main one.
pub fn output(path: &str) -> Option<&str> {
    let (_, last) = full_name(path).rsplit_once('-')?;
    OUTPUTS.contains(&last).then_some(last)
}

fn split(base_name: &str) -> Option<(&str, &str)> {
    let (hash, name) = base_name.split_at_checked(HASH_LEN)?;
    Some((hash, name.strip_prefix('-')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_as_nix_does() {
        let hash = "0123456789abcdfghijklmnpqrsvwxyz";
        for (name, expected) in [
            ("glibc-2.40-66", ("glibc", "2.40-66")),
            ("python3.12-requests-2.32.3", ("python3.12-requests", "2.32.3")),
            ("source", ("source", "")),
            ("a-b-", ("a-b-", "")),
            ("gcc-14-20241116-lib", ("gcc", "14-20241116-lib")),
            ("x-é", ("x", "é")),
        ] {
            let path = format!("/nix/store/{hash}-{name}");
            assert_eq!(package(&path), expected);
            assert_eq!(full_name(&path), name);
            assert_eq!(super::hash(&path), hash);
            assert_eq!(base_name(&path), format!("{hash}-{name}"));
        }
    }

    #[test]
    fn outputs_have_the_usual_names() {
        for (name, expected) in
            [("gcc-14-lib", Some("lib")), ("gcc-14", None), ("tool-1-beta", None), ("lib", None)]
        {
            assert_eq!(output(&format!("/nix/store/{}-{name}", "a".repeat(32))), expected);
        }
    }

    #[test]
    fn a_name_without_a_hash_is_its_own_name() {
        assert_eq!(full_name("/nix/store/short"), "short");
        assert_eq!(hash("/nix/store/short"), "short");
        assert_eq!(package("/nix/store/short-1"), ("short", "1"));
    }
}
