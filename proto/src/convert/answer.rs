//! What an order did, or why it was refused.

use smartfw_core::{
    Block, IpNet, Time,
    order::{Done, Refusal},
};

use super::{
    ConvertError, Problem,
    scalar::{Result, clip, clipped, clipped_names, list, names, required, small, target, text, times},
};
use crate::{
    limits,
    view::{Answer, Changes, Reloaded},
    wire::{self, order_answer::Answer as Kind, refusal::Refusal as RefusalKind},
};

impl From<std::result::Result<Done, Refusal>> for wire::OrderAnswer {
    fn from(result: std::result::Result<Done, Refusal>) -> Self {
        result.map(Answer::from).into()
    }
}

impl From<std::result::Result<Answer, Refusal>> for wire::OrderAnswer {
    fn from(result: std::result::Result<Answer, Refusal>) -> Self {
        let answer = match result {
            Ok(answer) => answer.into(),
            Err(refusal) => Kind::Refusal(refusal.into()),
        };
        Self { answer: Some(answer) }
    }
}

impl From<Answer> for Kind {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Blocked { block, reverts } => Self::Blocked(wire::Blocked {
                block: Some(block.into()),
                reverts: reverts.map(Time::as_nanos),
            }),
            Answer::Unblocked(changes) => Self::Unblocked(changes.into()),
            Answer::Allowed(changes) => Self::Allowed(changes.into()),
            Answer::Disallowed => Self::Disallowed(wire::Disallowed {}),
            Answer::Approved(Changes { blocks, total }) => {
                Self::Approved(wire::Approved { blocks: clipped(limits::ENDED, blocks), total })
            }
            Answer::Rejected => Self::Rejected(wire::Rejected {}),
            Answer::Imported { accepted, refused, refused_count } => Self::Imported(wire::Imported {
                accepted,
                refused: clipped(limits::REFUSED, refused),
                refused_count,
            }),
            Answer::Changed { reverts } => {
                Self::Changed(wire::Changed { reverts: reverts.map(Time::as_nanos) })
            }
            Answer::Confirmed => Self::Confirmed(wire::Confirmed {}),
        }
    }
}

/// What an order did, or why it was refused.
///
/// # Errors
/// When the message is not valid.
pub fn answer_from_wire(answer: wire::OrderAnswer) -> Result<std::result::Result<Answer, Refusal>> {
    let kind = match required("answer", answer.answer)? {
        Kind::Refusal(refusal) => return Ok(Err(refusal.try_into()?)),
        kind => kind,
    };
    done(kind).map(Ok)
}

fn done(kind: Kind) -> Result<Answer> {
    Ok(match kind {
        Kind::Blocked(wire::Blocked { block, reverts }) => {
            let block = Block::try_from(required("blocked.block", block)?)?;
            Answer::Blocked { block, reverts: times(reverts) }
        }
        Kind::Unblocked(ended) => Answer::Unblocked(ended.try_into()?),
        Kind::Allowed(ended) => Answer::Allowed(ended.try_into()?),
        Kind::Disallowed(wire::Disallowed {}) => Answer::Disallowed,
        Kind::Approved(wire::Approved { blocks, total }) => {
            Answer::Approved(Changes { blocks: list("approved.blocks", limits::ENDED, blocks)?, total })
        }
        Kind::Rejected(wire::Rejected {}) => Answer::Rejected,
        Kind::Imported(wire::Imported { accepted, refused, refused_count }) => {
            let refused: Vec<Refused> = list("imported.refused", limits::REFUSED, refused)?;
            let refused = refused.into_iter().map(|Refused(target, refusal)| (target, refusal)).collect();
            Answer::Imported { accepted, refused, refused_count }
        }
        Kind::Changed(wire::Changed { reverts }) => Answer::Changed { reverts: times(reverts) },
        Kind::Confirmed(wire::Confirmed {}) => Answer::Confirmed,
        Kind::Refusal(_) => return Err(ConvertError::new("answer", Problem::Missing)),
    })
}

impl From<Changes> for wire::Ended {
    fn from(Changes { blocks, total }: Changes) -> Self {
        Self { blocks: clipped(limits::ENDED, blocks), total }
    }
}

