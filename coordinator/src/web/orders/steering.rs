//! Orders about the fleet as a whole: what no honest node blocks, and whether it enforces at all.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use smartfw_api::{Refusal, Refused};
use smartfw_core::{
    IpNet,
    fleet::{LONGEST_PANIC, OUTLIVES, OrderKind},
};

use super::{
    Wanted,
    refusals::{invalid, refusal},
};
use crate::view::FleetBlock;

/// Blocks that are named before a person decides.
const SHOWN: usize = 20;

/// The order that makes a target a canary, unless it is too wide, or ends blocks that nobody spoke of.
pub(super) fn watching(
    target: IpNet,
    wide: bool,
    yes: bool,
    blocks: &[Arc<FleetBlock>],
) -> Result<Vec<Wanted>, Refusal> {
    let host = target.max_prefix_len();
    if target.prefix_len() < host / 2 {
        let remedy = format!("name an address, or a prefix of at least {} bits", host / 2);
        return Err(invalid(&format!("{target} is too wide for a canary"), &remedy));
    }
    if target.prefix_len() < host && !wide {
        let why = format!("{target} is more than one address: whoever blocks any of them is not believed");
        return Err(invalid(&why, "name one, or say \"wide\": true"));
    }
    match ends(&target, blocks) {
        Some(ends) if !yes => {
            let why = format!("it would end {ends}, and whoever said so is believed less");
            Err(refusal(Refused::Conflict, why, "choose another address, or say \"yes\": true"))
        }
        _ => Ok(vec![(OrderKind::Canary { target, watched: true }, None)]),
    }
}

/// The order that it is none any more. Whether it was one, nodes know.
pub(super) fn releasing(target: IpNet) -> Vec<Wanted> {
    vec![(OrderKind::Canary { target, watched: false }, None)]
}

/// The order to stop enforcing for a while.
pub(super) fn stopping(duration: Duration) -> Result<Vec<Wanted>, Refusal> {
    if duration > LONGEST_PANIC {
        let why = format!("no panic of a cluster lasts longer than {} s", LONGEST_PANIC.as_secs());
        return Err(invalid(&why, "give less, and prolong it in time"));
    }
    Ok(vec![(OrderKind::Panic { duration }, Some(PANIC_REMEMBERED))])
}

/// The order to enforce again.
pub(super) fn resuming() -> Vec<Wanted> {
    vec![(OrderKind::Resume, Some(PANIC_REMEMBERED))]
}

/// What ends a panic is remembered for longer than any lasts.
const PANIC_REMEMBERED: Duration = LONGEST_PANIC.saturating_add(OUTLIVES);

/// What detection says of a target; an operator's word about it stands.
fn ends(target: &IpNet, blocks: &[Arc<FleetBlock>]) -> Option<String> {
    let overlaps = |block: &&Arc<FleetBlock>| target.contains(&block.target) || block.target.contains(target);
    let detected = blocks.iter().filter(|block| block.origin.as_ref() == block.name.as_ref());
    let mut ends = BTreeMap::new();
    for block in detected.filter(overlaps) {
        ends.entry(block.target)
            .or_insert_with(|| format!("{} ({}, on the word of {})", block.target, block.class, block.name));
    }
    let shown: Vec<&str> = ends.values().take(SHOWN).map(String::as_str).collect();
    let rest = if ends.len() > SHOWN { ", …" } else { "" };
    (!shown.is_empty()).then(|| format!("{}{rest}", shown.join(", ")))
}
