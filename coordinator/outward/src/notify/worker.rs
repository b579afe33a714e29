//! Two workers: one decides what is told, one tells it. A receiver that hangs does not keep the first from counting.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use smartfw_core::Time;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{Patience, digest::Digest, email::Mail, hook::Hook, message::Message};
use crate::{
    NodeEvent,
    backoff::{Backoff, chance},
    queue::Queue,
    settings::{Limits, Rules, SetupError},
    state::{Record, State},
    trouble::Trouble,
};

/// Events that wait to be judged: several seconds of the worst storm.
const EVENTS: usize = 10_000;

/// Bytes of them.
const EVENT_BYTES: usize = 32 << 20;

/// Messages that wait for their receiver: more nobody reads when it is back.
const MESSAGES: usize = 100;

/// After so many answers that were no success a message is given up: what one server cannot take must not keep back the
/// rest. Silence and broken lines do not count.
const ANSWERS: u32 = 16;

/// Events that are judged at once.
const BATCH: usize = 256;

/// Who is told.
pub(crate) enum Target {
    Hook(Hook),
    Mail(Mail),
}

impl Target {
    async fn send(&self, message: &Message) -> Result<String, Trouble> {
        match self {
            Self::Hook(hook) => hook.send(message).await,
            Self::Mail(mail) => mail.send(message).await,
        }
    }
}

/// One way to tell people. It never makes the caller wait.
pub struct Notifier {
    rules: Rules,
    events: Arc<Queue<Arc<NodeEvent>>>,
    messages: Arc<Queue<Message>>,
    record: Arc<Record>,
    target: Arc<Target>,
    workers: [JoinHandle<()>; 2],
}

impl Notifier {
    /// Starts the workers, in a runtime.
    pub(crate) fn start(
        name: &str,
        rules: &Rules,
        limits: Limits,
        target: Target,
        patience: Patience,
    ) -> Result<Self, SetupError> {
        rules.check()?;
        let events = Arc::new(Queue::new(EVENTS, EVENT_BYTES));
        let messages = Arc::new(Queue::new(MESSAGES, usize::MAX));
        let record = Arc::new(Record::new(name));
        let target = Arc::new(target);
        let judging = judge(events.clone(), messages.clone(), Digest::new(limits));
        let telling =
            Teller { target: target.clone(), record: record.clone(), patience }.run(messages.clone());
        let workers = [tokio::spawn(judging), tokio::spawn(telling)];
        Ok(Self { rules: rules.clone(), events, messages, record, target, workers })
    }

    /// Takes an event into account, if the rules want it.
    pub fn tell(&self, told: &Arc<NodeEvent>) {
        if self.rules.want(told) {
            self.events.push(told.clone(), told.node.len() + told.event.body.len());
        }
    }

    /// How it is.
    pub fn state(&self) -> State {
        let ((unread, lost), (untold, dropped)) = (self.events.counts(), self.messages.counts());
        State { waiting: unread + untold, dropped: lost + dropped, ..self.record.state() }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> String {
        self.record.state().name
    }

    /// Sends a message that says that it is a test; gives what the other side says.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn test(&self) -> Result<String, Trouble> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let result = self.target.send(&Message::test(Time::ZERO.after(now))).await;
        match &result {
            Ok(_) => self.record.sent(1),
            Err(trouble) => self.record.failed(trouble.clone()),
        }
        result
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.workers.iter().for_each(JoinHandle::abort);
    }
}

/// The machine's clock begins with the worker: steps of the wall clock neither repeat nor hold back a message.
async fn judge(events: Arc<Queue<Arc<NodeEvent>>>, messages: Arc<Queue<Message>>, mut digest: Digest) {
    let start = Instant::now();
    let now = || Time::ZERO.after(start.elapsed());
    loop {
        let wait = digest.poll_timeout().map_or(Duration::MAX, |due| due.since(now()));
        let batch = timeout(wait, events.take(BATCH)).await.unwrap_or_default();
        let singles = batch.iter().filter_map(|event| digest.handle(event, now())).collect::<Vec<_>>();
        for message in singles.into_iter().chain(digest.poll(now())) {
            messages.push(message, 0);
        }
        events.done(batch.len());
    }
}

struct Teller {
    target: Arc<Target>,
    record: Arc<Record>,
    patience: Patience,
}

impl Teller {
    async fn run(self, messages: Arc<Queue<Message>>) {
        loop {
            for message in messages.take(1).await {
                self.tell(&message).await;
                messages.done(1);
            }
        }
    }

    /// Until it is told, or nothing more can be hoped for.
    async fn tell(&self, message: &Message) {
        let mut backoff = Backoff::new(self.patience.waits);
        let mut answers = 0;
        loop {
            let Err(trouble) = self.target.send(message).await else {
                return self.record.sent(1);
            };
            answers += u32::from(matches!(trouble, Trouble::Busy { .. } | Trouble::Nonsense(_)));
            let (wait, is_final) = (backoff.failed(chance(), trouble.asked()), trouble.is_final());
            self.record.failed(trouble);
            if is_final {
                return;
            }
            if answers >= ANSWERS {
                return self.record.given_up();
            }
            sleep(wait).await;
        }
    }
}
