//! What is asked of a cluster, and what is told of one.

use smartfw_core::{
    fleet::{NodeId, Version},
    members::MemberState,
};

use super::*;
use crate::view::{ClusterNode, Covers, Entering, FleetBlockFilter, Founding, Given, Invite};

#[test]
fn what_a_daemon_tells_of_its_cluster_survives_the_wire() {
    let node = ClusterNode {
        name: "web-1".into(),
        id: Some(NodeId([7; 32])),
        address: Some("[2001:db8::1]:7470".into()),
        state: MemberState::Suspect,
        version: "0.1.0".into(),
        blocks: 3,
        withheld: 1,
        trust: 0.8,
        believed: true,
        round_trip: Some(Duration::from_micros(400)),
        certificate_expires: Some(Time::from_secs(1)),
        site: "east".into(),
        me: true,
        role: None,
        signer: Some(NodeId([9; 32])),
    };
    survives!(Node, node.clone());
    survives!(
        Node,
        ClusterNode { id: None, address: None, role: Some("signer".into()), signer: None, ..node }
    );
    survives!(FleetBlock, fleet_block());
    let covering = Some("2001:db8::1".parse().unwrap());
    survives!(ListFleetBlocksRequest, FleetBlockFilter { origin: Some("web-1".into()), covering });
    let version = Version { epoch: 1, sequence: 2 };
    survives!(
        CoversAnswer,
        Covers {
            covers: vec![(NodeId([1; 32]), version)],
            orders: vec![u128::MAX],
            lasts: Some(Duration::from_secs(60)),
            targets: vec!["203.0.113.7/32".parse().unwrap()],
            total: 9,
            more: true,
        }
    );
}

#[test]
fn what_is_cut_off_from_what_covers_a_target_is_said_to_be() {
    let sent = |covers, orders| {
        let covers = vec![(NodeId([1; 32]), Version { epoch: 1, sequence: 2 }); covers];
        let sent = Covers { covers, orders: vec![7; orders], ..Covers::default() };
        let heard = Covers::try_from(wire::CoversAnswer::from(sent)).unwrap();
        (heard.covers.len(), heard.orders.len(), heard.more)
    };
    let most = limits::COVERS;
    assert_eq!(sent(most, most), (most, most, false));
    assert_eq!(sent(most + 1, 0), (most, 0, true));
    assert_eq!(sent(0, most + 1), (0, most, true));
}

#[test]
fn what_is_asked_of_a_cluster_has_limits() {
    let long = "x".repeat(limits::PASSPHRASE + 1);
    let found = wire::FoundRequest { passphrase: long.clone(), ..Default::default() };
    assert_eq!(Founding::try_from(found).unwrap_err().field, "found.passphrase");
    let enter = wire::EnterRequest { token: long.clone(), ..Default::default() };
    assert_eq!(Entering::try_from(enter).unwrap_err().field, "enter.token");
    let invite = wire::InviteRequest { role: long, ..Default::default() };
    assert_eq!(Invite::try_from(invite).unwrap_err().field, "invite.role");
    let many = wire::GiveRequest { orders: vec![wire::GivenOrder::default(); limits::ORDERS + 1] };
    assert_eq!(Given::try_from(many).unwrap_err().field, "give.orders");
    let asked =
        wire::CheckTargetsRequest { targets: vec![wire::Prefix::default(); limits::CHUNK + 1], force: false };
    assert_eq!(<(Vec<IpNet>, bool)>::try_from(asked).unwrap_err().field, "check.targets");
    let redeem = wire::RedeemRequest { request: vec![0; limits::CERTIFICATE + 1], ..Default::default() };
    assert_eq!(Redeeming::try_from(redeem).unwrap_err().field, "redeem.request");
}

#[test]
fn a_secret_is_not_shown() {
    let founding = Founding {
        cluster: "prod".into(),
        site: String::new(),
        operator: String::new(),
        advertise: String::new(),
        passphrase: "four random words".into(),
    };
    assert_eq!(format!("{founding:?}"), "Founding(secret)");
}
