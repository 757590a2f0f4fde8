//! The proxy for an address, from the variables that curl and Go programs read.

use std::net::IpAddr;

use http::Uri;
use ureq::{Error, Proxy, ProxyProtocol};

/// The proxy for an address, or `None` to connect directly, as to this machine.
pub(super) fn of(
    address: &Uri,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, Error> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let variable = |name: &str| set(name).or_else(|| set(&name.to_ascii_lowercase()));
    let (own, usual_port) = match address.scheme_str() {
        Some("https") => ("HTTPS_PROXY", 443),
        _ => ("HTTP_PROXY", 80),
    };
    let Some(proxy) = variable(own).or_else(|| variable("ALL_PROXY")) else { return Ok(None) };
    let host = address.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
    let port = address.port_u16().unwrap_or(usual_port);
    let direct = variable("NO_PROXY").unwrap_or_default();
    if is_here(&host) || direct.split([',', ' ']).any(|entry| covers(entry, &host, port)) {
        return Ok(None);
    }
    let proxy = Proxy::new(&proxy)?;
    match proxy.protocol() {
        ProxyProtocol::Http | ProxyProtocol::Https => Ok(Some(proxy)),
        _ => Err(Error::InvalidProxyUrl),
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Whether an entry of `NO_PROXY` matches a host. It may be `*`, a domain, which includes its
/// subdomains, an address or a network. With a port, it is for that port only.
fn covers(entry: &str, host: &str, port: u16) -> bool {
    let entry = entry.to_ascii_lowercase();
    if let Some(inside) = is_in(&entry, host) {
        return inside;
    }
    let (name, only) = match entry.rsplit_once(':') {
        Some((name, only)) if !name.contains(':') || name.ends_with(']') => (name, Some(only)),
        _ => (&*entry, None),
    };
    let name = name.trim_matches(['[', ']']).trim_start_matches('*').trim_start_matches('.');
    let below = host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    entry == "*" || !name.is_empty() && below && only.is_none_or(|only| only.parse() == Ok(port))
}

/// Whether a host is an address in a network such as `10.0.0.0/8`, or `None` if this is not a
/// network.
fn is_in(network: &str, host: &str) -> Option<bool> {
    let (start, length) = network.split_once('/')?;
    let (start, length): (IpAddr, u32) = (start.parse().ok()?, length.parse().ok()?);
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    };
    Some(host.parse().is_ok_and(|host: IpAddr| {
        let same = (bits(start) ^ bits(host)).leading_zeros();
        host.is_ipv4() == start.is_ipv4() && same >= length
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(set: &[(&str, &str)], address: &str) -> Result<Option<Proxy>, Error> {
        let variable = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        of(&address.parse().unwrap(), variable)
    }

    #[test]
    fn each_scheme_has_its_own_variable() {
        let all = [
            ("ALL_PROXY", "http://all:1"),
            ("https_proxy", "http://u:p@secure:2"),
            ("HTTPS_PROXY", ""),
            ("HTTP_PROXY", "plain:3"),
        ];
        for (set, address, expected) in [
            (&all[..], "https://reg.io/v2/", Some("secure")),
            (&all[..], "http://reg.io/v2/", Some("plain")),
            (&all[..1], "https://reg.io/v2/", Some("all")),
            (&all[3..], "https://reg.io/v2/", None),
            (&all[..], "https://localhost/v2/", None),
            (&all[..], "https://[::1]:5000/v2/", None),
        ] {
            let found = find(set, address).unwrap();
            assert_eq!(found.as_ref().map(Proxy::host), expected, "{address}");
        }
        assert!(find(&[("HTTPS_PROXY", "socks5://a:1")], "https://reg.io/").is_err());
        assert!(find(&[("HTTPS_PROXY", "http://")], "https://reg.io/").is_err());
    }

    #[test]
    fn what_needs_no_proxy_has_none() {
        for (entries, address, direct) in [
            ("reg.io", "https://reg.io/", true),
            ("other.io, reg.io", "https://REG.io:5000/", true),
            ("reg.io", "https://a.reg.io/", true),
            (".reg.io", "https://a.reg.io/", true),
            ("*.Reg.io", "https://a.reg.io/", true),
            ("reg.io", "https://areg.io/", false),
            ("a.reg.io,", "https://reg.io/", false),
            ("reg.io:443", "https://reg.io/", true),
            ("reg.io:80", "https://reg.io/", false),
            ("*", "https://reg.io/", true),
            ("*:1", "https://reg.io/", false),
            ("10.0.0.0/8", "https://10.1.2.3:5000/", true),
            ("10.0.0.0/8", "https://11.1.2.3/", false),
            ("0.0.0.0/0", "https://11.1.2.3/", true),
            ("10.0.0.0/8", "https://reg.io/", false),
            ("10.1.2.3", "https://10.1.2.3/", true),
            ("fd00::/8", "https://[fd12::1]:5000/", true),
            ("[fd12::1]:5000", "https://[fd12::1]:5000/", true),
            ("fd12::1", "https://[fd12::1]/", true),
        ] {
            let set = [("HTTPS_PROXY", "http://proxy:1"), ("NO_PROXY", entries)];
            assert_eq!(find(&set, address).unwrap().is_none(), direct, "{entries} {address}");
        }
    }
}
