//! What happens to a fleet, from a seed: words, and troubles of every kind.

use std::time::Duration;

use smartfw_core::{
    Class, Detector, Evidence, IpNet, Strength,
    fleet::{Entry, FleetBlock, SignedOrder},
    gossip::Audience,
};

use super::{audit::Broken, chance::Chance, liar::Lie, network::Weather, world::World};

/// How a seed is played.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Members.
    pub nodes: usize,
    /// Steps while there are troubles.
    pub steps: usize,
    /// For how long there are troubles.
    pub trouble: Duration,
    /// How long after that everybody may take to hold the same.
    pub heals: Duration,
}

/// What may go wrong, and what does, by the number of times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Troubles {
    /// Ways that were cut.
    pub cuts: u32,
    /// Crashes.
    pub crashes: u32,
    /// Disks that were lost.
    pub wipes: u32,
    /// Pauses.
    pub pauses: u32,
    /// Clocks that jumped.
    pub jumps: u32,
    /// Blocks said.
    pub blocks: u32,
    /// Liars.
    pub liars: u32,
}

/// A run of a plan.
struct Play {
    plan: Plan,
    world: World,
    chance: Chance,
    troubles: Troubles,
    serial: u32,
}

impl Plan {
    /// A small fleet in a lot of trouble.
    pub const fn small(seed: u64) -> Self {
        let nodes = 3 + (seed % 7) as usize;
        Self { seed, nodes, steps: 30, trouble: Duration::from_secs(8), heals: Duration::from_secs(5) }
    }

    /// A hundred members in some trouble.
    pub const fn hundred(seed: u64) -> Self {
        Self { seed, nodes: 100, steps: 25, trouble: Duration::from_secs(5), heals: Duration::from_secs(5) }
    }

    /// Plays it, and says how long the fleet took to agree after all troubles ended.
    ///
    /// # Errors
    /// The properties that do not hold.
    pub fn play(self) -> Result<(Duration, Troubles), Vec<Broken>> {
        let mut play = Play {
            plan: self,
            world: World::new(self.seed, self.nodes, 1 + (self.seed % 3) as usize),
            chance: Chance::new(self.seed ^ 0x5eed),
            troubles: Troubles::default(),
            serial: 0,
        };
        play.weather();
        play.lies();
        for _ in 0..self.steps {
            let wait = play.chance.between(Duration::ZERO, self.trouble * 2 / self.steps as u32);
            play.world.run(wait);
            play.step();
        }
        play.end()
    }
}

impl Play {
    fn weather(&mut self) {
        let chance = &mut self.chance;
        let mut up_to = |most: usize| if chance.percent(50) { 0 } else { chance.below(most + 1) };
        self.world.network.weather = Weather {
            loss: up_to(25) as u8,
            repeats: up_to(10) as u8,
            overtakes: up_to(10) as u8,
            breaks: up_to(20) as u16,
        };
    }

    fn lies(&mut self) {
        if !self.chance.percent(30) {
            return;
        }
        let (liar, lie) =
            (1 + self.chance.below(self.plan.nodes - 1), Lie::ALL[self.chance.below(Lie::ALL.len())]);
        self.world.corrupt(liar, lie);
        self.troubles.liars += 1;
        if lie == Lie::Age {
            self.world.audit.exact = false;
            // With fewer than three direct members nobody can tell the time: what is said to be new is believed.
            self.world.audit.timed = self.plan.nodes > 4;
        }
    }

    fn node(&mut self) -> usize {
        self.chance.below(self.plan.nodes)
    }

    fn step(&mut self) {
        let node = self.node();
        match self.chance.below(100) {
            0..=44 => self.block(node),
            45..=51 => self.withdraw(node),
            52..=54 => (0..300 + self.chance.below(900)).for_each(|_| self.block(node)),
            55..=59 => self.order(node),
            60..=74 => self.cut(node),
            75..=78 => self.mend(),
            79..=87 => self.crash(node),
            88..=93 => self.pause(node),
            _ => self.jump(node),
        }
    }

    fn target(&mut self) -> IpNet {
        let host = self.chance.below(40) as u8;
        IpNet::from(std::net::IpAddr::from([203, 0, 113, host]))
    }

