//! Operators' orders that somebody asks the coordinator to pass on: signed elsewhere, carried here, given by a node.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use smartfw_core::fleet::{NodeId, SignedOrder};
use smartfw_proto::{
    ConvertError,
    convert::{Answer, decode_order},
};
use tokio::{
    sync::{Semaphore, SemaphorePermit, oneshot},
    task::JoinSet,
    time::{error::Elapsed, timeout},
};

use super::line::{Line, Lines};

/// How long nodes may take to say what became of it, and how long an order waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// Nodes that are given it at once.
const ASKED: usize = 3;
/// Orders that are given at once, whoever asked for them: a node sees to 32 of one coordinator, and some of these may be
/// such as nobody waits for any more.
const AT_ONCE: usize = 24;
/// Orders that are given or wait for their turn.
const PLACES: usize = 256;

/// An order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum NotCarried {
    /// It is none.
    #[error("this is no order: {0}")]
    Unreadable(#[from] ConvertError),
    /// No node is there.
    #[error("no node reports to this coordinator, so none can give the order: look at its nodes")]
    Nobody,
    /// A node refused it.
    #[error("{node} refuses the order: {why}")]
    Refused {
        /// Which.
        node: NodeId,
        /// Why.
        why: String,
    },
    /// Nobody said.
    #[error(
        "no node said in time what became of the order; it may have been given: look before you give it again"
    )]
    Silent,
    /// There are too many.
    #[error("as many orders are under way as nodes see to: wait for them")]
    Busy,
}

/// Who waits for what becomes of which order at which node.
type Waiting = BTreeMap<([u8; 16], NodeId), oneshot::Sender<Option<String>>>;

/// Tells what becomes of an order at a node: `None`, or why it is refused.
type Told = oneshot::Receiver<Option<String>>;

/// What a node said of an order, unless nobody listens any more.
type Said = Result<Option<String>, oneshot::error::RecvError>;

/// The same, unless it took too long.
type Outcome = Result<Said, Elapsed>;

/// Orders under way.
#[derive(Debug)]
pub(super) struct Orders {
    waiting: Mutex<Waiting>,
    /// A permit for each that is given.
    turns: Semaphore,
    /// A permit for each that is given or waits for its turn.
    places: Semaphore,
}

/// Held while an order is given.
pub(super) struct Turn<'a> {
    _held: [SemaphorePermit<'a>; 2],
}

impl Default for Orders {
    fn default() -> Self {
        let (turns, places) = (Semaphore::new(AT_ONCE), Semaphore::new(PLACES));
        Self { waiting: Mutex::default(), turns, places }
    }
}

