//! What people order through the API, signed with the operator's certificate that this coordinator was given.

mod ending;
mod members;
mod refusals;
mod steering;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use smartfw_api::{Order, Ordered, Refusal, Refused};
use smartfw_core::{
    Class, IpNet,
    agent::{is_all_private, is_private, names_private},
    fleet::{Entry, NodeId, OperatorOrder, OrderKind, RunHeader, SignedOrder},
};
use smartfw_identity::{Codec, Identity, Revocation, order_id, sign_order};
use smartfw_proto::convert::{self, Question, Reply};
use tokio::task::JoinSet;

use crate::{clock, fleet::Fleet, intake::NotCarried};
use members::Whom;
use refusals::{
    after_expulsion, in_part, invalid, no_operator, not_carried, not_expelled, refusal, unavailable,
};

/// The folder of operators' identities within the state folder, by cluster, as `SMARTFW_OPERATOR_DIR` has them.
pub(super) const FOLDER: &str = "operator";

/// Orders of one request that are carried at once: others have orders, too.
const AT_ONCE: usize = 8;

/// Who signs, and for which site where private addresses are meant: elsewhere they are other hosts.
#[derive(Debug)]
pub(super) struct Orders {
    folder: PathBuf,
    site: String,
}

/// What is to be signed, and for how long that has to be remembered where it does not say so itself.
type Wanted = (OrderKind, Option<Duration>);

impl Orders {
    pub(super) const fn new(folder: PathBuf, site: String) -> Self {
        Self { folder, site }
    }

    /// Signs an order, and has nodes give it.
    pub(super) async fn give(&self, fleet: &Fleet, order: Order) -> Result<Ordered, Refusal> {
        let operator = self.operator().await?;
        let members = fleet.totals().connected;
        let expelling = matches!(order, Order::Revoke { .. });
        let wanted = self.wanted(fleet, &operator, order).await?;
        let ids = self.give_all(fleet, &operator, wanted).await;
        let ids = ids.map_err(|why| if expelling { after_expulsion(why) } else { why })?;
        // What takes several has no single name.
        let id = if let [id] = ids[..] { Some(format!("{id:032x}")) } else { None };
        Ok(Ordered { id, node: None, members })
    }

