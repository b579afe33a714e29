//! Orders for the whole cluster: signed here with the operator's key, carried by this node's daemon.

mod batch;

use std::time::Duration;

use smartfw_core::{
    Block, BlockId, Detector, IpNet, Origin, Strength,
    agent::names_private,
    fleet::{COVERED, LONGEST_PANIC, OUTLIVES, OrderKind, SignedOrder},
    order::{BlockOrder, Refusal},
    protect::Why,
};
use smartfw_proto::{
    limits,
    view::{ClusterNode, Covers, Given, StandingOrder},
    wire,
};

use super::status;
use crate::{
    args::Global,
    client::{self, Daemon},
    duration::now,
    failure::{Failure, refused},
    operator::{Found, Operator},
    output::complain,
};

pub(super) use batch::Batch;

/// For how long detection is held back from what a person unblocked.
const HOLD: Duration = Duration::from_secs(600);

/// For whom an order is.
pub(super) enum Reach {
    /// This node alone; why, where the person might have meant the cluster.
    Node(Option<String>),
    /// The whole cluster.
    Cluster(Box<Fleet>),
}

/// What became of the cluster's part of a command that helps somebody in need: whatever goes wrong there, the rest is
/// done.
pub(super) enum Attempt<T> {
    /// It is done.
    Done(Box<Fleet>, T),
    /// This node alone is meant; why, where the person might have meant the cluster.
    Node(Option<String>),
    /// It is not done.
    Failed(Failure),
    /// The daemon does not even say whether there is a cluster.
    Unknown(Failure),
}

/// A cluster, and the key that orders it.
pub(super) struct Fleet {
    pub(super) name: String,
    pub(super) operator: Operator,
}

impl Reach {
    /// The whole cluster where an operator's key is at hand, else this node.
    pub(super) fn find(global: &Global, local: bool) -> Result<Self, Failure> {
        match if local { None } else { in_cluster(global, client::PATIENCE)? } {
            None => Ok(Self::Node(None)),
            Some(name) => Self::with_key(global, name),
        }
    }

    fn with_key(global: &Global, name: String) -> Result<Self, Failure> {
        Ok(match Operator::find(global, &name)? {
            Found::Open(operator) => Self::Cluster(Box::new(Fleet { name, operator: *operator })),
            Found::Missing(why) | Found::Sealed(why) => Self::Node(Some(why)),
        })
    }

    /// What a script sees of it.
    pub(super) const fn scope(&self) -> &'static str {
        match self {
            Self::Node(_) => NODE,
            Self::Cluster(_) => CLUSTER,
        }
    }

    /// Says on standard error why it is this node alone.
    pub(super) fn explain(why: Option<&String>) {
        if let Some(why) = why {
            complain(&format!("on this node only: {why}"));
        }
    }
}

impl<T> Attempt<T> {
    /// Does the cluster's part, where there is one.
    pub(super) fn make(
        global: &Global,
        local: bool,
        work: impl FnOnce(&Fleet) -> Result<T, Failure>,
    ) -> Self {
        let name = match if local { Ok(None) } else { in_cluster(global, client::SHORT) } {
            Ok(Some(name)) => name,
            Ok(None) => return Self::Node(None),
            Err(why) => return Self::Unknown(why),
        };
        match Reach::with_key(global, name) {
            Ok(Reach::Cluster(fleet)) => match work(&fleet) {
                Ok(done) => Self::Done(fleet, done),
                Err(why) => Self::Failed(why),
            },
            Ok(Reach::Node(why)) => Self::Node(why),
            Err(why) => Self::Failed(why),
        }
    }

    /// Says why it is this node alone. What was meant for the cluster and not done there is a failure, also where this
    /// node did its part; `rescued`: straight in the kernel, where it was said already that the daemon is dead.
    pub(super) fn settled(&self, rescued: bool) -> Result<(), Failure> {
        let why = match self {
            Self::Done(..) => return Ok(()),
            Self::Unknown(_) if rescued => return Ok(()),
            Self::Node(why) => {
                Reach::explain(why.as_ref());
                return Ok(());
            }
            Self::Unknown(why) => format!("the daemon did not say whether it is in one: {why}"),
            Self::Failed(why) => why.to_string(),
        };
        complain(&format!("not in the cluster: {why}"));
        Err(Failure::Silent)
    }
}

/// What a script sees of how far an answer reaches.
pub(super) const NODE: &str = "node";
pub(super) const CLUSTER: &str = "cluster";

/// What a block for the cluster looks like, and how many members are there to hear it.
pub(super) struct FleetBlocked {
    pub(super) block: Block,
    pub(super) members: u32,
}

