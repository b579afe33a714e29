//! DHCP servers, out of the leases that the usual clients keep.

use std::{net::IpAddr, path::Path};

use crate::read;

/// Leases taken out of one file: the last ones, since a client appends.
const LAST_LEASES: usize = 4;

/// The servers that gave this host its addresses.
pub(crate) fn servers(root: &Path) -> Vec<IpAddr> {
    /// dhclient and NetworkManager, with either format; systemd-networkd.
    const TEXT: [(&str, &str); 6] = [
        ("var/lib/dhcp", "leases"),
        ("var/lib/dhclient", "leases"),
        ("var/lib/NetworkManager", ".lease"),
        ("run/NetworkManager/devices", ""),
        ("run/systemd/netif/leases", ""),
        ("var/lib/dhclient", ".lease"),
    ];
    const BINARY: [&str; 3] = ["var/lib/dhcpcd", "var/lib/dhcpcd5", "run/dhcpcd"];
    let mut found = Vec::new();
    for (folder, suffix) in TEXT {
        for file in read::files(&root.join(folder), |name| name.ends_with(suffix)) {
            let text = read::tail(&file);
            found.extend(identifiers(&text));
            found.extend(read::values(&text, "SERVER_ADDRESS").filter_map(read::address));
        }
    }
    for folder in BINARY {
        let leases = read::files(&root.join(folder), |name| name.ends_with(".lease"));
        found.extend(leases.iter().filter_map(|file| server_of_message(&read::bytes(file))));
    }
    found.retain(|address| !address.is_unspecified());
    found
}

/// `option dhcp-server-identifier ADDRESS;`, the last ones.
fn identifiers(text: &str) -> Vec<IpAddr> {
    let value = |line: &str| {
        let value = line.trim().strip_prefix("option dhcp-server-identifier ")?;
        read::address(value.strip_suffix(';')?.trim())
    };
    text.lines().rev().filter_map(value).take(LAST_LEASES).collect()
}

/// The server of a DHCP message as it was on the wire: what dhcpcd keeps.
fn server_of_message(message: &[u8]) -> Option<IpAddr> {
    const FIXED: usize = 236;
    const COOKIE: [u8; 4] = [99, 130, 83, 99];
    const SERVER_IDENTIFIER: u8 = 54;
    let mut options = message.get(FIXED..)?.strip_prefix(&COOKIE)?;
    loop {
        match *options {
            [0, ref rest @ ..] => options = rest,
            [SERVER_IDENTIFIER, 4, a, b, c, d, ..] => return Some(IpAddr::from([a, b, c, d])),
            [255, ..] | [] | [_] => return None,
            [_, length, ref rest @ ..] => options = rest.get(usize::from(length)..)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn message(server: [u8; 4]) -> Vec<u8> {
        let mut message = vec![0; 236];
        message.extend([99, 130, 83, 99, 53, 1, 5, 0, 54, 4]);
        message.extend(server);
        message.push(255);
        message
    }

    #[test]
    fn every_clients_leases_are_read() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, bytes: &[u8]| {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let lease = b"lease {\n  interface \"eth0\";\n  option dhcp-server-identifier 10.0.0.1;\n}\n";
        write("var/lib/dhcp/dhclient.eth0.leases", lease);
        write(
            "run/systemd/netif/leases/2",
            b"ADDRESS=10.1.0.9\nSERVER_ADDRESS=10.1.0.1\nROUTER=10.1.0.254\n",
        );
        write("var/lib/NetworkManager/internal-x-eth1.lease", b"ADDRESS=10.2.0.9\nSERVER_ADDRESS=10.2.0.1\n");
        write("var/lib/dhcpcd/eth2.lease", &message([10, 3, 0, 1]));
        write("var/lib/dhcpcd/eth3.lease", b"not a message");
        let mut found: Vec<_> = servers(root.path()).iter().map(ToString::to_string).collect();
        found.sort();
        assert_eq!(found, ["10.0.0.1", "10.1.0.1", "10.2.0.1", "10.3.0.1"]);
    }

    #[test]
    fn only_the_last_leases_of_a_long_file_count() {
        let text: String = (0..100).map(|n| format!("option dhcp-server-identifier 10.0.0.{n};\n")).collect();
        let found: Vec<_> = identifiers(&text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.99", "10.0.0.98", "10.0.0.97", "10.0.0.96"]);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut message = message([1, 2, 3, 4]);
            message.truncate(240);
            message.extend(bytes);
            server_of_message(&message);
        }
    }
}