impl TryFrom<wire::Ended> for Changes {
    type Error = ConvertError;
    fn try_from(wire::Ended { blocks, total }: wire::Ended) -> Result<Self> {
        Ok(Self { blocks: list("ended.blocks", limits::ENDED, blocks)?, total })
    }
}

pub(super) struct Refused(pub(super) IpNet, pub(super) Refusal);

impl From<(IpNet, Refusal)> for wire::RefusedTarget {
    fn from((target, refusal): (IpNet, Refusal)) -> Self {
        Self { target: Some(target.into()), refusal: Some(refusal.into()) }
    }
}

impl TryFrom<wire::RefusedTarget> for Refused {
    type Error = ConvertError;
    fn try_from(refused: wire::RefusedTarget) -> Result<Self> {
        let refusal = required("refused.refusal", refused.refusal)?.try_into()?;
        Ok(Self(target("refused.target", refused.target)?, refusal))
    }
}

impl From<Refusal> for wire::Refusal {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::Protected { net, why, detail } => RefusalKind::Protected(wire::Protected {
                net: Some(net.into()),
                why: wire::Why::from(why).into(),
                detail: clip(limits::TEXT, detail),
            }),
            Refusal::Everything => RefusalKind::Everything(wire::Everything {}),
            Refusal::TooWide { shortest } => {
                RefusalKind::TooWide(wire::TooWide { shortest: shortest.into() })
            }
            Refusal::NotFound => RefusalKind::NotFound(wire::NotFound {}),
            Refusal::Full { limit } => RefusalKind::Full(wire::Full { limit: limit as u64 }),
            Refusal::NothingToConfirm => RefusalKind::NothingToConfirm(wire::NothingToConfirm {}),
            Refusal::Within { wider } => RefusalKind::Within(wire::Within { wider: Some(wider.into()) }),
        };
        Self { refusal: Some(kind) }
    }
}

impl TryFrom<wire::Refusal> for Refusal {
    type Error = ConvertError;
    fn try_from(refusal: wire::Refusal) -> Result<Self> {
        Ok(match required("refusal", refusal.refusal)? {
            RefusalKind::Protected(protected) => {
                let smartfw_core::protect::Protected { net, why, detail } = protected.try_into()?;
                Self::Protected { net, why, detail }
            }
            RefusalKind::Everything(wire::Everything {}) => Self::Everything,
            RefusalKind::TooWide(wire::TooWide { shortest }) => {
                Self::TooWide { shortest: small("too_wide.shortest", shortest)? }
            }
            RefusalKind::NotFound(wire::NotFound {}) => Self::NotFound,
            RefusalKind::Full(wire::Full { limit }) => {
                let limit = usize::try_from(limit);
                Self::Full { limit: limit.map_err(|_| ConvertError::new("full.limit", Problem::OutOfRange))? }
            }
            RefusalKind::NothingToConfirm(wire::NothingToConfirm {}) => Self::NothingToConfirm,
            RefusalKind::Within(wire::Within { wider }) => {
                Self::Within { wider: target("within.wider", wider)? }
            }
        })
    }
}

impl From<std::result::Result<Reloaded, String>> for wire::ReloadAnswer {
    fn from(result: std::result::Result<Reloaded, String>) -> Self {
        use wire::reload_answer::Answer;
        let answer = match result {
            Ok(Reloaded { applied, restart }) => Answer::Reloaded(wire::Reloaded {
                applied: clipped_names(applied),
                restart: clipped_names(restart),
            }),
            Err(invalid) => Answer::Invalid(clip(limits::TEXT, invalid)),
        };
        Self { answer: Some(answer) }
    }
}

/// What a reload did, or what is wrong with the configuration.
///
/// # Errors
/// When the message is not valid.
pub fn reloaded_from_wire(answer: wire::ReloadAnswer) -> Result<std::result::Result<Reloaded, String>> {
    use wire::reload_answer::Answer;
    Ok(match required("reload.answer", answer.answer)? {
        Answer::Reloaded(wire::Reloaded { applied, restart }) => Ok(Reloaded {
            applied: names("reloaded.applied", applied)?,
            restart: names("reloaded.restart", restart)?,
        }),
        Answer::Invalid(invalid) => Err(text("reload.invalid", limits::TEXT, invalid)?),
    })
}
