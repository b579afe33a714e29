//! What a coordinator asks of a node, what that says, and what people allow there.

use smartfw_core::{IpNet, order::Allowed, order::Refusal};

use super::{
    ConvertError,
    peer::fixed,
    scalar::{Result, clip, required, target, text},
};
use crate::{
    limits,
    view::{Covers, FleetBlockRow},
    wire,
};

/// What a coordinator asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// What an order to unblock a target has to name.
    Covers(IpNet),
    /// Whether an order should name a target; whether it is forced.
    Check(IpNet, bool),
    /// The fleet's block of exactly this target.
    Block(IpNet),
}

/// What a node says to it.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// What an order has to name.
    Covers(Covers),
    /// Why no order should name the target; `None`: it may.
    Check(Option<(IpNet, Refusal)>),
    /// The block, where there is one.
    Block(Option<FleetBlockRow>),
}

/// An entry of an allow list, and on whose word it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// What is allowed.
    pub allowed: Allowed,
    /// The operator's order; `None`: it is the node's alone.
    pub order: Option<u128>,
    /// The site that alone the order concerns.
    pub site: Option<String>,
}

impl From<(u64, Question)> for wire::Question {
    fn from((number, question): (u64, Question)) -> Self {
        use wire::question::Question as Wire;
        let question = match question {
            Question::Covers(target) => Wire::Covers(wire::CoversRequest { target: Some(target.into()) }),
            Question::Check(target, force) => {
                Wire::Check(wire::CheckTargetsRequest { targets: vec![target.into()], force })
            }
            Question::Block(target) => Wire::Block(target.into()),
        };
        Self { number, question: Some(question) }
    }
}

impl TryFrom<wire::Question> for (u64, Question) {
    type Error = ConvertError;
    fn try_from(wire::Question { number, question }: wire::Question) -> Result<Self> {
        use wire::question::Question as Wire;
        let question = match required("question", question)? {
            Wire::Covers(asked) => Question::Covers(target("question.covers", asked.target)?),
            Wire::Check(wire::CheckTargetsRequest { targets, force }) => {
                Question::Check(target("question.check", targets.into_iter().next())?, force)
            }
            Wire::Block(prefix) => Question::Block(target("question.block", Some(prefix))?),
        };
        Ok((number, question))
    }
}

impl From<(u64, Reply)> for wire::Reply {
    fn from((number, reply): (u64, Reply)) -> Self {
        use wire::reply::Reply as Wire;
        let reply = match reply {
            Reply::Covers(covers) => Wire::Covers(covers.into()),
            Reply::Check(refused) => Wire::Check(refused.into_iter().collect::<Vec<_>>().into()),
            Reply::Block(row) => {
                Wire::Block(wire::FleetBlockChunk { blocks: row.into_iter().map(Into::into).collect() })
            }
        };
        Self { number, reply: Some(reply) }
    }
}

impl TryFrom<wire::Reply> for (u64, Reply) {
    type Error = ConvertError;
    fn try_from(wire::Reply { number, reply }: wire::Reply) -> Result<Self> {
        use wire::reply::Reply as Wire;
        let reply = match required("reply", reply)? {
            Wire::Covers(covers) => Reply::Covers(covers.try_into()?),
            Wire::Check(refused) => {
                let refused: Vec<(IpNet, Refusal)> = refused.try_into()?;
                Reply::Check(refused.into_iter().next())
            }
            Wire::Block(wire::FleetBlockChunk { blocks }) => {
                Reply::Block(blocks.into_iter().next().map(TryInto::try_into).transpose()?)
            }
        };
        Ok((number, reply))
    }
}

impl From<Allowance> for wire::Allowance {
    fn from(Allowance { allowed, order, site }: Allowance) -> Self {
        Self {
            allowed: Some(allowed.into()),
            order: order.map(|id| id.to_be_bytes().to_vec()),
            site: site.map(|site| clip(limits::NAME, site)),
        }
    }
}

impl TryFrom<wire::Allowance> for Allowance {
    type Error = ConvertError;
    fn try_from(wire::Allowance { allowed, order, site }: wire::Allowance) -> Result<Self> {
        let id = |id: Vec<u8>| fixed("allowance.order", &id).map(u128::from_be_bytes);
        Ok(Self {
            allowed: required("allowance.allowed", allowed)?.try_into()?,
            order: order.map(id).transpose()?,
            site: site.map(|site| text("allowance.site", limits::NAME, site)).transpose()?,
        })
    }
}
