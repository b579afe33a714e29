//! What the agent holds of a feed, and making it hold what the feed lists: it is asked each time, never remembered.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use smartfw_core::{
    IpNet, Time,
    agent::{FeedChange, FeedDone, FeedEntry},
};

use crate::inbox::{Inbox, Input};

/// Targets that are looked at, and entries that are changed, at once: verdicts come in between.
const PIECE: usize = 1000;

/// Pieces under way at once: enough to keep the kernel busy while the disk brings the ones before to safety.
const UNDER_WAY: usize = 16;

/// How long the kernel or the disk may take for a piece before the next is given all the same.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long an entry lasts unless it is renewed. It is renewed as long as the list is kept, whether its source is there or
/// not; what nobody renews, because the node is gone, ends by itself.
const LASTS: Duration = Duration::from_secs(7 * 86_400);

/// Entries are renewed when half of that is over: an hour's pass renews few.
const RENEWED: Duration = Duration::from_secs(7 * 86_400 / 2);

/// The names of feeds that the agent holds something of.
pub(super) fn names(inbox: &Inbox) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    each(inbox, |entry| {
        names.insert(entry.feed);
    });
    names
}

/// Makes the agent hold exactly this of a feed; what was made of it.
pub(super) fn hold(inbox: &Inbox, now: Time, feed: &str, wanted: &BTreeSet<IpNet>) -> FeedDone {
    let mut held = BTreeMap::new();
    each(inbox, |entry| {
        if entry.feed == feed {
            held.insert(entry.target, (entry.expires, entry.resting));
        }
    });
    let lasting = |target: &IpNet| held.get(target).filter(|(expires, _)| *expires > now.after(RENEWED));
    let staying: Vec<bool> = wanted.iter().filter_map(lasting).map(|(_, resting)| *resting).collect();
    let mut done = FeedDone {
        held: staying.len(),
        resting: staying.iter().filter(|resting| **resting).count(),
        ..FeedDone::default()
    };
    // What is gone makes room for what is new.
    let gone = held.keys().filter(|target| !wanted.contains(target)).copied().collect();
    let new = wanted.iter().filter(|target| lasting(target).is_none()).copied().collect();
    let change = |listed: Vec<IpNet>, delisted: Vec<IpNet>| FeedChange {
        feed: feed.to_owned(),
        listed,
        delisted,
        until: now.after(LASTS),
    };
    let changes = pieces(gone).map(|gone| change(Vec::new(), gone));
    give(inbox, changes.chain(pieces(new).map(|new| change(new, Vec::new()))), &mut done);
    done
}

fn pieces(all: Vec<IpNet>) -> impl Iterator<Item = Vec<IpNet>> {
    let count = all.len().div_ceil(PIECE);
    (0..count).map(move |n| all[n * PIECE..all.len().min((n + 1) * PIECE)].to_vec())
}

fn give(inbox: &Inbox, changes: impl Iterator<Item = FeedChange>, done: &mut FeedDone) {
    let mut under_way: VecDeque<Receiver<FeedDone>> = VecDeque::new();
    let mut wait = |receiver: Receiver<FeedDone>| {
        // Who does not answer has not refused: it is looked at again within the hour.
        receiver.recv_timeout(PATIENCE).into_iter().for_each(|made| done.add(made));
    };
    for change in changes {
        let (answer, receiver) = channel();
        let reply = Box::new(move |made, _| answer.send(made).unwrap_or_default());
        inbox.send(Input::Listed(change, reply));
        under_way.push_back(receiver);
        if under_way.len() >= UNDER_WAY {
            under_way.pop_front().into_iter().for_each(&mut wait);
        }
    }
    under_way.into_iter().for_each(wait);
}

fn each(inbox: &Inbox, mut take: impl FnMut(FeedEntry)) {
    let mut behind = None;
    // The driver may have ended.
    while let Some((Some(last), found)) = inbox.ask(move |agent, _| agent.feeds_after(behind, PIECE)) {
        behind = Some(last);
        found.into_iter().for_each(&mut take);
    }
}
