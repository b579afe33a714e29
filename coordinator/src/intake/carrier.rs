//! The way to nodes, for those who give orders and ask.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use smartfw_core::fleet::{NodeId, SignedOrder};
use smartfw_mirror::chance;
use smartfw_proto::convert::{Question, Reply, decode_order};

use tokio::time::timeout;

use super::{Intake, NotCarried, line::Line};

/// How long it is waited for a stream where there is none: nodes open theirs again within a second or so, some of them
/// because of the order before.
const REOPENING: Duration = Duration::from_secs(2);

/// Held by whoever may pass orders on. Cheap to clone.
#[derive(Clone)]
pub struct Carrier(pub(super) Arc<Intake>);

impl Carrier {
    /// Has a signed order given by a node that reports, and tells which did. It answers once the order is stored there.
    ///
    /// # Errors
    /// When there is none, or the node refuses it, or does not say.
    pub async fn carry(&self, order: SignedOrder) -> Result<NodeId, NotCarried> {
        let site = decode_order(&order.bytes)?.site;
        let _turn = self.0.orders.turn().await?;
        let lines = self.lines(site.as_deref()).await;
        self.0.orders.carry(&self.0.lines, lines, order).await
    }

    /// What nodes say to a question: some of `first`, and some of the others, whichever chance says; of one site alone,
    /// where one is named. `None` is from those who were asked and said nothing in time.
    pub async fn ask(
        &self,
        question: &Question,
        site: Option<&str>,
        first: &BTreeSet<NodeId>,
    ) -> BTreeMap<NodeId, Option<Reply>> {
        let (first, others) = self.lines(site).await.into_iter().partition(|line| first.contains(&line.id));
        let questions = &self.0.questions;
        let (one, other) = tokio::join!(questions.ask(first, question), questions.ask(others, question));
        one.into_iter().chain(other).collect()
    }

    /// The open streams, of one site or of all, in an order that nobody knows beforehand, as soon as there are any.
    async fn lines(&self, site: Option<&str>) -> Vec<Arc<Line>> {
        let any = async {
            loop {
                // Before they are looked at: none that opens meanwhile is missed.
                let entered = self.0.lines.entered();
                let lines = self.lines_now(site);
                if !lines.is_empty() {
                    return lines;
                }
                entered.await;
            }
        };
        timeout(REOPENING, any).await.unwrap_or_default()
    }

    fn lines_now(&self, site: Option<&str>) -> Vec<Arc<Line>> {
        let here =
            |id: &NodeId| site.is_none_or(|site| self.0.view.node(id).is_some_and(|row| *row.site == *site));
        let mut lines = self.0.lines.all();
        lines.retain(|line| here(&line.id));
        lines.sort_by_cached_key(|_| chance());
        lines
    }
}
