//! Members that are many, and how far they are.

use smartfw_core::gossip::FULL_MESH;

use super::*;

/// Too many for streams to all: what one says goes from member to member.
#[test]
fn in_a_large_fleet_all_protect_who_is_logged_in_anywhere_and_drop_what_one_detects() {
    const MEMBERS: usize = 20;
    let authority = Authority::found();
    let nodes: Vec<Node> = (0..MEMBERS).map(|_| Node::start()).collect();
    for (n, node) in nodes.iter().enumerate() {
        let seeds = if n == 0 { Vec::new() } else { vec![nodes[0].address()] };
        node.enter(&authority.member(&format!("web-{n}")), seeds).unwrap();
    }
    // The last introductions may be a while on their way: enough that none keeps a stream to all.
    let many = |node: &Node| node.status().is_some_and(|status| status.peers_alive > FULL_MESH);
    until("they know each other", || nodes.iter().all(many));
    // While they were few, each had a stream to all.
    nodes.iter().for_each(|node| node.control.close_streams());
    let few = |node: &Node| (4..MEMBERS - 1).contains(&node.control.connected());
    until("none has a stream to all", || nodes.iter().all(few));
    let protected = ProtectedSet::new(vec![session("198.51.100.7/32")]);
    nodes[0].inbox.send(Input::Protected(protected));
    until("all protect", || nodes[1..].iter().all(|node| why(node).is_some()));
    nodes[3].detects("203.0.113.7");
    until("all drop", || nodes.iter().all(|node| node.targets() == [net("203.0.113.7/32")]));
}

#[test]
fn how_long_a_datagram_takes_is_known_soon() {
    let (_authority, one, _other) = pair();
    let begun = Instant::now();
    let round_trip = || one.runtime.block_on(one.handle.members()).unwrap()[1].rtt_ms;
    until("a round trip was measured", || round_trip().is_some_and(|took| took < 1e3));
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}
