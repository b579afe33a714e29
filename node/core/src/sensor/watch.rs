//! Looking again at sources that hold connections in silence.

use core::{net::IpAddr, time::Duration};

use super::{Sensor, rules};
use crate::Time;

/// How many sources may wait to be looked at again: each holds a score of proven connections.
const MAX_WATCHES: usize = 4096;

impl Sensor {
    /// Looks again when what is starving now has starved for long: who holds connections in silence sends nothing
    /// that would make us look.
    pub(super) fn watch_starving(&mut self, remote: IpAddr) {
        let (now, rule) = (self.now, self.rules.slow_dos.clone());
        let source = self.proven_source(remote);
        let due = source.watched_until > now || source.starving.count(now.as_secs()) < rule.connections;
        if due || self.watches.len() >= MAX_WATCHES {
            return;
        }
        let until = now.after(rule.min_age + Duration::from_secs(1));
        self.proven_source(remote).watched_until = until;
        self.watches.push_back((until, remote));
    }

    /// When [`Sensor::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Time {
        self.watches.front().map_or(Time::NEVER, |(until, _)| *until)
    }

    /// Looks at the sources whose time has come.
    pub fn handle_timeout(&mut self, now: Time) {
        self.now = self.now.max(now);
        let (now, rules) = (self.now, self.rules.clone());
        // Each once: who is watched on may be due at once where time ends.
        for _ in 0..self.watches.len() {
            let due = self.watches.front().copied().filter(|(until, _)| *until <= now);
            let Some((_, remote)) = due else { return };
            self.watches.pop_front();
            if self.blocked.contains(remote) {
                continue;
            }
            let Some(source) = self.source(remote) else { continue };
            let finding = rules::slow_dos(source, now, &rules.slow_dos);
            self.accuse(remote, finding);
            self.watch_starving(remote);
        }
    }
}
