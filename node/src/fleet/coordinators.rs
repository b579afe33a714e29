//! Where coordinators are: whom this node reports to, and whom it never blocks.
//!
//! A coordinator announces itself to one member, which says it in its log: so all know it, and those who come later. What
//! a member says wrongly makes others dial in vain and protects a few addresses: no more than [`COORDINATORS`] of each.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use smartfw_core::{
    Time,
    fleet::{COORDINATORS, Entry, NodeId},
    members::MAX_MEMBERS,
    prefix,
    protect::{Protected, Why},
};

/// For how long a member's word holds.
pub(crate) const LASTS: Duration = Duration::from_secs(3600);
/// What a coordinator announces again is said again only after so long, unless it has moved: a run of a kilobyte.
const AGAIN: Duration = Duration::from_secs(20 * 60);
/// How often one that moves may make this node say so: whoever moves all the time must not fill the logs.
const MOVES: Duration = Duration::from_secs(10);
/// What others say is put together so often: however fast they say it, the node has better things to do.
const PUT_TOGETHER: Duration = Duration::from_secs(1);
/// Coordinators that are dialled; of more, each member's latest word comes before any member's second.
const DIALLED: usize = 32;
/// Places at which one coordinator is looked for, the latest first.
const PLACES: usize = 4;

/// Whom to report to, and where each may be reached, the likeliest first.
pub(crate) type Places = BTreeMap<NodeId, Vec<SocketAddr>>;

/// What members say of coordinators.
#[derive(Debug, Default)]
pub(super) struct Coordinators {
    /// What this node said last of those that announced themselves here.
    said: BTreeMap<NodeId, (SocketAddr, Time)>,
    /// By the member that says so, the coordinator: where it is, and until when that holds.
    known: BTreeMap<NodeId, BTreeMap<NodeId, (SocketAddr, Time)>>,
    changed: bool,
    /// When the first of them ends.
    ends: Option<Time>,
    put_together: Option<Time>,
}

/// What is known now, where that has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    pub(super) places: Places,
    pub(super) protected: Vec<Protected>,
}

impl Coordinators {
    /// A coordinator says where it is: what is to be said to the fleet, if anything.
    ///
    /// # Errors
    /// How long it has to wait until this node says that it has moved again.
    pub(super) fn announced(
        &mut self,
        now: Time,
        id: NodeId,
        address: SocketAddr,
    ) -> Result<Option<Entry>, Duration> {
        if let Some((before, at)) = self.said.get(&id) {
            if *before == address && now < at.after(AGAIN) {
                return Ok(None);
            }
            if now < at.after(MOVES) {
                return Err(at.after(MOVES).since(now));
            }
        }
        self.said.insert(id, (address, now));
        while self.said.len() > COORDINATORS {
            let oldest = self.said.iter().min_by_key(|(_, (_, at))| *at).map(|(id, _)| *id);
            oldest.map(|id| self.said.remove(&id));
        }
        Ok(Some(Entry::Coordinator { id, address, lasts: Some(LASTS) }))
    }

    /// There was no room for it: the next announcement says it.
    pub(super) fn unsaid(&mut self, id: &NodeId) {
        self.said.remove(id);
    }

    /// A member said, ourselves among them, where a coordinator is; it holds for so long yet.
    pub(super) fn hear(
        &mut self,
        now: Time,
        member: NodeId,
        (id, address): (NodeId, SocketAddr),
        remaining: Duration,
    ) {
        if self.known.len() >= MAX_MEMBERS && !self.known.contains_key(&member) {
            return;
        }
        let until = now.after(remaining.min(LASTS));
        let address = SocketAddr::new(prefix::canonical(address.ip()), address.port());
        let known = self.known.entry(member).or_default();
        let before = known.insert(id, (address, until));
        self.changed |= before.is_none_or(|(before, _)| before != address);
        while known.len() > COORDINATORS {
            let oldest = known.iter().min_by_key(|(_, (_, until))| *until).map(|(id, _)| *id);
            oldest.map(|id| known.remove(&id));
        }
        self.ends = Some(self.ends.map_or(until, |ends| ends.min(until)));
    }

    /// A member was expelled: its word is nothing.
    pub(super) fn forget(&mut self, member: &NodeId) {
        self.changed |= self.known.remove(member).is_some();
    }

    /// When [`news`](Self::news) has something to give.
    pub(super) fn due(&self) -> Time {
        self.due_at().unwrap_or(Time::NEVER)
    }

    fn due_at(&self) -> Option<Time> {
        let from = self.put_together.map_or(Time::ZERO, |at| at.after(PUT_TOGETHER));
        let at = if self.changed { Some(Time::ZERO) } else { self.ends };
        at.map(|at| at.max(from))
    }

    /// What is known, where that has changed.
    pub(super) fn news(&mut self, now: Time, name: impl Fn(&NodeId) -> String) -> Option<News> {
        if self.due_at().is_none_or(|at| now < at) {
            return None;
        }
        self.put_together = Some(now);
        for known in self.known.values_mut() {
            let before = known.len();
            known.retain(|_, (_, until)| *until > now);
            self.changed |= known.len() != before;
        }
        self.known.retain(|_, known| !known.is_empty());
        self.ends = self.known.values().flat_map(BTreeMap::values).map(|(_, until)| *until).min();
        std::mem::take(&mut self.changed)
            .then(|| News { places: self.places(), protected: self.protected(name) })
    }