    fn audience(&mut self) -> Audience {
        if self.chance.percent(20) { Audience::Site } else { Audience::Cluster }
    }

    fn block(&mut self, node: usize) {
        self.serial += 1;
        self.troubles.blocks += 1;
        let seconds = [2, 20, 600, 14_400];
        let duration = match self.chance.below(5) {
            4 => None,
            index => Some(Duration::from_secs(seconds[index])),
        };
        let (target, audience) = (self.target(), self.audience());
        self.world.say(node, audience, block(target, self.serial, duration));
    }

    fn withdraw(&mut self, node: usize) {
        let (target, audience) = (self.target(), self.audience());
        self.world.say(node, audience, Entry::Withdraw { target, lasts: None });
    }

    fn order(&mut self, node: usize) {
        self.serial += 1;
        let bytes = self.serial.to_be_bytes().as_slice().into();
        let order = SignedOrder { bytes, signature: [1; 64], certificate: [2; 40].into(), lasts: None };
        self.world.say(node, Audience::Cluster, Entry::Order(order));
    }

    /// A pair, one way or both, or the whole fleet in two.
    fn cut(&mut self, node: usize) {
        self.troubles.cuts += 1;
        let other = self.node();
        if self.chance.percent(50) {
            self.world.cut(node, other, true);
            if self.chance.percent(50) {
                self.world.cut(other, node, true);
            }
            return;
        }
        let split = self.node();
        for a in 0..split {
            for b in split..self.plan.nodes {
                self.world.cut(a, b, true);
                self.world.cut(b, a, true);
            }
        }
    }

    fn mend(&mut self) {
        self.world.mend();
    }

    fn crash(&mut self, node: usize) {
        if self.world.nodes[node].gossip.is_none() {
            return self.world.start(node);
        }
        self.troubles.crashes += 1;
        self.world.crash(node);
        if self.chance.percent(25) {
            self.troubles.wipes += 1;
            self.world.wipe(node);
        }
    }

    fn pause(&mut self, node: usize) {
        self.troubles.pauses += 1;
        let time = self.chance.between(Duration::from_millis(50), Duration::from_secs(5));
        self.world.pause(node, time);
    }

    fn jump(&mut self, node: usize) {
        self.troubles.jumps += 1;
        self.world.nodes[node].skew = self.chance.below(14_400) as i64 - 7_200;
        self.world.audit.exact = false;
        // A block issued by a clock that is behind, before its owner heard what time it is, may end early.
        (self.world.audit.timed, self.world.audit.right) = (false, false);
    }

    /// All troubles end, and everybody is up again.
    fn end(mut self) -> Result<(Duration, Troubles), Vec<Broken>> {
        self.world.network.weather = Weather::default();
        for node in 0..self.plan.nodes {
            self.world.start(node);
        }
        let paused = self.world.nodes.iter().filter_map(|node| node.paused).max().unwrap_or_default();
        self.world.run(paused.saturating_sub(self.world.now));
        self.world.mend();
        // What the membership needs to tell who is back.
        self.world.run(Duration::from_secs(1));
        let took = self.world.run_until(self.plan.heals, World::converged);
        if took.is_none() {
            let differing = self.world.differing();
            let heals = self.plan.heals;
            self.world.audit.find(format!("no agreement {heals:?} after all troubles ended: {differing}"));
        }
        let now = self.world.now;
        let (nodes, audit) = (&self.world.nodes, &mut self.world.audit);
        let honest: Vec<_> =
            nodes.iter().filter(|node| node.gossip.is_some() && node.lie.is_none()).collect();
        audit.agree(&honest, now);
        match took {
            Some(took) if self.world.audit.broken.is_empty() => Ok((took, self.troubles)),
            _ => Err(std::mem::take(&mut self.world.audit.broken)),
        }
    }
}

/// A block of a target, told apart from all others by its reason.
pub fn block(target: IpNet, serial: u32, duration: Option<Duration>) -> Entry {
    Entry::Block(FleetBlock {
        target,
        class: Class::PortScan,
        confidence: 0.97,
        strength: Strength::Hard,
        detector: Detector::Rules,
        evidence: Some(Evidence::Handshake),
        reason: format!("312 ports in 4.1 s ({serial})"),
        level: 1,
        duration,
    })
}
