//! `explain`: why an address is dropped, or why it is not. It is how a person comes to trust a block, so it shows the
//! numbers that decided beside their limits, and the commands that would change the outcome.

use std::net::IpAddr;

use smartfw_core::{
    Alert, BlockState, Class, Detector, Outcome, Time,
    features::NAMES,
    order::{EnforcementState, Mode},
    prefix,
};
use smartfw_proto::{
    json, limits,
    view::{Explanation, FleetBlockFilter, FleetBlockRow, Place},
    wire,
};

use super::{cluster::lists, plural};
use crate::{
    args::{Format, Global},
    client::{self, Daemon},
    duration::{date, human, relative},
    failure::Failure,
    output::{Grid, Output, Tone},
    render::{self, BlockTable},
};

pub(super) fn run(global: &Global, output: &mut Output, address: &str) -> Result<(), Failure> {
    let address = parse(address)?;
    let explanation = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        let request = wire::ExplainRequest::from(address);
        daemon.ask(async |mut client| client.explain(request).await).await
    })?;
    let explanation = Explanation::try_from(explanation)?;
    let (fleet, place) = (fleet_blocks(global, address)?, place(global, address));
    match output.format {
        Format::Json => {
            let mut value = json::explanation(&explanation);
            value["fleet"] = fleet.iter().map(json::fleet_block).collect();
            value["place"] = json::place(&place);
            output.json(&value)
        }
        Format::Raw => raw(output, &explanation),
        Format::Human => {
            human_form(output, &explanation, &fleet)?;
            let Some(text) = where_it_is(&place) else { return Ok(()) };
            output.line("")?;
            output.line(&text)
        }
    }
}

/// Where it is, as far as the daemon knows: nothing else depends on it.
fn place(global: &Global, address: IpAddr) -> Place {
    let asked = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        let request = wire::LocateRequest::from(address);
        daemon.ask_feeds(async |mut client| client.locate(request).await).await
    });
    asked.ok().and_then(|place| Place::try_from(place).ok()).unwrap_or_default()
}

fn where_it_is(place: &Place) -> Option<String> {
    let organisation = place.organisation.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    let system = place.system.map(|system| format!("AS{system}{organisation}"));
    let parts: Vec<String> = place.country.clone().into_iter().chain(system).collect();
    (!parts.is_empty()).then(|| format!("By your GeoIP files it is in {}.", parts.join(", ")))
}

/// What the members say of it, and which of them drop it.
fn fleet_blocks(global: &Global, address: IpAddr) -> Result<Vec<FleetBlockRow>, Failure> {
    let mut rows = Vec::new();
    let asked = FleetBlockFilter { origin: None, covering: Some(address) };
    lists::each(global, asked, |row| {
        // A daemon that does not know the question tells of all.
        if row.target.contains(&address) && rows.len() < limits::EXPLAINED {
            rows.push(row);
        }
        Ok(())
    })?;
    Ok(rows)
}

fn parse(text: &str) -> Result<IpAddr, Failure> {
    text.trim().parse().map(prefix::canonical).map_err(|_| {
        let shown: String = text.chars().take(60).collect();
        Failure::failed(format!("{shown:?} is not an address: write one like 203.0.113.7 or 2001:db8::7"))
    })
}

fn raw(output: &mut Output, explanation: &Explanation) -> Result<(), Failure> {
    let reason = decisive(explanation).map_or_else(String::new, |alert| alert.reason.text.clone());
    output.raw(&[explanation.address.to_string(), explanation.outcome.to_string(), reason])
}

pub(super) fn human_form(
    output: &mut Output,
    explanation: &Explanation,
    fleet: &[FleetBlockRow],
) -> Result<(), Failure> {
    let (text, tone) = headline(explanation);
    output.headline(&text, tone)?;
    blocks(output, explanation)?;
    in_fleet(output, fleet, explanation.now)?;
    waiting(output, explanation)?;
    why(output, explanation)?;
    numbers(output, explanation)?;
    timeline(output, explanation)?;
    protection(output, explanation)?;
    remedies(output, explanation)
}

/// The alert that the outcome rests on: the newest that led to a block, else the newest.
fn decisive(explanation: &Explanation) -> Option<&Alert> {
    use smartfw_core::Action::{Block, Pending, RateLimit};
    let acted = |alert: &&Alert| matches!(alert.action, Block | RateLimit | Pending);
    explanation.alerts.iter().rev().find(acted).or(explanation.alerts.last())
}

/// One sentence: what becomes of its packets, why, and for how long.
fn headline(explanation: &Explanation) -> (String, Tone) {
    let Explanation { address, outcome, now, .. } = explanation;
    let in_force = explanation.blocks.iter().filter(|row| row.state == BlockState::InForce);
    let deciding = in_force.max_by_key(|row| row.block.strength).map(|row| &row.block);
    let reason = deciding.map_or("", |block| block.reason.as_str());
    let because = deciding.map_or_else(String::new, |block| {
        let left = block
            .remaining(*now)
            .map_or_else(|| "for ever".to_owned(), |left| format!("for {} more", human(left)));
        let colon = if reason.is_empty() { "" } else { ": " };
        format!("{}{colon}{reason}; {left}, on the word of {}", class_words(block.class), block.origin)
    });
    match outcome {
        Outcome::Dropped => (format!("{address} is dropped altogether. {because}"), Tone::Bad),
        Outcome::Limited => {
            (format!("{address} is dropped, but for connections that are established. {because}"), Tone::Warn)
        }
        Outcome::Suspended => {
            (format!("{address} passes, although a block says otherwise. {}", held(explanation)), Tone::Warn)
        }
        Outcome::Passes => (format!("{address} passes. {}", known(explanation)), Tone::Good),
    }
}

