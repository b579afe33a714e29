//! The open streams, one of each node, and what is said on them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use smartfw_core::fleet::{NodeId, Version};
use smartfw_proto::{convert::Answer, wire::CoordinatorAnswer};
use tokio::{
    sync::{Notify, Semaphore, futures::Notified, mpsc, watch},
    time::timeout,
};
use tonic::Status;

/// Batches of one stream that wait to be kept: one is being written, one comes.
const BATCHES: usize = 2;
/// Orders that wait for one stream, and as many questions beside them: a person gives them.
const PASSED: usize = 64;
/// Questions under way at one node whose answers are only shown: who looks shall not crowd out who orders.
pub(super) const SHOWN: usize = 2;
/// Of these those that are under way or wait for their turn: some of those who wait have gone.
pub(super) const LOOKERS: usize = 16;
/// Answers handed to a connection that it has not written yet.
pub(super) const HANDED: usize = 4;
/// How long a node is given to take the reason of a stream's end.
const LAST_WORD: Duration = Duration::from_secs(1);

/// One open stream, as those see it who say something on it.
#[derive(Debug)]
pub(super) struct Line {
    /// Whose it is.
    pub(super) id: NodeId,
    /// Streams are numbered in the order in which they open.
    pub(super) number: u64,
    /// A permit for each batch that may wait.
    pub(super) turns: Arc<Semaphore>,
    /// A permit for each question whose answer is only shown.
    pub(super) looks: Semaphore,
    /// A permit for each that has one or waits for it.
    pub(super) lookers: Semaphore,
    /// What both speak, once that is known.
    protocol: OnceLock<u32>,
    kept: watch::Sender<Option<Version>>,
    orders: mpsc::Sender<Answer>,
    questions: mpsc::Sender<Answer>,
    /// Why it ends, once it does.
    end: watch::Sender<Option<Status>>,
}

/// What a stream's speaker says.
pub(super) struct Spoken {
    kept: watch::Receiver<Option<Version>>,
    orders: mpsc::Receiver<Answer>,
    questions: mpsc::Receiver<Answer>,
    end: watch::Receiver<Option<Status>>,
}

#[cfg(test)]
impl Spoken {
    /// The next order that waits.
    pub(super) async fn next_order(&mut self) -> Option<Answer> {
        self.orders.recv().await
    }

    /// The next question that waits.
    pub(super) async fn next_question(&mut self) -> Option<Answer> {
        self.questions.recv().await
    }
}

/// The way to the node.
pub(super) type Outbound = mpsc::Sender<Result<CoordinatorAnswer, Status>>;

impl Line {
    /// Events up to here are kept. Who reads slowly hears of the last only.
    pub(super) fn kept(&self, upto: Version) {
        self.kept.send_replace(Some(upto));
    }

    /// Passes an order or a question on; whether there was room. Neither takes the other's.
    pub(super) fn pass(&self, what: Answer) -> bool {
        let way = if matches!(what, Answer::Question(..)) { &self.questions } else { &self.orders };
        way.try_send(what).is_ok()
    }

    /// From now on both speak this.
    pub(super) fn agree(&self, protocol: u32) {
        self.protocol.get_or_init(|| protocol);
    }

    /// Whether the node can be asked now: those of the first protocol know no questions.
    pub(super) fn answers(&self) -> bool {
        self.protocol.get().is_some_and(|protocol| *protocol >= 2) && self.questions.capacity() > 0
    }

    /// Ends it, unless it ends already.
    pub(super) fn end(&self, why: Status) {
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            if first {
                *end = Some(why);
            }
            first
        });
    }

    /// Waits until it ends.
    pub(super) async fn ended(&self) -> Status {
        let mut end = self.end.subscribe();
        ended(&mut end).await
    }
}

async fn ended(end: &mut watch::Receiver<Option<Status>>) -> Status {
    let why = end.wait_for(Option::is_some).await.map(|why| why.clone());
    why.ok().flatten().unwrap_or_else(|| Status::aborted("the stream ended"))
}

/// Says on a stream what there is to say, until it ends; then why, where that is not in order.
pub(super) async fn speak(spoken: Spoken, to: Outbound) {
    let Spoken { mut kept, mut orders, mut questions, mut end } = spoken;
    let speaking = async {
        loop {
            let answer = tokio::select! {
                biased; // no question keeps an order waiting
                Some(order) = orders.recv() => order,
                changed = kept.changed() => match changed.map(|()| *kept.borrow_and_update()) {
                    Ok(Some(upto)) => Answer::Kept(upto),
                    Ok(None) => continue,
                    Err(_) => return,
                },
                Some(question) = questions.recv() => question,
            };
            if to.send(Ok(answer.into())).await.is_err() {
                return;
            }
        }
    };
    let why = tokio::select! {
        biased; // the end is told, although nobody is left who says anything else
        why = ended(&mut end) => why,
        () = to.closed() => return,
        () = speaking => return,
    };
    if why.code() != tonic::Code::Ok {
        let _ = timeout(LAST_WORD, to.send(Err(why))).await;
    }
}

