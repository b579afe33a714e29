//! The segments that were read last, so that not every question opens them anew.

use std::{collections::BTreeMap, sync::Arc};

use super::segment::Opened;

/// Segments that stay open: each has a file, and a directory of a hundred kilobytes, two hundred at most. Enough for twenty
/// million events of 300 bytes.
pub(super) const OPEN: usize = 512;

/// Open segments, by number, each with when it was used last.
#[derive(Debug)]
pub(super) struct Recent {
    most: usize,
    opened: BTreeMap<u64, (u64, Arc<Opened>)>,
    uses: u64,
}

impl Recent {
    /// Keeps so many open.
    pub(super) const fn of(most: usize) -> Self {
        Self { most, opened: BTreeMap::new(), uses: 0 }
    }

    /// The segment, if it is open.
    pub(super) fn get(&mut self, number: u64) -> Option<Arc<Opened>> {
        self.uses += 1;
        let (used, opened) = self.opened.get_mut(&number)?;
        *used = self.uses;
        Some(Arc::clone(opened))
    }

    /// Keeps it open, instead of the one that was not used for longest.
    pub(super) fn put(&mut self, number: u64, opened: Arc<Opened>) {
        self.uses += 1;
        self.opened.insert(number, (self.uses, opened));
        if self.opened.len() > self.most
            && let Some((_, number)) = self.opened.iter().map(|(number, (used, _))| (*used, *number)).min()
        {
            self.opened.remove(&number);
        }
    }

    /// How many are open.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.opened.len()
    }

    /// Closes it.
    pub(super) fn remove(&mut self, number: u64) {
        self.opened.remove(&number);
    }
}
