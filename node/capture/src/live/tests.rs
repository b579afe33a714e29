use std::{io::Write, net::UdpSocket, process::Command, time::SystemTime};

use smartfw_core::{
    Time,
    packet::{self, Transport},
};

use super::*;
use crate::testing::Namespace;

/// Two namespaces joined by a cable: `here` with `v0` (10.77.0.1), `there` with `v1` (10.77.0.2).
struct Lab {
    here: Namespace,
    there: Namespace,
}

impl Lab {
    fn new(what: &str) -> Option<Self> {
        let lab = Self { here: Namespace::new(what)?, there: Namespace::new(what)? };
        lab.plug();
        Some(lab)
    }

    fn plug(&self) {
        let ends = "link add v0 address 02:00:00:00:00:01 type veth peer name v1 address 02:00:00:00:00:02";
        self.here.ip(&format!("{ends} netns {}", self.there.name()));
        for (space, name, own, other) in [(&self.here, "v0", 1, 2), (&self.there, "v1", 2, 1)] {
            space.ip(&format!("addr add 10.77.0.{own}/24 dev {name}"));
            space.ip("link set lo up");
            space.ip(&format!("link set {name} up"));
            // Known from the start: while the kernel asks for it, it keeps only some of what is to be sent.
            space.ip(&format!("neigh replace 10.77.0.{other} lladdr 02:00:00:00:00:0{other} dev {name}"));
        }
    }

    fn live(&self, names: &[&str]) -> Result<Live, CaptureError> {
        let interfaces = names.iter().map(|name| (*name).into()).collect();
        self.here.inside(|| Live::open(LiveConfig { interfaces, trusted: vec!["v0".into()] }))
    }

    /// Sends `count` datagrams of 100 bytes to the other side's port 9.
    fn send(&self, from: &Namespace, to: &str, count: usize) {
        from.inside(|| {
            let socket = UdpSocket::bind("0.0.0.0:4444").unwrap();
            (0..count).for_each(|_| drop(socket.send_to(&[7; 100], (to, 9))));
        });
    }
}

/// A frame as a test wants it.
struct Seen {
    at: Time,
    bytes: Vec<u8>,
    direction: Option<Direction>,
    udp: bool,
    gso_size: u16,
    trusted: bool,
}

/// All frames until none came for `patience`.
fn drain(live: &mut Live, patience: Duration) -> Vec<Seen> {
    let mut seen = Vec::new();
    while let Next::Frame(Captured { at, frame, .. }) = live.next(patience).unwrap() {
        let udp = packet::parse(&frame).is_ok_and(|p| {
            p.is_some_and(|p| {
                matches!(p.transport, Transport::Udp(_)) && p.source.to_string().starts_with("10.77.")
            })
        });
        let bytes = frame.bytes.to_vec();
        let (direction, gso_size, trusted) = (frame.direction, frame.gso_size, frame.trusted);
        seen.push(Seen { at, bytes, direction, udp, gso_size, trusted });
    }
    seen
}

const QUIET: Duration = Duration::from_millis(300);

#[test]
fn every_datagram_is_seen_once_with_its_direction_and_time() {
    let Some(lab) = Lab::new("count") else { return };
    let mut live = lab.live(&["v0"]).unwrap();
    // A second less: the clock may be set back a little while the packets come.
    let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() - Duration::from_secs(1);
    lab.send(&lab.there, "10.77.0.1", 5000);
    lab.send(&lab.here, "10.77.0.2", 300);
    let seen = drain(&mut live, QUIET);
    let count = |direction| seen.iter().filter(|s| s.udp && s.direction == Some(direction)).count();
    assert_eq!((count(Direction::In), count(Direction::Out)), (5000, 300));
    assert!(seen.iter().all(|s| s.trusted && s.at >= Time::ZERO.after(before)));
    assert!(seen.iter().all(|s| s.at.since(Time::ZERO.after(before)) < Duration::from_secs(60)));
    let stats = live.stats();
    assert_eq!((stats.frames, stats.lost), (seen.len() as u64, 0));
}

