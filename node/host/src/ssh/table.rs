//! The kernel's tables of sockets, `/proc/net/{tcp,udp}{,6}`, of one network namespace.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    net::{IpAddr, SocketAddr},
    path::Path,
};

/// Rows read of a table: a million connections are more than a host has; a row is 150 bytes.
const MAX_ROWS: usize = 1_000_000;
/// The longest row that makes sense; what is longer is passed over.
const MAX_ROW: u64 = 1024;

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Tcp,
    Tcp6,
    Udp,
    Udp6,
}

/// One socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) state: u8,
    pub(crate) user: u32,
    pub(crate) inode: u64,
}

/// `TCP_ESTABLISHED` and `TCP_LISTEN`.
pub(crate) const ESTABLISHED: u8 = 1;
pub(crate) const LISTEN: u8 = 10;

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tcp6 => "tcp6",
            Self::Udp => "udp",
            Self::Udp6 => "udp6",
        }
    }
}

/// Gives `each` the rows of a table in the folder `network`; none where there is no such table.
pub(crate) fn each(network: &Path, table: Table, mut each: impl FnMut(Row)) {
    let Ok(file) = File::open(network.join(table.name())) else { return };
    let mut reader = BufReader::with_capacity(64 * 1024, file);
    let mut line = Vec::with_capacity(256);
    for _ in 0..MAX_ROWS {
        line.clear();
        match reader.by_ref().take(MAX_ROW).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                if let Some(row) = std::str::from_utf8(&line).ok().and_then(row) {
                    each(row);
                }
            }
        }
    }
}

/// `sl local remote state queues timer retransmits uid timeout inode …`
fn row(line: &str) -> Option<Row> {
    let mut words = line.split_ascii_whitespace();
    words.next()?.strip_suffix(':')?;
    let (local, remote) = (socket(words.next()?)?, socket(words.next()?)?);
    let state = u8::from_str_radix(words.next()?, 16).ok()?;
    let user = words.nth(3)?.parse().ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    Some(Row { local, remote, state, user, inode })
}

/// `0100007F:0016`: words of the address in the host's byte order.
fn socket(word: &str) -> Option<SocketAddr> {
    let (address, port) = word.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let address = match address.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            IpAddr::from(<[u8; 16]>::try_from(words.concat()).ok()?)
        }
        _ => return None,
    };
    Some(SocketAddr::new(address.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn a_row_of_each_family_is_read() {
        let v4 = "   1: 0100007F:DB6E 0200000A:08AE 01 00000000:00000029 00:00000000 00000000  1000        0 9187130 1 0 20";
        let row4 = row(v4).unwrap();
        assert_eq!(
            (row4.local, row4.remote),
            ("127.0.0.1:56174".parse().unwrap(), "10.0.0.2:2222".parse().unwrap())
        );
        assert_eq!((row4.state, row4.user, row4.inode), (ESTABLISHED, 1000, 9_187_130));
        let v6 = "0: B80D0120000000000000000001000000:0016 0000000000000000FFFF00000200000A:0400 0A 0:0 0:0 0 0 0 7";
        let row6 = row(v6).unwrap();
        assert_eq!(row6.local, "[2001:db8::1]:22".parse().unwrap());
        assert_eq!(row6.remote, "10.0.0.2:1024".parse().unwrap());
        assert_eq!((row6.state, row6.inode), (LISTEN, 7));
    }

    #[test]
    fn a_row_without_end_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let good = "1: 0100007F:0016 0200000A:08AE 01 0:0 0:0 0 0 0 7 1 0\n";
        fs::write(folder.path().join("tcp"), format!("header\n{}\n{good}", "x".repeat(5000))).unwrap();
        let mut rows = 0;
        each(folder.path(), Table::Tcp, |_| rows += 1);
        assert_eq!(rows, 1);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(line in ".{0,200}") {
            row(&line);
            socket(&line);
        }
    }
}
