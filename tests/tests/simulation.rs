//! The whole fleet, simulated: it agrees whatever happens to it, in the time promised.
//!
//! `SMARTFW_SEED=7` plays one seed, `SMARTFW_SEEDS=100000` so many of the small fleets (and a fiftieth of the large).

#![allow(clippy::print_stdout)] // the figures are half of the answer

use std::time::{Duration, Instant};

use smartfw_core::{IpNet, gossip::Audience};
use smartfw_tests::simulation::{Lie, Plan, Weather, World, block};

/// Longer than any simulation here.
const HOURS: Duration = Duration::from_secs(14_400);

#[test]
fn small_fleets_agree_after_any_trouble() {
    play(seeds(1000).map(Plan::small));
}

#[test]
fn fleets_of_a_hundred_agree_after_any_trouble() {
    play(seeds(20).map(Plan::hundred));
}

/// The promise of Serf's formula for as many: 2.15 s, and 2.87 s at a quarter lost.
#[test]
fn a_block_is_on_a_thousand_members_within_a_second_and_within_two_at_a_quarter_lost() {
    let mut world = formed(1, 1000);
    world.traffic(Duration::ZERO);
    world.run(Duration::from_secs(2));
    let idle = world.traffic(Duration::from_secs(2));
    assert!(idle.most <= 1024, "idle traffic: {idle:?}");
    let took = spread(&mut world, 0, Duration::from_secs(3));
    world.network.weather = Weather { loss: 25, ..Weather::default() };
    let lossy = spread(&mut world, 500, Duration::from_secs(5));
    println!("1,000 members: {took:?}, at 25 % loss {lossy:?}, idle {idle:?}");
    assert!(took <= Duration::from_secs(1), "{took:?}");
    assert!(lossy <= Duration::from_secs(2), "{lossy:?}");
    honest(&world);
}

#[test]
fn a_block_is_on_five_members_within_fifty_milliseconds_and_on_twenty_within_150() {
    for (count, bound) in [(5, 50), (20, 150)] {
        let mut all: Vec<Duration> = Vec::new();
        for seed in 0..20 {
            let mut world = formed(seed, count);
            all.extend((0..5).map(|from| spread(&mut world, from, Duration::from_secs(2))));
        }
        all.sort_unstable();
        println!("{count} members: median {:?}, most {:?}", all[all.len() / 2], all[all.len() - 1]);
        assert!(all[all.len() - 1] <= Duration::from_millis(bound), "{:?}", all[all.len() - 1]);
    }
}

#[test]
fn an_idle_fleet_of_any_size_is_nearly_silent() {
    for count in [2, 5, 16, 17, 100] {
        let mut world = formed(3, count);
        world.traffic(Duration::ZERO);
        world.run(Duration::from_secs(20));
        let idle = world.traffic(Duration::from_secs(20));
        println!("{count} members: {idle:?}");
        assert!(idle.most <= 1024, "{count} members: {idle:?}");
    }
}

#[test]
fn a_partition_heals_within_five_seconds() {
    for (seed, count) in [(1, 5), (2, 16), (3, 100)] {
        let mut world = formed(seed, count);
        let far = |node: usize| node % 2 == 1;
        let ways =
            || (0..count).flat_map(|a| (0..count).map(move |b| (a, b))).filter(|(a, b)| far(*a) != far(*b));
        ways().for_each(|(a, b)| world.cut(a, b, true));
        for node in 0..4 {
            world.say(node, Audience::Cluster, block(target(node as u8), node as u32, Some(HOURS)));
        }
        world.run(Duration::from_secs(10));
        assert!(!world.converged(), "the partition holds");
        world.mend();
        let took = world.run_until(Duration::from_secs(5), World::converged);
        println!("{count} members agree {took:?} after a partition");
        assert!(took.is_some(), "{count} members: {}", world.differing());
        assert!(world.honest().iter().all(|node| node.applied.len() == 4));
        honest(&world);
    }
}

#[test]
fn a_hundred_thousand_blocks_of_one_are_with_all_of_five_within_five_seconds() {
    let mut world = formed(4, 5);
    for serial in 0..100_000_u32 {
        let [_, a, b, c] = serial.to_be_bytes();
        let target = IpNet::from(std::net::IpAddr::from([20, a, b, c]));
        world.say(0, Audience::Cluster, block(target, serial, Some(HOURS)));
    }
    let all = |world: &World| world.honest().iter().all(|node| node.applied.len() == 100_000);
    let took = world.run_until(Duration::from_secs(5), all);
    println!("100,000 blocks: {took:?}");
    assert!(took.is_some(), "{:?}", world.honest().iter().map(|node| node.applied.len()).collect::<Vec<_>>());
    honest(&world);
}

