//! From the outbox to the database.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{
    Method, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use crate::{
    audit::{Audit, Found},
    backoff::Backoff,
    database::{Database, Request},
    health::{Health, State},
    item::{Cluster, List},
    keeping::{Keeping, due},
    outbox::{Numbered, Outbox, OutboxError},
    tidy::tidy,
    trouble::Trouble,
};

/// Items in one request.
pub const BATCH_ITEMS: usize = 500;

/// Bytes in one request, unless a single item is larger. Firebase takes 16 MB; a batch is sent again as a whole.
pub const BATCH_BYTES: u64 = 1 << 20;

/// Items that may be set aside one after the other without one that is taken between. More refusals than that are the
/// database's fault, and no item's: then everything waits.
pub const ASIDE_IN_A_ROW: u32 = 8;

/// How often a running sender looks back, unless it is told otherwise.
pub const LOOK_BACK: Duration = Duration::from_secs(300);

/// Of what is given as an interval: a timer takes neither nothing nor for ever.
const INTERVALS: [Duration; 2] = [Duration::from_millis(1), Duration::from_secs(86_400)];

/// What one step of the sender did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The database took so many items.
    Sent(usize),
    /// An item, or the batch with it, was refused: the next step deals with the rest.
    Narrowed,
    /// There is nothing to send.
    Idle,
    /// Nothing should be tried for so long.
    Wait(Duration),
}

/// Sends what is in an outbox, the oldest first, one request at a time. An item leaves the outbox when the database has
/// said that it has it.
#[derive(Debug)]
pub struct Sender {
    database: Arc<Database>,
    outbox: Arc<Outbox>,
    cluster: Cluster,
    health: Arc<Health>,
    backoff: Backoff,
    /// Items in the next request: halved by a refusal until the one that is refused stands alone.
    most: usize,
    aside_in_a_row: u32,
    audit: Audit,
    look_back: Duration,
    keeping: Option<Keeping>,
}

/// Tells how the mirror is, from any thread.
#[derive(Clone, Debug)]
pub struct Watch {
    outbox: Arc<Outbox>,
    health: Arc<Health>,
}

impl Watch {
    /// How the mirror is now.
    pub fn state(&self) -> State {
        State { counts: self.outbox.counts(), ..self.health.state() }
    }
}

impl Sender {
    /// A sender of this outbox, to the folder of this cluster.
    pub fn new(database: Arc<Database>, outbox: Arc<Outbox>, cluster: Cluster) -> Self {
        Self {
            database,
            outbox,
            cluster,
            health: Arc::default(),
            backoff: Backoff::default(),
            most: BATCH_ITEMS,
            aside_in_a_row: 0,
            audit: Audit::default(),
            look_back: LOOK_BACK,
            keeping: None,
        }
    }

    /// Lets go, while it runs and has nothing to send, of what in these lists is older than this: 100 rows of each
    /// ([`TIDIED`](crate::TIDIED)) a second at most, and every five minutes where there were fewer. The age is asked for each
    /// time. It is counted from the newest item that was sent to the list, or from now if that is earlier: a clock that is
    /// wrong empties no list, and what has sent nothing to a list removes nothing from it.
    #[must_use]
    pub fn keeping(self, lists: &'static [List], age: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { keeping: Some(Keeping::new(lists, Box::new(age))), ..self }
    }

    /// Looks back so often while it runs and has nothing to send: a day at most, a millisecond at least.
    #[must_use]
    pub fn looking_back_every(self, interval: Duration) -> Self {
        let [least, most] = INTERVALS;
        Self { look_back: interval.clamp(least, most), ..self }
    }

    /// Tells how the mirror is.
    pub fn watch(&self) -> Watch {
        Watch { outbox: Arc::clone(&self.outbox), health: Arc::clone(&self.health) }
    }

