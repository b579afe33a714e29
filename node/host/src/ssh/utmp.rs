//! Login records. Only root and programs trusted with it write them, after authentication.

use std::{
    mem::{offset_of, size_of},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use super::{Session, process::Process, title};
use crate::read;

/// Where login records are.
pub(crate) const FILE: &str = "run/utmp";

/// Ticks a second in which the kernel tells when a process began: the same on every architecture.
const TICKS: u64 = 100;

const RECORD: usize = size_of::<libc::utmpx>();

/// A login's process begins before its record, but for a clock that stepped between.
const SLACK: u64 = 60;

/// Remote logins whose process still lives. One that began after the record is another's of the same number.
pub(crate) fn sessions(root: &Path) -> Vec<Session> {
    let bytes = read::bytes(&root.join(FILE));
    let proc = root.join("proc");
    let booted = read::text(&proc.join("stat"));
    let booted: Option<u64> =
        booted.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
    let lives = |pid: i32, at: u64| {
        let identity = u32::try_from(pid).ok().and_then(|pid| Process::new(&proc, pid).identity());
        identity.is_some_and(|identity| {
            let began = booted.map(|booted| booted + identity.started / TICKS);
            // The clock may have been set right after a login.
            title::PROGRAMS.contains(&identity.name.as_str())
                || began.is_some_and(|began| began <= at.saturating_add(SLACK))
        })
    };
    bytes.chunks_exact(RECORD).filter_map(|record| session(record, lives)).collect()
}

fn session(record: &[u8], lives: impl Fn(i32, u64) -> bool) -> Option<Session> {
    let kind = i16::from_ne_bytes(*record.get(offset_of!(libc::utmpx, ut_type)..)?.first_chunk()?);
    let pid = i32::from_ne_bytes(*record.get(offset_of!(libc::utmpx, ut_pid)..)?.first_chunk()?);
    let at = i32::from_ne_bytes(*record.get(offset_of!(libc::utmpx, ut_tv)..)?.first_chunk()?);
    if kind != libc::USER_PROCESS || pid <= 0 || !lives(pid, u64::from(at.cast_unsigned())) {
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
        let found = session(&record(libc::USER_PROCESS, 7, &[192, 0, 2, 7]), |pid, _| pid == 7).unwrap();
        assert_eq!(found, Session { address: "192.0.2.7".parse().unwrap(), user: "alice".into() });
        let v6: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let found = session(&record(libc::USER_PROCESS, 7, &v6.octets()), |_, _| true).unwrap();
        assert_eq!(found.address, IpAddr::V6(v6));
    }

    #[test]
    fn dead_local_and_other_records_do_not_count() {
        assert_eq!(session(&record(libc::USER_PROCESS, 7, &[192, 0, 2, 7]), |_, _| false), None);
        assert_eq!(session(&record(libc::USER_PROCESS, 7, &[]), |_, _| true), None);
        assert_eq!(session(&record(libc::DEAD_PROCESS, 7, &[192, 0, 2, 7]), |_, _| true), None);
    }

    #[test]
    fn a_number_that_is_used_again_protects_nobody() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["proc/7", "run"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let mut login = record(libc::USER_PROCESS, 7, &[192, 0, 2, 7]);
        login[offset_of!(libc::utmpx, ut_tv)..][..4].copy_from_slice(&2000_i32.to_ne_bytes());
        std::fs::write(root.path().join(FILE), login).unwrap();
        std::fs::write(root.path().join("proc/stat"), "cpu 1\nbtime 1000\n").unwrap();
        for (name, ticks, found) in [("bash", 99_900, 1), ("bash", 200_000, 0), ("sshd", 200_000, 1)] {
            let stat = format!("7 ({name}) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {ticks} 0 0");
            std::fs::write(root.path().join("proc/7/stat"), stat).unwrap();
            assert_eq!(sessions(root.path()).len(), found, "{ticks}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..2 * RECORD)) {
            bytes.chunks_exact(RECORD).for_each(|record| drop(session(record, |_, _| true)));
        }
    }
}