    /// Each member's latest word first, so that one who makes coordinators up takes no more than its share.
    fn places(&self) -> Places {
        let mut words = Vec::new();
        for known in self.known.values() {
            let mut of_one: Vec<_> = known.iter().map(|(id, (at, until))| (*until, *id, *at)).collect();
            of_one.sort_by_key(|(until, id, _)| (std::cmp::Reverse(*until), *id));
            words.extend(of_one.into_iter().enumerate());
        }
        words.sort_by_key(|(rank, (until, id, _))| (*rank, std::cmp::Reverse(*until), *id));
        let mut places = Places::new();
        for (_, (_, id, address)) in words {
            if places.len() >= DIALLED && !places.contains_key(&id) {
                continue;
            }
            let known = places.entry(id).or_default();
            if known.len() < PLACES && !known.contains(&address) {
                known.push(address);
            }
        }
        places
    }

    fn protected(&self, name: impl Fn(&NodeId) -> String) -> Vec<Protected> {
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        for (member, known) in &self.known {
            for (address, _) in known.values() {
                if seen.insert(address.ip()) {
                    let detail = format!("by the word of {}", name(member));
                    all.push(Protected { net: prefix::host(address.ip()), why: Why::Coordinator, detail });
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: NodeId = NodeId([2; 32]);

    fn at(seconds: u64) -> Time {
        Time::from_secs(seconds)
    }

    fn id(n: u8) -> NodeId {
        NodeId([n; 32])
    }

    fn place(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 7480))
    }

    fn news(known: &mut Coordinators, now: u64) -> Option<News> {
        known.news(at(now), |_| "web-2".into())
    }

    #[test]
    fn a_coordinator_is_reported_to_and_protected_for_as_long_as_it_was_said() {
        let mut known = Coordinators::default();
        known.hear(at(10), MEMBER, (id(9), place(9)), LASTS);
        let told = news(&mut known, 11).unwrap();
        assert_eq!(told.places, Places::from([(id(9), vec![place(9)])]));
        assert_eq!((told.protected.len(), told.protected[0].why), (1, Why::Coordinator));
        assert_eq!(told.protected[0].detail, "by the word of web-2");
        known.hear(at(1200), MEMBER, (id(9), place(9)), LASTS);
        assert_eq!(news(&mut known, 3611), None, "it was said again, and nothing has changed");
        assert_eq!(news(&mut known, 4801), Some(News::default()));
        assert_eq!(known.due(), Time::NEVER);
    }

    #[test]
    fn who_lies_protects_a_few_addresses_and_nothing_for_longer_than_any() {
        let mut known = Coordinators::default();
        for n in 0..200 {
            known.hear(at(n), MEMBER, (id(n as u8), place(n as u8)), Duration::MAX);
        }
        let told = news(&mut known, 200).unwrap();
        assert_eq!((told.places.len(), told.protected.len()), (COORDINATORS, COORDINATORS));
        assert_eq!(news(&mut known, 200 + 3600), Some(News::default()));
    }

    #[test]
    fn who_makes_coordinators_up_does_not_push_the_true_one_out() {
        let mut known = Coordinators::default();
        for liar in 100..126 {
            (0..COORDINATORS as u8).for_each(|n| {
                known.hear(at(10 + u64::from(n)), id(liar), (NodeId([n; 32]), place(liar)), LASTS);
                let own = NodeId([liar ^ (n << 6); 32]);
                known.hear(at(10 + u64::from(n)), id(liar), (own, place(liar)), LASTS);
            });
        }
        known.hear(at(5), MEMBER, (id(255), place(9)), LASTS);
        let told = news(&mut known, 20).unwrap();
        assert_eq!(told.places.len(), DIALLED);
        assert_eq!(told.places.get(&id(255)), Some(&vec![place(9)]));
        assert!(told.places.values().all(|places| places.len() <= PLACES));
    }

    #[test]
    fn the_latest_word_of_where_one_is_comes_first_and_the_expelled_have_none() {
        let mut known = Coordinators::default();
        known.hear(at(1), MEMBER, (id(9), place(1)), LASTS);
        known.hear(at(2), id(3), (id(9), place(2)), LASTS);
        assert_eq!(news(&mut known, 3).unwrap().places[&id(9)], [place(2), place(1)]);
        known.forget(&id(3));
        assert_eq!(news(&mut known, 5).unwrap().places[&id(9)], [place(1)]);
    }

    #[test]
    fn however_fast_a_member_changes_its_mind_it_is_put_together_once_a_second() {
        let mut known = Coordinators::default();
        let mut times = 0;
        for n in 0..300_u64 {
            let now = Time::from_nanos(n * 10_000_000);
            known.hear(now, MEMBER, (id(9), place(n as u8)), LASTS);
            times += usize::from(known.news(now, |_| "web-2".into()).is_some());
        }
        assert_eq!((times, known.due()), (3, at(3)), "in three seconds, and the last word is not lost");
    }

    #[test]
    fn what_is_announced_is_said_when_it_is_new_has_moved_or_is_about_to_end() {
        let mut known = Coordinators::default();
        let entry = |n| Ok(Some(Entry::Coordinator { id: id(9), address: place(n), lasts: Some(LASTS) }));
        assert_eq!(known.announced(at(1), id(9), place(1)), entry(1));
        assert_eq!(known.announced(at(61), id(9), place(1)), Ok(None));
        assert_eq!(known.announced(at(62), id(9), place(2)), entry(2));
        assert_eq!(known.announced(at(65), id(9), place(3)), Err(Duration::from_secs(7)));
        assert_eq!(known.announced(at(1262), id(9), place(2)), entry(2));
        known.unsaid(&id(9));
        assert_eq!(known.announced(at(1263), id(9), place(2)), entry(2));
        (20..40).for_each(|n| drop(known.announced(at(2000 + u64::from(n)), id(n), place(n))));
        assert_eq!(known.said.len(), COORDINATORS);
    }
}
