use std::{
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, SystemTime},
};

use super::*;

#[test]
fn capabilities_are_read_from_the_effective_set() {
    assert_eq!(kernel::missing_capabilities("CapEff:\t0000000000003000\n"), [""; 0]);
    assert_eq!(kernel::missing_capabilities("CapPrm:\tffff\nCapEff:\t0000000000002000\n"), ["CAP_NET_ADMIN"]);
    assert_eq!(kernel::missing_capabilities("garbage").len(), 2);
}

#[test]
fn a_connection_table_that_fills_up_is_shown() {
    assert_eq!(kernel::fullness(10, 100).level, Level::Ok);
    assert_eq!(kernel::fullness(75, 100).level, Level::Warn);
    assert_eq!(kernel::fullness(95, 100).level, Level::Fail);
    assert_eq!(kernel::fullness(0, 0).level, Level::Ok);
}

#[test]
fn two_back_ends_at_once_are_shown() {
    let (nft, legacy) = (Some("iptables v1.8.9 (nf_tables)\n"), Some("iptables v1.8.9 (legacy)\n"));
    assert_eq!(kernel::back_ends(nft, vec![]).level, Level::Ok);
    assert_eq!(kernel::back_ends(nft, vec!["filter".into()]).level, Level::Warn);
    assert_eq!(kernel::back_ends(legacy, vec!["filter".into()]).level, Level::Ok);
    assert_eq!(kernel::back_ends(None, vec![]).level, Level::Fail);
}

#[test]
fn lost_packets_are_shown() {
    assert_eq!(daemon::loss(1_000_000, 5).level, Level::Ok);
    assert_eq!(daemon::loss(990, 10).level, Level::Warn);
    assert_eq!(daemon::loss(50, 50).level, Level::Fail);
    assert_eq!(daemon::loss(0, 0).level, Level::Warn);
}

#[test]
fn a_detector_that_is_stuck_is_shown() {
    let state = tempfile::tempdir().unwrap();
    let long = Duration::from_secs(3600);
    assert_eq!(daemon::heartbeat(state.path(), long).level, Level::Warn);
    assert_eq!(daemon::heartbeat(state.path(), Duration::ZERO).level, Level::Ok);
    let file = std::fs::File::create(state.path().join("heartbeat")).unwrap();
    assert_eq!(daemon::heartbeat(state.path(), long).level, Level::Ok);
    file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    assert_eq!(daemon::heartbeat(state.path(), long).level, Level::Fail);
}

#[test]
fn a_clock_before_its_time_is_shown() {
    assert_eq!(host::clock(0, true).level, Level::Fail);
    assert_eq!(host::clock(1_795_000_000, true).level, Level::Ok);
    assert_eq!(host::clock(1_795_000_000, false).level, Level::Warn);
}

#[test]
fn a_full_disk_is_shown() {
    let path = Path::new("/var/lib/smartfw");
    assert_eq!(files::room(1 << 40, path).level, Level::Ok);
    assert_eq!(files::room(100 << 20, path).level, Level::Warn);
    assert_eq!(files::room(1 << 20, path).level, Level::Fail);
}

#[test]
fn what_everybody_may_read_or_use_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mode =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(folder.path(), 0o750);
    assert_eq!(files::state(folder.path()).level, Level::Ok);
    mode(folder.path(), 0o755);
    assert_eq!(files::state(folder.path()).level, Level::Warn);
    let socket = folder.path().join("node.sock");
    assert_eq!(files::socket(&socket).level, Level::Fail);
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    mode(&socket, 0o660);
    assert_eq!(files::socket(&socket).level, Level::Ok);
    mode(&socket, 0o666);
    assert_eq!(files::socket(&socket).level, Level::Fail);
}
