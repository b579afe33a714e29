//! The segments that were read last, so that not every question opens them anew.

use std::{collections::BTreeMap, sync::Arc};

use super::segment::Opened;

/// Segments that stay open: each has a file and about twenty kilobytes of directory.
const OPEN: usize = 256;

/// Open segments, by number, each with when it was used last.
#[derive(Debug, Default)]
pub(super) struct Recent {
    opened: BTreeMap<u64, (u64, Arc<Opened>)>,
    uses: u64,
}

impl Recent {
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
        if self.opened.len() > OPEN
            && let Some((_, number)) = self.opened.iter().map(|(number, (used, _))| (*used, *number)).min()
        {
            self.opened.remove(&number);
        }
    }

    /// Closes it.
    pub(super) fn remove(&mut self, number: u64) {
        self.opened.remove(&number);
    }
}
