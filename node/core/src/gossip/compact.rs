//! A log does not grow for ever: what still lives of an old part is said again, and the floor raised above it.

use alloc::vec::Vec;
use core::time::Duration;

use super::{
    Audience, Gossip, Now,
    clock::{end, left, point},
    message::Report,
};
use crate::fleet::{ENTRY_BYTES, Entry, NodeId, RUN_BYTES, RUN_ENTRIES, SealError, Version};

/// Nothing is given up before the log had time to come back from others.
pub(super) const FIRST: Duration = Duration::from_secs(10 * 60);

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(60);

/// A log below this is left as it is.
const SMALL: usize = 64 << 10;

/// Lives of ours that a log may be of before it is cut: each is a range of its own for those who compare.
const LIVES: usize = 4;

/// What is said again at once.
struct Again {
    entries: Vec<Entry>,
    /// The first version that lives.
    first: Option<Version>,
    /// The first version that lives and is not among them.
    next: Option<Version>,
    living: usize,
    all: usize,
}

impl Gossip {
    pub(super) fn compact(&mut self, now: Now) {
        if now.steady < self.own.compact_at || self.own.epoch() == 0 {
            return;
        }
        self.own.compact_at = now.steady.after(EVERY);
        for audience in [Audience::Cluster, Audience::Site] {
            if self.own.knows_itself(audience) {
                self.compact_log(now, audience);
            }
        }
    }

    /// What a member holds of us is held here too.
    pub(super) fn agreed(&mut self, with: &NodeId) {
        self.own.agreed(Audience::Cluster);
        if self.peers.of_our_site(with) {
            self.own.agreed(Audience::Site);
        }
    }

    fn compact_log(&mut self, now: Now, audience: Audience) {
        let again = self.again(now, audience);
        let next = self.own.next(audience);
        let Some(log) = self.logs.get(self.own_tag(audience)) else { return };
        let floor = again.next.unwrap_or(next);
        let sparse = log.bytes() >= SMALL && again.living * 2 < again.all;
        let old = log.lives() > LIVES && again.first.is_some_and(|first| first.epoch < floor.epoch);
        let room = self.own.available(audience) >= again.entries.len();
        if !((sparse || old) && room) || again.entries.is_empty() {
            // Nothing is to be said again: below what lives nobody needs anything.
            return self.own.set_floor(audience, again.first.unwrap_or(next));
        }
        match self.say_again(now, audience, again.entries, floor) {
            Ok(()) => {
                self.own.set_floor(audience, floor);
                self.counters.compacted += 1;
            }
            Err(error) => {
                self.outbox.report(now.steady, 0, Report::CannotSign(alloc::format!("{error}")));
            }
        }
    }

    /// Says entries again below a new floor, what may leave the cluster in a run of its own. Only the last run has that
    /// floor: until it is said, the entries stand where they stood.
    fn say_again(
        &mut self,
        now: Now,
        audience: Audience,
        entries: Vec<Entry>,
        floor: Version,
    ) -> Result<(), SealError> {
        let (leaving, staying): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| self.own.leaves(entry));
        let parts = [leaving, staying].into_iter().filter(|part| !part.is_empty());
        let mut parts = parts.peekable();
        while let Some(part) = parts.next() {
            let floor = if parts.peek().is_some() { self.own.floor(audience) } else { floor };
            let run = self.sign(now, audience, part, floor)?;
            self.say(now, audience, run);
        }
        Ok(())
    }

    /// The oldest of our entries that live, together no more than a run holds.
    fn again(&self, now: Now, audience: Audience) -> Again {
        let mut again = Again { entries: Vec::new(), first: None, next: None, living: 0, all: 0 };
        let Some(log) = self.logs.get(self.own_tag(audience)) else { return again };
        let mut weight = 0;
        for (version, entry, born) in
            log.runs().values().flat_map(|held| held.entries.iter().map(|(v, entry)| (*v, entry, held.born)))
        {
            again.all += 1;
            let until = end(born, entry.lasts());
            let last = entry
                .target()
                .is_none_or(|target| log.top(&target).is_some_and(|top| top.version == version));
            if version < log.floor() || !last || until <= point(now.steady) {
                continue;
            }
            again.living += 1;
            again.first = again.first.or(Some(version));
            weight += entry.weight();
            if again.next.is_some() {
                continue;
            }
            if again.entries.len() < RUN_ENTRIES && weight <= RUN_BYTES - ENTRY_BYTES {
                again.entries.push(entry.lasting(left(until, now)));
            } else {
                again.next = Some(version);
            }
        }
        again
    }
}
