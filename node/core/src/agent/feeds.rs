//! What threat feeds list: blocks of an origin each of its own, local to this node.
//!
//! A feed is a person's standing order, so that its blocks wait for no approval; and it is a stranger's word, so that they
//! yield to every protected address as detection's do, and are withdrawn when the clients vanish after them. Nothing
//! of it is said to the fleet: every member may follow the feed itself.

use alloc::{format, string::String, vec::Vec};

use ipnet::IpNet;

use crate::{Class, Detector, Strength, Time, blocklist::Held, prefix, record::Sequence};

use super::{Agent, TEXT, clip, effects::Key};

/// What the origins of feeds begin with: no node's name has a colon.
const ORIGIN: &str = "feed:";

/// What changed in a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedChange {
    /// The feed's name.
    pub feed: String,
    /// What it lists: new entries, and those that are to last longer.
    pub listed: Vec<IpNet>,
    /// What it lists no more.
    pub delisted: Vec<IpNet>,
    /// When what is listed ends unless it is renewed.
    pub until: Time,
}

/// What a feed has of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// The target.
    pub target: IpNet,
    /// The feed's name.
    pub feed: String,
    /// When it ends unless it is renewed.
    pub expires: Time,
    /// It rests: a protected or allowed address is within it.
    pub resting: bool,
}

/// What was made of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedDone {
    /// Entries that are held now.
    pub held: usize,
    /// Of those, how many rest because a protected or allowed address is among them.
    pub resting: usize,
    /// Wider than may be blocked without force.
    pub wide: usize,
    /// A person unblocked them a moment ago.
    pub held_back: usize,
    /// Configured proxies, and addresses that no honest node blocks.
    pub excused: usize,
    /// Not taken since the clients vanished after the last blocks of a feed.
    pub collapsed: usize,
    /// There was no room for them.
    pub full: usize,
}

impl FeedDone {
    /// Adds what was made of another change of the same feed.
    pub fn add(&mut self, other: Self) {
        let Self { held, resting, wide, held_back, excused, collapsed, full } = other;
        self.held += held;
        self.resting += resting;
        self.wide += wide;
        self.held_back += held_back;
        self.excused += excused;
        self.collapsed += collapsed;
        self.full += full;
    }

    const fn count(&mut self, why: Unlisted) {
        let counter = match why {
            Unlisted::Wide => &mut self.wide,
            Unlisted::HeldBack => &mut self.held_back,
            Unlisted::Excused => &mut self.excused,
            Unlisted::Collapsed => &mut self.collapsed,
            Unlisted::Full => &mut self.full,
        };
        *counter += 1;
    }
}

/// Why a listed target is not blocked.
#[derive(Clone, Copy)]
enum Unlisted {
    Wide,
    HeldBack,
    Excused,
    Collapsed,
    Full,
}

impl Agent {
    /// Takes what changed in a feed. It is on the disk once [`Agent::handle_persisted`] has reached the number.
    pub fn handle_feed(&mut self, now: Time, change: FeedChange) -> (FeedDone, Sequence) {
        self.handle_timeout(now);
        let FeedChange { feed, listed, delisted, until } = change;
        let origin = clip(format!("{ORIGIN}{feed}"), TEXT);
        for target in delisted {
            self.unlist(now, prefix::canonical_net(target), &origin);
        }
        let reason = format!("listed by {feed}");
        let mut done = FeedDone::default();
        for target in listed {
            let target = prefix::canonical_net(target);
            match self.list(now, target, (&origin, &reason), until) {
                Ok(()) => done.held += 1,
                Err(why) => done.count(why),
            }
            let rests =
                self.blocks.get(&target, &origin).is_some_and(|held| !self.shield.permits(&target, held));
            done.resting += usize::from(rests);
        }
        (done, self.outbox.last())
    }

    /// What feeds have of at most `count` targets behind `target` (or from the first), and the last target that was looked
    /// at: for lists that are made piece by piece, with other work in between.
    pub fn feeds_after(&self, target: Option<IpNet>, count: usize) -> (Option<IpNet>, Vec<FeedEntry>) {
        let (mut last, mut found) = (None, Vec::new());
        for (target, entries) in self.blocks.after(target).take(count) {
            last = Some(*target);
            for held in entries.iter().filter(|held| held.words.said.is_none()) {
                let Some(feed) = held.words.origin.strip_prefix(ORIGIN) else { continue };
                let resting = !self.shield.permits(target, held);
                let feed = feed.into();
                found.push(FeedEntry { target: *target, feed, expires: held.expires, resting });
            }
        }
        (last, found)
    }

    /// Ends what feeds have of a target.
    pub(super) fn unlist_all(&mut self, now: Time, target: IpNet) {
        let listed = |held: &Held| held.words.said.is_none() && held.detector == Detector::Feed;
        self.end(now, target, |blocks| blocks.remove_where(&target, listed));
    }

    fn unlist(&mut self, now: Time, target: IpNet, origin: &str) {
        self.end(now, target, |blocks| blocks.remove(&target, origin).into_iter().collect());
    }

    fn list(
        &mut self,
        now: Time,
        target: IpNet,
        (origin, reason): (&str, &str),
        until: Time,
    ) -> Result<(), Unlisted> {
        if let Some(held) = self.blocks.get(&target, origin) {
            let (words, expires) = (held.words.clone(), held.expires);
            if expires < until {
                self.changing(target, |blocks| blocks.extend(&target, origin, until));
                self.outbox.persist(now, Key::Block(target, words));
            }
            return Ok(());
        }
        self.listable(now, &target)?;
        let words = self.blocks.words(origin, &clip(reason.into(), TEXT));
        let held = Held {
            id: self.chance.id(),
            since: now,
            expires: until,
            words: words.clone(),
            confidence: 1.0,
            class: Class::Feed,
            strength: Strength::Hard,
            detector: Detector::Feed,
            evidence: None,
            level: 1,
            forced: false,
            withheld: None,
        };
        self.changing(target, |blocks| blocks.insert(target, held));
        self.outbox.persist(now, Key::Block(target, words));
        self.blast.listed(now, target);
        Ok(())
    }

    fn listable(&self, now: Time, target: &IpNet) -> Result<(), Unlisted> {
        let limits = &self.config.limits;
        let full = self.blocks.feeds() >= limits.feed_blocks || self.blocks.len() >= limits.blocks;
        let excused = || {
            self.proxies.overlapping(target).next().is_some()
                || self.fleet.canary_protecting(target).is_some()
        };
        let reasons = [
            (target.prefix_len() < self.shortest_prefix(target), Unlisted::Wide),
            (self.held_back.until(target).is_some(), Unlisted::HeldBack),
            (excused(), Unlisted::Excused),
            (self.blast.fallen_back(now, Class::Feed), Unlisted::Collapsed),
            (full, Unlisted::Full),
        ];
        reasons.into_iter().find(|(holds, _)| *holds).map_or(Ok(()), |(_, why)| Err(why))
    }
}
