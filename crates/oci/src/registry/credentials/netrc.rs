//! Netrc files with names and passwords for hosts, which curl, git and Nix read: `machine HOST
//! login NAME password PASSWORD`.

use super::Credentials;
use crate::Reference;

/// The credentials for a reference's registry: those for its host and port, or else those for its
/// host. A `default` entry is not used, as its password would be sent to any registry.
pub(super) fn find(text: &[u8], reference: &Reference) -> Option<Credentials> {
    let text = String::from_utf8_lossy(text);
    let registry = reference.registry();
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    [registry, host].into_iter().find_map(|machine| of_machine(&text, machine))
}

fn of_machine(text: &str, machine: &str) -> Option<Credentials> {
    let is_comment = |line: &&str| !line.trim_start().starts_with('#');
    let mut words = text.lines().filter(is_comment).flat_map(str::split_whitespace);
    let (mut is_ours, mut user, mut password) = (false, None, None);
    while let Some(word) = words.next() {
        match word {
            "machine" | "default" if is_ours => break,
            "machine" => is_ours = words.next() == Some(machine),
            "login" if is_ours => user = words.next(),
            "password" if is_ours => password = words.next(),
            "login" | "password" | "account" => drop(words.next()),
            _ => {}
        }
    }
    let (user, password) = (user?.to_owned(), password?.to_owned());
    Some(Credentials::Basic { user, password })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registrys_entry_is_found_and_no_other() {
        let text = b"# machine a.io login no password no\nmachine b.io login machine password q\n\
            machine a.io:5000\n  login u\n\tpassword p5\nmachine a.io password p login u\n\
            machine docker.io login d\nmachine c.io account x login c password r\n\
            default login any password thing";
        for (name, expected) in [
            ("a.io:5000/x", Some(("u", "p5"))),
            ("a.io/x", Some(("u", "p"))),
            ("a.io:5001/x", Some(("u", "p"))),
            ("b.io/x", Some(("machine", "q"))),
            ("c.io/x", Some(("c", "r"))),
            // Without a password.
            ("x", None),
            ("other.io/x", None),
        ] {
            let expected = expected.map(|(user, password)| Credentials::Basic {
                user: user.into(),
                password: password.into(),
            });
            assert_eq!(find(text, &name.parse().unwrap()), expected, "{name}");
        }
    }
}
