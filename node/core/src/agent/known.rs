//! What `explain` gathers.

use alloc::{vec, vec::Vec};
use core::net::IpAddr;

use crate::{
    Alert, Subject, Time,
    explain::{Explanation, Listed, Outcome},
    prefix,
};

use super::{Agent, offenders::TIMELINE, rollup};

impl Agent {
    /// What is known of an address, before it is judged.
    pub(crate) fn known_about(&self, address: IpAddr, now: Time) -> Explanation {
        let address = prefix::canonical(address);
        let host = prefix::host(address);
        let step = usize::from(self.offenders.next_level(&host) - 1).min(self.config.ladder.len() - 1);
        Explanation {
            address,
            outcome: Outcome::Passes,
            protected: self.shield.overlapping(&host),
            allowed: self.shield.allowed_covering(&host).cloned(),
            held_back: self.held_back.until(&host).filter(|until| *until > now),
            blocks: self.blocks_holding(address),
            offenders: self.offences_of(address),
            pending: self
                .pending
                .iter()
                .find(|(net, _)| net.contains(&host))
                .map(|(_, pending)| pending.clone()),
            alerts: self.alerts_about(address),
            next: self.config.ladder[step],
            remedies: Vec::new(),
        }
    }

    fn blocks_holding(&self, address: IpAddr) -> Vec<Listed> {
        let host = prefix::host(address);
        let targets = self.blocks.covering(&host);
        targets.flat_map(|net| self.blocks.of(net).iter().map(|held| self.listed(*net, held))).collect()
    }

    fn offences_of(&self, address: IpAddr) -> Vec<crate::record::Offender> {
        let mut targets = vec![prefix::host(address)];
        if let IpAddr::V6(v6) = address {
            targets.extend(rollup::network(v6));
        }
        targets.iter().filter_map(|target| self.offenders.get(target).cloned()).collect()
    }

    fn alerts_about(&self, address: IpAddr) -> Vec<Alert> {
        let about = |alert: &&Alert| alert.subject == Subject::Source(address);
        let mut alerts: Vec<Alert> =
            self.history.iter().rev().filter(about).take(TIMELINE).cloned().collect();
        alerts.reverse();
        alerts
    }
}
