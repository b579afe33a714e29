//! What is enforced does not depend on the order in which it became known.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec,
};

use proptest::prelude::*;

use super::{
    fleet::{EVIL, ME, WEB_2, WEB_3, fleet_block},
    fleet_orders::{allow_order, block_order, unblock_order},
    *,
};
use crate::{
    BlockState,
    fleet::{FleetBlock, NodeId, OrderKind},
};

/// One word of the fleet.
#[derive(Clone, Debug)]
enum Word {
    Block(NodeId, u64, u8, Option<Evidence>),
    Order(u128, u64, OrderKind),
    Regulars,
}

const TARGETS: [&str; 7] =
    ["192.0.2.1", "192.0.2.2", "192.0.2.0/30", "198.51.100.1", "10.0.0.9", "198.51.0.0/16", "20.0.0.0/8"];

fn any_word() -> impl Strategy<Value = Word> {
    let node = || prop::sample::select(vec![WEB_2, WEB_3, EVIL, ME]);
    // What is said of this node's own block makes it speak, and a later word outranks what comes after.
    let other = || prop::sample::select(vec![WEB_2, WEB_3, EVIL]);
    let target = || 0..TARGETS.len() as u8;
    let evidence = prop::sample::select(vec![
        None,
        Some(Evidence::Spoofable),
        Some(Evidence::Handshake),
        Some(Evidence::Handshake),
    ]);
    let kind = prop_oneof![
        target().prop_map(|t| block_order(&[TARGETS[t as usize], "203.0.113.9"], t % 2 == 0)),
        target().prop_map(|t| allow_order(TARGETS[t as usize])),
        (target(), other(), 1u64..8, 0u128..12, any::<bool>()).prop_map(
            |(t, node, version, order, wrong)| {
                let mut kind = unblock_order(TARGETS[t as usize], &[(node, version)], &[order]);
                if let OrderKind::Unblock { false_positive, .. } = &mut kind {
                    *false_positive = wrong;
                }
                kind
            }
        ),
        (0u128..12).prop_map(|id| OrderKind::Disallow { id }),
        (node(), any::<bool>()).prop_map(|(node, believed)| OrderKind::Trust { node, believed }),
        // Only declared: what was proven by a canary stays proven when it is taken back.
        target().prop_map(|t| OrderKind::Canary { target: net(TARGETS[t as usize]), watched: true }),
    ];
    prop_oneof![
        4 => (node(), 1u64..8, target(), evidence).prop_map(|(n, v, t, e)| Word::Block(n, v, t, e)),
        4 => (0u128..12, 0u64..2000, kind).prop_map(|(id, age, kind)| Word::Order(id, age, kind)),
        1 => Just(Word::Regulars),
    ]
}

fn hear(node: &mut Node, word: &Word) {
    match word {
        Word::Block(origin, sequence, target, evidence) => {
            let block = FleetBlock {
                evidence: *evidence,
                duration: Some(Duration::from_secs(3600)),
                ..fleet_block(TARGETS[*target as usize])
            };
            node.hears_block(*origin, *sequence, block);
        }
        Word::Order(id, age, kind) => node.ordered_before(*age, *id, kind.clone()),
        Word::Regulars => node.regulars(&["192.0.2.1", "198.51.100.1"]),
    }
}

/// A log has one entry under one version, and an order has one meaning. What is void proves nothing any more, but what
/// it has proven stays so: canaries and `unblock`s are not mixed here.
fn consistent(words: Vec<Word>) -> Vec<Word> {
    let mut versions = BTreeSet::new();
    let mut orders = BTreeSet::new();
    let unblocks = words.iter().any(|word| matches!(word, Word::Order(.., OrderKind::Unblock { .. })));
    words
        .into_iter()
        .filter(|word| match word {
            Word::Block(node, version, ..) => versions.insert((*node, *version)),
            Word::Order(.., OrderKind::Canary { .. }) if unblocks => false,
            Word::Order(id, ..) => orders.insert(*id),
            Word::Regulars => true,
        })
        .collect()
}

/// The words in this order, as the logs give them: never an earlier one on a target after a later one.
fn as_logged(words: &[Word]) -> Vec<&Word> {
    let mut last = BTreeMap::new();
    let logged = words.iter().filter(|word| match word {
        Word::Block(node, version, target, _) => {
            let top = last.entry((*node, *target)).or_insert(0);
            let later = version > top;
            *top = (*top).max(*version);
            later
        }
        Word::Order(..) | Word::Regulars => true,
    });
    logged.collect()
}

fn enforced(node: &Node) -> Vec<(IpNet, Strength)> {
    node.agent.desired().blocks.values().map(|entry| (entry.target, entry.strength)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_the_same_words_leads_to_the_same(
        (words, shuffled) in prop::collection::vec(any_word(), 1..14).prop_map(consistent).prop_flat_map(|words| {
            (Just(words.clone()), Just(words).prop_shuffle())
        }),
    ) {
        let (mut one, mut other) = (Node::in_fleet(), Node::in_fleet());
        as_logged(&words).into_iter().for_each(|word| hear(&mut one, word));
        as_logged(&shuffled).into_iter().for_each(|word| hear(&mut other, word));
        for node in [&one, &other] {
            prop_assert_eq!(&node.kernel, &node.agent.desired(), "the effects lead to what is desired");
            prop_assert!(node.agent.poll_timeout() > node.now());
            let withheld = node.agent.blocks().filter(|listed| matches!(listed.state, BlockState::Withheld(_)));
            prop_assert_eq!(withheld.count(), node.agent.fleet_withheld());
        }
        prop_assert_eq!(enforced(&one), enforced(&other));
        for node in [WEB_2, WEB_3, EVIL] {
            prop_assert_eq!(one.trust(node), other.trust(node));
        }
    }
}
