//! What members tell each other survives the wire, within its limits; and nothing that comes over it panics.

use std::time::Duration;

use proptest::prelude::*;
use prost::Message as _;
use smartfw_core::{
    Class, Detector, Evidence, IpNet, Strength, Time,
    fleet::{
        CHAIN_BYTES, COVERED, ENTRY_BYTES, Entry, FleetBlock, NodeId, ORDER_TARGETS, OperatorOrder,
        OrderKind, RUN_BYTES, RUN_ENTRIES, RunHeader, SESSIONS, SignedOrder, SignedRun, TEXT_BYTES, Version,
    },
    gossip::{Carried, LOGS, Message, More, RUNS, Row, SPANS, Span, Summary, WANTS, Want},
};

use super::*;
use crate::{
    convert::{Hello, Told, decode_order, decode_run, encode_order, encode_run},
    limits,
};

const ID: NodeId = NodeId([7; 32]);
const VERSION: Version = Version { epoch: u64::MAX, sequence: 3 };

fn net() -> IpNet {
    "2001:db8::/64".parse().unwrap()
}

fn header() -> RunHeader {
    RunHeader {
        cluster: "prod".into(),
        site: Some("here".into()),
        origin: ID,
        epoch: 9,
        first: 4,
        issued: Time::from_nanos(u64::MAX),
        floor: VERSION,
    }
}

fn block(reason: String) -> Entry {
    Entry::Block(FleetBlock {
        target: net(),
        class: Class::BruteForce,
        confidence: 0.5,
        strength: Strength::Soft,
        detector: Detector::Fleet,
        evidence: Some(Evidence::Spoofable),
        reason,
        level: 255,
        duration: Some(Duration::from_nanos(u64::MAX)),
    })
}

fn signed_order(bytes: usize, certificate: usize) -> Entry {
    Entry::Order(SignedOrder {
        bytes: vec![1; bytes].into(),
        signature: [2; 64],
        certificate: vec![3; certificate].into(),
        lasts: Some(Duration::MAX.min(Duration::from_nanos(u64::MAX))),
    })
}

fn entries() -> Vec<Entry> {
    vec![
        block("é".repeat(TEXT_BYTES / 2)),
        Entry::Withdraw { target: net(), lasts: None },
        signed_order(100, CHAIN_BYTES),
        Entry::Unknown { kind: u32::MAX, lasts: Some(Duration::ZERO), bytes: [1, 2, 3].into() },
        Entry::Sessions {
            addresses: (0..SESSIONS as u128).map(|n| std::net::Ipv6Addr::from(n << 64).into()).collect(),
            lasts: Some(Duration::from_secs(1)),
        },
        Entry::Coordinator {
            id: NodeId([9; 32]),
            address: "[2001:db8::1]:7480".parse().unwrap(),
            lasts: Some(Duration::from_secs(3600)),
        },
    ]
}

#[test]
fn where_a_coordinator_is_has_an_address_and_a_port_or_says_nothing() {
    let sane = wire::CoordinatorBody { id: vec![9; 32], address: vec![192, 0, 2, 1], port: 7480 };
    let wrong = [
        wire::CoordinatorBody { port: 0, ..sane.clone() },
        wire::CoordinatorBody { port: 65_536, ..sane.clone() },
        wire::CoordinatorBody { address: vec![1, 2, 3], ..sane.clone() },
        wire::CoordinatorBody { id: vec![9; 31], ..sane.clone() },
    ];
    let read = |body: &wire::CoordinatorBody| {
        let entry = wire::RunEntry { kind: 5, lasts: Some(5), body: body.encode_to_vec() };
        let run =
            wire::RunBody { origin: vec![7; 32], first: 1, entries: vec![entry], ..wire::RunBody::default() };
        decode_run(&run.encode_to_vec()).unwrap().1.remove(0)
    };
    assert!(matches!(read(&sane), Entry::Coordinator { address, .. } if address.port() == 7480));
    for body in wrong {
        assert!(matches!(read(&body), Entry::Unknown { kind: 5, .. }), "{body:?}");
    }
}

#[test]
fn a_run_survives_the_wire() {
    let bytes = encode_run(&header(), &entries()).unwrap();
    assert_eq!(decode_run(&bytes).unwrap(), (header(), entries()));
    let plain = RunHeader { site: None, floor: Version::default(), ..header() };
    let bytes = encode_run(&plain, &entries()).unwrap();
    assert_eq!(decode_run(&bytes).unwrap().0, plain);
}

