//! What is wrong with this node's part in its fleet, for the health list: each matter by itself, and only as long as it
//! is so.

use std::{collections::BTreeMap, time::Duration};

use smartfw_core::{
    Time,
    fleet::LogId,
    gossip::{Now, PENDING, Report},
};
use smartfw_identity::RevocationSet;

use super::Brain;
use crate::health::{Level, Matter};

/// What goes on is reported again within a minute; what was not for longer is over.
const QUIET: Duration = Duration::from_secs(150);

/// What was reported, and when last.
#[derive(Debug, Default)]
pub(super) struct Troubles(BTreeMap<Matter, Time>);

impl Brain {
    pub(super) fn report(&mut self, now: Now, report: &Report) {
        let (matter, level, what, remedy) = match report {
            Report::EpochRaised { from, to } => {
                tracing::warn!(
                    from,
                    to,
                    "others knew more of this node than itself: its store was restored, or its key is used twice"
                );
                return;
            }
            Report::Nonsense { member, what } => {
                tracing::warn!(%member, what, "a member sent what makes no sense");
                return;
            }
            // The list of quarantined logs says so as long as it is so.
            Report::DoubleSigned(log) => {
                tracing::warn!(origin = %log.origin, "a member signed two different things under one number");
                return;
            }
            Report::EpochsUsedUp => (
                Matter::FleetLog,
                Level::Error,
                "this node can say nothing more to the fleet".to_owned(),
                "let it join again with a new key",
            ),
            Report::OverQuota(log) => (
                Matter::FleetQuota,
                Level::Warn,
                format!("{} says more than is kept of one member: what comes more waits", log.origin),
                "smartfw-cli cluster nodes",
            ),
            Report::Full => (
                Matter::FleetRoom,
                Level::Warn,
                "the fleet says more than is kept: what comes more waits".to_owned(),
                "smartfw-cli cluster nodes; revoke who floods",
            ),
            Report::OrdersLost { limit } => (
                Matter::FleetLog,
                Level::Warn,
                format!("more than {limit} orders lost their carrier: who joins later never hears of some"),
                "give the orders again that shall hold",
            ),
            Report::CannotSign(why) => (
                Matter::FleetSigning,
                Level::Error,
                format!("what this node blocks cannot be told to the fleet: {why}"),
                "look at the files of the state folder's identity",
            ),
        };
        if matter != Matter::FleetLog {
            self.troubles.0.insert(matter, now.steady);
        }
        self.health.set(matter, level, what, remedy);
    }

    /// The logs have no room for what this node says.
    pub(super) fn unsaid(&mut self) {
        self.health.set(
            Matter::FleetUnsaid,
            Level::Error,
            format!("{PENDING} words to the fleet wait for the disk: what this node blocks is told later"),
            "look at the state directory: is the disk full or read-only?",
        );
    }

    /// Shows what is wrong by what is so now, and no longer what is over.
    pub(super) fn check(&mut self, now: Now) {
        if now.steady < self.checked {
            return;
        }
        self.checked = now.steady.after(Duration::from_secs(1));
        let health = &self.health;
        self.troubles.0.retain(|matter, last| {
            let goes_on = now.steady.since(*last) < QUIET;
            if !goes_on {
                health.clear(*matter);
            }
            goes_on
        });
        if self.gossip.waiting() <= PENDING / 2 {
            self.health.clear(Matter::FleetUnsaid);
        }
        self.check_liars();
        self.check_ourselves();
    }

    fn check_liars(&self) {
        let liars = self.gossip.logs().filter(|(.., quarantined)| *quarantined);
        let liars: Vec<&LogId> = liars.map(|(log, ..)| log).collect();
        let Some(first) = liars.first() else { return self.health.clear(Matter::FleetLiars) };
        let others = if liars.len() > 1 { format!(" and {} others", liars.len() - 1) } else { String::new() };
        let what = if liars.iter().any(|log| log.origin == self.me) {
            "two nodes use this node's key: nothing it says is believed any more".to_owned()
        } else {
            format!(
                "{}{others} signed two different things under one number: nothing they say is believed",
                first.origin
            )
        };
        let remedy = "smartfw-cli cluster revoke it, and let it join again with a new key";
        self.health.set(Matter::FleetLiars, Level::Error, what, remedy);
    }

    /// Whoever is expelled is told by nobody: they close the streams.
    fn check_ourselves(&self) {
        let listed = |set: &RevocationSet| set.check(self.current.get().member()).is_err();
        let revoked = self.revocations.get().is_ok_and(|set| listed(&set));
        if !revoked && !self.expelled.contains(&self.me) {
            return self.health.clear(Matter::FleetExpelled);
        }
        self.health.set(
            Matter::FleetExpelled,
            Level::Error,
            "this node was expelled from its fleet: nobody listens to what it blocks, and it hears of no block",
            "smartfw-cli cluster leave; when its key is safe, let it join again",
        );
    }

    /// This part ends: what was wrong with it is nobody's concern.
    pub(super) fn clear_troubles(&self) {
        let matters = [
            Matter::FleetLog,
            Matter::FleetQuota,
            Matter::FleetRoom,
            Matter::FleetSigning,
            Matter::FleetUnsaid,
            Matter::FleetLiars,
            Matter::FleetExpelled,
        ];
        matters.into_iter().for_each(|matter| self.health.clear(matter));
    }
}
