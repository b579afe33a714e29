//! How it stands with coordinators, for those who ask.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use smartfw_core::HealthLevel;
use smartfw_proto::view::Coordinator;

use super::Uplink;
use crate::clock;

/// All coordinators are away for so long before a person is told: one that is restarted is back by then.
const AWAY: Duration = Duration::from_secs(60);

impl Uplink {
    /// Whether a coordinator is there.
    pub fn state(&self) -> Coordinator {
        let known = self.known();
        match known.open() {
            0 if known.any() || self.0.named.load(Relaxed) => Coordinator::Away,
            0 => Coordinator::None,
            _ => Coordinator::Connected,
        }
    }

    /// What a person should know.
    pub(crate) fn troubles(&self) -> Option<smartfw_core::Health> {
        let away = self.away().is_some_and(|since| since.elapsed() > AWAY);
        (away && self.state() == Coordinator::Away).then(|| smartfw_core::Health {
            level: HealthLevel::Warn,
            what: format!(
                "no coordinator has been reached for more than a minute, and {} events wait for it",
                self.waiting()
            ),
            remedy:
                "see that smartfw-coordinator runs and is reached; this node detects and blocks as before"
                    .to_owned(),
        })
    }

    /// Events that not every coordinator has.
    pub fn waiting(&self) -> u64 {
        let index = self.0.index.borrow();
        index.behind(self.known().lowest(clock::now(), index.epoch).unwrap_or(0))
    }

    /// Coordinators that are connected.
    pub fn connected(&self) -> usize {
        self.known().open()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use smartfw_core::fleet::{NodeId, Version};

    use super::*;

    #[test]
    fn a_coordinator_that_is_away_for_more_than_a_minute_is_told_of_until_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let uplink = Uplink::new(folder.path(), Default::default(), Default::default());
        assert_eq!((uplink.state(), uplink.troubles()), (Coordinator::None, None));
        uplink.named(true);
        assert_eq!((uplink.state(), uplink.troubles()), (Coordinator::Away, None));
        *uplink.away() = Instant::now().checked_sub(AWAY * 2);
        assert!(uplink.troubles().unwrap().what.contains("0 events wait"));
        let id = NodeId([1; 32]);
        uplink.up(id, Version { epoch: 1, sequence: 0 });
        assert_eq!(
            (uplink.state(), uplink.troubles(), uplink.connected()),
            (Coordinator::Connected, None, 1)
        );
        uplink.down(&id);
        uplink.named(false);
        assert_eq!(uplink.state(), Coordinator::Away, "it was there a moment ago");
        assert_eq!(uplink.troubles(), None);
        uplink.end();
    }
}