#[test]
fn no_entry_is_longer_than_it_weighs() {
    let weigh = |entry: &Entry| {
        let with = encode_run(&header(), std::slice::from_ref(entry)).unwrap().len();
        let without = encode_run(&header(), &[]).unwrap().len();
        (with - without, entry.weight())
    };
    for entry in entries() {
        let (length, weight) = weigh(&entry);
        assert!(length <= weight, "{length} of {weight}: {entry:?}");
    }
}

#[test]
fn an_entry_that_cannot_be_read_is_kept_as_it_came() {
    let long = || wire::BlockBody { reason: "x".repeat(TEXT_BYTES + 1), ..wire::BlockBody::default() };
    let newer = wire::BlockBody { target: Some(net().into()), class: 99, ..wire::BlockBody::default() };
    for body in [vec![255; 9], long().encode_to_vec(), newer.encode_to_vec()] {
        let entry = wire::RunEntry { kind: 1, lasts: Some(5), body: body.clone() };
        let run =
            wire::RunBody { origin: vec![7; 32], first: 1, entries: vec![entry], ..wire::RunBody::default() };
        let (_, entries) = decode_run(&run.encode_to_vec()).unwrap();
        let lasts = Some(Duration::from_nanos(5));
        assert_eq!(entries, [Entry::Unknown { kind: 1, lasts, bytes: body.into() }]);
    }
}

#[test]
fn a_run_beyond_its_limits_is_refused_on_both_sides() {
    let many = vec![Entry::Withdraw { target: net(), lasts: None }; RUN_ENTRIES + 1];
    assert!(encode_run(&header(), &many).is_err());
    let large = vec![signed_order(15_000, 0); 20];
    assert!(encode_run(&header(), &large).is_err());
    assert!(decode_run(&vec![0; RUN_BYTES + 1]).is_err());
    let entry = |bytes| wire::RunEntry { kind: 99, lasts: None, body: vec![0; bytes] };
    let run =
        |first, entries| wire::RunBody { origin: vec![7; 32], first, entries, ..wire::RunBody::default() };
    let refused = |run: wire::RunBody| decode_run(&run.encode_to_vec()).is_err();
    assert!(refused(run(1, vec![entry(0); RUN_ENTRIES + 1])));
    assert!(refused(run(1, vec![entry(ENTRY_BYTES + 1)])));
    assert!(refused(run(1, Vec::new())), "no entries");
    assert!(refused(run(u64::MAX, vec![entry(0); 2])), "sequences that do not fit");
    assert!(!refused(run(u64::MAX, vec![entry(0)])));
    assert!(refused(wire::RunBody { origin: vec![7; 31], ..run(1, vec![entry(0)]) }));
    assert!(refused(wire::RunBody { cluster: "x".repeat(256), ..run(1, vec![entry(0)]) }));
}

fn orders() -> Vec<OrderKind> {
    let duration = Some(Duration::from_secs(60));
    vec![
        OrderKind::Block {
            targets: vec![net(); 3],
            duration,
            class: Class::Manual,
            reason: "r".into(),
            force: true,
        },
        OrderKind::Allow { target: net(), duration: None, comment: "c".into() },
        OrderKind::Unblock {
            target: net(),
            covers: vec![(ID, VERSION); COVERED],
            orders: vec![u128::MAX, 0],
            hold: Duration::from_secs(600),
            false_positive: true,
        },
        OrderKind::Disallow { id: 5 },
        OrderKind::Trust { node: ID, believed: false },
        OrderKind::Revoke { node: ID },
        OrderKind::Canary { target: net(), watched: true },
        OrderKind::Panic { duration: Duration::from_secs(900) },
        OrderKind::Resume,
    ]
}

#[test]
fn every_order_survives_the_wire_and_fits_into_an_entry() {
    for kind in orders() {
        let order = OperatorOrder {
            id: u128::MAX,
            operator: "anna".into(),
            issued: Time::from_secs(9),
            lasts: Some(Duration::from_secs(7)),
            site: Some("berlin".into()),
            kind,
        };
        let bytes = encode_order(&order).unwrap();
        assert_eq!(decode_order(&bytes), Ok(order));
        assert!(signed_order(bytes.len(), 1500).weight() <= ENTRY_BYTES, "{} bytes", bytes.len());
    }
}

