use std::time::Duration;

use smartfw_core::fleet::{FleetBlock, Version};
use smartfw_core::{Class, Time};

use super::*;
use crate::fixture::{DAY, World, before, noon};
use crate::revocation::Revocation;

/// The wire's part is another crate's: here, postcard.
#[derive(Clone, Debug)]
struct Plain;

impl Codec for Plain {
    fn encode_run(&self, header: &RunHeader, entries: &[Entry]) -> Result<Vec<u8>, String> {
        postcard::to_allocvec(&(header, entries)).map_err(|e| e.to_string())
    }
    fn decode_run(&self, bytes: &[u8]) -> Result<(RunHeader, Vec<Entry>), String> {
        postcard::from_bytes(bytes).map_err(|e| e.to_string())
    }
    fn encode_order(&self, order: &OperatorOrder) -> Result<Vec<u8>, String> {
        postcard::to_allocvec(order).map_err(|e| e.to_string())
    }
    fn decode_order(&self, bytes: &[u8]) -> Result<OperatorOrder, String> {
        postcard::from_bytes(bytes).map_err(|e| e.to_string())
    }
}

struct Court {
    world: World,
    revocations: Arc<Revocations>,
    judge: Judge<Plain>,
}

impl Court {
    fn new() -> Self {
        let world = World::new(noon());
        let trust = world.founded.identity.trust().clone();
        let revocations = Arc::new(Revocations::in_memory(trust.clone()));
        let judge = Judge::new(trust, revocations.clone(), Plain);
        Self { world, revocations, judge }
    }

    fn expel(&self, node: NodeId) {
        let world = &self.world;
        let bytes = Revocation::by_operator(&world.founded.operator, node, Role::Node, world.now).unwrap();
        self.revocations.insert([bytes.as_slice()]).unwrap();
    }

    fn order(&self, operator: &Identity) -> SignedOrder {
        sign_order(operator, &order(self.world.now), &Plain).unwrap()
    }
}

fn header(origin: &Identity, issued: Time) -> RunHeader {
    RunHeader {
        cluster: "prod".into(),
        site: None,
        origin: origin.id(),
        epoch: 1,
        first: 1,
        issued,
        floor: Version::default(),
    }
}

fn withdraw() -> Entry {
    Entry::Withdraw { target: "203.0.113.7/32".parse().unwrap(), lasts: None }
}

fn order(issued: Time) -> OperatorOrder {
    let (operator, kind) = ("somebody else".into(), OrderKind::Disallow { id: 8 });
    OperatorOrder { id: 7, operator, issued, lasts: None, site: None, kind }
}

fn sealed(origin: &Identity, header: RunHeader, entries: Vec<Entry>) -> SignedRun {
    RunSigner::new(Current::new(origin.clone()), Plain).seal(header, entries).unwrap().signed().clone()
}

fn run(origin: &Identity, issued: Time) -> SignedRun {
    sealed(origin, header(origin, issued), vec![withdraw()])
}

#[test]
fn a_run_is_verified_as_it_was_signed() {
    let court = Court::new();
    let node = court.world.join(Role::Node, "web-1");
    let block = Entry::Block(FleetBlock {
        target: "203.0.113.7/32".parse().unwrap(),
        class: Class::PortScan,
        confidence: 0.9,
        strength: smartfw_core::Strength::Hard,
        detector: smartfw_core::Detector::Rules,
        evidence: None,
        reason: "312 ports in 4.1 s".into(),
        level: 1,
        duration: Some(Duration::from_secs(3600)),
    });
    let run = sealed(&node, header(&node, court.world.now), vec![block.clone(), withdraw()]);
    for verified in [court.judge.verify(&run).unwrap(), court.judge.recall(&run).unwrap()] {
        assert_eq!(verified.entries(), [block.clone(), withdraw()]);
        assert_eq!((verified.header().origin, verified.signed()), (node.id(), &run));
    }
    assert!(court.judge.verify(&run).is_ok(), "also from the chains that are remembered");
}

#[test]
fn a_run_is_refused_when_a_bit_or_its_signer_is_another() {
    let court = Court::new();
    let (node, other) = (court.world.join(Role::Node, "web-1"), court.world.join(Role::Node, "web-2"));
    let good = run(&node, court.world.now);
    let with = |change: &dyn Fn(&mut SignedRun)| {
        let mut run = good.clone();
        change(&mut run);
        court.judge.verify(&run).unwrap_err()
    };
    assert_eq!(with(&|run| run.signature[5] ^= 1), Unverified::Forged);
    assert_eq!(with(&|run| run.bytes = [&run.bytes[..], &[0]].concat().into()), Unverified::Forged);
    assert_eq!(with(&|run| run.certificate = other.chain().to_bytes().into()), Unverified::Forged);
    assert!(matches!(with(&|run| run.certificate = (*b"none").into()), Unverified::BadCertificate(_)));
    // An order's signature is none under a run.
    assert_eq!(with(&|run| run.signature = node.key().sign(Domain::Order, &run.bytes)), Unverified::Forged);
}

