//! A block, as a node tells of it in a list or in an event.

use std::sync::Arc;

use serde::Deserialize;
use smartfw_core::{Block, BlockId, Class, IpNet, Strength, Time, fleet::NodeId, prefix};
use smartfw_history::Event;
use smartfw_proto::{json::parse_rfc3339, limits};

/// A block that a node drops.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetBlock {
    /// The node that says so.
    pub node: NodeId,
    /// What that is called.
    pub name: Arc<str>,
    /// Identifies it on that node.
    pub id: BlockId,
    /// Who is dropped.
    pub target: IpNet,
    /// What for.
    pub class: Class,
    /// On whose word: the node's own, or the host's on which an operator ordered it.
    pub origin: Box<str>,
    /// How sure, 0 to 1.
    pub confidence: f32,
    /// How much is dropped.
    pub strength: Strength,
    /// Since when.
    pub since: Time,
    /// Until when; `None` for ever.
    pub expires: Option<Time>,
    /// How many times it has offended.
    pub level: u8,
    /// Why, for a human being.
    pub reason: Box<str>,
}

impl FleetBlock {
    /// As a list names it.
    pub(in crate::view) fn new(node: NodeId, name: Arc<str>, block: Block) -> Self {
        let Block { id, target, class, origin, confidence, strength, since, expires, level, reason, .. } =
            block;
        let (origin, reason) = (origin.0.into(), reason.into());
        Self { node, name, id, target, class, origin, confidence, strength, since, expires, level, reason }
    }

    /// As an event's body names it; `None` where it does not.
    pub(in crate::view) fn told(event: &Event) -> Option<Self> {
        let told: Told<'_> = serde_json::from_str(&event.body).ok()?;
        let target = prefix::parse_target(&told.target).ok()?;
        let short = |text: &str, most: usize| text.len() <= most;
        let small = short(&told.origin, limits::NAME) && short(&told.reason, limits::TEXT);
        (small && event.address == Some(target)).then_some(())?;
        Some(Self {
            node: event.id,
            name: event.node.as_str().into(),
            id: told.id.parse().ok()?,
            target,
            class: told.class.parse().ok()?,
            origin: told.origin.into(),
            confidence: told.confidence.clamp(0.0, 1.0),
            strength: told.strength.parse().ok()?,
            since: parse_rfc3339(&told.since)?,
            expires: told.expires.as_deref().map(|text| parse_rfc3339(text).ok_or(())).transpose().ok()?,
            level: told.level,
            reason: told.reason.into(),
        })
    }

    /// Whether it is over at `now`.
    pub fn expired(&self, now: Time) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// On whose word the block of an event stood, where it says so.
pub(super) fn origin(event: &Event) -> Option<Box<str>> {
    #[derive(Deserialize)]
    struct Whose {
        origin: Box<str>,
    }
    serde_json::from_str::<Whose>(&event.body).ok().map(|whose| whose.origin)
}

/// The form in which blocks are printed.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    id: std::borrow::Cow<'a, str>,
    target: std::borrow::Cow<'a, str>,
    class: std::borrow::Cow<'a, str>,
    origin: std::borrow::Cow<'a, str>,
    confidence: f32,
    strength: std::borrow::Cow<'a, str>,
    since: std::borrow::Cow<'a, str>,
    expires: Option<std::borrow::Cow<'a, str>>,
    level: u8,
    #[serde(default)]
    reason: std::borrow::Cow<'a, str>,
}
