//! What the sensor is told while it runs.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use smartfw_core::{
    IpNet, Strength, Verdict,
    config::SensorConfig,
    sensor::{Login, Models, View},
};

use super::Lifeline;
use crate::counters::Counters;

/// Logins that may wait for the sensor, which looks at least twenty times a second. sshd itself admits a hundred
/// unauthenticated connections at once.
const LOGINS: usize = 4096;

/// Other detectors' verdicts that may wait for it: as many as the driver lets wait.
const EXTERNAL: usize = 4096;

/// Targets that people found nothing wrong with, while it does not look: they order by hand. Who is lost beyond that is
/// known a day later.
const ACQUITTED: usize = 4096;

/// News for the sensor. Blocks are kept by target, so there are never more than the block list holds.
#[derive(Debug)]
pub struct Feed {
    news: AtomicBool,
    inner: Mutex<News>,
    counters: Arc<Counters>,
}

/// What is new since the sensor last looked.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) blocks: BTreeMap<IpNet, Option<Strength>>,
    pub(super) acquitted: BTreeSet<IpNet>,
    pub(super) logins: VecDeque<Login>,
    pub(super) external: VecDeque<Verdict>,
    pub(super) view: Option<View>,
    pub(super) config: Option<SensorConfig>,
    pub(super) models: Option<Models>,
}

impl Feed {
    /// A feed with nothing in it.
    pub fn new(counters: Arc<Counters>) -> Self {
        Self { news: AtomicBool::new(false), inner: Mutex::default(), counters }
    }

    /// The block list changed.
    pub fn block(&self, target: IpNet, strength: Option<Strength>) {
        self.lock().blocks.insert(target, strength);
        self.news.store(true, SeqCst);
    }

    /// The block list changed at several targets.
    pub fn blocks(&self, changed: impl IntoIterator<Item = (IpNet, Option<Strength>)>) {
        self.lock().blocks.extend(changed);
        self.news.store(true, SeqCst);
    }

    /// A person found nothing wrong with the target; beyond the limit it is lost.
    pub fn acquittal(&self, target: IpNet) {
        let mut news = self.lock();
        if news.acquitted.len() < ACQUITTED {
            news.acquitted.insert(target);
            self.news.store(true, SeqCst);
        }
    }

    /// sshd's word about a login; beyond the limit it is counted and lost.
    pub fn login(&self, login: Login) {
        let mut news = self.lock();
        if news.logins.len() >= LOGINS {
            return self.counters.logins_dropped.add(1);
        }
        news.logins.push_back(login);
        self.news.store(true, SeqCst);
    }

    /// Another detector's verdict; beyond the limit it is counted and lost.
    pub fn external(&self, verdict: Verdict) {
        let mut news = self.lock();
        if news.external.len() >= EXTERNAL {
            return self.counters.verdicts_dropped.add(1);
        }
        news.external.push_back(verdict);
        self.news.store(true, SeqCst);
    }

    /// This host's addresses changed.
    pub fn view(&self, view: View) {
        self.lock().view = Some(view);
        self.news.store(true, SeqCst);
    }

    /// The thresholds changed.
    pub fn config(&self, config: SensorConfig) {
        self.lock().config = Some(config);
        self.news.store(true, SeqCst);
    }

    /// Other models judge.
    pub fn models(&self, models: Models) {
        self.lock().models = Some(models);
        self.news.store(true, SeqCst);
    }

    /// Whether there is something new.
    pub fn has_news(&self) -> bool {
        self.news.load(SeqCst)
    }

    /// What is new, if anything is: for the detector that lives, and not for an abandoned one that wakes up after all.
    /// Costs one load where nothing is.
    pub(super) fn take(&self, lifeline: &Lifeline) -> Option<News> {
        if !self.has_news() || !lifeline.beat() {
            return None;
        }
        self.news.swap(false, SeqCst).then(|| mem::take(&mut *self.lock()))
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use smartfw_core::sensor::LoginOutcome;

    use super::*;

    #[test]
    fn of_several_words_about_a_target_the_last_counts_for_who_lives() {
        let feed = Feed::new(Arc::default());
        let target = "192.0.2.1/32".parse().unwrap();
        feed.block(target, Some(Strength::Hard));
        feed.block(target, None);
        let (living, abandoned) = Lifeline::living_and_abandoned();
        assert!(feed.take(&abandoned).is_none(), "it is not for it");
        let blocks = feed.take(&living).unwrap().blocks;
        assert_eq!(blocks.into_iter().collect::<Vec<_>>(), [(target, None)]);
        assert!(feed.take(&living).is_none());
    }

    #[test]
    fn of_acquittals_only_so_many_wait() {
        let feed = Feed::new(Arc::default());
        let target = |n: u32| IpNet::from(std::net::IpAddr::from(n.to_be_bytes()));
        (0..5000).for_each(|n| feed.acquittal(target(n)));
        let (living, _) = Lifeline::living_and_abandoned();
        assert_eq!(feed.take(&living).unwrap().acquitted.len(), ACQUITTED);
    }

    #[test]
    fn logins_beyond_the_limit_are_counted() {
        let counters = Arc::new(Counters::default());
        let feed = Feed::new(counters.clone());
        let source = "192.0.2.1".parse().unwrap();
        (0..LOGINS + 3).for_each(|_| feed.login(Login { source, port: 1, outcome: LoginOutcome::Failed }));
        assert_eq!(counters.logins_dropped.get(), 3);
        let (living, _) = Lifeline::living_and_abandoned();
        assert_eq!(feed.take(&living).unwrap().logins.len(), LOGINS);
    }
}
