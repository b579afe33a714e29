//! A history in a temporary folder.

use smartfw_history::Embedded;
use tempfile::TempDir;

use super::Site;

/// On disk, in segments of so many events.
pub(crate) struct OnDisk<const EVENTS: usize>(TempDir);

impl<const EVENTS: usize> Site for OnDisk<EVENTS> {
    type Of = Embedded;

    async fn begin() -> Option<Self> {
        Some(Self(TempDir::new().unwrap()))
    }

    async fn open(&mut self) -> Embedded {
        Embedded::open_in_segments_of(self.0.path(), EVENTS).unwrap()
    }
}
