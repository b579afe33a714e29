//! Login records. Only root and programs trusted with it write them, after authentication.

use std::{
    mem::{offset_of, size_of},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use super::Session;
use crate::read;

/// Where login records are.
pub(crate) const FILE: &str = "run/utmp";

const RECORD: usize = size_of::<libc::utmpx>();

/// Remote logins whose process still lives.
pub(crate) fn sessions(root: &Path) -> Vec<Session> {
    let bytes = read::bytes(&root.join(FILE));
    let lives = |pid: i32| root.join("proc").join(pid.to_string()).is_dir();
    bytes.chunks_exact(RECORD).filter_map(|record| session(record, lives)).collect()
}

fn session(record: &[u8], lives: impl Fn(i32) -> bool) -> Option<Session> {
    let kind = i16::from_ne_bytes(*record.get(offset_of!(libc::utmpx, ut_type)..)?.first_chunk()?);
    let pid = i32::from_ne_bytes(*record.get(offset_of!(libc::utmpx, ut_pid)..)?.first_chunk()?);
    if kind != libc::USER_PROCESS || pid <= 0 || !lives(pid) {
        return None;
    }
    let address = address(*record.get(offset_of!(libc::utmpx, ut_addr_v6)..)?.first_chunk()?)?;
    let user = record.get(offset_of!(libc::utmpx, ut_user)..)?.first_chunk::<32>()?;
    let end = user.iter().position(|byte| *byte == 0).unwrap_or(user.len());
    Some(Session { address, user: String::from_utf8_lossy(&user[..end]).into_owned() })
}

/// An IPv4 address is in the first four bytes with nothing behind; no address is all zeros.
fn address(bytes: [u8; 16]) -> Option<IpAddr> {
    let (v4, rest) = bytes.split_first_chunk::<4>()?;
    let address = match rest {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => IpAddr::V4(Ipv4Addr::from(*v4)),
        _ => IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical(),
    };
    (!address.is_unspecified()).then_some(address)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: i16, pid: i32, address: &[u8]) -> Vec<u8> {
        let mut record = vec![0; RECORD];
        let mut put = |at: usize, bytes: &[u8]| record[at..at + bytes.len()].copy_from_slice(bytes);
        put(offset_of!(libc::utmpx, ut_type), &kind.to_ne_bytes());
        put(offset_of!(libc::utmpx, ut_pid), &pid.to_ne_bytes());
        put(offset_of!(libc::utmpx, ut_user), b"alice");
        put(offset_of!(libc::utmpx, ut_addr_v6), address);
        record
    }

    #[test]
    fn a_living_remote_login_counts() {
        let found = session(&record(libc::USER_PROCESS, 7, &[192, 0, 2, 7]), |pid| pid == 7).unwrap();
        assert_eq!(found, Session { address: "192.0.2.7".parse().unwrap(), user: "alice".into() });
        let v6: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let found = session(&record(libc::USER_PROCESS, 7, &v6.octets()), |_| true).unwrap();
        assert_eq!(found.address, IpAddr::V6(v6));
    }

    #[test]
    fn dead_local_and_other_records_do_not_count() {
        assert_eq!(session(&record(libc::USER_PROCESS, 7, &[192, 0, 2, 7]), |_| false), None);
        assert_eq!(session(&record(libc::USER_PROCESS, 7, &[]), |_| true), None);
        assert_eq!(session(&record(libc::DEAD_PROCESS, 7, &[192, 0, 2, 7]), |_| true), None);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..2 * RECORD)) {
            bytes.chunks_exact(RECORD).for_each(|record| drop(session(record, |_| true)));
        }
    }
}
