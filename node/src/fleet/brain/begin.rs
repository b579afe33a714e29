//! The beginning: from nothing, or from what the store kept.

use std::{collections::BTreeSet, net::SocketAddr};

use smartfw_core::{
    Agent, Time,
    fleet::{VerifiedRun, Verifier as _},
    gossip::{Config, Gossip, Kept, Limits, Now, Restored, Ticket},
    members::{Card, Members, MembersConfig},
    sums::Sums,
};
use smartfw_identity::{Current, RunSigner};

use super::{
    super::{
        FleetRefused, Opening,
        codec::PeerCodec,
        coordinators::Coordinators,
        keys::MemberKeys,
        rows::{self, Boot, Row, StoredRun},
        sessions::Sessions,
        spread::Spread,
    },
    Brain,
    mirrored::Mirrored,
};

/// How this member shows itself.
pub(super) fn card(current: &Current, address: SocketAddr) -> Card {
    let identity = current.get();
    let member = identity.member();
    Card {
        address,
        name: member.name.name.to_string(),
        site: member.name.site.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        expires: member.not_after.as_secs(),
    }
}

impl Brain {
    /// Begins with what the store kept: when this returns, the agent knows what the fleet blocks. What follows from it
    /// for disk and members is done by the next [`settle`](Self::settle).
    ///
    /// # Errors
    /// When the system does not tell its boot.
    pub fn begin(
        opening: Opening,
        stored: Vec<Row>,
        seed: u64,
        now: Now,
        agent: &mut Agent,
    ) -> Result<Self, FleetRefused> {
        let boot = Boot::this().map_err(|error| {
            FleetRefused::System(format!("cannot read which boot of the machine this is: {error}"))
        })?;
        let life = stored.iter().find_map(|row| if let Row::Life(life) = row { Some(*life) } else { None });
        let mut brain = Self::new(opening, boot, life.unwrap_or(0), seed, now);
        let identity = brain.current.get();
        let name = identity.member().name.clone();
        agent.join_fleet(now.wall, brain.me, name.name.to_string(), name.site.to_string());
        stored.into_iter().for_each(|row| brain.restore(now, row));
        brain.revoked(agent, now);
        brain.gossip.start(now);
        (brain.changed, brain.life) = (true, brain.members.generation());
        brain.rows.push(rows::of_life(brain.life));
        brain.settle(agent, now);
        brain.starting = false;
        brain.counters.fleet.takes_part.set(true);
        Ok(brain)
    }

    fn new(opening: Opening, boot: Boot, life: u64, seed: u64, now: Now) -> Self {
        let Opening {
            cluster,
            current,
            revocations,
            judge,
            links,
            udp,
            address,
            seeds,
            epoch,
            places,
            counters,
            health,
            mouth,
        } = opening;
        let identity = current.get();
        let site = identity.member().name.site.to_string();
        let config = Config { cluster: cluster.clone(), site, limits: Limits::default() };
        let signer = Box::new(RunSigner::new(current.clone(), PeerCodec));
        let keys = MemberKeys::new(current.clone(), revocations.clone(), now.wall);
        let id = identity.id();
        let boot_life = (now.wall.as_nanos() / 1_000_000).max(life.saturating_add(1));
        let config_of_members = MembersConfig { id, card: card(&current, address), boot: boot_life, seeds };
        Self {
            me: id,
            gossip: Gossip::new(config, signer, seed),
            members: Members::new(config_of_members, keys, seed.rotate_left(17), now.wall),
            sums: Sums::new(id, &cluster, now.wall),
            cluster,
            current,
            revocations,
            judge,
            links,
            udp,
            address,
            epoch,
            counters,
            health,
            boot,
            rows: Vec::new(),
            ticket: Ticket::default(),
            life: 0,
            neighbours: BTreeSet::new(),
            changed: false,
            expelled: BTreeSet::new(),
            kernel: Default::default(),
            spread: Spread::default(),
            sessions: Sessions::default(),
            coordinators: Coordinators::default(),
            places,
            elsewhere: Default::default(),
            orders: Vec::new(),
            said: Default::default(),
            carried: Default::default(),
            troubles: Default::default(),
            mirrored: Mirrored::new(mouth),
            starting: true,
            checked: Time::ZERO,
        }
    }

    fn restore(&mut self, now: Now, row: Row) {
        match row {
            Row::Reserved(reserved) => self.gossip.restore(now, Restored::Reserved(reserved)),
            Row::Run(stored) => self.restore_run(now, *stored),
            Row::Proof(log, runs) => {
                let recalled = (self.recall(&runs.0), self.recall(&runs.1));
                if let (Some(one), Some(other)) = recalled {
                    self.gossip.restore(now, Restored::Proof(Box::new((one, other))));
                } else {
                    tracing::warn!(origin = %log.origin, "a stored proof makes no sense any more");
                }
            }
            Row::Over(log, spans) => self.gossip.restore(now, Restored::Over(log, spans)),
            Row::Peer(remembered) => self.members.restore(now.wall, &remembered),
            Row::Life(_) => {}
        }
    }

    /// A run of another cluster, or one that this version cannot read, is kept no longer.
    fn restore_run(&mut self, now: Now, stored: StoredRun) {
        let StoredRun { log, version, run, age, at } = stored;
        match self.recall(&run) {
            Some(run) => {
                let age = age.saturating_add(at.passed(self.boot, now));
                self.gossip.restore(now, Restored::Run(Box::new(run), age));
            }
            None => self.rows.push(rows::of_kept(&Kept::Gone { log, version }, at)),
        }
    }

    fn recall(&self, run: &smartfw_core::fleet::SignedRun) -> Option<VerifiedRun> {
        self.judge.recall(run).ok()
    }
}
