//! Whatever comes in whatever order.

use alloc::vec;

use proptest::prelude::*;

use super::*;
use crate::{order::Mode, prefix};

/// One input.
#[derive(Clone, Debug)]
enum Input {
    Verdict(u8, Class, Option<Evidence>, bool),
    Block(u8, bool, u64),
    Unblock(u8, bool),
    Allow(u8, Option<u64>),
    Disallow(u8),
    Protect(Vec<u8>),
    Switch(EnforcementState, Option<u64>),
    Mode(Mode, Option<u64>),
    Confirm,
    Approve,
    Reject,
    Pass(u64),
}

/// Few targets, so that they meet: hosts, prefixes around them, one /64.
const TARGETS: [&str; 12] = [
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.3",
    "192.0.2.0/30",
    "192.0.2.0/24",
    "192.0.0.0/8",
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8::3",
    "2001:db8::/64",
    "2001:db8::/32",
    "127.0.0.1",
];

fn any_input() -> impl Strategy<Value = Input> {
    let target = 0..TARGETS.len() as u8;
    let class = prop::sample::select(vec![Class::BruteForce, Class::PortScan, Class::Botnet]);
    let evidence = prop::sample::select(vec![None, Some(Evidence::Spoofable), Some(Evidence::Handshake)]);
    let state = prop::sample::select(EnforcementState::ALL);
    let mode = prop::sample::select(Mode::ALL);
    prop_oneof![
        6 => (target.clone(), class, evidence, any::<bool>()).prop_map(|(t, c, e, k)| Input::Verdict(t, c, e, k)),
        3 => (target.clone(), any::<bool>(), 1u64..4000).prop_map(|(t, f, d)| Input::Block(t, f, d)),
        2 => (target.clone(), any::<bool>()).prop_map(|(t, f)| Input::Unblock(t, f)),
        2 => (target.clone(), prop::option::of(1u64..2000)).prop_map(|(t, d)| Input::Allow(t, d)),
        1 => target.clone().prop_map(Input::Disallow),
        2 => prop::collection::vec(target, 0..3).prop_map(Input::Protect),
        1 => (state, prop::option::of(1u64..200)).prop_map(|(s, c)| Input::Switch(s, c)),
        1 => (mode, prop::option::of(1u64..200)).prop_map(|(m, c)| Input::Mode(m, c)),
        1 => Just(Input::Confirm),
        1 => Just(Input::Approve),
        1 => Just(Input::Reject),
        4 => (1u64..1000).prop_map(Input::Pass),
    ]
}

fn feed(node: &mut Node, input: Input) {
    let target = |n: u8| TARGETS[n as usize];
    let seconds = |s: Option<u64>| s.map(Duration::from_secs);
    // Refusals are as good an answer as any here.
    let _ = match input {
        Input::Verdict(n, class, evidence, known) => {
            let source = net(target(n)).addr();
            let mut verdict = verdict(&alloc::format!("{source}"), class, evidence);
            verdict.standing.known = known;
            verdict.at = node.now();
            node.verdict(verdict);
            return;
        }
        Input::Block(n, force, seconds) => node.order(Order::Block(BlockOrder {
            duration: (seconds % 5 != 0).then(|| Duration::from_secs(seconds)),
            ..block(target(n), force)
        })),
        Input::Unblock(n, false_positive) => {
            node.order(Order::Unblock { target: net(target(n)), false_positive })
        }
        Input::Allow(n, duration) => node.allow(target(n), duration),
        Input::Disallow(n) => node.order(Order::Disallow { target: net(target(n)) }),
        Input::Protect(list) => {
            let nets: Vec<_> = list.iter().map(|n| (target(*n), Why::Gateway)).collect();
            node.protect(&nets);
            return;
        }
        Input::Switch(state, confirm) => node.switch(state, confirm),
        Input::Mode(mode, confirm) => node.order(Order::Mode { mode, confirm: seconds(confirm) }),
        Input::Confirm => node.order(Order::Confirm),
        Input::Approve => node.order(Order::Approve(None)),
        Input::Reject => {
            let first = node.agent.pending().next().map(|pending| pending.id);
            node.order(Order::Reject(first.unwrap_or_default()))
        }
        Input::Pass(seconds) => return node.pass(seconds),
    };
}

