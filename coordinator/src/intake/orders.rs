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
    sync::oneshot,
    task::JoinSet,
    time::{error::Elapsed, timeout},
};

use super::line::Line;

/// How long one node may take to say what became of it, before another is asked.
const PATIENCE: Duration = Duration::from_secs(10);
/// Nodes that are given it at once.
const ASKED: usize = 3;
/// Orders under way at once.
const AT_ONCE: usize = 256;

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
    #[error("{AT_ONCE} orders are under way: wait for them")]
    Busy,
}

/// Who waits for what becomes of which order at which node.
type Waiting = BTreeMap<([u8; 16], NodeId), oneshot::Sender<Option<String>>>;

/// What a node said of an order, unless it took too long or went away.
type Outcome = Result<Result<Option<String>, oneshot::error::RecvError>, Elapsed>;

/// Orders under way.
#[derive(Debug, Default)]
pub(super) struct Orders(Mutex<Waiting>);

impl Orders {
    /// Has an order given by nodes that report, and tells which said first that it did. Several are asked at once, whichever
    /// chance says: an order is one however many carry it, and no single member can keep it from the fleet.
    pub(super) async fn carry(
        &self,
        lines: Vec<Arc<Line>>,
        order: SignedOrder,
    ) -> Result<NodeId, NotCarried> {
        let id = decode_order(&order.bytes)?.id.to_be_bytes();
        let mut asked = JoinSet::new();
        for line in lines {
            let outcome = self.expect(id, line.id)?;
            if !line.pass(Answer::Order(order.clone())) {
                self.waiting().remove(&(id, line.id));
                continue;
            }
            asked.spawn(async move { (line.id, timeout(PATIENCE, outcome).await) });
            if asked.len() >= ASKED {
                break;
            }
        }
        let result = Self::first(&mut asked).await;
        self.waiting().retain(|(known, _), _| *known != id);
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

    fn expect(&self, id: [u8; 16], node: NodeId) -> Result<oneshot::Receiver<Option<String>>, NotCarried> {
        let (told, outcome) = oneshot::channel();
        let mut waiting = self.waiting();
        if waiting.len() >= AT_ONCE || waiting.contains_key(&(id, node)) {
            return Err(NotCarried::Busy);
        }
        waiting.insert((id, node), told);
        Ok(outcome)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_orders_are_under_way_than_may_be_and_only_who_was_asked_tells_what_became_of_one() {
        let (orders, asked, other) = (Orders::default(), NodeId([1; 32]), NodeId([2; 32]));
        let id = |n: usize| std::array::from_fn(|i| n.to_be_bytes()[i % 8]);
        let mut waiting: Vec<_> = (0..AT_ONCE).map(|n| orders.expect(id(n), asked).unwrap()).collect();
        assert!(matches!(orders.expect(id(AT_ONCE), asked), Err(NotCarried::Busy)));
        orders.outcome(&other, id(0), None);
        assert!(waiting[0].try_recv().is_err());
        orders.outcome(&asked, id(0), Some("why".into()));
        assert_eq!(waiting[0].try_recv().unwrap().as_deref(), Some("why"));
        assert!(orders.expect(id(AT_ONCE), asked).is_ok());
    }
}
