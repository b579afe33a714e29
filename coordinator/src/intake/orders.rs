//! Operators' orders that somebody asks the coordinator to pass on: signed elsewhere, carried here, given by a node.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use smartfw_core::fleet::{NodeId, SignedOrder};
use smartfw_proto::{ConvertError, convert::decode_order};
use tokio::{sync::oneshot, time::timeout};

use super::line::Lines;

/// How long one node may take to say what became of it, before another is asked.
const PATIENCE: Duration = Duration::from_secs(10);
/// Nodes that are asked, one after the other.
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

/// Which node was asked to give an order, and the way to who waits for what becomes of it.
type Asked = (NodeId, oneshot::Sender<Option<String>>);

/// Orders under way, by id.
#[derive(Debug, Default)]
pub(super) struct Orders(Mutex<BTreeMap<[u8; 16], Asked>>);

impl Orders {
    /// Has an order given by a node that reports, and tells which.
    pub(super) async fn carry(&self, lines: &Lines, order: SignedOrder) -> Result<NodeId, NotCarried> {
        let id = decode_order(&order.bytes)?.id.to_be_bytes();
        let open = lines.all();
        let mut result = Err(NotCarried::Nobody);
        for line in open.iter().take(ASKED) {
            let outcome = self.expect(id, line.id)?;
            if !line.order(order.clone()) {
                self.waiting().remove(&id);
                continue;
            }
            match timeout(PATIENCE, outcome).await {
                Ok(Ok(None)) => return Ok(line.id),
                Ok(Ok(Some(why))) => return Err(NotCarried::Refused { node: line.id, why }),
                Ok(Err(_)) | Err(_) => result = Err(NotCarried::Silent),
            }
            self.waiting().remove(&id);
        }
        result
    }

    /// A node says what became of an order.
    pub(super) fn outcome(&self, node: &NodeId, id: [u8; 16], refused: Option<String>) {
        let mut waiting = self.waiting();
        if waiting.get(&id).is_some_and(|(asked, _)| asked == node)
            && let Some((_, told)) = waiting.remove(&id)
        {
            let _ = told.send(refused);
        }
    }

    fn expect(&self, id: [u8; 16], node: NodeId) -> Result<oneshot::Receiver<Option<String>>, NotCarried> {
        let (told, outcome) = oneshot::channel();
        let mut waiting = self.waiting();
        if waiting.len() >= AT_ONCE || waiting.contains_key(&id) {
            return Err(NotCarried::Busy);
        }
        waiting.insert(id, (node, told));
        Ok(outcome)
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<[u8; 16], Asked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by whoever may pass orders on. Cheap to clone.
#[derive(Clone)]
pub struct Carrier(pub(super) Arc<super::Intake>);

impl Carrier {
    /// Has a signed order given by a node that reports, and tells which did. It answers once the order is stored there.
    ///
    /// # Errors
    /// When there is none, or the node refuses it, or does not say.
    pub async fn carry(&self, order: SignedOrder) -> Result<NodeId, NotCarried> {
        self.0.orders.carry(&self.0.lines, order).await
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
