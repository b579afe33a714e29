//! The signed bytes of an operator's order.

use prost::Message;
use smartfw_core::{
    Time,
    fleet::{
        COVERED, ENTRY_BYTES, NAME_BYTES, NodeId, ORDER_TARGETS, OperatorOrder, OrderKind, TEXT_BYTES,
        Version,
    },
};
use wire::order_body::Order;

use super::{fixed, node, version};
use crate::{
    ConvertError,
    convert::{
        Problem,
        scalar::{Result, durations, name, nanos, required, target, text},
    },
    limits, wire,
};

/// The bytes of an order.
///
/// # Errors
/// When a text or list is longer than it may be.
pub fn encode_order(order: &OperatorOrder) -> Result<Vec<u8>> {
    let OperatorOrder { id, operator, issued, lasts, site, kind } = order;
    let site = site.as_ref().map(|site| text("order.site", NAME_BYTES, site.clone())).transpose()?;
    let body = wire::OrderBody {
        id: id.to_be_bytes().to_vec(),
        operator: text("order.operator", limits::NAME, operator.clone())?,
        issued: issued.as_nanos(),
        lasts: lasts.map(nanos),
        site,
        order: Some(kind_to_wire(kind)?),
    };
    Ok(body.encode_to_vec())
}

/// The order in these bytes.
///
/// # Errors
/// When they are none, or pass a limit, or say what this version does not know.
pub fn decode_order(encoded: &[u8]) -> Result<OperatorOrder> {
    if encoded.len() > ENTRY_BYTES {
        let problem = Problem::TooLong { length: encoded.len(), limit: ENTRY_BYTES };
        return Err(ConvertError::new("order", problem));
    }
    let unreadable = |_| ConvertError::new("order", Problem::Unreadable);
    let wire::OrderBody { id, operator, issued, lasts, site, order } =
        wire::OrderBody::decode(encoded).map_err(unreadable)?;
    Ok(OperatorOrder {
        id: u128::from_be_bytes(fixed("order.id", &id)?),
        operator: text("order.operator", limits::NAME, operator)?,
        issued: Time::from_nanos(issued),
        lasts: durations(lasts),
        site: site.map(|site| text("order.site", NAME_BYTES, site)).transpose()?,
        kind: kind(required("order.order", order)?)?,
    })
}

fn kind_to_wire(kind: &OrderKind) -> Result<Order> {
    Ok(match kind.clone() {
        OrderKind::Block { targets, duration, class, reason, force } => {
            within("order.targets", targets.len(), ORDER_TARGETS)?;
            Order::Block(wire::OperatorBlock {
                targets: targets.into_iter().map(wire::Prefix::from).collect(),
                duration: duration.map(nanos),
                class: wire::Class::from(class).into(),
                reason: text("order.reason", TEXT_BYTES, reason)?,
                force,
            })
        }
        OrderKind::Allow { target, duration, comment } => Order::Allow(wire::OperatorAllow {
            target: Some(target.into()),
            duration: duration.map(nanos),
            comment: text("order.comment", TEXT_BYTES, comment)?,
        }),
        OrderKind::Unblock { target, covers, orders, hold, false_positive } => {
            within("order.covers", covers.len(), COVERED)?;
            within("order.orders", orders.len(), COVERED)?;
            let covered = |(origin, version): (NodeId, Version)| wire::Covered {
                origin: origin.0.to_vec(),
                version: Some(version.into()),
            };
            Order::Unblock(wire::OperatorUnblock {
                target: Some(target.into()),
                covers: covers.into_iter().map(covered).collect(),
                orders: orders.into_iter().map(|id| id.to_be_bytes().to_vec()).collect(),
                hold: nanos(hold),
                false_positive,
            })
        }
        OrderKind::Disallow { id } => Order::Disallow(id.to_be_bytes().to_vec()),
        OrderKind::Trust { node, believed } => {
            Order::Trust(wire::OperatorTrust { node: node.0.to_vec(), believed })
        }
        OrderKind::Revoke { node } => Order::Revoke(node.0.to_vec()),
        OrderKind::Canary { target, watched } => {
            Order::Canary(wire::OperatorCanary { target: Some(target.into()), watched })
        }
        OrderKind::Panic { duration } => Order::Panic(nanos(duration)),
        OrderKind::Resume => Order::Resume(wire::OperatorResume {}),
    })
}

fn kind(order: Order) -> Result<OrderKind> {
    Ok(match order {
        Order::Block(wire::OperatorBlock { targets, duration, class, reason, force }) => {
            within("order.targets", targets.len(), ORDER_TARGETS)?;
            let net = |net| target("order.targets", Some(net));
            OrderKind::Block {
                targets: targets.into_iter().map(net).collect::<Result<_>>()?,
                duration: durations(duration),
                class: name("order.class", class)?,
                reason: text("order.reason", TEXT_BYTES, reason)?,
                force,
            }
        }
        Order::Allow(wire::OperatorAllow { target: net, duration, comment }) => OrderKind::Allow {
            target: target("order.target", net)?,
            duration: durations(duration),
            comment: text("order.comment", TEXT_BYTES, comment)?,
        },
        Order::Unblock(unblock) => self::unblock(unblock)?,
        Order::Disallow(id) => OrderKind::Disallow { id: u128::from_be_bytes(fixed("order.disallow", &id)?) },
        Order::Trust(wire::OperatorTrust { node: id, believed }) => {
            OrderKind::Trust { node: node("order.node", &id)?, believed }
        }
        Order::Revoke(id) => OrderKind::Revoke { node: node("order.node", &id)? },
        Order::Canary(wire::OperatorCanary { target: net, watched }) => {
            OrderKind::Canary { target: target("order.target", net)?, watched }
        }
        Order::Panic(duration) => OrderKind::Panic { duration: std::time::Duration::from_nanos(duration) },
        Order::Resume(wire::OperatorResume {}) => OrderKind::Resume,
    })
}

fn unblock(unblock: wire::OperatorUnblock) -> Result<OrderKind> {
    let wire::OperatorUnblock { target: net, covers, orders, hold, false_positive } = unblock;
    within("order.covers", covers.len(), COVERED)?;
    within("order.orders", orders.len(), COVERED)?;
    let covered = |wire::Covered { origin, version: at }| {
        Ok((node("order.covers.origin", &origin)?, version("order.covers.version", at)?))
    };
    Ok(OrderKind::Unblock {
        target: target("order.target", net)?,
        covers: covers.into_iter().map(covered).collect::<Result<_>>()?,
        orders: orders
            .iter()
            .map(|id| fixed("order.orders", id).map(u128::from_be_bytes))
            .collect::<Result<_>>()?,
        hold: std::time::Duration::from_nanos(hold),
        false_positive,
    })
}

fn within(field: &'static str, length: usize, limit: usize) -> Result<()> {
    let problem = Problem::TooLong { length, limit };
    if length > limit { Err(ConvertError::new(field, problem)) } else { Ok(()) }
}
