//! What is on disk is told to others at once.

use alloc::{collections::BTreeMap, vec::Vec};

use super::{
    Gossip, Now,
    clock::{age, point},
    message::{Carried, Effect, FLIGHT, Message, RUNS},
    outbox::Then,
};
use crate::fleet::{NodeId, SignedRun, Version};

/// One run to tell.
struct News {
    tag: u64,
    key: Version,
    from: Option<NodeId>,
}

impl Gossip {
    pub(super) fn after_persisted(&mut self, now: Now, done: Vec<Then>) {
        let mut news = Vec::new();
        for then in done {
            match then {
                Then::Nothing => {}
                Then::Use(reserved) => self.own.reserved(reserved),
                Then::Accuse { tag, from } => self.spread_proof(now, tag, from),
                Then::Tell { tag, key, from, pulled } => {
                    if let Some(log) = self.logs.get_mut(tag) {
                        log.persisted(key);
                    }
                    if !pulled {
                        news.push(News { tag, key, from });
                    }
                }
            }
        }
        self.tell(now, news);
    }

    fn tell(&mut self, now: Now, news: Vec<News>) {
        let mut parcels: BTreeMap<NodeId, Vec<Carried<SignedRun>>> = BTreeMap::new();
        let mut audiences: BTreeMap<(bool, bool), Vec<NodeId>> = BTreeMap::new();
        for News { tag, key, from } in news {
            let Some(log) = self.logs.get(tag) else { continue };
            let Some(held) = log.runs().get(&key).filter(|held| held.until() > point(now.steady)) else {
                continue;
            };
            let kind = (log.id.site.is_some(), from.is_none());
            let audience = audiences
                .entry(kind)
                .or_insert_with(|| self.peers.audience(now.steady, &mut self.chance, kind.0, kind.1));
            for to in audience.iter().filter(|to| Some(**to) != from && **to != log.id.origin) {
                let carried = Carried { run: held.signed.clone(), age: age(held.born, now) };
                parcels.entry(*to).or_default().push(carried);
            }
        }
        for (to, runs) in parcels {
            self.push(now, to, runs);
        }
    }

    /// Pushes as much as may be in flight; of the rest only the digest tells.
    fn push(&mut self, now: Now, to: NodeId, runs: Vec<Carried<SignedRun>>) {
        let mut message = Vec::new();
        let mut bytes = 0;
        let mut left_out = false;
        for carried in runs {
            let size = carried.run.bytes.len() + carried.run.certificate.len();
            if message.len() >= RUNS
                || (bytes > 0 && bytes + size > FLIGHT)
                || !self.peers.may_push(&to, size)
            {
                left_out = true;
                break;
            }
            bytes += size;
            message.push(carried);
        }
        self.counters.pushed += message.len() as u64;
        if !message.is_empty() {
            self.outbox.push(Effect::Send(to, Message::Runs { runs: message, answers: None }));
        }
        if left_out {
            self.send_digest(now, to);
        }
    }

    /// Tells the proof to those who are told a run.
    fn spread_proof(&mut self, now: Now, tag: u64, from: Option<NodeId>) {
        let Some(site) = self.logs.get(tag).map(|log| log.id.site.is_some()) else { return };
        let audience = self.peers.audience(now.steady, &mut self.chance, site, true);
        for to in audience.into_iter().filter(|to| Some(*to) != from) {
            self.send_proof(to, tag);
        }
    }
}
