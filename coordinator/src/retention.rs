//! Every minute what is old is let go.

use std::{sync::Arc, time::Duration};

use smartfw_history::Size;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::{
    clock,
    health::{Health, Level, Matter},
    keeper::Keeper,
    settings::Retention,
};

const EVERY: Duration = Duration::from_secs(60);

/// Lets go what is old, for ever; tells how much is kept.
pub async fn run(
    history: Arc<dyn Keeper>,
    health: Arc<Health>,
    retention: watch::Receiver<Retention>,
    size: watch::Sender<Size>,
) {
    let mut turn = interval(EVERY);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        let now = *retention.borrow();
        once(&*history, &health, now, &size).await;
    }
}

async fn once(history: &dyn Keeper, health: &Health, retention: Retention, size: &watch::Sender<Size>) {
    let Retention { age, bytes } = retention;
    match history.retain(clock::now(), age, bytes).await {
        Ok(()) => health.clear(Matter::Retention),
        Err(why) => {
            let what = format!("old events are not let go: {why}");
            health.set(
                Matter::Retention,
                Level::Warn,
                what,
                "see to the disk, or to Redis; it is tried again",
            );
        }
    }
    if let Ok(now) = history.size().await {
        size.send_replace(now);
    }
}

#[cfg(test)]
mod tests {
    use smartfw_history::Embedded;

    use super::*;
    use crate::testing::Memory;

    #[tokio::test]
    async fn what_is_old_is_let_go_and_how_much_is_left_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let history = Embedded::open_in_segments_of(folder.path(), 10).unwrap();
        let (health, (size, told)) = (Health::default(), watch::channel(Size::default()));
        let event = |sequence| smartfw_history::Event {
            node: "web-1".into(),
            id: smartfw_core::fleet::NodeId([1; 32]),
            epoch: 1,
            sequence,
            time: smartfw_core::Time::from_secs(1_000),
            kind: smartfw_history::EventKind::Alert,
            address: None,
            class: None,
            body: "{}".into(),
        };
        let events = (1..=100).map(event).collect();
        smartfw_history::History::append(&history, clock::now(), events).await.unwrap();
        let forever = Retention { age: Duration::from_secs(1 << 40), bytes: 1 << 40 };
        once(&history, &health, forever, &size).await;
        assert_eq!(told.borrow().events, 100);
        let day = Retention { age: Duration::from_secs(86_400), ..forever };
        once(&history, &health, day, &size).await;
        assert!(told.borrow().events < 100 && health.list().is_empty());
    }

    #[tokio::test]
    async fn a_history_that_cannot_let_go_is_shown_until_it_can() {
        let (history, health, size) = (Memory::default(), Health::default(), watch::Sender::default());
        let day = Retention { age: Duration::from_secs(86_400), bytes: 1 << 30 };
        for fails in [true, false] {
            history.fails.store(fails, std::sync::atomic::Ordering::SeqCst);
            once(&history, &health, day, &size).await;
            assert_eq!(health.list().is_empty(), !fails);
        }
    }
}
