//! From the database to the driver: what other clusters signed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use smartfw_core::{
    Time,
    fleet::{NodeId, Version},
};
use smartfw_mirror::{Cluster, Database, Heard, List, Listening, Receiver, chance, since_epoch};
use smartfw_proto::view::FollowedCluster;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::{
    COMES, Roots,
    ahead::Ahead,
    judging::{Judged, judge},
    ledger::Ledger,
};
use crate::{
    fleet::{self, ForeignWord},
    inbox::{Inbox, Input},
};

/// What was heard and waits to be judged, of one cluster: nothing more is read meanwhile.
const HEARD: usize = 16;

/// Runs that are judged and followed at once, of all clusters: one may have thousands of words.
const RUNS: usize = 4;
/// Words that the driver is given at once: it does nothing else meanwhile.
const WORDS: usize = 256;
/// Words of one cluster that are dated ahead and wait for their time: more than are remembered of it. What is beyond them
/// is heard anew when they waited long enough.
const AHEAD: usize = 4096;

const UNKNOWN: &str = "the root of that cluster is not believed here";
const BELIEVE: &str = "smartfw-cli trust add --root FILE, or take the cluster out of mirror.follow";

/// How each cluster is heard.
#[derive(Debug, Default)]
pub(super) struct Hearing(Mutex<BTreeMap<String, Ear>>);

#[derive(Clone, Debug)]
enum Ear {
    Ours,
    Nameless,
    Listens { how: Listening, believed: bool },
}

/// Who listens.
pub(super) struct Ears {
    pub(super) ours: String,
    pub(super) follow: Vec<String>,
    pub(super) database: Arc<Database>,
    pub(super) roots: Arc<Roots>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) hearing: Arc<Hearing>,
    pub(super) inbox: Inbox,
}

impl Ears {
    /// Listens for ever. Whenever roots change everything is heard anew: what was refused may be believed now.
    pub(super) async fn run(self) {
        let mut changes = self.roots.watch();
        loop {
            changes.mark_unchanged();
            self.roots.tell(&self.inbox);
            let mut ears = self.listen();
            // Nobody else holds the sender: it lives as long as this.
            let _ = changes.changed().await;
            ears.shutdown().await;
        }
    }

    /// One task for each cluster; they end with the set.
    fn listen(&self) -> JoinSet<()> {
        let mut ears = JoinSet::new();
        let room = Arc::new(Semaphore::new(RUNS));
        self.hearing.lock().clear();
        for name in &self.follow {
            let place = Cluster::new(name).ok();
            let (true, Some(place)) = (*name != self.ours, place) else {
                let ear = if *name == self.ours { Ear::Ours } else { Ear::Nameless };
                self.hearing.lock().insert(name.clone(), ear);
                continue;
            };
            let one = self.one(name.clone(), room.clone());
            ears.spawn(one.listen(self.database.clone(), place, self.hearing.clone()));
        }
        ears
    }

    fn one(&self, cluster: String, room: Arc<Semaphore>) -> One {
        let (roots, ledger, inbox) = (self.roots.clone(), self.ledger.clone(), self.inbox.clone());
        One { cluster, roots, ledger, inbox, room, ahead: Ahead::new(AHEAD), lost: None }
    }
}

/// Who judges what one cluster says.
struct One {
    cluster: String,
    roots: Arc<Roots>,
    ledger: Arc<Ledger>,
    inbox: Inbox,
    room: Arc<Semaphore>,
    ahead: Ahead<(NodeId, Version), ForeignWord>,
    /// When the first was signed of what was dated ahead and found no room to wait.
    lost: Option<Time>,
}

impl One {
    /// Listens for ever. What found no room stands in the database still, and a new receiver tells it anew.
    async fn listen(mut self, database: Arc<Database>, place: Cluster, hearing: Arc<Hearing>) {
        loop {
            let receiver = Receiver::new(database.clone(), place.clone(), List::Runs);
            let believed = self.roots.get(&self.cluster).is_some();
            let ear = Ear::Listens { how: receiver.watch(), believed };
            hearing.lock().insert(self.cluster.clone(), ear);
            let (heard, hears) = mpsc::channel(HEARD);
            tokio::select! {
                () = receiver.run(since_epoch, chance, heard) => {}
                () = self.judge_all(hears, COMES) => {}
            }
        }
    }

