//! The root, while a signer is being made: in memory only, and not for long.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use smartfw_core::Time;
use smartfw_identity::Root;
use tokio::{runtime::Handle, time::sleep};

/// The longest that the root may stay: long enough to type a token on another machine, which is by then switched on.
pub const ROOT_LASTS: Duration = Duration::from_secs(60 * 60);

/// Holds the root until a time. Cheap to clone; all clones hold the same.
#[derive(Clone, Debug, Default)]
pub struct Vault(Arc<Mutex<Option<Held>>>);

/// The root, and until when.
type Held = (Arc<Root>, Time);

impl Vault {
    /// Takes the root for so long, at most [`ROOT_LASTS`]; what was there before is forgotten, but a longer time is kept.
    /// Its time over, it is forgotten by itself, where this is called within a runtime.
    pub fn put(&self, root: Root, now: Time, lasts: Duration) {
        let lasts = lasts.min(ROOT_LASTS);
        let until = {
            let mut held = self.held();
            let until = held.as_ref().map_or(Time::ZERO, |(_, before)| *before).max(now.after(lasts));
            *held = Some((Arc::new(root), until));
            until
        };
        if let Ok(runtime) = Handle::try_current() {
            let vault = Arc::downgrade(&self.0);
            runtime.spawn(async move {
                sleep(until.since(now)).await;
                vault.upgrade().and_then(|held| Self(held).get(until));
            });
        }
    }

    /// The root, where it is here at `now`; its time over, it is forgotten.
    pub fn get(&self, now: Time) -> Option<Arc<Root>> {
        let mut held = self.held();
        if held.as_ref().is_some_and(|(_, until)| *until <= now) {
            *held = None;
        }
        held.as_ref().map(|(root, _)| root.clone())
    }

    /// Forgets it.
    pub fn clear(&self) {
        *self.held() = None;
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use smartfw_identity::Label;

    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_secs(1_800_000_000 + seconds)
    }

    fn root() -> Root {
        Root::create(&Label::new("prod").unwrap(), at(0)).unwrap()
    }

    #[test]
    fn the_root_stays_no_longer_than_its_time() {
        let vault = Vault::default();
        assert!(vault.get(at(1)).is_none());
        vault.put(root(), at(0), Duration::from_secs(100));
        vault.put(root(), at(0), Duration::from_secs(50));
        assert!(vault.clone().get(at(99)).is_some());
        assert!(vault.get(at(100)).is_none());
        assert!(vault.get(at(1)).is_none(), "it does not come back");
    }

    #[test]
    fn the_root_stays_for_an_hour_at_most() {
        let vault = Vault::default();
        vault.put(root(), at(0), Duration::from_secs(86_400));
        assert!(vault.get(at(3599)).is_some() && vault.get(at(3600)).is_none());
    }

    #[tokio::test]
    async fn the_root_is_forgotten_though_nobody_asks_for_it() {
        let vault = Vault::default();
        vault.put(root(), at(0), Duration::from_millis(50));
        assert!(vault.held().is_some());
        sleep(Duration::from_millis(500)).await;
        assert!(vault.held().is_none());
    }
}