impl Orders {
    /// Waits until an order may be given: one that comes while a node is busy is not refused there.
    pub(super) async fn turn(&self) -> Result<Turn<'_>, NotCarried> {
        let place = self.places.try_acquire().map_err(|_| NotCarried::Busy)?;
        match timeout(PATIENCE, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(Turn { _held: [place, turn] }),
            _ => Err(NotCarried::Busy),
        }
    }

    /// Has an order given by nodes that report, and tells which said first that it did. Several are asked at once, whichever
    /// chance says: an order is one however many carry it, and no single member can keep it from the fleet.
    pub(super) async fn carry(
        &self,
        open: &Arc<Lines>,
        lines: Vec<Arc<Line>>,
        order: SignedOrder,
    ) -> Result<NodeId, NotCarried> {
        let id = decode_order(&order.bytes)?.id.to_be_bytes();
        let (mut asked, mut expected) = (JoinSet::new(), Vec::new());
        for line in lines {
            let outcome = self.expect(id, line.id);
            let answer = Answer::Order(order.clone());
            if !line.pass(answer.clone()) {
                self.waiting().remove(&(id, line.id));
                continue;
            }
            expected.push((id, line.id));
            let (open, node) = (open.clone(), line.id);
            asked.spawn(async move { (node, timeout(PATIENCE, heard(&open, line, answer, outcome)).await) });
            if asked.len() >= ASKED {
                break;
            }
        }
        let result = Self::first(&mut asked).await;
        self.waiting().retain(|known, _| !expected.contains(known));
        result
    }

    /// The first who did it; else who refused it, if anybody did.
    async fn first(asked: &mut JoinSet<(NodeId, Outcome)>) -> Result<NodeId, NotCarried> {
        let mut result = Err(NotCarried::Nobody);
        while let Some(answered) = asked.join_next().await {
            match answered {
                Ok((node, Ok(Ok(None)))) => return Ok(node),
                Ok((node, Ok(Ok(Some(why))))) => result = Err(NotCarried::Refused { node, why }),
                _ if matches!(result, Err(NotCarried::Refused { .. })) => {}
                _ => result = Err(NotCarried::Silent),
            }
        }
        result
    }

    /// A node says what became of an order.
    pub(super) fn outcome(&self, node: &NodeId, id: [u8; 16], refused: Option<String>) {
        if let Some(told) = self.waiting().remove(&(id, *node)) {
            let _ = told.send(refused);
        }
    }

    /// No order is given twice at once: each has an id of its own, by chance.
    fn expect(&self, id: [u8; 16], node: NodeId) -> Told {
        let (told, outcome) = oneshot::channel();
        self.waiting().insert((id, node), told);
        outcome
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a node says of an order. What was on its way when a stream ended may be lost, and so may the answer: on the
/// next the order is passed on again. One that was given already is the same, by its id.
async fn heard(open: &Lines, mut line: Arc<Line>, order: Answer, mut outcome: Told) -> Said {
    loop {
        tokio::select! {
            biased; // what was said before the end counts
            said = &mut outcome => return said,
            _ = line.ended() => {}
        }
        line = open.instead_of(&line).await;
        line.pass(order.clone());
    }
}

#[cfg(test)]
mod tests {
    use smartfw_core::{
        Time,
        fleet::{OperatorOrder, OrderKind},
    };

    use super::{super::line::Lines, *};

    #[test]
    fn only_who_was_asked_tells_what_became_of_an_order() {
        let (orders, asked, other) = (Orders::default(), NodeId([1; 32]), NodeId([2; 32]));
        let mut waiting = orders.expect([7; 16], asked);
        orders.outcome(&other, [7; 16], None);
        assert!(waiting.try_recv().is_err());
        orders.outcome(&asked, [7; 16], Some("why".into()));
        assert_eq!(waiting.try_recv().unwrap().as_deref(), Some("why"));
        assert!(orders.waiting().is_empty());
    }

    #[tokio::test]
    async fn no_more_orders_are_given_at_once_than_may_be_and_no_more_wait_for_their_turn() {
        let orders = Arc::new(Orders::default());
        let mut given = Vec::new();
        for _ in 0..AT_ONCE {
            given.push(orders.turn().await.unwrap());
        }
        let mut waiting = JoinSet::new();
        for _ in AT_ONCE..PLACES {
            let orders = orders.clone();
            waiting.spawn(async move { orders.turn().await.is_ok() });
        }
        while orders.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(orders.turn().await, Err(NotCarried::Busy)));
        assert!(waiting.try_join_next().is_none());
        drop(given);
        assert!(waiting.join_all().await.into_iter().all(|given| given));
        assert!(orders.turn().await.is_ok());
    }

    #[tokio::test]
    async fn an_order_is_given_where_there_is_room_and_leaves_nothing_behind() {
        let known = OperatorOrder {
            id: 7,
            operator: "operator".into(),
            issued: Time::from_secs(1_800_000_000),
            lasts: None,
            site: None,
            kind: OrderKind::Disallow { id: 5 },
        };
        let bytes = smartfw_proto::convert::encode_order(&known).unwrap().into();
        let (signature, certificate) = ([0; 64], [].as_slice().into());
        let order = SignedOrder { bytes, signature, certificate, lasts: None };
        let (orders, open) = (Arc::new(Orders::default()), Arc::new(Lines::default()));
        let ((first, mut spoken), (full, _unread)) =
            (open.begin(NodeId([1; 32])), open.begin(NodeId([2; 32])));
        while full.pass(Answer::Order(order.clone())) {}
        let lines = vec![full, first.clone()];
        let (giving, to, given) = (orders.clone(), open.clone(), order.clone());
        let carried = tokio::spawn(async move { giving.carry(&to, lines, given).await });
        assert_eq!(spoken.next_order().await, Some(Answer::Order(order)));
        orders.outcome(&first.id, 7_u128.to_be_bytes(), None);
        assert_eq!(carried.await.unwrap().unwrap(), first.id);
        assert!(orders.waiting().is_empty());
    }
}