    /// Judges what is heard, until all of it has to be heard anew. Whether the time has come of what is dated ahead is
    /// looked at so often.
    async fn judge_all(&mut self, mut hears: mpsc::Receiver<Heard>, every: Duration) {
        let mut comes = interval(every);
        comes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                heard = hears.recv() => match heard {
                    Some(heard) => self.hear(heard).await,
                    None => return,
                },
                _ = comes.tick(), if !self.ahead.is_empty() || self.lost.is_some() => {
                    self.again().await;
                    if self.misses() {
                        self.lost = None;
                        return;
                    }
                }
            }
        }
    }

    /// Whether all have come that were dated before what found no room: its turn is next, whatever else waits.
    fn misses(&self) -> bool {
        self.lost.is_some_and(|lost| self.ahead.first().is_none_or(|first| first > lost))
    }

    async fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Run { id, bytes } => {
                let (key, room) = (id.to_key().unwrap_or_default(), self.room.clone());
                let _permit = room.acquire().await;
                match self.judged(bytes).await {
                    Ok(judged) => self.follow(key, judged).await,
                    Err(why) => self.refuse(key, why),
                }
            }
            Heard::Row { id, .. } => self.refuse(id.to_key().unwrap_or_default(), "nobody signed it"),
            Heard::Rewritten { key } => self.refuse(key, "somebody changed it after it was written"),
            Heard::Removed { key } => self.refuse(key, "somebody removed it; what it said stands"),
            Heard::Unreadable { key, why } => self.refuse(key, why),
        }
    }

    /// A check costs two signatures, and a liar makes us do as many as the line carries: not among those who serve people.
    async fn judged(&self, bytes: Vec<u8>) -> Result<Judged, String> {
        let root = self.roots.get(&self.cluster).ok_or(UNKNOWN)?;
        let judged = tokio::task::spawn_blocking(move || judge(&root, &bytes)).await;
        judged.unwrap_or_else(|error| Err(error.to_string()))
    }

    async fn follow(&mut self, key: String, Judged { words, refused }: Judged) {
        refused.into_iter().for_each(|why| self.refuse(key.clone(), why));
        if words.is_empty() {
            return;
        }
        self.ledger.followed(&self.cluster);
        let (mut words, mut ahead) = (words.into_iter().peekable(), 0);
        while words.peek().is_some() {
            ahead += self.tell(words.by_ref().take(WORDS).collect()).await;
        }
        if ahead > 0 {
            let why =
                format!("{ahead} words in it are dated ahead of the time, and wait until that has come");
            self.refuse(key, why);
        }
    }

    /// Tells the driver anew of what was dated ahead, the earliest first, until some of it still is.
    async fn again(&mut self) {
        let room = self.room.clone();
        let _permit = room.acquire().await;
        while !self.ahead.is_empty() {
            let words = self.ahead.take(Time::NEVER, WORDS);
            if self.tell(words).await > 0 {
                return;
            }
        }
    }

    /// Tells the driver, and waits for it. How many of the words are dated ahead: they wait for their time.
    async fn tell(&mut self, words: Vec<ForeignWord>) -> usize {
        let (answer, ahead) = oneshot::channel();
        self.inbox.send(Input::Fleet(fleet::Input::Foreign(words, answer)));
        let ahead = ahead.await.unwrap_or_default();
        let count = ahead.len();
        for word in ahead {
            let gone = self.ahead.add(word.issued, (word.from.node, word.version), 1, word);
            self.lost = gone.into_iter().chain(self.lost).min();
        }
        count
    }

    fn refuse(&self, key: String, why: impl Into<String>) {
        self.ledger.not_followed(&self.cluster, key, why.into());
    }
}

impl Hearing {
    /// What is wrong with it, and what to do.
    pub(super) fn trouble(&self) -> Option<(String, &'static str)> {
        self.lock().iter().find_map(|(cluster, ear)| {
            let (what, remedy) = ear.state();
            remedy.map(|remedy| (format!("cluster {cluster} is followed: {what}"), remedy))
        })
    }