#[test]
fn an_order_beyond_its_limits_is_refused() {
    let order = |kind| {
        let (operator, issued) = ("anna".into(), Time::ZERO);
        OperatorOrder { id: 1, operator, issued, lasts: None, site: None, kind }
    };
    let covers = |count, orders| OrderKind::Unblock {
        target: net(),
        covers: vec![(ID, VERSION); count],
        orders: vec![1; orders],
        hold: Duration::ZERO,
        false_positive: false,
    };
    assert!(encode_order(&order(covers(COVERED + 1, 0))).is_err());
    assert!(encode_order(&order(covers(0, COVERED + 1))).is_err());
    let (duration, class, reason) = (None, Class::Manual, String::new());
    let targets = vec![net(); ORDER_TARGETS + 1];
    assert!(
        encode_order(&order(OrderKind::Block { targets, duration, class, reason, force: false })).is_err()
    );
    let comment = "x".repeat(TEXT_BYTES + 1);
    assert!(encode_order(&order(OrderKind::Allow { target: net(), duration: None, comment })).is_err());
    assert!(decode_order(&vec![0; ENTRY_BYTES + 1]).is_err());
    assert!(decode_order(&[]).is_err());
}

fn carried(bytes: usize, certificate: u8) -> Carried<SignedRun> {
    let certificate = vec![certificate; 500].into();
    Carried {
        run: SignedRun { bytes: vec![9; bytes].into(), signature: [4; 64], certificate },
        age: Duration::MAX.min(Duration::from_nanos(77)),
    }
}

fn messages() -> Vec<Told> {
    let span = |epoch| Span { epoch, from: 2, to: u64::MAX };
    let spans = || (0..SPANS as u64).map(span).collect();
    let row = |tag| Row { tag, digest: 2, floor: VERSION, quarantined: true, spans: spans() };
    let gossip = [
        Message::Digest { all: u64::MAX, wall: Time::from_nanos(5) },
        Message::Summary(vec![Summary { tag: 1, digest: 2 }; LOGS]),
        Message::Vectors { rows: (0..100).map(row).collect(), answer: true },
        Message::Pull((0..WANTS as u64).map(|epoch| Want { tag: 3, span: span(epoch) }).collect()),
        Message::Runs {
            runs: (0..RUNS).map(|n| carried(10, (n % 3) as u8)).collect(),
            answers: Some(More(false)),
        },
        Message::Runs { runs: vec![carried(RUN_BYTES, 1)], answers: None },
        Message::Proof(Box::new((carried(RUN_BYTES, 1).run, carried(RUN_BYTES, 2).run))),
        Message::Enforced { origin: NodeId([4; 32]), site: true, span: span(7) },
    ];
    let others = [
        Told::Hello(Hello { from: 1, to: 2, cluster: "prod".into(), epoch: 5, revocations: Some([7; 32]) }),
        Told::Datagram(vec![1; limits::DATAGRAM]),
        Told::Contribution(vec![2; 100]),
        Told::Revocations(vec![vec![3; limits::REVOCATION]; 3]),
    ];
    gossip.into_iter().map(Told::Gossip).chain(others).collect()
}

#[test]
fn every_message_survives_the_wire_within_one_message() {
    for told in messages() {
        let bytes = wire::PeerMessage::from(told.clone()).encode_to_vec();
        assert!(bytes.len() <= limits::PEER_MESSAGE, "{} bytes", bytes.len());
        let back = Told::try_from(wire::PeerMessage::decode(bytes.as_slice()).unwrap());
        assert_eq!(back, Ok(told));
    }
}

#[test]
fn a_chain_travels_once_however_many_runs_it_stands_behind() {
    let runs = (0..100).map(|_| carried(10, 1)).collect();
    let message = wire::PeerMessage::from(Told::Gossip(Message::Runs { runs, answers: None }));
    assert!(message.encoded_len() < 100 * 100 + 600, "{}", message.encoded_len());
}

