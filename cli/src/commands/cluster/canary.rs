//! `cluster canary`: addresses that no honest node blocks.

use std::collections::BTreeMap;

use smartfw_core::{IpNet, fleet::OrderKind};
use smartfw_proto::{json, view::StandingOrder};

use crate::{
    args::{Canary, Format, Global},
    commands::fleet,
    duration::{now, relative},
    failure::Failure,
    output::{Grid, Output},
};

pub(super) fn run(global: &Global, output: &mut Output, command: Canary) -> Result<(), Failure> {
    match command {
        Canary::Add { target } => declare(global, output, target.parse()?, true),
        Canary::Remove { target } => declare(global, output, target.parse()?, false),
        Canary::List => list(global, output),
    }
}

fn declare(global: &Global, output: &mut Output, target: IpNet, watched: bool) -> Result<(), Failure> {
    if target.prefix_len() < target.max_prefix_len() / 2 {
        return Err(Failure::failed(format!(
            "{target} is too wide for a canary: name an address, or a prefix of at least {} bits",
            target.max_prefix_len() / 2
        )));
    }
    if !watched && !standing(global)?.contains_key(&target) {
        return Err(Failure::failed(format!(
            "{target} is no canary: look with `smartfw-cli cluster canary list`"
        )));
    }
    fleet::need(global)?.forever(global, OrderKind::Canary { target, watched })?;
    match (output.format, watched) {
        (Format::Human, true) => output.line(&format!(
            "{target} is a canary: what detection on any node says of it is void, and who says so is not believed"
        )),
        (Format::Human, false) => output.line(&format!("{target} is no canary any more")),
        _ => Ok(()),
    }
}

fn list(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let canaries = standing(global)?;
    match output.format {
        Format::Json => output.json(&canaries.values().map(json::canary).collect()),
        Format::Raw => canaries.iter().try_for_each(|(target, one)| {
            let since = json::rfc3339(one.order.issued);
            output.raw(&[target.to_string(), since, one.order.operator.clone()])
        }),
        Format::Human if canaries.is_empty() => output.line("There are no canaries."),
        Format::Human => {
            let now = now();
            let mut grid = Grid::new(&["TARGET", "SINCE", "OPERATOR"]);
            for (target, one) in canaries {
                grid.row([target.to_string(), relative(one.order.issued, now), one.order.operator]);
            }
            output.table(grid, 0)
        }
    }
}

fn standing(global: &Global) -> Result<BTreeMap<IpNet, StandingOrder>, Failure> {
    Ok(watched(fleet::standing(global)?))
}

/// Of each target the last word, where it says that it is one.
fn watched(standing: Vec<StandingOrder>) -> BTreeMap<IpNet, StandingOrder> {
    let mut last: BTreeMap<IpNet, StandingOrder> = BTreeMap::new();
    for one in standing {
        let OrderKind::Canary { target, .. } = &one.order.kind else { continue };
        let word = |one: &StandingOrder| (one.order.issued, one.order.id);
        match last.get(target) {
            Some(known) if word(known) >= word(&one) => {}
            _ => drop(last.insert(*target, one)),
        }
    }
    last.retain(|_, one| matches!(one.order.kind, OrderKind::Canary { watched: true, .. }));
    last
}

#[cfg(test)]
mod tests {
    use smartfw_core::{Time, fleet::OperatorOrder};

    use super::*;

    fn said(target: &str, at: u64, watched: bool) -> StandingOrder {
        let kind = OrderKind::Canary { target: target.parse().unwrap(), watched };
        let order =
            OperatorOrder { id: at.into(), operator: "alice".into(), issued: Time::from_secs(at), kind };
        StandingOrder { order, targets: 1, expires: None }
    }

    #[test]
    fn the_last_word_on_a_canary_holds_in_whatever_order_it_came() {
        let words = || {
            vec![
                said("192.0.2.1/32", 1, true),
                said("192.0.2.1/32", 2, false),
                said("192.0.2.2/32", 4, true),
                said("192.0.2.2/32", 3, false),
            ]
        };
        let forwards = watched(words());
        let backwards = watched(words().into_iter().rev().collect());
        assert_eq!(forwards.keys().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.2/32"]);
        assert_eq!(forwards, backwards);
    }
}