#[test]
fn a_node_that_lost_its_disk_refills_from_others_and_uses_no_version_twice() {
    let mut world = formed(5, 5);
    for serial in 0..20 {
        world.say(2, Audience::Cluster, block(target(serial), serial.into(), Some(HOURS)));
        world.run(Duration::from_millis(100));
    }
    world.crash(2);
    world.wipe(2);
    // Its clock is two hours behind, too: an epoch of it alone would be lower than the last.
    world.nodes[2].skew = -7200;
    world.run(Duration::from_secs(5));
    world.start(2);
    world.say(2, Audience::Cluster, block(target(3), 99, Some(HOURS)));
    let full = |world: &World| world.nodes[2].applied.len() == 20 && world.converged();
    let took = world.run_until(Duration::from_secs(3), full).expect("it refills");
    println!("refilled in {took:?}");
    world.run(Duration::from_secs(3));
    let blocks: Vec<_> = world.honest().iter().map(|node| node.blocks(world.now)).collect();
    let versions: Vec<_> =
        blocks.iter().map(|blocks| blocks.values().map(|(version, _)| *version).max()).collect();
    assert!(versions.windows(2).all(|pair| pair[0] == pair[1]), "{versions:?}");
    let epochs: std::collections::BTreeSet<u64> =
        blocks[0].values().map(|(version, _)| version.epoch).collect();
    assert_eq!(epochs.len(), 2, "what it says again has an epoch above its old one");
    assert!(world.reports.iter().all(|(_, report)| !is_fork(report)));
}

#[test]
fn a_node_whose_disk_is_set_back_uses_no_version_twice_and_is_believed() {
    let mut world = formed(7, 5);
    let say = |world: &mut World, from: u32| {
        for serial in from..from + 5 {
            world.say(2, Audience::Cluster, block(target(serial as u8), serial, Some(HOURS)));
            world.run(Duration::from_millis(100));
        }
    };
    say(&mut world, 0);
    let copy = world.copy(2);
    say(&mut world, 10);
    for life in 0..3 {
        world.crash(2);
        world.rewind(2, copy.clone());
        // It says something before anybody can tell it what it said once.
        world.start(2);
        say(&mut world, 20 + 10 * life);
        world.run(Duration::from_secs(5));
    }
    assert!(world.converged(), "{}", world.differing());
    assert!(world.reports.iter().all(|(_, report)| !is_fork(report)), "{:?}", world.reports);
    assert!(world.honest().iter().all(|node| node.blocks(world.now).len() == 25), "and nothing is lost");
    honest(&world);
}

#[test]
fn who_alone_speaks_to_one_that_starts_and_lies_about_ages_ends_nothing_there() {
    let mut world = formed(8, 3);
    world.crash(2);
    for serial in 0..20 {
        world.say(0, Audience::Cluster, block(target(serial), serial.into(), Some(HOURS)));
        world.run(Duration::from_millis(100));
    }
    world.corrupt(1, Lie::Age);
    world.cut(0, 2, true);
    world.cut(2, 0, true);
    world.start(2);
    world.run(Duration::from_secs(5));
    assert_eq!(world.nodes[2].gossip.as_ref().unwrap().runs(), 20, "the liar brought all of them");
    assert_eq!(world.nodes[2].blocks(world.now).len(), 20);
}

#[test]
fn a_log_that_is_said_over_and_over_does_not_grow_for_ever() {
    let mut world = formed(6, 3);
    let mut most = 0;
    for minute in 0..90_u32 {
        for serial in 0..200 {
            let target = target((serial % 200) as u8);
            world.say(0, Audience::Cluster, block(target, minute * 200 + serial, None));
        }
        world.run(Duration::from_secs(60));
        most = most.max(world.nodes[1].gossip.as_ref().unwrap().bytes());
    }
    println!("at most {most} bytes of log for 18,000 blocks of 200 targets");
    assert!(most < 1_000_000, "{most}");
    assert!(world.nodes[1].gossip.as_ref().unwrap().counters().compacted == 0);
    assert!(world.nodes[0].gossip.as_ref().unwrap().counters().compacted > 0);
    assert!(world.honest().iter().all(|node| node.blocks(world.now).len() == 200), "and nothing is lost");
    assert!(world.converged());
}

/// A fleet whose members know and reach each other.
fn formed(seed: u64, count: usize) -> World {
    let mut world = World::new(seed, count, 1);
    world.run(Duration::from_secs(2));
    world
}

/// How long the others take to apply what one says.
fn spread(world: &mut World, from: usize, most: Duration) -> Duration {
    let before = world.nodes[from].applied.len();
    let target = target(100 + before as u8);
    world.say(from, Audience::Cluster, block(target, 1000 * from as u32 + before as u32, Some(HOURS)));
    let all = |world: &World| world.honest().iter().all(|node| node.applied.len() > before);
    world.run_until(most, all).unwrap_or(Duration::MAX)
}

fn target(host: u8) -> IpNet {
    IpNet::from(std::net::IpAddr::from([203, 0, 113, host]))
}

fn honest(world: &World) {
    assert!(world.audit.broken.is_empty(), "{:?}", world.audit.broken);
}

fn is_fork(report: &smartfw_core::gossip::Report) -> bool {
    matches!(report, smartfw_core::gossip::Report::DoubleSigned(_))
}

fn seeds(count: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    match (number("SMARTFW_SEED"), number("SMARTFW_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(seeds)) => 0..(seeds * count / 1000).max(1),
        (None, None) => 0..count,
    }
}

fn play(plans: impl Iterator<Item = Plan>) {
    let (mut slowest, mut failed, mut count) = (Duration::ZERO, Vec::new(), 0);
    let begin = Instant::now();
    for plan in plans {
        count += 1;
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
    println!("{count} fleets agree, the slowest in {slowest:?}; {:?} of machine time", begin.elapsed());
    assert!(failed.is_empty(), "seeds that fail: {failed:?}");
}