#[test]
fn what_the_kernel_had_no_room_for_is_counted() {
    let Some(lab) = Lab::new("loss") else { return };
    let mut live = lab.live(&["v0"]).unwrap();
    live.interfaces[0].shrink_buffer_for_test();
    lab.send(&lab.there, "10.77.0.1", 5000);
    let seen = drain(&mut live, QUIET).iter().filter(|s| s.udp).count() as u64;
    let lost = live.stats().lost;
    assert!(lost > 0, "nothing was lost");
    assert!((5000..5100).contains(&(seen + lost)), "{seen} + {lost}");
    assert_eq!(live.stats().lost, lost, "the counter only grows");
}

#[test]
fn a_vlan_tag_that_the_kernel_takes_off_is_seen() {
    let Some(lab) = Lab::new("vlan") else { return };
    let mut live = lab.live(&["v0"]).unwrap();
    drain(&mut live, QUIET);
    let mut frame = [[0xff; 6], [2, 0, 0, 0, 0, 1]].concat();
    frame.extend([0x81, 0x00, 0x20, 0x2a, 0x08, 0x00]);
    frame.extend([0x45; 60]);
    lab.there.inside(|| sys::send_for_test("v1", &frame)).unwrap();
    let seen = drain(&mut live, QUIET);
    assert!(seen.iter().any(|s| s.bytes == frame), "{} others", seen.len());
}

#[test]
fn frames_for_other_hosts_are_passed_over() {
    let Some(lab) = Lab::new("others") else { return };
    let mut live = lab.live(&["v0"]).unwrap();
    drain(&mut live, QUIET);
    let mut frame = [[2, 9, 9, 9, 9, 9], [2, 0, 0, 0, 0, 1]].concat();
    frame.extend([0x08, 0x00]);
    frame.extend([0x45; 60]);
    lab.there.inside(|| sys::send_for_test("v1", &frame)).unwrap();
    assert!(!drain(&mut live, QUIET).iter().any(|s| s.bytes == frame));
}

#[test]
fn what_passes_loopback_counts_once() {
    let Some(lab) = Lab::new("lo") else { return };
    let mut live = lab.live(&["lo"]).unwrap();
    lab.send(&lab.here, "10.77.0.1", 50);
    let seen = drain(&mut live, QUIET);
    assert_eq!(seen.iter().filter(|s| s.udp).count(), 50);
    assert!(seen.iter().all(|s| s.direction == Some(Direction::In)));
}

#[test]
fn what_leaves_by_a_macvlan_counts_once() {
    let Some(lab) = Lab::new("macvlan") else { return };
    lab.here.ip("link add link v0 name m0 type macvlan mode bridge");
    lab.here.ip("addr add 10.77.0.3/24 dev m0");
    lab.here.ip("link set m0 up");
    lab.here.inside(|| {
        lab.here.ip("route del 10.77.0.0/24 dev v0");
        let mut live = Live::open(LiveConfig::default()).unwrap();
        assert_eq!(live.interfaces().len(), 2);
        lab.send(&lab.here, "10.77.0.2", 40);
        lab.send(&lab.there, "10.77.0.3", 30);
        let seen = drain(&mut live, QUIET);
        let count = |direction| seen.iter().filter(|s| s.udp && s.direction == Some(direction)).count();
        assert_eq!((count(Direction::Out), count(Direction::In)), (40, 30));
    });
}

#[test]
fn an_interface_that_goes_down_vanishes_and_returns_is_captured_again() {
    let Some(lab) = Lab::new("updown") else { return };
    let mut live = lab.live(&["v0"]).unwrap();
    let udp = |live: &mut Live| drain(live, QUIET).iter().filter(|s| s.udp).count();
    // The namespace of whoever looks decides what is there: the capture has its thread in it.
    lab.here.inside(|| {
        lab.send(&lab.there, "10.77.0.1", 10);
        assert_eq!((udp(&mut live), live.interfaces()[0].state()), (10, &State::Up));

        lab.here.ip("link set v0 down");
        assert_eq!((udp(&mut live), live.interfaces()[0].state()), (0, &State::Down));
        lab.here.ip("link set v0 up");
        lab.send(&lab.there, "10.77.0.1", 10);
        assert_eq!((udp(&mut live), live.interfaces()[0].state()), (10, &State::Up));

        lab.here.ip("link del v0");
        assert_eq!((udp(&mut live), live.interfaces()[0].state()), (0, &State::Gone));
        lab.plug();
        drain(&mut live, QUIET);
        assert_eq!(live.interfaces()[0].state(), &State::Up);
        lab.send(&lab.there, "10.77.0.1", 10);
        assert_eq!(udp(&mut live), 10);
    });
}

