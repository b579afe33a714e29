//! The root, while a signer is being made: in memory only, and not for long.

use std::sync::{Arc, Mutex, PoisonError};

use smartfw_core::Time;
use smartfw_identity::Root;

/// Holds the root until a time. Cheap to clone; all clones hold the same.
#[derive(Clone, Debug, Default)]
pub struct Vault(Arc<Mutex<Option<Held>>>);

/// The root, and until when.
type Held = (Arc<Root>, Time);

impl Vault {
    /// Takes the root until then; what was there before is forgotten, but a longer time is kept.
    pub fn put(&self, root: Root, until: Time) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = held.as_ref().map_or(until, |(_, before)| until.max(*before));
        *held = Some((Arc::new(root), until));
    }

    /// The root, where it is here at `now`; its time over, it is forgotten.
    pub fn get(&self, now: Time) -> Option<Arc<Root>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_some_and(|(_, until)| *until <= now) {
            *held = None;
        }
        held.as_ref().map(|(root, _)| root.clone())
    }

    /// Forgets it.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use smartfw_identity::Label;

    use super::*;

    #[test]
    fn the_root_stays_no_longer_than_its_time() {
        let (vault, at) = (Vault::default(), Time::from_secs);
        assert!(vault.get(at(1)).is_none());
        let root = || Root::create(&Label::new("prod").unwrap(), at(1_800_000_000)).unwrap();
        vault.put(root(), at(100));
        vault.put(root(), at(50));
        assert!(vault.clone().get(at(99)).is_some());
        assert!(vault.get(at(100)).is_none());
        assert!(vault.get(at(1)).is_none(), "it does not come back");
    }
}
