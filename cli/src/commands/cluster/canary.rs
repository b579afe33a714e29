//! `cluster canary`: addresses that no honest node blocks.

use std::collections::BTreeMap;

use smartfw_core::{IpNet, fleet::OrderKind};
use smartfw_proto::{
    json,
    view::{FleetBlockFilter, StandingOrder},
};

use super::lists;
use crate::{
    args::{Canary, Format, Global},
    commands::fleet,
    duration::{now, relative},
    failure::Failure,
    operator::yes,
    output::{Grid, Output, complain},
};

/// Targets that are named before a person decides.
const SHOWN: usize = 20;

pub(super) fn run(global: &Global, output: &mut Output, command: Canary) -> Result<(), Failure> {
    match command {
        Canary::Add { target, wide, yes } => add(global, output, target.parse()?, wide, yes),
        Canary::Remove { target } => remove(global, output, target.parse()?),
        Canary::List => list(global, output),
    }
}

fn add(global: &Global, output: &mut Output, target: IpNet, wide: bool, sure: bool) -> Result<(), Failure> {
    let host = target.max_prefix_len();
    if target.prefix_len() < host / 2 {
        return Err(Failure::failed(format!(
            "{target} is too wide for a canary: name an address, or a prefix of at least {} bits",
            host / 2
        )));
    }
    if target.prefix_len() < host && !wide {
        return Err(Failure::failed(format!(
            "{target} is more than one address: whoever blocks any of them is not believed; name one, or say --wide"
        )));
    }
    let fleet = fleet::need(global)?;
    asked(global, &target, sure)?;
    fleet.forever(global, OrderKind::Canary { target, watched: true })?;
    said(
        output,
        &format!(
            "{target} is a canary: what detection on any node says of it is void, and who says so is not believed"
        ),
    )
}

/// What ends by it is shown, and asked for.
fn asked(global: &Global, target: &IpNet, sure: bool) -> Result<(), Failure> {
    let mut ends = Vec::new();
    lists::each(global, FleetBlockFilter::default(), |row| {
        // An operator's word about it stands.
        let overlaps = target.contains(&row.target) || row.target.contains(target);
        if row.origin_id.is_some() && overlaps && ends.len() <= SHOWN {
            ends.push(format!("{} ({}, on the word of {})", row.target, row.class, row.origin));
        }
        Ok(())
    })?;
    if ends.is_empty() || sure {
        return Ok(());
    }
    let rest = if ends.len() > SHOWN { ", …" } else { "" };
    ends.truncate(SHOWN);
    complain(&format!("it would end {}{rest}, and whoever said so is believed less", ends.join(", ")));
    match yes(&format!("Declare {target} a canary?")) {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::failed("nothing was done")),
        None => Err(Failure::failed("nothing was done: there is nobody to ask; say --yes")),
    }
}

fn remove(global: &Global, output: &mut Output, target: IpNet) -> Result<(), Failure> {
    if !standing(global)?.contains_key(&target) {
        return Err(Failure::failed(format!(
            "{target} is no canary: look with `smartfw-cli cluster canary list`"
        )));
    }
    fleet::need(global)?.forever(global, OrderKind::Canary { target, watched: false })?;
    said(output, &format!("{target} is no canary any more"))
}

fn said(output: &mut Output, text: &str) -> Result<(), Failure> {
    if output.format == Format::Human { output.line(text) } else { Ok(()) }
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

    fn word(target: &str, at: u64, watched: bool) -> StandingOrder {
        let kind = OrderKind::Canary { target: target.parse().unwrap(), watched };
        let order = OperatorOrder {
            id: at.into(),
            operator: "alice".into(),
            issued: Time::from_secs(at),
            lasts: None,
            site: None,
            kind,
        };
        StandingOrder { order, targets: 1, expires: None }
    }

    #[test]
    fn the_last_word_on_a_canary_holds_in_whatever_order_it_came() {
        let words = || {
            vec![
                word("192.0.2.1/32", 1, true),
                word("192.0.2.1/32", 2, false),
                word("192.0.2.2/32", 4, true),
                word("192.0.2.2/32", 3, false),
            ]
        };
        let forwards = watched(words());
        let backwards = watched(words().into_iter().rev().collect());
        assert_eq!(forwards.keys().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.2/32"]);
        assert_eq!(forwards, backwards);
    }
}
