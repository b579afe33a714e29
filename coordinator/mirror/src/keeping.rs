//! For how long what was sent is kept in the database, and when it is looked for what is older.

use std::{collections::BTreeMap, fmt, future::pending, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::item::{Item, List};

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
    /// The newest item of each list that was sent, in milliseconds since 1970.
    newest: BTreeMap<List, u64>,
    due: Instant,
}

impl Keeping {
    pub(crate) fn new(lists: &'static [List], age: Age) -> Self {
        Self { lists, age, newest: BTreeMap::new(), due: Instant::now() }
    }

    /// The database has taken these items.
    pub(crate) fn sent<'a>(&mut self, items: impl Iterator<Item = &'a Item>) {
        for (list, millis) in items.filter_map(Item::stands) {
            let newest = self.newest.entry(list).or_default();
            *newest = millis.max(*newest);
        }
    }

    /// The lists to which something was sent, and the instant before which each is let go of. It is done again after a while.
    pub(crate) fn begin(&mut self, now: Duration) -> Vec<(List, u64)> {
        self.due = Instant::now() + EVERY;
        self.before(now, (self.age)())
    }

    /// There was something to let go of: there may be more.
    pub(crate) fn goes_on(&mut self) {
        self.due = Instant::now() + SOON;
    }

    /// These lists, and the instant before which each will be let go of before long.
    pub(crate) fn half(&self, now: Duration) -> Vec<(List, u64)> {
        self.before(now, (self.age)() / 2)
    }

    fn before(&self, now: Duration, age: Duration) -> Vec<(List, u64)> {
        let newest = self.lists.iter().filter_map(|list| Some((*list, *self.newest.get(list)?)));
        newest.map(|(list, newest)| (list, newest.min(millis(now)).saturating_sub(millis(age)))).collect()
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
    use serde_json::json;

    use super::*;
    use crate::item::ItemId;

    const DAY: Duration = Duration::from_secs(86_400);

    fn id(day: u32) -> ItemId {
        ItemId { millis: millis(day * DAY), epoch: 1, sequence: 1, node: "web-1".to_owned() }
    }

    fn event(day: u32) -> Item {
        Item::event(&id(day), json!({"kind": "alert"})).unwrap()
    }

    #[test]
    fn age_is_counted_from_the_newest_item_sent_or_from_now_if_that_is_earlier() {
        let mut keeping = Keeping::new(&[List::Events, List::Blocks], Box::new(|| DAY));
        assert_eq!(keeping.begin(10 * DAY), [], "nothing was sent yet");
        keeping.sent([event(7), event(3)].iter());
        keeping.sent([event(5), Item::run(&id(9), b"run").unwrap()].iter());
        for (now, before) in [(8, 6), (4000, 6), (4, 3), (0, 0)] {
            let events = (List::Events, millis(before * DAY));
            assert_eq!(keeping.begin(now * DAY), [events], "nothing was sent to the others");
        }
        assert_eq!(keeping.half(8 * DAY), [(List::Events, millis(6 * DAY + DAY / 2))]);
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