#[test]
fn nobody_speaks_for_another_or_for_another_cluster_or_site() {
    let court = Court::new();
    let (node, other) = (court.world.join(Role::Node, "web-1"), court.world.join(Role::Node, "web-2"));
    let now = court.world.now;
    let signed = |header: RunHeader| {
        let bytes = Plain.encode_run(&header, &[withdraw()]).unwrap();
        let signature = node.key().sign(Domain::Run, &bytes);
        court.judge.verify(&SignedRun {
            bytes: bytes.into(),
            signature,
            certificate: node.chain().to_bytes().into(),
        })
    };
    assert_eq!(signed(header(&other, now)), Err(Unverified::WrongOrigin));
    let cluster = RunHeader { cluster: "test".into(), ..header(&node, now) };
    assert_eq!(signed(cluster), Err(Unverified::WrongCluster));
    let site = |site: &str| RunHeader { site: Some(site.into()), ..header(&node, now) };
    assert!(matches!(signed(site("berlin")), Err(Unverified::BadCertificate(_))));
    assert!(signed(site("default")).is_ok());
    let last = RunHeader { first: u64::MAX, ..header(&node, now) };
    assert!(signed(last).is_ok());
    let mut signer = RunSigner::new(Current::new(node.clone()), Plain);
    assert!(matches!(signer.seal(header(&other, now), vec![withdraw()]), Err(SealError::NoKey(_))));
}

#[test]
fn a_run_has_one_to_a_thousand_entries_and_sequences_that_fit() {
    let court = Court::new();
    let node = court.world.join(Role::Node, "web-1");
    let signed = |header: RunHeader, entries: Vec<Entry>| {
        let bytes = Plain.encode_run(&header, &entries).unwrap();
        let signature = node.key().sign(Domain::Run, &bytes);
        court.judge.verify(&SignedRun {
            bytes: bytes.into(),
            signature,
            certificate: node.chain().to_bytes().into(),
        })
    };
    let header = header(&node, court.world.now);
    assert!(signed(header.clone(), vec![withdraw(); RUN_ENTRIES]).is_ok());
    for entries in [vec![], vec![withdraw(); RUN_ENTRIES + 1]] {
        assert!(matches!(signed(header.clone(), entries), Err(Unverified::Malformed(_))));
    }
    let over = RunHeader { first: u64::MAX, ..header.clone() };
    assert!(matches!(signed(over, vec![withdraw(); 2]), Err(Unverified::Malformed(_))));
    let long = Entry::Unknown { kind: 99, lasts: None, bytes: vec![0; RUN_BYTES].into() };
    assert!(matches!(signed(header.clone(), vec![long.clone()]), Err(Unverified::Malformed(_))));
    let mut signer = RunSigner::new(Current::new(node.clone()), Plain);
    assert!(matches!(signer.seal(header, vec![long]), Err(SealError::TooLong(_))));
}

#[test]
fn a_runs_certificate_is_judged_when_the_run_was_issued() {
    let court = Court::new();
    let node = court.world.join(Role::Node, "web-1");
    let end = node.member().not_after;
    assert!(court.judge.verify(&run(&node, before(end, DAY))).is_ok());
    assert!(court.judge.verify(&run(&node, end.after(DAY))).is_ok(), "in its grace it exchanges logs");
    for issued in [end.after(DAY * 31), before(court.world.now, DAY * 2)] {
        assert!(matches!(court.judge.verify(&run(&node, issued)), Err(Unverified::BadCertificate(_))));
    }
}

#[test]
fn a_coordinator_carries_orders_and_says_nothing_itself() {
    let court = Court::new();
    let (coordinator, operator) =
        (court.world.join(Role::Coordinator, "view"), &court.world.founded.operator);
    let now = court.world.now;
    let order = Entry::Order(court.order(operator));
    assert!(
        court.judge.verify(&sealed(&coordinator, header(&coordinator, now), vec![order.clone()])).is_ok()
    );
    for (who, entries) in [(&coordinator, vec![order.clone(), withdraw()]), (operator, vec![order])] {
        let refused = court.judge.verify(&sealed(who, header(who, now), entries)).unwrap_err();
        assert!(matches!(refused, Unverified::BadCertificate(_)), "{refused}");
    }
}

