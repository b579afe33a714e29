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
        let waiting = self.waiting();
        let (what, remedy) = match self.state() {
            Coordinator::Away if self.away().is_some_and(|since| since.elapsed() > AWAY) => {
                let last = self.hindered().last.clone();
                let why = last.map_or_else(String::new, |why| format!(" (the last attempt: {why})"));
                (
                    format!(
                        "no coordinator has been reached for more than a minute{why}, and {waiting} events wait for it"
                    ),
                    "see that smartfw-coordinator runs and is reached; this node detects and blocks as before",
                )
            }
            Coordinator::Connected if waiting > 0 && self.hindered().stuck => (
                format!(
                    "a coordinator is there and keeps nothing of what it is told, and {waiting} events wait for it"
                ),
                "look at the coordinator's own health: its disk may be full, or its Redis away; this node detects and blocks as before",
            ),
            _ => return None,
        };
        Some(smartfw_core::Health { level: HealthLevel::Warn, what, remedy: remedy.to_owned() })
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
    use crate::uplink::index::{Index, Span};

    #[test]
    fn a_coordinator_that_is_away_for_more_than_a_minute_is_told_of_until_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let uplink = Uplink::new(folder.path(), Default::default(), Default::default());
        assert_eq!((uplink.state(), uplink.troubles()), (Coordinator::None, None));
        uplink.named(true);
        assert_eq!((uplink.state(), uplink.troubles()), (Coordinator::Away, None));
        *uplink.away() = Instant::now().checked_sub(AWAY * 2);
        assert!(uplink.troubles().unwrap().what.contains("minute, and 0 events wait"));
        uplink.failed("192.0.2.1:7471: it did not answer within 10 s".into(), false);
        assert!(uplink.troubles().unwrap().what.contains("192.0.2.1:7471: it did not answer"));
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

    #[test]
    fn a_coordinator_that_keeps_nothing_is_told_of_until_it_keeps_something() {
        let folder = tempfile::tempdir().unwrap();
        let uplink = Uplink::new(folder.path(), Default::default(), Default::default());
        let (id, nothing) = (NodeId([1; 32]), Version { epoch: 1, sequence: 0 });
        uplink.up(id, nothing);
        uplink.failed("192.0.2.1:7471: it kept nothing".into(), true);
        assert_eq!(uplink.troubles(), None, "nothing waits for it");
        uplink.publish(Index { epoch: 1, next: 3, spans: vec![Span { next: 3, ..Span::empty(1) }] });
        assert!(uplink.troubles().unwrap().what.contains("keeps nothing of what it is told, and 2 events"));
        uplink.kept(&id, Version { sequence: 1, ..nothing });
        assert_eq!((uplink.troubles(), uplink.waiting()), (None, 1));
    }
}