    async fn give_all(
        &self,
        fleet: &Fleet,
        operator: &Identity,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<u128>, Refusal> {
        // Before the first is given: what cannot be signed shall not leave half of it behind.
        let signed = wanted.into_iter().map(|wanted| self.sign(operator, wanted));
        let signed = signed.collect::<Result<Vec<_>, _>>()?;
        carry_all(signed, |order| {
            let fleet = fleet.clone();
            async move { fleet.order(order).await }
        })
        .await
    }

    /// The certificate is read each time: it may be renewed, or taken away.
    async fn operator(&self) -> Result<Identity, Refusal> {
        let folder = self.folder.clone();
        let read = tokio::task::spawn_blocking(move || Identity::load(&folder, None)).await;
        let read = read.map_err(|_| unavailable("the coordinator is ending".into(), "try again"))?;
        read.map_err(|why| no_operator(&self.folder, &why))
    }

    async fn wanted(&self, fleet: &Fleet, operator: &Identity, order: Order) -> Result<Vec<Wanted>, Refusal> {
        match order {
            Order::Block { target, duration, reason, force } => {
                self.check(fleet, target, force).await?;
                let (targets, class) = (vec![target], Class::Manual);
                Ok(vec![(OrderKind::Block { targets, duration, class, reason, force }, None)])
            }
            Order::Allow { target, .. } if target.prefix_len() == 0 => {
                Err(invalid("that would allow every address", "name a prefix"))
            }
            Order::Allow { target, duration, comment } => {
                Ok(vec![(OrderKind::Allow { target, duration, comment }, None)])
            }
            Order::Unblock { target, false_positive } => {
                let site = is_all_private(&target).then_some(self.site.as_str());
                ending::unblocking(fleet, target, site, false_positive).await
            }
            Order::Disallow { target } => ending::disallowing(fleet, target).await,
            Order::Trust { node, believed } => members::believing(&fleet.nodes(), &node, believed),
            Order::Revoke { node, with_its_members } => {
                let whom = members::whom(&fleet.nodes(), &node, &fleet.me(), with_its_members)?;
                expel(fleet, operator, whom).await
            }
            Order::AddCanary { target, wide, yes } => watching(fleet, target, wide, yes).await,
            Order::RemoveCanary { target } => Ok(steering::releasing(target)),
            Order::Panic { duration } => steering::stopping(duration),
            Order::Resume => Ok(steering::resuming()),
        }
    }

    /// What every node that is asked refuses would be obeyed by nobody. What one of them protects, that one protects.
    async fn check(&self, fleet: &Fleet, target: IpNet, force: bool) -> Result<(), Refusal> {
        let site = is_private(&target).then_some(self.site.as_str());
        let said = fleet.ask(&Question::Check(target, force), site, &BTreeSet::new()).await;
        let said: Vec<Reply> = said.into_values().flatten().collect();
        let refused = |reply: &Reply| match reply {
            Reply::Check(refused) => refused.as_ref().map(|(_, why)| why.to_string()),
            _ => None,
        };
        let whys: Vec<String> = said.iter().filter_map(refused).collect();
        match whys.first() {
            Some(why) if whys.len() == said.len() => {
                let why = format!("{target} is not blocked: {why}");
                Err(refusal(
                    Refused::Conflict,
                    why,
                    "name another target, or take it off the allow list first",
                ))
            }
            _ => Ok(()),
        }
    }

    fn sign(&self, operator: &Identity, (kind, lasts): Wanted) -> Result<(u128, SignedOrder), Refusal> {
        let id = order_id().map_err(|why| unavailable(why.to_string(), "try again"))?;
        let order = OperatorOrder {
            id,
            operator: operator.member().name.name.to_string(),
            issued: clock::now(),
            lasts,
            site: names_private(&kind).then(|| self.site.clone()),
            kind,
        };
        let signed = sign_order(operator, &order, &Wire);
        signed.map(|signed| (id, signed)).map_err(|why| {
            refusal(Refused::Conflict, why.to_string(), "look at the operator's certificate, or at the order")
        })
    }
}

/// Who is expelled is kept out at once; the order that its word is void follows.
async fn expel(fleet: &Fleet, operator: &Identity, whom: Whom) -> Result<Vec<Wanted>, Refusal> {
    let Whom { id, role } = whom;
    let statement = Revocation::by_operator(operator, id, role, clock::now()).map_err(|why| {
        refusal(Refused::Conflict, why.to_string(), "look at the coordinator's operator certificate")
    })?;
    fleet.expel(id, statement).await.map_err(not_expelled)?;
    Ok(vec![(OrderKind::Revoke { node: id }, None)])
}

async fn watching(fleet: &Fleet, target: IpNet, wide: bool, yes: bool) -> Result<Vec<Wanted>, Refusal> {
    let fleet = fleet.clone();
    // A million blocks take their time.
    let wanted = move || steering::watching(target, wide, yes, &fleet.every_block().1);
    let wanted = tokio::task::spawn_blocking(wanted).await;
    wanted.map_err(|_| unavailable("the coordinator is ending".into(), "try again"))?
}

/// Has all orders of one request carried, some at once; their ids. Once one fails no other is begun.
async fn carry_all<F: Future<Output = Result<NodeId, NotCarried>> + Send + 'static>(
    signed: Vec<(u128, SignedOrder)>,
    carry: impl Fn(SignedOrder) -> F,
) -> Result<Vec<u128>, Refusal> {
    let (all, mut signed, mut given) = (signed.len(), signed.into_iter(), Vec::new());
    let (mut carried, mut failed) = (JoinSet::new(), None);
    loop {
        while failed.is_none()
            && carried.len() < AT_ONCE
            && let Some((id, order)) = signed.next()
        {
            let carrying = carry(order);
            carried.spawn(async move { (id, carrying.await) });
        }
        match carried.join_next().await {
            Some(Ok((id, Ok(_)))) => given.push(id),
            Some(Ok((_, Err(why)))) => failed = failed.or(Some(why)),
            Some(Err(_)) => failed = failed.or(Some(NotCarried::Silent)),
            None => break,
        }
    }
    match failed {
        None => Ok(given),
        Some(why) => Err(in_part(&given, all, not_carried(why))),
    }
}

/// Orders as the wire writes them.
struct Wire;

impl Codec for Wire {
    fn encode_run(&self, header: &RunHeader, entries: &[Entry]) -> Result<Vec<u8>, String> {
        convert::encode_run(header, entries).map_err(|why| why.to_string())
    }

    fn decode_run(&self, bytes: &[u8]) -> Result<(RunHeader, Vec<Entry>), String> {
        convert::decode_run(bytes).map_err(|why| why.to_string())
    }

    fn encode_order(&self, order: &OperatorOrder) -> Result<Vec<u8>, String> {
        convert::encode_order(order).map_err(|why| why.to_string())
    }

    fn decode_order(&self, bytes: &[u8]) -> Result<OperatorOrder, String> {
        convert::decode_order(bytes).map_err(|why| why.to_string())
    }
}
