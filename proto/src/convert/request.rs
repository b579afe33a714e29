//! What is asked: orders, imports, filters.

use std::net::IpAddr;

use smartfw_core::{
    BlockId, Class, IpNet, Time,
    order::{BlockOrder, Order},
};

use super::{
    ConvertError,
    scalar::{
        Result, address, address_bytes, clip, clipped, durations, list, name, nanos, optional_name, required,
        target, text, times,
    },
};
use crate::{
    limits,
    view::{AlertFilter, BlockFilter},
    wire::{self, order::Order as Kind},
};

impl From<BlockOrder> for wire::BlockOrder {
    fn from(BlockOrder { target, duration, reason, class, force }: BlockOrder) -> Self {
        Self {
            target: Some(target.into()),
            duration: duration.map(nanos),
            reason: clip(limits::TEXT, reason),
            class: wire::Class::from(class).into(),
            force,
        }
    }
}

impl TryFrom<wire::BlockOrder> for BlockOrder {
    type Error = ConvertError;
    fn try_from(order: wire::BlockOrder) -> Result<Self> {
        Ok(Self {
            target: target("order.target", order.target)?,
            duration: durations(order.duration),
            reason: text("order.reason", limits::TEXT, order.reason)?,
            class: optional_name("order.class", order.class)?.unwrap_or(Class::Manual),
            force: order.force,
        })
    }
}

/// For `Submit`. An import is refused here: it goes by [`import_chunks`].
impl TryFrom<Order> for wire::Order {
    type Error = ConvertError;
    fn try_from(order: Order) -> Result<Self> {
        let kind = match order {
            Order::Block(order) => Kind::Block(order.into()),
            Order::Unblock { target, false_positive } => {
                Kind::Unblock(wire::UnblockOrder { target: Some(target.into()), false_positive })
            }
            Order::Allow { target, duration, comment } => Kind::Allow(wire::AllowOrder {
                target: Some(target.into()),
                duration: duration.map(nanos),
                comment: clip(limits::TEXT, comment),
            }),
            Order::Disallow { target } => Kind::Disallow(wire::DisallowOrder { target: Some(target.into()) }),
            Order::Approve(id) => Kind::Approve(wire::ApproveOrder { id: id.map(|id| id.0) }),
            Order::Reject(id) => Kind::Reject(wire::RejectOrder { id: id.0 }),
            Order::Enforcement { state, confirm, resume } => Kind::Enforcement(wire::EnforcementOrder {
                state: wire::EnforcementState::from(state).into(),
                confirm: confirm.map(nanos),
                resume: resume.map(nanos),
            }),
            Order::Mode { mode, confirm } => Kind::Mode(wire::ModeOrder {
                mode: wire::Mode::from(mode).into(),
                confirm: confirm.map(nanos),
            }),
            Order::Confirm => Kind::Confirm(wire::ConfirmOrder {}),
            Order::Import(_) => return Err(ConvertError::new("order.import", super::Problem::OutOfRange)),
        };
        Ok(Self { order: Some(kind) })
    }
}

impl TryFrom<wire::Order> for Order {
    type Error = ConvertError;
    fn try_from(order: wire::Order) -> Result<Self> {
        Ok(match required("order", order.order)? {
            Kind::Block(order) => Self::Block(order.try_into()?),
            Kind::Unblock(order) => Self::Unblock {
                target: target("unblock.target", order.target)?,
                false_positive: order.false_positive,
            },
            Kind::Allow(order) => Self::Allow {
                target: target("allow.target", order.target)?,
                duration: durations(order.duration),
                comment: text("allow.comment", limits::TEXT, order.comment)?,
            },
            Kind::Disallow(order) => Self::Disallow { target: target("disallow.target", order.target)? },
            Kind::Approve(order) => Self::Approve(order.id.map(BlockId)),
            Kind::Reject(order) => Self::Reject(BlockId(order.id)),
            Kind::Enforcement(order) => Self::Enforcement {
                state: name("enforcement.state", order.state)?,
                confirm: durations(order.confirm),
                resume: durations(order.resume),
            },
            Kind::Mode(order) => {
                Self::Mode { mode: name("mode.mode", order.mode)?, confirm: durations(order.confirm) }
            }
            Kind::Confirm(wire::ConfirmOrder {}) => Self::Confirm,
        })
    }
}