/// Nobody who is protected or allowed is dropped, but for whom an operator insisted on.
fn assert_nobody_is_locked_out(node: &Node) {
    let desired = node.agent.desired();
    for listed in node.agent.blocks().filter(|listed| listed.state == crate::BlockState::InForce) {
        let target = listed.block.target;
        for allowed in node.agent.allowed().filter(|allowed| prefix::overlap(&allowed.target, &target)) {
            assert!(desired.protected.contains(&allowed.target), "{target} drops what is allowed");
            assert!(!allowed.target.contains(&target), "{target} is dropped although allowed");
        }
        let Some(protected) = node.agent.why_protected(&target) else { continue };
        assert_eq!(listed.block.detector, Detector::Operator, "detection drops {protected:?}");
        if listed.forced {
            continue;
        }
        assert!(!protected.net.contains(&target), "{target} is dropped although protected");
        let lifted =
            |net: &IpNet| node.agent.blocks.forced().iter().any(|forced| prefix::overlap(forced, net));
        assert!(
            desired.protected.contains(&protected.net) || lifted(&protected.net),
            "{target} drops {protected:?}"
        );
    }
}

/// What can be asked of both is answered alike.
pub(super) fn assert_same(one: &Node, other: &Node) {
    let (a, b) = (&one.agent, &other.agent);
    assert_eq!(a.desired(), b.desired());
    assert_eq!(a.blocks().collect::<Vec<_>>(), b.blocks().collect::<Vec<_>>());
    assert_eq!(a.alerts().collect::<Vec<_>>(), b.alerts().collect::<Vec<_>>());
    assert_eq!(a.pending().collect::<Vec<_>>(), b.pending().collect::<Vec<_>>());
    assert_eq!(a.allowed().collect::<Vec<_>>(), b.allowed().collect::<Vec<_>>());
    assert_eq!(a.lessons().collect::<Vec<_>>(), b.lessons().collect::<Vec<_>>());
    assert_eq!((a.enforcement_detail(), a.mode()), (b.enforcement_detail(), b.mode()));
    for target in TARGETS {
        let address = net(target).addr();
        assert_eq!(a.explain(address, one.now()), b.explain(address, one.now()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_locked_out_limits_hold_and_a_restart_changes_nothing(
        inputs in prop::collection::vec(any_input(), 1..60),
    ) {
        let mut node = Node::with(|config| {
            config.limits.blocks = 6;
            config.limits.automatic_blocks = 4;
            config.limits.pending = 3;
            config.limits.allowed = 3;
            config.limits.alerts = 5;
            config.limits.offenders = 4;
            config.blast.blocks_per_minute = 5;
        });
        let mut host = Vec::new();
        for input in inputs {
            if let Input::Protect(list) = &input { host.clone_from(list); }
            feed(&mut node, input);
            prop_assert_eq!(&node.kernel, &node.agent.desired(), "the effects lead to what is desired");
            assert_nobody_is_locked_out(&node);
            prop_assert!(node.agent.block_count() <= 6);
            prop_assert!(node.agent.blocks.automatic() <= 4);
            prop_assert!(node.agent.pending().count() <= 3);
            prop_assert!(node.agent.shield.allowed_len() <= 3);
            prop_assert!(node.agent.alerts().count() <= 5);
            prop_assert!(node.agent.offenders.len() <= 4);
            prop_assert!(node.agent.poll_timeout() > node.now(), "nothing due is left behind");
        }
        let mut other = node.restarted();
        let nets: Vec<_> = host.iter().map(|n| (TARGETS[*n as usize], Why::Gateway)).collect();
        other.protect(&nets);
        assert_same(&node, &other);
    }
}
