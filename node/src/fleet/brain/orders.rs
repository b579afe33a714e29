//! Operators' orders that are given here, until disk and kernel have them.

use std::time::Duration;

use smartfw_core::{
    Agent, IpNet, Time,
    fleet::{Entry, OperatorOrder, OrderKind, OrderVerifier as _, SignedOrder, VerifiedOrder},
    gossip::{Audience, Now, Ticket},
};

use super::{
    super::{FleetRefused, Reply},
    Brain,
};
use crate::enforcement;

/// Orders that wait for the disk: what operators give at once.
const ORDERS: usize = 4096;

/// An order on its way to the disk and the kernel.
pub(super) struct WaitingOrder {
    id: u128,
    /// Whom it blocks.
    pub(super) targets: Vec<IpNet>,
    /// Whether it was signed into a run.
    said: bool,
    /// Once it is among the rows, and what it changes among the tasks: behind which of them.
    behind: Option<(Ticket, enforcement::Ticket)>,
    /// What the kernel said when it refused some of it.
    pub(super) refused: Option<String>,
    reply: Reply,
}

impl WaitingOrder {
    /// Whether the kernel has come to it.
    pub(super) fn reached(&self, upto: enforcement::Ticket) -> bool {
        self.behind.is_some_and(|(_, last)| last <= upto)
    }

    fn answer(self) {
        let refused = |why: String| {
            FleetRefused::System(format!(
                "the order is stored and told to all, but the kernel of this node refused: {why}; it tries again"
            ))
        };
        drop(self.reply.send(self.refused.map_or(Ok(()), |why| Err(refused(why)))));
    }
}

impl Brain {
    pub(super) fn order(&mut self, agent: &Agent, now: Now, order: SignedOrder, reply: Reply) {
        // Who has given up makes room.
        self.orders.retain(|order| !order.reply.is_closed());
        let refused = match self.judge.verify_order(&order) {
            Err(why) => Err(FleetRefused::Order(why.to_string())),
            Ok(_) if self.orders.len() >= ORDERS => {
                Err(FleetRefused::Order(format!("{ORDERS} wait for the disk already")))
            }
            Ok(VerifiedOrder { order: known, .. }) => self
                .in_time(now, &known)
                .and_then(|()| has_the_last_word(agent, &known))
                .and_then(|()| self.say_order(now, &known, order))
                .map(|()| known),
        };
        match refused {
            Err(refused) => drop(reply.send(Err(refused))),
            Ok(OperatorOrder { id, kind, .. }) => {
                let targets = if let OrderKind::Block { targets, .. } = kind { targets } else { Vec::new() };
                let said = self.said.get(id).unwrap_or_default();
                let order = WaitingOrder { id, targets, said, behind: None, refused: None, reply };
                self.orders.push(order);
            }
        }
    }

    /// What is over by the cluster's time would be followed by nobody, and whoever gave it believe that it is.
    fn in_time(&self, now: Now, known: &OperatorOrder) -> Result<(), FleetRefused> {
        let age = self.gossip.age_of(now, known.issued, Duration::ZERO);
        match known.lasts() {
            Some(lasts) if age >= lasts => Err(FleetRefused::Order(format!(
                "by the cluster's clocks it was signed {} s ago and is over: set the clock of the machine that signs",
                age.as_secs()
            ))),
            _ => Ok(()),
        }
    }

    /// As long as its operator signed, and where: who carries an order has no say in that. One that our log says already
    /// is the same: whoever passes it on again and again would fill the log.
    fn say_order(&mut self, now: Now, known: &OperatorOrder, order: SignedOrder) -> Result<(), FleetRefused> {
        let identity = self.current.get();
        let ours = identity.member().name.site.as_str();
        let audience = match &known.site {
            None => Audience::Cluster,
            Some(site) if site == ours => Audience::Site,
            Some(site) => {
                return Err(FleetRefused::Order(format!(
                    "it is for site {site}, and this node is at {ours}"
                )));
            }
        };
        if self.said.get(known.id).is_some() {
            return Ok(());
        }
        let order = SignedOrder { lasts: known.lasts(), ..order };
        let said = self.gossip.append(now, audience, Entry::Order(order));
        said.map_err(|why| FleetRefused::Order(why.to_string()))?;
        let age = self.gossip.age_of(now, known.issued, Duration::ZERO);
        let until = known.lasts().map_or(Time::NEVER, |lasts| now.steady.after(lasts.saturating_sub(age)));
        self.said.wait(now.steady, known.id, until);
        Ok(())
    }

    /// An order that this node carries was signed, and is among what goes to the disk next.
    pub(super) fn order_said(&mut self, id: u128) {
        self.orders.iter_mut().filter(|order| order.id == id).for_each(|order| order.said = true);
    }

    /// Answers those whose orders disk and kernel have.
    pub(super) fn answer(&mut self, last: enforcement::Ticket, done: enforcement::Ticket, disk: Ticket) {
        // What was over before it could be said is said to nobody.
        let all_said = self.gossip.waiting() == 0;
        for order in self.orders.iter_mut().filter(|order| order.behind.is_none() && (order.said || all_said))
        {
            order.behind = Some((self.ticket, last));
        }
        let ready = |order: &mut WaitingOrder| {
            order.behind.is_some_and(|(kept, changed)| kept <= disk && changed <= done)
        };
        self.orders.extract_if(.., ready).for_each(WaitingOrder::answer);
    }
}

/// A panic that was ended, or a resumption of what began, later by the clock of another machine would be followed by
/// nobody, and whoever gave it believe that it is.
fn has_the_last_word(agent: &Agent, known: &OperatorOrder) -> Result<(), FleetRefused> {
    let Some(later) = agent.fleet_outranks(known) else { return Ok(()) };
    let opposite =
        if known.kind == OrderKind::Resume { "the panic that it ends" } else { "the end of the panic" };
    Err(FleetRefused::Order(format!(
        "by the clocks of the machines that signed, {opposite} was ordered {:.1} s after it, by {}, and counts: set both clocks",
        later.issued.since(known.issued).as_secs_f64(),
        later.operator
    )))
}