#[test]
fn messages_beyond_their_limits_are_refused() {
    let at = |from| Span { epoch: 1, from, to: from + 1 };
    let span = at(2);
    let of =
        |spans: &[Span]| Row { tag: 1, digest: 2, floor: VERSION, quarantined: false, spans: spans.into() };
    let row = |spans| of(&(0..spans as u64).map(|n| at(2 * n)).collect::<Vec<_>>());
    let rows = |tags: std::ops::Range<u64>, spans| tags.map(|tag| Row { tag, ..row(spans) }).collect();
    let want = |tag, from| Want { tag, span: at(from) };
    let beyond = [
        Message::Summary(vec![Summary { tag: 1, digest: 2 }; LOGS + 1]),
        Message::Vectors { rows: rows(0..WANTS as u64 + 1, 0), answer: true },
        Message::Vectors { rows: vec![row(SPANS + 1)], answer: true },
        Message::Vectors { rows: rows(0..(limits::PEER_SPANS / SPANS + 1) as u64, SPANS), answer: true },
        Message::Vectors { rows: vec![row(0); 2], answer: true },
        Message::Vectors { rows: vec![of(&[at(2), at(3)])], answer: true },
        Message::Vectors { rows: vec![of(&[at(4), at(2)])], answer: true },
        Message::Pull((0..=WANTS as u64).map(|tag| want(tag, 1)).collect()),
        Message::Pull(vec![want(3, 1); 2]),
        Message::Pull(vec![want(3, 1), want(3, 2)]),
        Message::Pull(vec![want(3, 1), want(2, 5)]),
        Message::Pull(vec![Want { tag: 3, span: Span { from: 4, ..span } }]),
        Message::Runs { runs: vec![carried(1, 1); RUNS + 1], answers: None },
        Message::Runs { runs: vec![carried(RUN_BYTES + 1, 1)], answers: None },
    ];
    let others = [
        Told::Hello(Hello { from: 1, to: 2, cluster: "x".repeat(256), epoch: 5, revocations: None }),
        Told::Datagram(vec![1; limits::DATAGRAM + 1]),
        Told::Contribution(vec![1; limits::DATAGRAM + 1]),
        Told::Revocations(vec![Vec::new(); limits::REVOCATIONS + 1]),
        Told::Revocations(vec![vec![0; limits::REVOCATION + 1]]),
    ];
    for told in beyond.into_iter().map(Told::Gossip).chain(others) {
        assert!(Told::try_from(wire::PeerMessage::from(told)).is_err());
    }
    let chain = wire::PeerRuns { certificates: vec![vec![0; CHAIN_BYTES + 1]], ..wire::PeerRuns::default() };
    let lost = wire::PeerRun { certificate: 3, signature: vec![0; 64], ..wire::PeerRun::default() };
    let lost = wire::PeerRuns { runs: vec![lost], ..wire::PeerRuns::default() };
    let short = wire::PeerRun { signature: vec![0; 63], ..wire::PeerRun::default() };
    let short = wire::PeerRuns { runs: vec![short], certificates: vec![Vec::new()], more: None };
    let uneven = wire::PeerSummary { tags: vec![1], digests: vec![1, 2] };
    use wire::peer_message::Message as Wire;
    for message in [Wire::Runs(chain), Wire::Runs(lost), Wire::Runs(short), Wire::Summary(uneven)] {
        assert!(Told::try_from(wire::PeerMessage { message: Some(message) }).is_err());
    }
    assert!(Told::try_from(wire::PeerMessage { message: None }).is_err());
}

proptest! {
    #[test]
    fn hostile_bytes_are_refused_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_run(&bytes);
        let _ = decode_order(&bytes);
        let _ = wire::PeerMessage::decode(bytes.as_slice()).map(Told::try_from);
    }

    #[test]
    fn flipped_bits_are_refused_or_read_and_never_panic(flips in proptest::collection::vec((any::<usize>(), 0..8_u8), 1..8)) {
        let mut bytes = encode_run(&header(), &entries()).unwrap();
        for (at, bit) in flips {
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
        }
        let _ = decode_run(&bytes);
        let _ = wire::PeerMessage::decode(bytes.as_slice()).map(Told::try_from);
    }
}

#[test]
fn a_mirrored_run_is_one_with_its_chain_and_nothing_else() {
    let run = carried(RUN_BYTES, 1).run;
    let bytes = run_to_bytes(&run);
    assert!(bytes.len() < 512 << 10, "as much as the mirror takes");
    assert_eq!(run_from_bytes(&bytes), Ok(run));
    let of = |runs| {
        let told = wire::PeerMessage::from(Told::Gossip(Message::Runs { runs, answers: None }));
        let Some(wire::peer_message::Message::Runs(runs)) = told.message else { panic!("no runs") };
        run_from_bytes(&prost::Message::encode_to_vec(&runs))
    };
    assert!(of(vec![carried(10, 1)]).is_ok());
    assert!(of(Vec::new()).is_err() && of(vec![carried(10, 1), carried(11, 1)]).is_err());
    assert!(run_from_bytes(b"no run").is_err());
}
