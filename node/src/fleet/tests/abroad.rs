//! What another cluster says, on its way to the agent.

use std::collections::BTreeMap;

use smartfw_core::{
    Strength,
    agent::Foreigner,
    fleet::{FleetBlock, NodeId, Version},
};
use tokio::sync::oneshot;

use super::*;

const WEST: NodeId = NodeId([90; 32]);

/// A person's block for ever, signed then.
fn word(target: &str, issued: Time) -> ForeignWord {
    let block = FleetBlock {
        target: net(target),
        class: Class::Manual,
        confidence: 1.0,
        strength: Strength::Hard,
        detector: Detector::Operator,
        evidence: None,
        reason: String::new(),
        level: 1,
        duration: None,
    };
    ForeignWord {
        from: Arc::new(Foreigner { cluster: WEST, node: NodeId([91; 32]), name: "west/alice".into() }),
        version: Version { epoch: 1, sequence: 1 },
        issued,
        lasts: None,
        says: ForeignSays::Block(Box::new(block)),
    }
}

impl Node {
    fn believes(&self, clusters: &[(NodeId, &str)]) {
        let clusters: BTreeMap<_, _> = clusters.iter().map(|(id, name)| (*id, (*name).to_owned())).collect();
        self.inbox.send(Input::Fleet(super::super::Input::Foreigners(clusters)));
    }

    /// How many of them were dated ahead.
    fn hears(&self, words: Vec<ForeignWord>) -> Option<usize> {
        let (answer, ahead) = oneshot::channel();
        self.inbox.send(Input::Fleet(super::super::Input::Foreign(words, answer)));
        ahead.blocking_recv().ok().map(|ahead| ahead.len())
    }

    fn drops(&self) -> Vec<IpNet> {
        self.inbox.ask(|agent, _| agent.desired().blocks.into_keys().collect()).unwrap()
    }
}

#[test]
fn a_word_that_is_dated_ahead_is_not_taken_and_given_back() {
    let (authority, node) = (Authority::found(), Node::start());
    node.enter(&authority.member("one"), Vec::new()).unwrap();
    node.believes(&[(WEST, "west")]);
    let ahead = clock::now().after(Duration::from_secs(3600));
    let a_little = clock::now().after(Duration::from_secs(60));
    let words = vec![word("203.0.113.7/32", ahead), word("203.0.113.8/32", a_little)];
    assert_eq!(node.hears(words), Some(1));
    assert_eq!(node.drops(), [net("203.0.113.8/32")]);
}

#[test]
fn whoever_is_believed_no_longer_loses_its_blocks_also_in_no_cluster() {
    let (authority, node) = (Authority::found(), Node::start());
    node.enter(&authority.member("one"), Vec::new()).unwrap();
    node.believes(&[(WEST, "west")]);
    assert_eq!(node.hears(vec![word("203.0.113.7/32", clock::now())]), Some(0));
    node.runtime.block_on(node.handle.leave()).unwrap();
    assert_eq!(node.drops(), [net("203.0.113.7/32")], "what is dropped stays so");
    assert_eq!(node.hears(vec![word("203.0.113.8/32", clock::now())]), None, "nobody is heard");
    node.believes(&[]);
    assert!(node.drops().is_empty());
}