#[test]
fn an_interface_that_is_new_is_found_where_none_was_named() {
    let Some(lab) = Lab::new("new") else { return };
    lab.here.inside(|| {
        let mut live = Live::open(LiveConfig::default()).unwrap();
        lab.here.ip("link add w0 type veth peer name w1");
        lab.here.ip("addr add 10.78.0.1/24 dev w0");
        lab.here.ip("link set w0 up");
        drain(&mut live, QUIET);
        let names: Vec<_> = live.interfaces().iter().map(|i| (i.name(), i.state())).collect();
        assert_eq!(names, [("v0", &State::Up), ("w0", &State::Up)]);
        lab.here.ip("addr del 10.78.0.1/24 dev w0");
        drain(&mut live, QUIET);
        assert_eq!(live.interfaces()[1].state(), &State::NotNeeded);
    });
}

#[test]
fn a_tun_interface_gives_ip_packets() {
    let Some(lab) = Lab::new("tun") else { return };
    lab.here.ip("tuntap add dev t0 mode tun");
    lab.here.ip("addr add 10.79.0.1/24 dev t0");
    lab.here.ip("link set t0 up");
    let live = lab.live(&["t0"]).unwrap();
    assert!(!live.interfaces()[0].kind().ethernet && live.interfaces()[0].kind().with_header);
}

#[test]
fn segments_merged_by_offloading_have_their_size() {
    let Some(lab) = Lab::new("gso") else { return };
    let mut live = lab.live(&["v0"]).unwrap();
    let server = lab.here.inside(|| std::net::TcpListener::bind("10.77.0.1:80").unwrap());
    std::thread::scope(|scope| {
        scope.spawn(move || io::copy(&mut server.accept().unwrap().0, &mut io::sink()).unwrap());
        lab.there.inside(|| {
            let mut stream = std::net::TcpStream::connect("10.77.0.1:80").unwrap();
            stream.write_all(&vec![1; 4 << 20]).unwrap();
        });
    });
    let seen = drain(&mut live, QUIET);
    let merged: Vec<_> = seen.iter().filter(|s| s.bytes.len() > 3000).collect();
    assert!(!merged.is_empty(), "nothing was merged");
    assert!(merged.iter().all(|s| (500..=1460).contains(&s.gso_size)), "{}", merged[0].gso_size);
    assert!(seen.iter().filter(|s| s.bytes.len() < 200).all(|s| s.gso_size == 0));
}

#[test]
fn an_unknown_interface_is_refused_with_those_that_exist() {
    let Some(lab) = Lab::new("unknown") else { return };
    let error = lab.live(&["eth7"]).err().unwrap().to_string();
    assert!(error.starts_with("there is no interface \"eth7\"; there are: lo, "), "{error}");
    assert!(error.contains("v0"), "{error}");
}

#[test]
fn without_the_capability_the_error_names_it() {
    let this = std::env::current_exe().unwrap();
    if std::env::var_os("SMARTFW_UNPRIVILEGED").is_some() {
        let error = Live::open(LiveConfig { interfaces: vec!["lo".into()], trusted: vec![] }).err().unwrap();
        assert!(error.to_string().contains("CAP_NET_RAW"), "{error}");
        return;
    }
    let name = "live::tests::without_the_capability_the_error_names_it";
    let output = Command::new("setpriv")
        .args(["--bounding-set=-net_raw", "--inh-caps=-net_raw", "--ambient-caps=-all"])
        .arg(this)
        .args(["--exact", name])
        .env("SMARTFW_UNPRIVILEGED", "1")
        .output();
    match output {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => println!("skipped: setpriv cannot be run: {error}"),
    }
}

#[test]
fn waiting_ends_in_time() {
    let Some(lab) = Lab::new("wait") else { return };
    let mut live = lab.live(&["v0"]).unwrap();
    drain(&mut live, QUIET);
    let begun = Instant::now();
    live.next(Duration::from_millis(50)).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2));
    let begun = Instant::now();
    live.next(Duration::ZERO).unwrap();
    assert!(begun.elapsed() < Duration::from_millis(500));
}
