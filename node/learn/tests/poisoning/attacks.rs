//! What an attacker tries.

use std::net::{IpAddr, Ipv4Addr};

use smartfw_core::{BlockId, Class, Detector, Features, Time, record::Lesson, verdict::Protocol};
use smartfw_learn::online::{Seen, WIDTH};

use crate::{
    node::{Node, likeliest_attack},
    town::{STEPS, window_of},
};

/// The probability below which an attacker who knows the model stays: a little under what speaks.
const UNDETECTED: f32 = 0.85;
const BOTS: u32 = 5000;

/// A way to teach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attack {
    /// Nobody attacks.
    None,
    /// Twenty sources go from what is ordinary to a flood, a little every ten minutes.
    Ramp,
    /// Five thousand sources in as many networks, each as close to an attack as goes unnoticed.
    Botnet,
    /// A hundred sources that are like everybody else for five days, and then attack.
    Copycats,
    /// All of a /24, all the time, as close to an attack as goes unnoticed.
    Volume,
    /// An operator, or whoever has his key, says of two hundred attacks that they were none.
    Lies,
    /// Five hundred sources that come between one and five at night, when hardly anybody else does.
    Night,
}

impl Attack {
    /// The windows of one step of the week.
    pub(crate) fn windows(self, node: &mut Node, step: u64) -> Vec<Seen> {
        let hour = step % STEPS * 24 / STEPS;
        let progress = step as f32 / (7 * STEPS) as f32;
        match self {
            Self::None | Self::Lies => Vec::new(),
            Self::Ramp => (0..20).map(|bot| between(node, bot, progress)).collect(),
            // Each bot comes six times a day.
            Self::Botnet => (0..BOTS)
                .filter(|bot| (u64::from(*bot) + step).is_multiple_of(STEPS / 6))
                .map(|bot| nearly(node, bot << 8))
                .collect(),
            Self::Copycats if progress < 5.0 / 7.0 => (0..100).map(|bot| honest(node, bot << 8)).collect(),
            Self::Copycats => (0..100).map(|bot| openly(node, bot << 8)).collect(),
            Self::Volume => (0..250).map(|bot| nearly(node, bot)).collect(),
            Self::Night if (1..5).contains(&hour) => (0..500).map(|bot| nearly(node, bot << 8)).collect(),
            Self::Night => Vec::new(),
        }
    }

    /// What is said to be a mistake at this step.
    pub(crate) fn lessons(self, node: &Node, step: u64) -> Vec<Lesson> {
        // Two hundred over the week, of attacks all over the reference set.
        if !matches!(self, Self::Lies) || !step.is_multiple_of(5) {
            return Vec::new();
        }
        let attacks = &node.town.attacks;
        let features = Some(Features::from_array(attacks[(step as usize / 10 * 37) % attacks.len()]));
        let (target, id) = ("203.0.113.9/32".parse().unwrap(), BlockId(step));
        let (class, detector) = (Class::PortScan, Detector::Forest);
        vec![Lesson { id, at: Time::ZERO, target, class, detector, features }]
    }
}

fn address(bot: u32) -> IpAddr {
    Ipv4Addr::from(0x6400_0001 + bot).into()
}

fn window(bot: u32, values: [f32; WIDTH]) -> Seen {
    window_of(address(bot), (Protocol::Tcp, 80), values)
}

fn honest(node: &mut Node, bot: u32) -> Seen {
    window(bot, node.town.window(&mut node.chance))
}

fn openly(node: &mut Node, bot: u32) -> Seen {
    let at = node.chance.below(node.town.attacks.len());
    window(bot, node.town.attacks[at])
}

/// A part of the way from something ordinary to an attack, on the logarithmic scale.
fn between(node: &mut Node, bot: u32, part: f32) -> Seen {
    let (from, to) = (honest(node, bot).features.to_array(), openly(node, bot).features.to_array());
    window(bot << 8, mix(&from, &to, part))
}

/// As far towards an attack as the model in use lets pass.
fn nearly(node: &mut Node, bot: u32) -> Seen {
    let (from, to) = (honest(node, bot).features.to_array(), openly(node, bot).features.to_array());
    let parts = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1];
    let mixed = parts.iter().map(|part| mix(&from, &to, *part));
    let unnoticed = |values: &[f32; WIDTH]| likeliest_attack(&node.used, values).1 < UNDETECTED;
    let values = mixed.into_iter().find(unnoticed).unwrap_or(from);
    window(bot, values)
}

fn mix(from: &[f32; WIDTH], to: &[f32; WIDTH], part: f32) -> [f32; WIDTH] {
    let scaled = |i: usize| from[i].ln_1p() + part * (to[i].ln_1p() - from[i].ln_1p());
    std::array::from_fn(|i| scaled(i).exp_m1())
}