    /// Each cluster that is followed, for people.
    pub(super) fn view(&self, ledger: &Ledger) -> Vec<FollowedCluster> {
        let each = |(cluster, ear): (&String, &Ear)| {
            let ((state, remedy), (runs, refused)) = (ear.state(), ledger.counts(cluster));
            let remedy = remedy.unwrap_or_default().to_owned();
            FollowedCluster { cluster: cluster.clone(), state, remedy, runs, refused }
        };
        self.lock().iter().map(each).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Ear>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ear {
    fn state(&self) -> (String, Option<&'static str>) {
        match self {
            Self::Ours => ("it is this node's own".to_owned(), Some("take it out of mirror.follow")),
            Self::Nameless => ("no cluster has this name".to_owned(), Some("correct mirror.follow")),
            Self::Listens { believed: false, .. } => (UNKNOWN.to_owned(), Some(BELIEVE)),
            Self::Listens { how, believed: true } => {
                let state = how.state();
                (super::told(&state), state.remedy())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{JoinHandle, spawn};

    use smartfw_core::{IpNet, agent::Foreigner};

    use super::*;
    use crate::{
        clock,
        fleet::ForeignSays,
        inbox::{Inputs, inbox},
    };

    /// A word that was signed that many seconds after 1970.
    fn word(n: u32) -> ForeignWord {
        ForeignWord {
            from: Arc::new(Foreigner {
                cluster: NodeId([1; 32]),
                node: NodeId([2; 32]),
                name: "west/web".into(),
            }),
            version: Version { epoch: 1, sequence: u64::from(n) },
            issued: Time::from_secs(n.into()),
            lasts: None,
            says: ForeignSays::Withdraw(IpNet::from(std::net::IpAddr::from(n.to_be_bytes()))),
        }
    }

    fn words(seconds: std::ops::Range<u32>) -> Judged {
        Judged { words: seconds.map(word).collect(), ..Judged::default() }
    }

    fn one(folder: &tempfile::TempDir) -> (One, Inputs) {
        let (inbox, inputs) = inbox(Arc::default());
        let one = One {
            cluster: "west".into(),
            roots: Arc::new(Roots::open(folder.path())),
            ledger: Arc::default(),
            inbox,
            room: Arc::new(Semaphore::new(RUNS)),
            ahead: Ahead::new(AHEAD),
            lost: None,
        };
        (one, inputs)
    }

    /// A driver that takes what was signed until a time, which comes nearer with each of its answers, until it took so
    /// many. Gives how many words it was given each time.
    fn driver(inputs: Inputs, times: Vec<Time>, most: usize) -> JoinHandle<Vec<usize>> {
        spawn(move || {
            let (mut given, mut taken, mut times) = (Vec::new(), 0, times.into_iter());
            while taken < most {
                let input = inputs.wait(clock::now().after(Duration::from_secs(10)));
                let Some(Input::Fleet(fleet::Input::Foreign(words, answer))) = input else { continue };
                given.push(words.len());
                let time = times.next().unwrap_or(Time::NEVER);
                let (known, ahead): (Vec<_>, _) = words.into_iter().partition(|word| word.issued <= time);
                taken += known.len();
                answer.send(ahead).unwrap();
            }
            given
        })
    }

    #[tokio::test]
    async fn the_driver_is_given_a_few_words_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let (mut one, inputs) = one(&folder);
        let driver = driver(inputs, Vec::new(), 1000);
        one.follow("its-key".into(), words(0..1000)).await;
        assert_eq!(driver.join().unwrap(), [256, 256, 256, 232]);
        assert_eq!(one.ledger.counts("west"), (1, 0));
    }

    #[tokio::test]
    async fn a_word_that_is_dated_ahead_is_listed_and_told_again_until_its_time_has_come() {
        let folder = tempfile::tempdir().unwrap();
        let (mut one, inputs) = one(&folder);
        let times = [100, 100, 100, 200].map(Time::from_secs);
        let driver = driver(inputs, times.into(), 500);
        one.follow("its-key".into(), words(0..500)).await;
        let ledger = one.ledger.clone();
        assert_eq!(ledger.counts("west"), (1, 1));
        assert!(ledger.refused()[0].why.starts_with("399 words in it are dated ahead"));
        let (_still_open, hears) = mpsc::channel(HEARD);
        let judging = tokio::spawn(async move { one.judge_all(hears, Duration::from_millis(5)).await });
        let given = tokio::task::spawn_blocking(|| driver.join().unwrap()).await.unwrap();
        assert_eq!(
            given,
            [256, 244, 256, 256, 256, 43],
            "until some are still ahead, and once their time has come all"
        );
        judging.abort();
    }

    #[tokio::test]
    async fn where_too_many_are_dated_ahead_all_is_heard_anew_once_the_time_of_the_first_has_come() {
        let folder = tempfile::tempdir().unwrap();
        let (mut one, inputs) = one(&folder);
        let most = u32::try_from(AHEAD).unwrap();
        let driver = driver(inputs, vec![Time::ZERO; AHEAD / WORDS + 2], AHEAD);
        one.follow("its-key".into(), words(1..most + 3)).await;
        let (_still_open, hears) = mpsc::channel(HEARD);
        one.judge_all(hears, Duration::from_millis(5)).await;
        let given = driver.join().unwrap();
        assert_eq!(given.iter().rev().take(AHEAD / WORDS).sum::<usize>(), AHEAD);
        assert!(one.ahead.is_empty() && one.lost.is_none());
    }

    #[tokio::test]
    async fn what_found_no_room_is_heard_anew_once_its_turn_has_come_although_what_is_later_waits() {
        let folder = tempfile::tempdir().unwrap();
        let (mut one, inputs) = one(&folder);
        let most = u32::try_from(AHEAD).unwrap();
        let come = Time::from_secs(most.into());
        let times = [vec![Time::ZERO; AHEAD / WORDS + 1], vec![come; AHEAD / WORDS + 3]].concat();
        let driver = driver(inputs, times, AHEAD + 1);
        one.follow("its-key".into(), words(1..most + 3)).await;
        assert_eq!(one.lost, Some(Time::from_secs(u64::from(most) + 1)));
        one.again().await;
        let later = u32::MAX;
        for _ in 0..2 {
            assert_eq!(one.tell(vec![word(later)]).await, 1);
        }
        let (_still_open, hears) = mpsc::channel(HEARD);
        one.judge_all(hears, Duration::from_millis(5)).await;
        assert_eq!((one.lost, one.ahead.first()), (None, Some(Time::from_secs(later.into()))));
        one.again().await;
        assert_eq!(driver.join().unwrap().last(), Some(&1), "told twice, it waits once");
    }
}
