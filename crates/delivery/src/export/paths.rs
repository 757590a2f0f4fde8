//! The names of entries.

use crate::error::Problem;

/// The longest path, as in Linux (`PATH_MAX`).
const MAX_PATH: usize = 4096;

/// The components of a path from the image's root to an entry. The root itself has none.
pub(super) fn components(path: &[u8]) -> Result<Vec<&[u8]>, Problem> {
    if path.len() > MAX_PATH {
        return Err(Problem::Long(MAX_PATH));
    }
    let mut names = Vec::new();
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop().ok_or(Problem::Outside)?),
            name => names.push(name),
        }
    }
    Ok(names)
}

/// What an entry's name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// An ordinary name.
    Itself,
    /// Hides an entry of lower layers with this name (OCI image specification, `layer.md`).
    Whiteout(&'a [u8]),
    /// Hides everything that lower layers have in the same directory.
    Opaque,
    /// A file for aufs itself.
    Ignored,
}

/// The meaning of the last component of an entry's name.
pub(super) fn meaning(name: &[u8]) -> Result<Meaning<'_>, Problem> {
    match name.strip_prefix(b".wh.") {
        None => Ok(Meaning::Itself),
        Some(b".wh..opq") => Ok(Meaning::Opaque),
        Some(other) if other.starts_with(b".wh.") => Ok(Meaning::Ignored),
        Some(b"" | b"." | b"..") => Err(Problem::NoName),
        Some(hidden) => Ok(Meaning::Whiteout(hidden)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_and_stay_inside() {
        for (path, expected) in [
            ("", Some("")),
            ("./", Some("")),
            ("/", Some("")),
            ("a", Some("a")),
            ("./a//b/.", Some("a/b")),
            ("/etc/x/", Some("etc/x")),
            ("a/../b", Some("b")),
            ("a/..", Some("")),
            ("..", None),
            ("/../x", None),
            ("a/../../x", None),
        ] {
            let found = components(path.as_bytes()).map(|names| names.join(&b'/'));
            assert_eq!(found.ok(), expected.map(|path| path.as_bytes().to_vec()), "{path}");
        }
        assert_eq!(components(&[b'a'; 4097]), Err(Problem::Long(4096)));
    }

    #[test]
    fn whiteouts_are_told_by_their_names() {
        for (name, expected) in [
            ("a", Ok(Meaning::Itself)),
            (".wha", Ok(Meaning::Itself)),
            (".wh.a", Ok(Meaning::Whiteout(b"a"))),
            (".wh..a", Ok(Meaning::Whiteout(b".a"))),
            (".wh..wh..opq", Ok(Meaning::Opaque)),
            (".wh..wh.plnk", Ok(Meaning::Ignored)),
            (".wh.", Err(Problem::NoName)),
            (".wh..", Err(Problem::NoName)),
            (".wh...", Err(Problem::NoName)),
        ] {
            assert_eq!(meaning(name.as_bytes()), expected, "{name}");
        }
    }
}