/// `Port scan` for `port_scan`.
fn class_words(class: Class) -> String {
    if class == Class::Manual {
        return "Blocked by a person".to_owned();
    }
    let words = class.as_str().replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn held(explanation: &Explanation) -> String {
    let protected = explanation.blocks.iter().find_map(|row| match &row.state {
        BlockState::Suspended(by) => Some(format!("{} is protected: {}.", by.net, by.why)),
        BlockState::Withheld(why) => {
            Some(format!("{} blocks it, and this node does not: {}.", row.block.origin, why.text()))
        }
        _ => None,
    });
    match explanation.enforcement {
        EnforcementState::On => protected.unwrap_or_default(),
        EnforcementState::Off => "Enforcement is off.".to_owned(),
        EnforcementState::Panic => "A panic is on: enforcement is stopped for a while.".to_owned(),
    }
}

fn known(explanation: &Explanation) -> String {
    if !explanation.pending.is_empty() {
        return "A decision about it waits for approval.".to_owned();
    }
    match decisive(explanation) {
        Some(alert) => format!(
            "It was reported for {} ({}), and {}.",
            alert.class.as_str().replace('_', " "),
            alert.reason.text,
            if alert.note.is_empty() { "no block of it is left" } else { alert.note.as_str() }
        ),
        None if explanation.window.is_some() => "It is seen, and nothing is held against it.".to_owned(),
        None => "Nothing is known of it.".to_owned(),
    }
}

fn blocks(output: &mut Output, explanation: &Explanation) -> Result<(), Failure> {
    if explanation.blocks.is_empty() {
        return Ok(());
    }
    section(output, "Blocks")?;
    let mut table = BlockTable::new(true, explanation.now);
    explanation.blocks.iter().for_each(|row| table.add(row));
    output.table(table.finish(), 2)?;
    let unconfirmed = explanation.blocks.iter().filter_map(|row| row.reverts.map(|at| (row, at)));
    for (row, at) in unconfirmed {
        let when = relative(at, explanation.now);
        output.line(&format!(
            "  {} was forced and ends {when} unless you `smartfw-cli confirm`",
            row.block.target
        ))?;
    }
    Ok(())
}

fn in_fleet(output: &mut Output, fleet: &[FleetBlockRow], now: Time) -> Result<(), Failure> {
    if fleet.is_empty() {
        return Ok(());
    }
    section(output, "In the fleet")?;
    output.table(lists::block_table(fleet, now), 2)
}

fn waiting(output: &mut Output, explanation: &Explanation) -> Result<(), Failure> {
    let mode = if explanation.mode == Mode::Manual { " (manual mode)" } else { "" };
    for pending in &explanation.pending {
        section(output, "Waits for approval")?;
        let (target, strength, lapses) =
            (pending.target, pending.strength, relative(pending.until, explanation.now));
        output.line(&format!("  {target}, {strength}: {}; lapses {lapses}{mode}", pending.reason))?;
    }
    Ok(())
}

fn why(output: &mut Output, explanation: &Explanation) -> Result<(), Failure> {
    let Some(alert) = decisive(explanation) else { return Ok(()) };
    section(output, "Why")?;
    let mut grid = Grid::new(&["", ""]);
    let (when, sure) = (relative(alert.time, explanation.now), render::percent(alert.confidence));
    let action = alert.action.as_str().replace('_', " ");
    let note = if alert.note.is_empty() { String::new() } else { format!(": {}", alert.note) };
    let evidence = render::evidence(alert.evidence);
    grid.row(["found".into(), format!("{}, {sure} sure, by {}, {when}", alert.class, alert.detector)]);
    grid.row(["because".into(), alert.reason.text.clone()]);
    grid.row(["evidence".into(), evidence.into()]);
    grid.row(["may follow".into(), consequence(alert).into()]);
    grid.row(["done".into(), format!("{action}{note}")]);
    output.table(grid, 2)
}

/// What the evidence lets follow, at most.
fn consequence(alert: &Alert) -> &'static str {
    match alert.evidence {
        _ if alert.detector == Detector::Isolation => "a report: an anomaly is never blocked",
        Some(smartfw_core::Evidence::Handshake) => "a hard block, longer each time it comes back",
        Some(smartfw_core::Evidence::Spoofable) if alert.detector == Detector::Forest => {
            "a report: a model alone blocks nobody on packets that may be forged"
        }
        Some(smartfw_core::Evidence::Spoofable) => {
            "a soft block of at most 5 minutes, renewed while it goes on"
        }
        None => "a report",
    }
}