#[test]
fn a_run_of_the_expelled_is_verified_but_none_of_whom_an_expelled_signer_made() {
    let court = Court::new();
    let node = court.world.join(Role::Node, "web-1");
    court.expel(node.id());
    assert!(
        court.judge.verify(&run(&node, court.world.now)).is_ok(),
        "the log voids it, but for orders that it carries"
    );
    court.expel(court.world.founded.identity.id());
    let refused = court.judge.verify(&run(&node, court.world.now)).unwrap_err();
    assert!(matches!(refused, Unverified::BadCertificate(_)), "{refused}");
}

#[test]
fn what_blocks_everywhere_may_leave_the_cluster_and_nothing_else() {
    let ordered = |site: Option<&str>, kind: OrderKind| {
        let order = OperatorOrder { site: site.map(Into::into), kind, ..order(noon()) };
        let bytes = Plain.encode_order(&order).unwrap().into();
        Entry::Order(SignedOrder { bytes, signature: [0; 64], certificate: [].into(), lasts: None })
    };
    let block = || OrderKind::Block {
        targets: vec!["203.0.113.7/32".parse().unwrap()],
        duration: None,
        class: Class::Manual,
        reason: String::new(),
        force: false,
    };
    let sessions = Entry::Sessions { addresses: Vec::new(), lasts: None };
    assert!(leaves(&withdraw(), &Plain) && leaves(&ordered(None, block()), &Plain));
    for stays in [ordered(Some("here"), block()), ordered(None, OrderKind::Resume), sessions] {
        assert!(!leaves(&stays, &Plain), "{stays:?}");
    }
}

#[test]
fn an_order_is_its_operators() {
    let court = Court::new();
    let verified = court.judge.verify_order(&court.order(&court.world.founded.operator)).unwrap();
    let operator = court.world.founded.operator.member();
    assert_eq!((verified.signer, verified.issuer), (operator.id, operator.signer));
    let order = verified.order;
    assert_eq!(order.operator, "alice", "the name is the certificate's, not the order's");
    assert_eq!((order.id, order.kind), (7, OrderKind::Disallow { id: 8 }));
}

#[test]
fn an_order_of_another_or_changed_or_out_of_time_is_refused() {
    let court = Court::new();
    let (now, operator) = (court.world.now, &court.world.founded.operator);
    let node = court.world.join(Role::Node, "web-1");
    assert!(matches!(sign_order(&node, &order(now), &Plain), Err(Unverified::BadCertificate(_))));
    let late = order(now.after(DAY * 31));
    assert!(matches!(sign_order(operator, &late, &Plain), Err(Unverified::BadCertificate(_))));

    let good = court.order(operator);
    let with = |change: &dyn Fn(&mut SignedOrder)| {
        let mut order = good.clone();
        change(&mut order);
        court.judge.verify_order(&order).unwrap_err()
    };
    assert_eq!(with(&|order| order.signature[0] ^= 1), Unverified::Forged);
    assert_eq!(
        with(&|order| order.signature = operator.key().sign(Domain::Run, &order.bytes)),
        Unverified::Forged
    );
    let by_node = with(&|order| {
        order.signature = node.key().sign(Domain::Order, &order.bytes);
        order.certificate = node.chain().to_bytes().into();
    });
    assert!(matches!(by_node, Unverified::BadCertificate(_)), "a node's key orders nothing");
    let backdated = with(&|signed| {
        signed.bytes = Plain.encode_order(&late).unwrap().into();
        signed.signature = operator.key().sign(Domain::Order, &signed.bytes);
    });
    assert!(matches!(backdated, Unverified::BadCertificate(_)), "no grace for orders");
    let foreign = World::new(noon());
    let refused = court.judge.verify_order(&court.order(&foreign.founded.operator)).unwrap_err();
    assert!(matches!(refused, Unverified::BadCertificate(_)));
}

#[test]
fn an_order_of_an_expelled_operator_is_refused() {
    let court = Court::new();
    let (world, order) = (&court.world, court.order(&court.world.founded.operator));
    let bytes = Revocation::by_root(&world.founded.root, world.founded.operator.id(), world.now).unwrap();
    court.revocations.insert([bytes.as_slice()]).unwrap();
    assert_eq!(court.judge.verify_order(&order), Err(Unverified::Revoked));
}

#[test]
fn remembered_chains_are_bounded() {
    let court = Court::new();
    let member = court.world.founded.identity.member();
    let mut chains = Chains::default();
    for number in 0..2 * CHAINS as u64 {
        chains.remember(sha256(&number.to_be_bytes()), member);
    }
    assert_eq!((chains.known.len(), chains.order.len()), (CHAINS, CHAINS));
}
