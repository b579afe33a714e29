//! DNS resolvers: `resolv.conf`, and behind a local stub the real ones.

use std::{net::IpAddr, path::Path};

use crate::read;

/// The resolvers that this host asks, each with the file that names it.
pub(crate) fn resolvers(root: &Path) -> Vec<(IpAddr, &'static str)> {
    const MAIN: &str = "etc/resolv.conf";
    let mut found = named_in(root, MAIN, nameservers);
    // Whoever has no nameserver line asks the local host.
    if found.is_empty() || found.iter().any(|(address, _)| address.is_loopback()) {
        found.extend(upstreams(root));
    }
    found
}

/// Whom the usual local stubs ask: systemd-resolved, NetworkManager's dnsmasq, dnsmasq, unbound.
fn upstreams(root: &Path) -> Vec<(IpAddr, &'static str)> {
    const LISTS: [&str; 6] = [
        "run/systemd/resolve/resolv.conf",
        "run/NetworkManager/no-stub-resolv.conf",
        "run/dnsmasq/resolv.conf",
        "run/resolvconf/resolv.conf",
        "etc/resolv.dnsmasq",
        "etc/resolv.dnsmasq.conf",
    ];
    const FORWARDS: [(&str, &str); 5] = [
        ("etc/dnsmasq.d", ".conf"),
        ("run/NetworkManager/dnsmasq.d", ".conf"),
        ("etc/NetworkManager/dnsmasq.d", ".conf"),
        ("etc/unbound/unbound.conf.d", ".conf"),
        ("etc/unbound/conf.d", ".conf"),
    ];
    const FILES: [&str; 2] = ["etc/dnsmasq.conf", "etc/unbound/unbound.conf"];
    let mut found: Vec<_> = LISTS.into_iter().flat_map(|file| named_in(root, file, nameservers)).collect();
    found.extend(FILES.into_iter().flat_map(|file| named_in(root, file, forwards)));
    for (folder, suffix) in FORWARDS {
        for file in read::files(&root.join(folder), |name| name.ends_with(suffix)) {
            found.extend(forwards(&read::text(&file)).into_iter().map(|address| (address, folder)));
        }
    }
    found
}

fn named_in(root: &Path, file: &'static str, parse: fn(&str) -> Vec<IpAddr>) -> Vec<(IpAddr, &'static str)> {
    parse(&read::text(&root.join(file))).into_iter().map(|address| (address, file)).collect()
}

/// `nameserver ADDRESS`
fn nameservers(text: &str) -> Vec<IpAddr> {
    let words = text.lines().map(str::split_whitespace);
    words
        .filter_map(|mut words| words.next().filter(|word| *word == "nameserver").and_then(|_| words.next()))
        .filter_map(read::address)
        .collect()
}

/// `server=ADDRESS`, `server=/domain/ADDRESS#port` of dnsmasq, `forward-addr: ADDRESS@port#name` of unbound.
fn forwards(text: &str) -> Vec<IpAddr> {
    let value = |line: &str| -> Option<IpAddr> {
        let line = line.trim();
        let value = match line.strip_prefix("server=") {
            Some(server) => server.rsplit('/').next()?,
            None => line.strip_prefix("forward-addr:")?.trim(),
        };
        read::address(value.split(['#', '@', ' ']).next()?)
    };
    text.lines().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn host(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        resolvers(host(files).path()).into_iter().map(|(address, _)| address.to_string()).collect()
    }

    #[test]
    fn resolvers_asked_directly_are_those_of_resolv_conf() {
        let text = "# nameserver 9.9.9.9\nnameserver 10.0.0.2\nnameserver\t2001:db8::53\nnameserver dns.example\nsearch x\n";
        let files = [("etc/resolv.conf", text), ("etc/resolv.dnsmasq", "nameserver 8.8.8.8\n")];
        assert_eq!(found(&files), ["10.0.0.2", "2001:db8::53"]);
    }

    #[test]
    fn behind_a_stub_are_the_real_ones() {
        let files = [
            ("etc/resolv.conf", "nameserver 127.0.0.53\noptions edns0\n"),
            ("run/systemd/resolve/resolv.conf", "nameserver 10.0.0.3\nnameserver fe80::1%2\n"),
            ("run/NetworkManager/no-stub-resolv.conf", "nameserver 10.0.0.4\n"),
            ("etc/dnsmasq.conf", "no-resolv\nserver=10.0.0.5#5353\nserver=/corp/10.0.0.6\n#server=1.1.1.1\n"),
            (
                "etc/unbound/unbound.conf.d/f.conf",
                "forward-zone:\n  name: \".\"\n  forward-addr: 10.0.0.7@853#dns.example\n",
            ),
        ];
        let expected = ["127.0.0.53", "10.0.0.3", "fe80::1", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7"];
        assert_eq!(found(&files), expected);
    }

    #[test]
    fn without_any_file_there_is_none() {
        assert!(found(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(text in ".{0,300}") {
            nameservers(&text);
            forwards(&text);
        }
    }
}