/// The deciding number beside its limit, then the window of then and of now.
fn numbers(output: &mut Output, explanation: &Explanation) -> Result<(), Failure> {
    let Some(alert) = decisive(explanation) else { return window(output, explanation) };
    section(output, "Measured")?;
    let reason = &alert.reason;
    let mut rules = Grid::new(&["RULE", "MEASURED", "LIMIT", "TIMES"]).numbers(&[1, 2, 3]);
    let times =
        if reason.limit > 0.0 { format!("{:.1}", reason.measured / reason.limit) } else { String::new() };
    rules.toned([
        (reason.rule.clone(), Tone::Plain),
        (render::number(reason.measured), Tone::Bad),
        (render::number(reason.limit), Tone::Plain),
        (times, Tone::Plain),
    ]);
    output.table(rules, 2)?;
    output.line("")?;
    let then = alert.features.to_array();
    let now = explanation.window.map(|features| features.to_array());
    let mut grid = Grid::new(&["WINDOW OF TEN SECONDS", "THEN", "NOW"]).numbers(&[1, 2]);
    for (index, name) in NAMES.iter().enumerate() {
        let present = now.map_or_else(|| "-".to_owned(), |now| render::number(f64::from(now[index])));
        grid.row([(*name).to_owned(), render::number(f64::from(then[index])), present]);
    }
    output.table(grid, 2)
}

fn window(output: &mut Output, explanation: &Explanation) -> Result<(), Failure> {
    let Some(features) = explanation.window else { return Ok(()) };
    section(output, "Measured")?;
    let mut grid = Grid::new(&["WINDOW OF TEN SECONDS", "NOW"]).numbers(&[1]);
    for (name, value) in NAMES.iter().zip(features.to_array()) {
        grid.row([(*name).to_owned(), render::number(f64::from(value))]);
    }
    output.table(grid, 2)
}

fn timeline(output: &mut Output, explanation: &Explanation) -> Result<(), Failure> {
    let mut lines: Vec<(Time, [String; 4])> = Vec::new();
    for incident in explanation.offenders.iter().flat_map(|offender| &offender.timeline) {
        let (class, action) = (incident.class.to_string(), incident.action.to_string());
        lines.push((incident.at, [date(incident.at), class, action, incident.text.clone()]));
    }
    let told: Vec<Time> = lines.iter().map(|(at, _)| *at).collect();
    for alert in explanation.alerts.iter().filter(|alert| !told.contains(&alert.time)) {
        let (class, action) = (alert.class.to_string(), alert.action.to_string());
        lines.push((alert.time, [date(alert.time), class, action, alert.reason.text.clone()]));
    }
    if lines.is_empty() {
        return Ok(());
    }
    lines.sort_by_key(|(at, _)| *at);
    section(output, "Timeline (UTC)")?;
    let mut grid = Grid::new(&["", "", "", ""]);
    lines.into_iter().for_each(|(_, cells)| grid.row(cells));
    output.table(grid, 2)?;
    for offender in explanation.offenders.iter().filter(|offender| offender.level > 0) {
        let (target, level, until) = (offender.target, offender.level, date(offender.until));
        let (next, had) = (human(explanation.next), plural(level.into(), "hard block", "hard blocks"));
        output
            .line(&format!("  {target} has had {had} (remembered until {until}); the next lasts {next}"))?;
    }
    Ok(())
}

fn protection(output: &mut Output, explanation: &Explanation) -> Result<(), Failure> {
    section(output, "Protection")?;
    for one in &explanation.protected {
        let detail = if one.detail.is_empty() { String::new() } else { format!(" ({})", one.detail) };
        output.line(&format!("  {} is protected: {}{detail}", one.net, one.why))?;
    }
    for one in &explanation.allowed {
        let comment = if one.comment.is_empty() { String::new() } else { format!(" ({})", one.comment) };
        let ends = render::until(one.expires, explanation.now);
        output.line(&format!("  {} is on the allow list{comment}; ends: {ends}", one.target))?;
    }
    if let Some(until) = explanation.held_back {
        let left = relative(until, explanation.now);
        output.line(&format!("  A person unblocked it: automatic blocks are held back; ends: {left}"))?;
    }
    if explanation.protected.is_empty() && explanation.allowed.is_empty() {
        output.line("  Nothing protects it: detection may block it.")?;
    }
    Ok(())
}

fn remedies(output: &mut Output, explanation: &Explanation) -> Result<(), Failure> {
    if explanation.remedies.is_empty() {
        return Ok(());
    }
    section(output, "To change that")?;
    for remedy in &explanation.remedies {
        output.line(&format!("  {remedy}"))?;
        let detected = explanation.blocks.iter().any(|row| row.block.detector != Detector::Operator);
        if detected && remedy.starts_with("smartfw-cli unblock") {
            output.line(&format!(
                "  {remedy} --reason false-positive   # and detection learns that it was wrong"
            ))?;
        }
    }
    Ok(())
}

fn section(output: &mut Output, title: &str) -> Result<(), Failure> {
    output.line("")?;
    output.headline(title, Tone::Plain)
}

#[cfg(test)]
mod tests;