impl Fleet {
    /// Blocks one target.
    pub(super) fn block(&self, global: &Global, order: BlockOrder) -> Result<FleetBlocked, Failure> {
        let BlockOrder { target, duration, reason, class, force } = order;
        let refusals = client::block_on(async {
            let mut daemon = Daemon::connect(&global.socket).await?;
            check(&mut daemon, vec![target], force).await
        })?;
        if let Some((_, why)) = refusals.first() {
            return Err(Failure::failed(format!("{target} is not blocked: {why}{}", remedy(why))));
        }
        let kind = OrderKind::Block { targets: vec![target], duration, class, reason: reason.clone(), force };
        let (id, signed) = self.sign(global, kind, duration)?;
        let members = self.give(global, vec![signed])?;
        let since = now();
        let block = Block {
            id: BlockId((id ^ (id >> 64)) as u64),
            target,
            class,
            origin: Origin(self.operator.name().to_owned()),
            confidence: 1.0,
            strength: Strength::Hard,
            detector: Detector::Operator,
            evidence: None,
            reason,
            since,
            expires: duration.map(|duration| since.after(duration)),
            level: 1,
        };
        Ok(FleetBlocked { block, members })
    }

    /// Ends what the fleet says of a target; what that was.
    pub(super) fn unblock(
        &self,
        global: &Global,
        target: IpNet,
        false_positive: bool,
    ) -> Result<Covers, Failure> {
        let found = client::block_on(async {
            let mut daemon = Daemon::connect(&global.socket).await?;
            let asked = wire::CoversRequest { target: Some(target.into()) };
            daemon.ask_cluster(async |mut client| client.covers(asked).await).await
        })?;
        let found = Covers::try_from(found)?;
        let mut signed = Vec::new();
        for (covers, orders) in pieces(&found) {
            let kind = OrderKind::Unblock { target, covers, orders, hold: HOLD, false_positive };
            signed.push(self.sign(global, kind, found.lasts)?.1);
        }
        if !signed.is_empty() {
            self.give(global, signed)?;
        }
        Ok(found)
    }

    /// Allows a target; how many members are there to hear it.
    pub(super) fn allow(
        &self,
        global: &Global,
        target: IpNet,
        duration: Option<Duration>,
        comment: String,
    ) -> Result<u32, Failure> {
        if target.prefix_len() == 0 {
            return Err(refused(&format!("{target} is not allowed"), &Refusal::Everything));
        }
        let signed = self.sign(global, OrderKind::Allow { target, duration, comment }, duration)?;
        self.give(global, vec![signed.1])
    }

    /// Ends every operator's allowance of exactly this target; how many there were.
    pub(super) fn disallow(&self, global: &Global, target: IpNet) -> Result<usize, Failure> {
        let standing = standing(global)?;
        let of = |one: &&StandingOrder| matches!(&one.order.kind, OrderKind::Allow { target: it, .. } if *it == target);
        let mut signed = Vec::new();
        for one in standing.iter().filter(of) {
            let lasts = one.expires.map(|until| until.since(now()).saturating_add(OUTLIVES));
            signed.push(self.operator.sign(OrderKind::Disallow { id: one.order.id }, lasts)?.1);
        }
        let count = signed.len();
        if count > 0 {
            self.give(global, signed)?;
        }
        Ok(count)
    }

    /// Gives an order that is never forgotten.
    pub(super) fn forever(&self, global: &Global, kind: OrderKind) -> Result<u32, Failure> {
        let signed = self.sign(global, kind, None)?;
        self.give(global, vec![signed.1])
    }

    /// Stops enforcement everywhere, or ends that; how many members are there to hear it. What the daemon says against
    /// it, once it was given, does not mean that nobody was told.
    pub(super) fn panic(&self, global: &Global, kind: OrderKind) -> Result<Result<u32, Failure>, Failure> {
        // What ends a panic is remembered for longer than any lasts.
        let signed = self.operator.sign(kind, Some(LONGEST_PANIC.saturating_add(OUTLIVES)))?;
        client::block_on(async {
            let mut daemon = Daemon::connect(&global.socket).await?;
            Ok(give(&mut daemon, vec![signed.1]).await)
        })
    }

    /// Signs an order, where it names private addresses for the site of this node alone: elsewhere they are other hosts.
    fn sign(
        &self,
        global: &Global,
        kind: OrderKind,
        lasts: Option<Duration>,
    ) -> Result<(u128, SignedOrder), Failure> {
        if !names_private(&kind) {
            return self.operator.sign(kind, lasts);
        }
        let site = client::block_on(async { site(&mut Daemon::connect(&global.socket).await?).await })?;
        self.operator.sign_for(Some(site), kind, lasts)
    }

    fn give(&self, global: &Global, orders: Vec<SignedOrder>) -> Result<u32, Failure> {
        client::block_on(async {
            let mut daemon = Daemon::connect(&global.socket).await?;
            give(&mut daemon, orders).await
        })
    }
}

