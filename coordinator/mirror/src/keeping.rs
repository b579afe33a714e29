//! For how long what was sent is kept in the database, and when it is looked for what is older.

use std::{fmt, future::pending, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::item::List;

/// How often it is looked for what is old, once there was nothing.
const EVERY: Duration = Duration::from_secs(300);

/// How soon again where there was something: a list grows by fewer than a hundred rows a second.
const SOON: Duration = Duration::from_secs(1);

/// Asked each time: it may change while the program runs.
type Age = Box<dyn Fn() -> Duration + Send + Sync>;

/// What is let go of, and when.
pub(crate) struct Keeping {
    lists: &'static [List],
    age: Age,
    /// The newest item that was sent, in milliseconds since 1970.
    newest: Option<u64>,
    due: Instant,
}

impl Keeping {
    pub(crate) fn new(lists: &'static [List], age: Age) -> Self {
        Self { lists, age, newest: None, due: Instant::now() }
    }

    /// The database has taken items of these instants.
    pub(crate) fn sent(&mut self, millis: impl Iterator<Item = u64>) {
        self.newest = self.newest.max(millis.max());
    }

    /// The lists, and the instant before which they are let go of; none where that is not known. It is done again after a
    /// while.
    pub(crate) fn begin(&mut self, now: Duration) -> Option<(&'static [List], u64)> {
        self.due = Instant::now() + EVERY;
        self.before(now, (self.age)())
    }

    /// There was something to let go of: there may be more.
    pub(crate) fn goes_on(&mut self) {
        self.due = Instant::now() + SOON;
    }

    /// The lists, and the instant before which they will be let go of before long.
    pub(crate) fn half(&self, now: Duration) -> Option<(&'static [List], u64)> {
        self.before(now, (self.age)() / 2)
    }

    fn before(&self, now: Duration, age: Duration) -> Option<(&'static [List], u64)> {
        let from = self.newest?.min(millis(now));
        Some((self.lists, from.saturating_sub(millis(age))))
    }
}

/// Waits until it is to be looked for what is old.
pub(crate) async fn due(keeping: Option<&Keeping>) {
    match keeping {
        Some(keeping) => sleep_until(keeping.due).await,
        None => pending().await,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Without the age, which is not asked for that.
impl fmt::Debug for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lists, age: _, newest, due } = self;
        f.debug_struct("Keeping").field("lists", lists).field("newest", newest).field("due", due).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn age_is_counted_from_the_newest_item_sent_or_from_now_if_that_is_earlier() {
        let mut keeping = Keeping::new(&[List::Events], Box::new(|| DAY));
        assert_eq!(keeping.begin(10 * DAY), None, "nothing was sent yet");
        keeping.sent([7, 3].map(|day| millis(day * DAY)).into_iter());
        keeping.sent([5].map(|day| millis(day * DAY)).into_iter());
        for (now, before) in [(8, 6), (4000, 6), (4, 3), (0, 0)] {
            assert_eq!(keeping.begin(now * DAY), Some((&[List::Events][..], millis(before * DAY))));
        }
        let half = millis(6 * DAY + DAY / 2);
        assert_eq!(keeping.half(8 * DAY), Some((&[List::Events][..], half)));
    }

    #[test]
    fn it_goes_on_soon_where_there_was_something_and_else_after_a_while() {
        let mut keeping = Keeping::new(&[List::Runs], Box::new(|| DAY));
        let begun = Instant::now();
        assert!(keeping.due <= begun);
        keeping.begin(DAY);
        assert!(keeping.due >= begun + EVERY);
        keeping.goes_on();
        assert!(keeping.due < begun + EVERY);
    }
}