    /// Sends for ever. May be dropped at any time: what was on its way is sent again by the next sender. `clock` tells the
    /// time since 1970, `chance` draws.
    pub async fn run(mut self, clock: impl Fn() -> Duration, mut chance: impl FnMut() -> u64) {
        let mut looks = interval_at(Instant::now() + self.look_back, self.look_back);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            match self.step(clock(), chance()).await {
                Step::Sent(_) | Step::Narrowed => {}
                Step::Idle => tokio::select! {
                    () = self.outbox.filled() => {}
                    _ = looks.tick() => self.look_and_tell(clock()).await,
                    () = due(self.keeping.as_ref()) => self.let_go_and_tell(clock()).await,
                },
                Step::Wait(wait) => sleep(wait).await,
            }
        }
    }

    /// While there is nothing to send, nobody else finds out that the database is away, or back.
    async fn look_and_tell(&mut self, now: Duration) {
        let looked = self.look_back(now).await;
        self.tell(looked, now);
    }

    async fn let_go_and_tell(&mut self, now: Duration) {
        let lists = self.keeping.as_mut().map(|keeping| keeping.begin(now)).unwrap_or_default();
        if !lists.is_empty() {
            let gone = self.let_go(lists, now).await;
            self.tell(gone, now);
        }
    }

    fn tell(&self, done: Result<(), Trouble>, now: Duration) {
        match done {
            Ok(()) => self.health.sent(0),
            Err(trouble) => self.health.failed(trouble, now),
        }
    }

    /// A question and a removal for each of these lists.
    async fn let_go(&mut self, lists: Vec<(List, u64)>, now: Duration) -> Result<(), Trouble> {
        for (list, before) in lists {
            let gone = self.tidy(list, before, now).await?;
            if let Some(keeping) = self.keeping.as_mut().filter(|_| gone > 0) {
                keeping.goes_on();
            }
        }
        Ok(())
    }

    /// One request, if there is anything to send.
    pub async fn step(&mut self, now: Duration, chance: u64) -> Step {
        let batch = match self.outbox.oldest(self.most, BATCH_BYTES) {
            Ok(batch) if batch.is_empty() => return Step::Idle,
            Ok(batch) => batch,
            Err(error) => return self.failed(unusable(&error), now, chance),
        };
        match self.send(&batch, now).await {
            Ok(()) => self.taken(&batch, now, chance),
            Err(Trouble::Refused { status: status @ (400 | 413), said }) => {
                self.refused(&batch, status, said, now, chance)
            }
            Err(trouble) => {
                if trouble == Trouble::Silent {
                    // On a slow line a smaller batch may arrive in time.
                    self.most = (batch.len() / 2).max(1);
                }
                self.failed(trouble, now, chance)
            }
        }
    }

    /// Looks whether one of the items that were sent lately is still in the database as it was. Not at every step: it costs
    /// a request. [`Sender::run`] does it by itself.
    ///
    /// # Errors
    /// When the database does not answer; the sender's own next step will find that out, too.
    pub async fn look_back(&mut self, now: Duration) -> Result<(), Trouble> {
        // Others who send to the same lists let go of it, too, and their clocks differ.
        let lists = self.keeping.as_ref().map(|keeping| keeping.half(now)).unwrap_or_default();
        lists.into_iter().for_each(|(list, before)| self.audit.forget(list, before));
        if let Found::Rewritten(path) = self.audit.next(&self.database, &self.cluster, now).await? {
            tracing::warn!(path, "the mirror's data was changed in the database by somebody else");
            self.health.rewritten();
        }
        Ok(())
    }

    /// Removes the oldest rows from one of our own lists, if they are from before this instant (milliseconds since 1970): a
    /// list in the cloud has a limit, too. At most [`TIDIED`](crate::TIDIED) at a time; returns how many it were.
    /// [`Sender::run`] does it by itself where it was told by [`Sender::keeping`].
    ///
    /// # Errors
    /// When the database does not do it; what is left is there the next time.
    pub async fn tidy(&mut self, list: List, before: u64, now: Duration) -> Result<usize, Trouble> {
        self.audit.forget(list, before);
        tidy(&self.database, &self.cluster, list, before, now).await
    }

    async fn send(&self, batch: &[Numbered], now: Duration) -> Result<(), Trouble> {
        write(&self.database, self.cluster.path(), patch(batch), now).await
    }

    fn taken(&mut self, batch: &[Numbered], now: Duration, chance: u64) -> Step {
        if let Err(error) = self.outbox.delivered(batch) {
            return self.failed(unusable(&error), now, chance);
        }
        self.backoff.succeeded();
        self.aside_in_a_row = 0;
        self.most = (self.most * 2).min(BATCH_ITEMS);
        self.audit.sent(batch);
        if let Some(keeping) = &mut self.keeping {
            keeping.sent(batch.iter().map(|(_, item)| item));
        }
        self.health.sent(batch.len() as u64);
        Step::Sent(batch.len())
    }

    fn refused(&mut self, batch: &[Numbered], status: u16, said: String, now: Duration, chance: u64) -> Step {
        let [poison] = batch else {
            self.most = (batch.len() / 2).max(1);
            return Step::Narrowed;
        };
        if self.aside_in_a_row >= ASIDE_IN_A_ROW {
            return self.failed(Trouble::Refused { status, said }, now, chance);
        }
        if let Err(error) = self.outbox.put_aside(poison, &format!("{status} {said}")) {
            return self.failed(unusable(&error), now, chance);
        }
        tracing::warn!(path = poison.1.path(), status, said, "the database refuses an item: it is set aside");
        self.aside_in_a_row += 1;
        Step::Narrowed
    }

    fn failed(&mut self, trouble: Trouble, now: Duration, chance: u64) -> Step {
        let wait = self.backoff.failed(chance, trouble.asked_wait());
        self.health.failed(trouble, now);
        Step::Wait(wait)
    }
}

