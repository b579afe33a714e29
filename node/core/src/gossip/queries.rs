//! What the logs say now, for those who ask.

use alloc::vec::Vec;
use core::time::Duration;

use ipnet::IpNet;

use super::{
    Gossip, Kept, Message, Now,
    clock::{age, left, point},
};
use crate::Time;
use crate::fleet::{LogId, SignedRun, Unverified, VerifiedRun, Verifier, Version};

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Effects on blocks and orders.
    pub applied: u64,
    /// Runs that were held already when they came.
    pub repeated: u64,
    /// Runs sent without being asked for.
    pub pushed: u64,
    /// Runs sent because they were asked for.
    pub pulled: u64,
    /// Runs and orders for which there was no room.
    pub refused: u64,
    /// Logs found lying.
    pub quarantined: u64,
    /// Times that old entries were said again so that the log could be cut.
    pub compacted: u64,
    /// Orders that were not said again when their carrier was void: there were too many.
    pub orders_lost: u64,
    /// Rounds of comparison from which nothing was to be gained.
    pub vain: u64,
}

/// The last word of a log on a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Whose log.
    pub log: &'a LogId,
    /// Of which target.
    pub target: IpNet,
    /// Under which version.
    pub version: Version,
    /// How long it is still to live; `None` for ever.
    pub remaining: Option<Duration>,
}

impl Gossip {
    /// What was counted.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Has a message's runs verified, but for those that are held already: most of what is pushed comes twice. Gives
    /// the message without the runs that are none, and why they are not; `None` where nothing is left of it.
    pub fn verify(
        &self,
        verifier: &impl Verifier,
        message: Message<SignedRun>,
    ) -> (Option<Message<VerifiedRun>>, Vec<Unverified>) {
        let mut refused = Vec::new();
        let proof = matches!(message, Message::Proof(_));
        let message = message.convert(|run| {
            if !proof && self.logs.holds(&run) {
                return None;
            }
            verifier.verify(&run).map_err(|why| refused.push(why)).ok()
        });
        (message, refused)
    }

    /// The last words of all logs on all targets, blocks and withdrawals, that are not over.
    pub fn listed(&self, now: Now) -> impl Iterator<Item = Listed<'_>> {
        let living = move |until| until > point(now.steady);
        self.logs.iter().flat_map(move |log| {
            let tops = log.tops().filter(move |(_, top)| living(top.until) && top.version >= log.floor());
            tops.map(move |(target, top)| Listed {
                log: &log.id,
                target: *target,
                version: top.version,
                remaining: left(top.until, now),
            })
        })
    }

    /// The digest over all that is held: two members of a site with the same digest hold the same.
    pub fn digest(&self) -> u64 {
        self.logs.digest(|log| !self.logs.revoked(&log.origin))
    }

    /// The digest over the logs that every member holds.
    pub fn cluster_digest(&self) -> u64 {
        self.logs.digest(|log| log.site.is_none() && !self.logs.revoked(&log.origin))
    }

    /// The logs held: whose, the digest, and whether its origin was found lying.
    pub fn logs(&self) -> impl Iterator<Item = (&LogId, u64, bool)> {
        self.logs.iter().map(|log| (&log.id, log.digest(), log.quarantine.is_some()))
    }

    /// Bytes charged for all runs that are held.
    pub const fn bytes(&self) -> usize {
        self.logs.bytes()
    }

    /// Runs held of all logs.
    pub fn runs(&self) -> usize {
        self.logs.iter().map(|log| log.runs().len()).sum()
    }

    /// Entries that wait for the disk before they are said.
    pub fn waiting(&self) -> usize {
        self.own.waiting()
    }

    /// Everything that a store has to hold of the logs: for one that lost what it had.
    pub fn kept(&self, now: Now) -> impl Iterator<Item = Kept> {
        let proofs = self.logs.iter().filter_map(|log| {
            let runs = log.quarantine.clone()?;
            Some(Kept::Proof { log: log.id.clone(), runs: runs.into() })
        });
        let runs = self.logs.iter().flat_map(move |log| {
            log.runs().iter().map(move |(version, held)| Kept::Run {
                log: log.id.clone(),
                version: *version,
                run: held.signed.clone(),
                age: age(held.born, now),
            })
        });
        let dead = self.logs.iter().map(|log| Kept::Over { log: log.id.clone(), spans: log.dead_spans() });
        self.own.reserved_or_asked().map(Kept::Reserved).into_iter().chain(proofs).chain(dead).chain(runs)
    }

    /// The runs of the cluster's logs that are held and on disk: what others may hear.
    pub fn persisted_runs(&self) -> impl Iterator<Item = (&LogId, &SignedRun)> {
        let believed = move |log: &&super::log::Log| {
            log.id.site.is_none() && log.quarantine.is_none() && !self.logs.revoked(&log.id.origin)
        };
        let logs = self.logs.iter().filter(believed);
        logs.flat_map(|log| {
            log.runs().values().filter(|held| held.persisted).map(|held| (&log.id, &held.signed))
        })
    }

    /// The version that the next entry for the cluster gets.
    pub fn next_version(&self) -> Version {
        self.own.next(super::Audience::Cluster)
    }

    /// The cluster's time; by this member's clock where too few tell it.
    pub fn time(&self, now: Now) -> Time {
        self.clocks.issue(now)
    }

    /// How long ago an operator signed an order, where its carrier says that it is `carried` old: by the cluster's time
    /// rather than by this member's clock, as long as there are enough who tell it.
    pub fn age_of(&self, now: Now, issued: Time, carried: Duration) -> Duration {
        self.clocks.signed(now, issued, carried)
    }
}
