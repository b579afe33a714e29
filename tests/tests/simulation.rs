//! The whole fleet, simulated: it agrees whatever happens to it, in the time promised.
//!
//! `SMARTFW_SEED=7` plays one seed of the small fleets, `SMARTFW_SEEDS=100000` more of them.

use std::time::Duration;

use smartfw_core::{IpNet, gossip::Audience};
use smartfw_tests::simulation::{Plan, Weather, World, block};

fn target() -> IpNet {
    "203.0.113.7/32".parse().unwrap()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// How long the others take to apply what the first says.
fn spread(world: &mut World, most: Duration) -> Option<Duration> {
    world.say(0, Audience::Cluster, block(target(), 1, Some(Duration::from_secs(14_400))));
    world.run_until(most, |world| world.honest().iter().all(|node| !node.applied.is_empty()))
}

#[test]
fn what_one_of_two_says_the_other_applies() {
    let mut world = World::new(1, 2, 1);
    world.run(Duration::from_secs(2));
    let took = spread(&mut world, Duration::from_secs(1)).expect("it comes");
    assert!(took <= Duration::from_millis(20), "{took:?}");
    assert!(world.run_until(Duration::from_secs(1), World::converged).is_some());
    assert!(world.audit.broken.is_empty(), "{:?}", world.audit.broken);
}

#[test]
fn small_fleets_agree_after_any_trouble() {
    let seeds =
        number("SMARTFW_SEED").map_or(0..number("SMARTFW_SEEDS").unwrap_or(1000), |seed| seed..seed + 1);
    play(seeds.map(Plan::small));
}

fn play(plans: impl Iterator<Item = Plan>) {
    let mut slowest = Duration::ZERO;
    let mut failed = Vec::new();
    let begin = std::time::Instant::now();
    for plan in plans {
        match plan.play() {
            Ok((took, _)) => slowest = slowest.max(took),
            Err(broken) => {
                for what in broken.iter().take(5) {
                    println!("SMARTFW_SEED={} ({} nodes): {}", plan.seed, plan.nodes, what.0);
                }
                failed.push(plan.seed);
            }
        }
    }
    println!("slowest agreement {slowest:?}; {:?} of machine time", begin.elapsed());
    assert!(failed.is_empty(), "seeds that fail: {failed:?}");
}
