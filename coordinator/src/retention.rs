//! Every minute what is old is let go, and it is looked whether what is kept is safe.

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

/// Lets go what is old, for ever; tells how much is kept, and what endangers it.
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
    look(history, health).await;
}

/// Shows what endangers what is acknowledged. A Redis may come later than we do, and is set anew while it runs.
async fn look(history: &dyn Keeper, health: &Health) {
    let remedy = "change it in redis.conf, or by CONFIG SET; it is looked at every minute";
    match history.warnings().await {
        Ok(warnings) if warnings.is_empty() => health.clear(Matter::Redis),
        Ok(warnings) => health.set(Matter::Redis, Level::Warn, warnings.join("; "), remedy),
        Err(why) => {
            let what = format!("whether redis keeps what is acknowledged is not known: {why}");
            let remedy =
                "let the coordinator reach redis, and ask it CONFIG GET; it is looked at every minute";
            health.set(Matter::Redis, Level::Warn, what, remedy);
        }
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

    #[tokio::test]
    async fn how_redis_is_set_is_looked_at_each_time_and_shown_while_it_is_unsafe_or_not_known() {
        let (history, health, size) = (Memory::default(), Health::default(), watch::Sender::default());
        let day = Retention { age: Duration::from_secs(86_400), bytes: 1 << 30 };
        let unsafely = "redis has appendonly no";
        for (secretive, warnings, shown) in [
            (false, vec![unsafely.to_owned()], Some(unsafely)),
            (true, Vec::new(), Some("is not known: redis: NOPERM")),
            (false, Vec::new(), None),
        ] {
            history.secretive.store(secretive, std::sync::atomic::Ordering::SeqCst);
            *history.warnings.lock().unwrap() = warnings;
            once(&history, &health, day, &size).await;
            let told: Vec<String> = health.list().into_iter().map(|entry| entry.what).collect();
            assert_eq!(told.len(), usize::from(shown.is_some()), "{told:?}");
            assert!(shown.is_none_or(|shown| told[0].contains(shown)), "{told:?}");
        }
    }
}
