//! The thread: it takes calls, fetches what is due, one feed at a time, and looks each hour whether what is listed is held.

use std::{
    collections::{BTreeMap, BTreeSet},
    io, mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use smartfw_core::{Time, agent::FeedDone};
use smartfw_inward::feed::{
    FeedSettings, FetchError, Fetched, Fetcher, Outcome, Patience, Shelf, Trouble, Watched,
};
use smartfw_proto::view::FeedRow;

use super::{Call, FEEDS, FeedRefused, Setup, held};
use crate::{
    chance, clock,
    health::{Health, Level, Matter},
    inbox::Inbox,
};

/// How soon a call, or the node's end, is noticed.
const NOTICE: Duration = Duration::from_millis(200);

/// How often it is made sure that what is listed is held: what a person unblocked comes back, what found no room is tried
/// again, what would end is renewed.
const ROUND: Duration = Duration::from_secs(3600);

pub(super) struct Keeper {
    feeds: BTreeMap<String, Feed>,
    shelf: Shelf,
    fetcher: Fetcher,
    runtime: tokio::runtime::Runtime,
    inbox: Inbox,
    health: Arc<Health>,
    ending: Arc<AtomicBool>,
    calls: Receiver<Call>,
    rows: Arc<Mutex<Vec<FeedRow>>>,
    configured: Vec<FeedSettings>,
    /// When everything is looked at again.
    round: Time,
}

struct Feed {
    watched: Watched,
    /// What the agent made of its list.
    done: FeedDone,
}

impl Keeper {
    pub(super) fn new(
        setup: Setup,
        calls: Receiver<Call>,
        rows: Arc<Mutex<Vec<FeedRow>>>,
    ) -> io::Result<Self> {
        let Setup { configured, geo, folder, inbox, health, ending } = setup;
        Ok(Self {
            feeds: BTreeMap::new(),
            shelf: Shelf::new(folder),
            fetcher: Fetcher::new(Patience::default(), None, geo),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            inbox,
            health,
            ending,
            calls,
            rows,
            configured,
            round: Time::ZERO,
        })
    }

    /// Runs until the node ends.
    pub(super) fn run(mut self) {
        self.begin();
        while !self.ends() {
            match self.calls.recv_timeout(NOTICE) {
                Ok(call) => self.answer(call),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = clock::now();
            let due = self.feeds.iter().find(|(_, feed)| feed.watched.next <= now);
            if let Some(name) = due.map(|(name, _)| name.clone()) {
                self.fetch(&name, false);
            }
            // A clock that is set back must not put it off.
            if now >= self.round || self.round.since(now) > ROUND {
                self.hold_all();
            }
        }
    }

    fn ends(&self) -> bool {
        self.ending.load(SeqCst)
    }

    /// What was kept is held again before anything is fetched.
    fn begin(&mut self) {
        let added = self.shelf.added();
        // Where nobody knows who is followed, nothing is let go.
        let known = added.is_ok();
        let added = added.unwrap_or_else(|why| {
            let remedy = "add the feeds again: smartfw-cli feed add; what they listed ends within a week";
            self.unkept(Level::Error, format!("which feeds were added cannot be read: {why}"), remedy);
            Vec::new()
        });
        for settings in mem::take(&mut self.configured) {
            self.follow(settings, true);
        }
        for settings in added {
            if !self.feeds.contains_key(&settings.name) && self.feeds.len() < FEEDS {
                self.follow(settings, false);
            }
        }
        if known {
            self.let_go();
        }
        self.hold_all();
    }

    fn follow(&mut self, settings: FeedSettings, configured: bool) {
        let kept = self.shelf.read(&settings).unwrap_or_else(|why| {
            let remedy = "nothing: it is fetched anew";
            self.unkept(Level::Warn, format!("a feed's last good list cannot be read: {why}"), remedy);
            None
        });
        let name = settings.name.clone();
        let watched = Watched::new(settings, configured, kept, clock::now(), random());
        self.feeds.insert(name, Feed { watched, done: FeedDone::default() });
    }

    /// What nobody follows any more is blocked no more.
    fn let_go(&self) {
        for name in held::names(&self.inbox) {
            if !self.feeds.contains_key(&name) {
                held::hold(&self.inbox, clock::now(), &name, &BTreeSet::new());
            }
        }
    }

    fn hold_all(&mut self) {
        self.round = clock::now().after(ROUND);
        let names: Vec<String> = self.feeds.keys().cloned().collect();
        names.iter().for_each(|name| self.hold(name));
        self.show();
    }

    fn hold(&mut self, name: &str) {
        let Some(feed) = self.feeds.get_mut(name) else { return };
        // A feed that never came says nothing of what is held: it may come yet.
        if let Some(kept) = &feed.watched.kept {
            feed.done = held::hold(&self.inbox, clock::now(), name, &kept.list.nets);
        }
    }

    fn answer(&mut self, call: Call) {
        // Who asked may have gone.
        match call {
            Call::Add(settings, answer) => drop(answer.send(self.add(settings))),
            Call::Remove(feed, answer) => drop(answer.send(self.remove(&feed))),
            Call::Refresh { feed, force, answer } => drop(answer.send(self.refresh(feed.as_deref(), force))),
            Call::Configured(feeds) => self.configure(feeds),
        }
    }

    fn add(&mut self, settings: FeedSettings) -> Result<FeedRow, FeedRefused> {
        let name = settings.name.clone();
        if self.feeds.contains_key(&name) {
            return Err(FeedRefused::Taken(name));
        }
        if self.feeds.len() >= FEEDS {
            return Err(FeedRefused::Full);
        }
        let added = self.added().chain([&settings]);
        self.shelf.write_added(added)?;
        self.follow(settings, false);
        self.fetch(&name, false);
        self.feeds.get(&name).map(row).ok_or(FeedRefused::Unknown)
    }

    fn remove(&mut self, feed: &str) -> Result<FeedRow, FeedRefused> {
        let name = self.named(feed)?;
        if self.feeds.get(&name).is_some_and(|feed| feed.watched.configured) {
            return Err(FeedRefused::Configured(name));
        }
        self.shelf.write_added(self.added().filter(|settings| settings.name != name))?;
        let gone = self.feeds.remove(&name).ok_or(FeedRefused::Unknown)?;
        self.shelf.remove(&name);
        held::hold(&self.inbox, clock::now(), &name, &BTreeSet::new());
        self.show();
        Ok(row(&gone))
    }

    fn refresh(&mut self, feed: Option<&str>, force: bool) -> Result<Vec<FeedRow>, FeedRefused> {
        let names = match feed {
            Some(feed) => vec![self.named(feed)?],
            None => self.feeds.keys().cloned().collect(),
        };
        names.iter().for_each(|name| self.fetch(name, force));
        Ok(names.iter().filter_map(|name| self.feeds.get(name)).map(row).collect())
    }

    /// What the configuration names now takes the place of what it named, and of what a person added under its name.
    fn configure(&mut self, new: Vec<FeedSettings>) {
        let stays = |settings: &FeedSettings, feed: &Feed| {
            feed.watched.configured && feed.watched.settings == *settings
        };
        self.feeds.retain(|name, feed| {
            !feed.watched.configured
                || new.iter().any(|settings| settings.name == *name && stays(settings, feed))
        });
        for settings in new {
            if !self.feeds.get(&settings.name).is_some_and(|feed| stays(&settings, feed)) {
                self.follow(settings, true);
            }
        }
        self.let_go();
        self.hold_all();
    }

    /// The name of the feed that is meant by a name or an address.
    fn named(&self, feed: &str) -> Result<String, FeedRefused> {
        let meant = |(name, other): &(&String, &Feed)| {
            let source = &other.watched.settings.source;
            *name == feed || source.in_full() == feed || source.to_string() == feed
        };
        self.feeds.iter().find(meant).map(|(name, _)| name.clone()).ok_or(FeedRefused::Unknown)
    }

    fn added(&self) -> impl Iterator<Item = &FeedSettings> {
        self.feeds.values().filter(|feed| !feed.watched.configured).map(|feed| &feed.watched.settings)
    }

    fn fetch(&mut self, name: &str, force: bool) {
        let Some(watched) = self.feeds.get(name).map(|feed| &feed.watched) else { return };
        let (source, known) = (watched.settings.source.clone(), watched.known(force));
        let fetching = async {
            tokio::select! {
                fetched = self.fetcher.fetch(&source, &known) => Some(fetched),
                () = ended(&self.ending) => None,
            }
        };
        if let Some(fetched) = self.runtime.block_on(fetching) {
            self.take(name, fetched, force);
        }
    }

    fn take(&mut self, name: &str, fetched: Result<Fetched, FetchError>, force: bool) {
        let Some(feed) = self.feeds.get_mut(name) else { return };
        let outcome = feed.watched.take(clock::now(), random(), fetched, force);
        if outcome != Outcome::Failed
            && let Some(kept) = &feed.watched.kept
        {
            match self.shelf.write(&feed.watched.settings, kept) {
                Ok(()) => self.health.clear(Matter::FeedShelf),
                Err(why) => self.unkept(
                    Level::Warn,
                    format!("a feed's list cannot be kept: {why}"),
                    "make room on the disk of the state folder; until then a restart begins without the list",
                ),
            }
        }
        if outcome == Outcome::Changed {
            self.hold(name);
        }
        self.show();
    }

    fn unkept(&self, level: Level, what: String, remedy: &str) {
        self.health.set(Matter::FeedShelf, level, what, remedy);
    }

    /// Shows how the feeds are.
    fn show(&self) {
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = self.feeds.values().map(row).collect();
        let mut troubled =
            self.feeds.iter().filter_map(|(name, feed)| Some((name, feed.watched.trouble.as_ref()?)));
        let Some((name, trouble)) = troubled.next() else { return self.health.clear(Matter::Feeds) };
        let others = match troubled.count() {
            0 => String::new(),
            others => format!(" (and {others} other feeds have trouble)"),
        };
        let what = format!("the feed {name}: {}{others}", trouble.what);
        self.health.set(Matter::Feeds, Level::Warn, what, trouble.remedy.clone());
    }
}

async fn ended(ending: &AtomicBool) {
    while !ending.load(SeqCst) {
        tokio::time::sleep(NOTICE).await;
    }
}

fn random() -> u64 {
    // Without chance nodes ask at the same time, which harms nobody here.
    chance::seed().unwrap_or_default()
}

fn row(feed: &Feed) -> FeedRow {
    let Watched { settings, configured, kept, next, trouble, .. } = &feed.watched;
    let list = kept.as_ref().map(|kept| &kept.list);
    let left_out = list.map(|list| list.left_out).unwrap_or_default();
    let FeedDone { held, resting, wide, held_back, excused, collapsed, full } = feed.done;
    let said =
        |of: fn(&Trouble) -> &String| trouble.as_ref().map(|trouble| of(trouble).clone()).unwrap_or_default();
    FeedRow {
        name: settings.name.clone(),
        url: settings.source.to_string(),
        format: settings.format.to_string(),
        every: settings.every,
        max_change: settings.most_change,
        configured: *configured,
        entries: list.map_or(0, |list| list.nets.len() as u64),
        held: held as u64,
        resting: resting as u64,
        unreadable: left_out.unreadable as u64,
        special: left_out.special as u64,
        wide: (left_out.wide + wide) as u64,
        refused: (held_back + excused + collapsed + full) as u64,
        updated: kept.as_ref().map(|kept| kept.at),
        next: *next,
        trouble: said(|trouble| &trouble.what),
        remedy: said(|trouble| &trouble.remedy),
    }
}