fn unusable(error: &OutboxError) -> Trouble {
    Trouble::Outbox(error.to_string())
}

/// Writes many paths at once. Only the silence that was asked for says that they are taken: a gateway's page is a success,
/// too.
pub(crate) async fn write(
    database: &Database,
    path: Vec<&str>,
    body: Bytes,
    now: Duration,
) -> Result<(), Trouble> {
    let mut request = Request::new(Method::PATCH, path);
    request.query.push(("print", "silent".to_owned()));
    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request.body = body;
    match database.send(&request, now).await?.status() {
        StatusCode::NO_CONTENT => Ok(()),
        other => Err(Trouble::Nonsense(format!("{} to a silent write", other.as_u16()))),
    }
}

/// One object: paths, quoted, and bodies, which are JSON already.
fn patch(batch: &[Numbered]) -> Bytes {
    let mut body = Vec::with_capacity(batch.iter().map(|(_, item)| item.size() as usize + 8).sum());
    for (_, item) in batch {
        body.push(if body.is_empty() { b'{' } else { b',' });
        body.extend_from_slice(serde_json::Value::from(item.path()).to_string().as_bytes());
        body.push(b':');
        body.extend_from_slice(item.body());
    }
    body.push(b'}');
    body.into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::item::{Item, ItemId};

    #[test]
    fn a_batch_is_one_object_of_paths_and_bodies() {
        let item = |node: &str, sequence| {
            let id = ItemId { millis: 1, epoch: 2, sequence, node: node.into() };
            (sequence, Item::event(&id, json!({"n": sequence})).unwrap())
        };
        let batch = [item("a\"b\\", 1), item("web-1", 2)];
        let whole: Value = serde_json::from_slice(&patch(&batch)).unwrap();
        let [one, other] = batch.map(|(_, item)| item.path().to_owned());
        assert_eq!(whole, json!({ one: {"n": 1}, other: {"n": 2} }));
    }
}
