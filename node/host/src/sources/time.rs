//! Time servers: those configured by address, and those that a time daemon talks to now.

use std::{net::IpAddr, path::Path};

use crate::{
    read,
    ssh::table::{self, Table},
};

/// The time servers that this host knows by address.
pub(crate) fn servers(root: &Path, network: &Path) -> Vec<IpAddr> {
    let mut found = configured(root);
    found.extend(talked_to(root, network));
    found
}

fn configured(root: &Path) -> Vec<IpAddr> {
    /// `NTP=` of systemd: configuration, and what DHCP said.
    const VALUES: [(&str, &str); 5] = [
        ("etc/systemd/timesyncd.conf.d", ".conf"),
        ("run/systemd/timesyncd.conf.d", ".conf"),
        ("etc/systemd", "timesyncd.conf"),
        ("run/systemd/netif/leases", ""),
        ("run/systemd/netif/links", ""),
    ];
    /// `server ADDRESS` of chrony, ntpd, ntpsec and openntpd.
    const SERVERS: [(&str, &str); 9] = [
        ("etc", "chrony.conf"),
        ("etc/chrony", "chrony.conf"),
        ("etc/chrony/conf.d", ".conf"),
        ("etc/chrony/sources.d", ".sources"),
        ("run/chrony-dhcp", ".sources"),
        ("etc", "ntp.conf"),
        ("etc/ntpsec", "ntp.conf"),
        ("etc/openntpd", "ntpd.conf"),
        ("run", "ntp.conf.dhcp"),
    ];
    let mut found = Vec::new();
    for (folder, suffix) in VALUES {
        for file in read::files(&root.join(folder), |name| name.ends_with(suffix)) {
            found.extend(read::values(&read::text(&file), "NTP").filter_map(read::address));
        }
    }
    for (folder, suffix) in SERVERS {
        for file in read::files(&root.join(folder), |name| name.ends_with(suffix)) {
            found.extend(named(&read::text(&file)));
        }
    }
    found
}

/// `server ADDRESS …`, `peer ADDRESS …`, `pool ADDRESS …`
fn named(text: &str) -> Vec<IpAddr> {
    let words = text.lines().map(str::split_whitespace);
    let named = words.filter_map(|mut words| match words.next()? {
        "server" | "peer" | "pool" => words.next(),
        _ => None,
    });
    named.filter_map(read::address).collect()
}

/// The other ends of sockets to port 123 of a time daemon: other users' sockets prove nothing, since anybody can open one.
fn talked_to(root: &Path, network: &Path) -> Vec<IpAddr> {
    const NTP: u16 = 123;
    let daemons = daemons(&read::text(&root.join("etc/passwd")));
    let mut found = Vec::new();
    for table in [Table::Udp, Table::Udp6] {
        table::each(network, table, |row| {
            if row.remote.port() == NTP && daemons.contains(&row.user) {
                found.push(row.remote.ip());
            }
        });
    }
    found
}

/// The users that time daemons run as.
fn daemons(passwd: &str) -> Vec<u32> {
    const NAMES: [&str; 7] = ["root", "systemd-timesync", "_chrony", "chrony", "ntp", "ntpsec", "_ntp"];
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        fields.nth(1)?.parse().ok().filter(|_| NAMES.contains(&name))
    };
    passwd.lines().filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn servers_are_read_from_every_daemons_configuration() {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("etc/systemd/timesyncd.conf", "[Time]\n#NTP=9.9.9.9\nNTP=10.0.0.1 time.example 10.0.0.2\n"),
            ("etc/chrony/chrony.conf", "pool 2.debian.pool.ntp.org iburst\nserver 10.0.0.3 iburst\n"),
            ("run/chrony-dhcp/eth0.sources", "server 10.0.0.4 iburst\n"),
            ("etc/ntpsec/ntp.conf", "server 2001:db8::123\n# server 9.9.9.9\n"),
            ("run/systemd/netif/leases/2", "NTP=10.0.0.5\n"),
        ] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let found: Vec<_> = configured(root.path()).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1", "10.0.0.2", "10.0.0.5", "10.0.0.3", "10.0.0.4", "2001:db8::123"]);
    }

    #[test]
    fn only_a_time_daemons_own_sockets_prove_a_server() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc")).unwrap();
        fs::write(
            root.path().join("etc/passwd"),
            "www:x:33:33::/:/bin/sh\n_chrony:x:101:101::/:/bin/false\n",
        )
        .unwrap();
        let row = |remote: &str, user: u32| {
            format!(
                "  1: 0A00000A:8000 {remote} 01 00000000:00000000 00:00000000 00000000  {user}        0 7 2 0 0\n"
            )
        };
        let rows = [row("0100000A:007B", 101), row("0200000A:007B", 33), row("0300000A:0035", 101)].concat();
        fs::write(root.path().join("udp"), format!("  sl  local_address rem_address\n{rows}")).unwrap();
        assert_eq!(talked_to(root.path(), root.path()), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    }
}