/// The site of the node whose daemon this is.
async fn site(daemon: &mut Daemon) -> Result<String, Failure> {
    let asked = wire::ListNodesRequest {};
    let stream = daemon.ask_cluster(async |mut client| client.list_nodes(asked).await).await?;
    let mut site = None;
    let found = daemon.each(stream, |node: ClusterNode| {
        site = site.take().or_else(|| node.me.then_some(node.site));
        Ok(())
    });
    found.await?;
    site.ok_or_else(|| Failure::failed("the daemon does not say at which site it is: is it ending?"))
}

/// What to do about a target that no order for the cluster should name, after a semicolon.
pub(super) const fn remedy(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Protected { why: Why::AllowList, .. } => "; take it off the allow list first (allow remove)",
        Refusal::Protected { .. } => {
            "; with --force the others block it, and with --local --force this node, for 60 s until you `confirm`"
        }
        other => crate::failure::remedy_of_width(other),
    }
}

/// The cluster that this node is in, with the operator's key, or why not.
pub(super) fn need(global: &Global) -> Result<Fleet, Failure> {
    let name = cluster(global)?;
    let operator = Operator::need(global, &name)?;
    Ok(Fleet { name, operator })
}

/// The cluster that this node is in.
pub(super) fn cluster(global: &Global) -> Result<String, Failure> {
    in_cluster(global, client::PATIENCE)?.ok_or_else(|| {
        Failure::failed(
            "this node is in no cluster; enter one by `smartfw-cli cluster init` or `cluster join`",
        )
    })
}

/// The cluster that this node is in, if it is in one.
fn in_cluster(global: &Global, patience: Duration) -> Result<Option<String>, Failure> {
    let status = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?.within(patience);
        status::ask(&mut daemon).await
    });
    Ok(status?.cluster)
}

/// The operators' orders that are not over, but for blocks.
pub(super) fn standing(global: &Global) -> Result<Vec<StandingOrder>, Failure> {
    client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        let asked = wire::ListOrdersRequest { blocks: false };
        let stream = daemon.ask_cluster(async |mut client| client.list_orders(asked).await).await?;
        let mut standing = Vec::new(); // the daemon remembers twenty thousand
        let collected = daemon.each(stream, |one: StandingOrder| {
            standing.push(one);
            Ok(())
        });
        collected.await.map(|()| standing)
    })
}

/// Gives orders to the daemon, as many at once as it takes; members alive at the end.
pub(super) async fn give(daemon: &mut Daemon, mut orders: Vec<SignedOrder>) -> Result<u32, Failure> {
    let mut members = 0;
    while !orders.is_empty() {
        let rest = orders.split_off(orders.len().min(limits::ORDERS));
        let given = wire::GiveRequest::from(Given { orders, revocations: Vec::new() });
        members = daemon.ask_cluster(async |mut client| client.give(given).await).await?.members;
        orders = rest;
    }
    Ok(members)
}

/// Which targets this node would refuse.
async fn check(
    daemon: &mut Daemon,
    targets: Vec<IpNet>,
    force: bool,
) -> Result<Vec<(IpNet, Refusal)>, Failure> {
    let asked = wire::CheckTargetsRequest { targets: targets.into_iter().map(Into::into).collect(), force };
    Ok(daemon.ask_cluster(async |mut client| client.check_targets(asked).await).await?.try_into()?)
}

type Piece = (Vec<(smartfw_core::fleet::NodeId, smartfw_core::fleet::Version)>, Vec<u128>);

/// As many orders as it takes to name everything.
fn pieces(found: &Covers) -> Vec<Piece> {
    let (mut covers, mut orders) = (found.covers.chunks(COVERED), found.orders.chunks(COVERED));
    let mut pieces = Vec::new();
    loop {
        let piece = (covers.next(), orders.next());
        if piece == (None, None) {
            return pieces;
        }
        pieces.push((piece.0.unwrap_or_default().to_vec(), piece.1.unwrap_or_default().to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use smartfw_core::fleet::{NodeId, Version};

    use super::*;

    #[test]
    fn an_unblock_names_everything_in_as_few_orders_as_hold_it() {
        let version = |n: u64| (NodeId([1; 32]), Version { epoch: 1, sequence: n });
        let found = Covers { covers: (0..450).map(version).collect(), orders: vec![7], ..Covers::default() };
        let pieces = pieces(&found);
        let sizes: Vec<_> = pieces.iter().map(|(covers, orders)| (covers.len(), orders.len())).collect();
        assert_eq!(sizes, [(200, 1), (200, 0), (50, 0)]);
        assert!(super::pieces(&Covers::default()).is_empty());
    }
}
