//! From the database to the driver: what other clusters signed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use smartfw_mirror::{Cluster, Database, Heard, List, Listening, Receiver, chance, since_epoch};
use smartfw_proto::view::FollowedCluster;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
};

use super::{
    Roots,
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
            let receiver = Receiver::new(self.database.clone(), place, List::Runs);
            let believed = self.roots.get(name).is_some();
            let ear = Ear::Listens { how: receiver.watch(), believed };
            self.hearing.lock().insert(name.clone(), ear);
            let (heard, hears) = mpsc::channel(HEARD);
            ears.spawn(receiver.run(since_epoch, chance, heard));
            ears.spawn(self.one(name.clone(), room.clone()).judge_all(hears));
        }
        ears
    }

    fn one(&self, cluster: String, room: Arc<Semaphore>) -> One {
        let (roots, ledger, inbox) = (self.roots.clone(), self.ledger.clone(), self.inbox.clone());
        One { cluster, roots, ledger, inbox, room }
    }
}

/// Who judges what one cluster says.
struct One {
    cluster: String,
    roots: Arc<Roots>,
    ledger: Arc<Ledger>,
    inbox: Inbox,
    room: Arc<Semaphore>,
}

impl One {
    async fn judge_all(self, mut heard: mpsc::Receiver<Heard>) {
        while let Some(heard) = heard.recv().await {
            match heard {
                Heard::Run { id, bytes } => {
                    let key = id.to_key().unwrap_or_default();
                    let Ok(_permit) = self.room.acquire().await else { return };
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
    }

    /// A check costs two signatures, and a liar makes us do as many as the line carries: not among those who serve people.
    async fn judged(&self, bytes: Vec<u8>) -> Result<Judged, String> {
        let root = self.roots.get(&self.cluster).ok_or(UNKNOWN)?;
        let judged = tokio::task::spawn_blocking(move || judge(&root, &bytes)).await;
        judged.unwrap_or_else(|error| Err(error.to_string()))
    }

    async fn follow(&self, key: String, Judged { words, refused }: Judged) {
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
            self.refuse(key, format!("{ahead} words in it are dated ahead of the time"));
        }
    }

    /// Tells the driver, and waits for it; how many of the words are dated ahead.
    async fn tell(&self, words: Vec<ForeignWord>) -> usize {
        let (answer, ahead) = oneshot::channel();
        self.inbox.send(Input::Fleet(fleet::Input::Foreign(words, answer)));
        ahead.await.unwrap_or_default()
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
    use std::time::Duration;

    use smartfw_core::{
        IpNet, Time,
        agent::Foreigner,
        fleet::{NodeId, Version},
    };

    use super::*;
    use crate::{clock, fleet::ForeignSays, inbox::inbox};

    fn word(n: u32) -> ForeignWord {
        ForeignWord {
            from: Arc::new(Foreigner {
                cluster: NodeId([1; 32]),
                node: NodeId([2; 32]),
                name: "west/web".into(),
            }),
            version: Version { epoch: 1, sequence: u64::from(n) },
            issued: Time::ZERO,
            lasts: None,
            says: ForeignSays::Withdraw(IpNet::from(std::net::IpAddr::from(n.to_be_bytes()))),
        }
    }

    #[tokio::test]
    async fn the_driver_is_given_a_few_words_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let (inbox, inputs) = inbox(Arc::default());
        let one = One {
            cluster: "west".into(),
            roots: Arc::new(Roots::open(folder.path())),
            ledger: Arc::default(),
            inbox,
            room: Arc::new(Semaphore::new(RUNS)),
        };
        let driver = std::thread::spawn(move || {
            let mut given = Vec::new();
            while given.iter().sum::<usize>() < 1000 {
                let input = inputs.wait(clock::now().after(Duration::from_secs(10)));
                let Some(Input::Fleet(fleet::Input::Foreign(words, answer))) = input else { continue };
                given.push(words.len());
                answer.send(1).unwrap();
            }
            given
        });
        one.follow("its-key".into(), Judged { words: (0..1000).map(word).collect(), ..Judged::default() })
            .await;
        assert_eq!(driver.join().unwrap(), [256, 256, 256, 232]);
        assert_eq!(one.ledger.counts("west"), (1, 1));
        assert!(one.ledger.refused()[0].why.starts_with("4 words in it are dated ahead"));
    }
}