/// `orders` in chunks that the wire carries, in order.
pub fn import_chunks(orders: Vec<BlockOrder>) -> impl Iterator<Item = wire::ImportChunk> {
    let mut orders = orders.into_iter();
    std::iter::from_fn(move || {
        let chunk: Vec<_> = orders.by_ref().take(limits::CHUNK).map(Into::into).collect();
        (!chunk.is_empty()).then_some(wire::ImportChunk { orders: chunk })
    })
}

/// The orders of one chunk, for [`Order::Import`].
///
/// # Errors
/// When the chunk is longer than [`limits::CHUNK`] or an order in it is not valid.
pub fn chunk_from_wire(chunk: wire::ImportChunk) -> Result<Vec<BlockOrder>> {
    list("import.orders", limits::CHUNK, chunk.orders)
}

impl From<BlockFilter> for wire::ListBlocksRequest {
    fn from(BlockFilter { all, origin, class }: BlockFilter) -> Self {
        let class = class.map_or(wire::Class::Unspecified, Into::into).into();
        Self { all, origin: origin.map(|origin| clip(limits::NAME, origin)), class }
    }
}

impl TryFrom<wire::ListBlocksRequest> for BlockFilter {
    type Error = ConvertError;
    fn try_from(request: wire::ListBlocksRequest) -> Result<Self> {
        let origin = request.origin.map(|origin| text("filter.origin", limits::NAME, origin)).transpose()?;
        Ok(Self { all: request.all, origin, class: optional_name("filter.class", request.class)? })
    }
}

impl From<AlertFilter> for wire::ListAlertsRequest {
    fn from(AlertFilter { since, class }: AlertFilter) -> Self {
        let class = class.map_or(wire::Class::Unspecified, Into::into).into();
        Self { since: since.map(Time::as_nanos), class }
    }
}

impl TryFrom<wire::ListAlertsRequest> for AlertFilter {
    type Error = ConvertError;
    fn try_from(request: wire::ListAlertsRequest) -> Result<Self> {
        Ok(Self { since: times(request.since), class: optional_name("filter.class", request.class)? })
    }
}

impl From<IpAddr> for wire::ExplainRequest {
    fn from(address: IpAddr) -> Self {
        Self { address: address_bytes(address) }
    }
}

impl TryFrom<wire::ExplainRequest> for IpAddr {
    type Error = ConvertError;
    fn try_from(request: wire::ExplainRequest) -> Result<Self> {
        address("explain.address", &request.address)
    }
}

impl From<IpNet> for wire::CheckAllowedRequest {
    fn from(target: IpNet) -> Self {
        Self { target: Some(target.into()) }
    }
}

impl TryFrom<wire::CheckAllowedRequest> for IpNet {
    type Error = ConvertError;
    fn try_from(request: wire::CheckAllowedRequest) -> Result<Self> {
        target("check.target", request.target)
    }
}

/// Ties a message that is nothing but a list to its entries.
macro_rules! chunk {
    ($message:ident { $field:ident: $entry:ty }, $limit:expr) => {
        impl From<Vec<$entry>> for wire::$message {
            /// At most as many as one message may carry: the caller cuts into chunks.
            fn from(entries: Vec<$entry>) -> Self {
                Self { $field: clipped($limit, entries) }
            }
        }

        impl TryFrom<wire::$message> for Vec<$entry> {
            type Error = ConvertError;
            fn try_from(message: wire::$message) -> Result<Self> {
                list(stringify!($field), $limit, message.$field)
            }
        }
    };
}

chunk!(BlockChunk { rows: crate::view::BlockRow }, limits::CHUNK);
chunk!(AlertChunk { alerts: smartfw_core::Alert }, limits::ALERTS);
chunk!(PendingChunk { pending: crate::view::Pending }, limits::CHUNK);
chunk!(AllowedChunk { allowed: smartfw_core::order::Allowed }, limits::CHUNK);
chunk!(CheckAllowedAnswer { protected: smartfw_core::protect::Protected }, limits::EXPLAINED);
chunk!(NodeChunk { nodes: crate::view::ClusterNode }, limits::NODES);
chunk!(FleetBlockChunk { blocks: crate::view::FleetBlockRow }, limits::FLEET_BLOCKS);