/// The open streams.
#[derive(Debug, Default)]
pub(super) struct Lines {
    open: Mutex<BTreeMap<NodeId, Arc<Line>>>,
    numbers: AtomicU64,
    entered: Notify,
}

impl Lines {
    /// A new stream of a node, which nobody else sees yet.
    pub(super) fn begin(&self, id: NodeId) -> (Arc<Line>, Spoken) {
        let (kept, orders, questions) =
            (watch::Sender::new(None), mpsc::channel(PASSED), mpsc::channel(PASSED));
        let end = watch::Sender::new(None);
        let spoken =
            Spoken { kept: kept.subscribe(), orders: orders.1, questions: questions.1, end: end.subscribe() };
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let turns = Arc::new(Semaphore::new(BATCHES));
        let protocol = OnceLock::new();
        let (looks, lookers) = (Semaphore::new(SHOWN), Semaphore::new(LOOKERS));
        let (orders, questions) = (orders.0, questions.0);
        let line = Line { id, number, turns, looks, lookers, protocol, kept, orders, questions, end };
        (Arc::new(line), spoken)
    }

    /// From now on this is the node's stream, if `admit` agrees; an older one ends.
    pub(super) fn enter<E>(&self, line: &Arc<Line>, admit: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let mut open = self.open();
        // Within the lock: whether a node is connected follows from who is in here.
        admit()?;
        if let Some(older) = open.insert(line.id, line.clone()) {
            older.end(Status::aborted("a newer stream of the same node took its place"));
        }
        self.entered.notify_waiters();
        Ok(())
    }

    /// A stream has ended; `closed` is told if no newer one has taken its place.
    pub(super) fn leave(&self, line: &Arc<Line>, closed: impl FnOnce()) {
        let mut open = self.open();
        if open.get(&line.id).is_some_and(|current| Arc::ptr_eq(current, line)) {
            open.remove(&line.id);
            closed();
        }
    }

    /// Ends when the next stream has opened.
    pub(super) fn entered(&self) -> Notified<'_> {
        self.entered.notified()
    }

    /// The stream that a node has opened instead of another of its, once it has.
    pub(super) async fn instead_of(&self, other: &Line) -> Arc<Line> {
        loop {
            // Before they are looked at: none that opens meanwhile is missed.
            let entered = self.entered();
            let now = self.open().get(&other.id).filter(|line| line.number != other.number).cloned();
            if let Some(line) = now {
                return line;
            }
            entered.await;
        }
    }

    /// Every open stream.
    pub(super) fn all(&self) -> Vec<Arc<Line>> {
        self.open().values().cloned().collect()
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<NodeId, Arc<Line>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use smartfw_core::fleet::SignedOrder;
    use smartfw_proto::convert::Question;

    use super::*;

    #[tokio::test]
    async fn no_more_waits_for_a_node_than_may_and_questions_keep_no_order_waiting() {
        let (line, spoken) = Lines::default().begin(NodeId([1; 32]));
        let question = || Answer::Question(1, Question::Covers("192.0.2.1/32".parse().unwrap()));
        assert!((0..PASSED).all(|_| line.pass(question())));
        assert!(!line.pass(question()));
        let order = Answer::Order(SignedOrder {
            bytes: [1].as_slice().into(),
            signature: [0; 64],
            certificate: [].as_slice().into(),
            lasts: None,
        });
        assert!((0..PASSED).all(|_| line.pass(order.clone())));
        assert!(!line.pass(order.clone()));
        let (to, mut heard) = mpsc::channel(1);
        tokio::spawn(speak(spoken, to));
        let first = heard.recv().await.unwrap().unwrap();
        assert_eq!(Answer::try_from(first).unwrap(), order);
    }

    #[test]
    fn a_node_is_asked_once_it_is_known_to_understand() {
        let line = || Lines::default().begin(NodeId([1; 32])).0;
        let agreed = |protocol| {
            let line = line();
            line.agree(protocol);
            line.answers()
        };
        assert!(!line().answers() && !agreed(1) && agreed(2));
    }

    #[tokio::test]
    async fn who_reads_slowly_hears_of_the_last_that_is_kept_and_of_the_end_with_its_reason() {
        let (line, spoken) = Lines::default().begin(NodeId([1; 32]));
        let (to, mut heard) = mpsc::channel(1);
        (1..=9).for_each(|sequence| line.kept(Version { epoch: 1, sequence }));
        let speaking = tokio::spawn(speak(spoken, to));
        let first = heard.recv().await.unwrap().unwrap();
        assert_eq!(Answer::try_from(first).unwrap(), Answer::Kept(Version { epoch: 1, sequence: 9 }));
        line.end(Status::aborted("first"));
        line.end(Status::unavailable("second"));
        drop(line); // nobody is left who could say anything else
        assert_eq!(heard.recv().await.unwrap().unwrap_err().message(), "first");
        speaking.await.unwrap();
        assert!(heard.recv().await.is_none());
    }
}
