//! `status`: how the node is.

use smartfw_core::{HealthLevel, Time, order::EnforcementState};
use smartfw_proto::{json, view::NodeStatus, wire};

use super::{enforcement, mode_text};
use crate::{
    args::{Format, Global},
    client::{self, Daemon},
    duration::{human, now, relative},
    failure::Failure,
    output::{Grid, Output, Tone, grouped},
};

pub(super) fn run(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let status = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        ask(&mut daemon).await
    })?;
    match output.format {
        Format::Json => output.json(&json::status(&status)),
        Format::Raw => {
            fields(&status).into_iter().try_for_each(|(key, value)| output.raw(&[key.to_owned(), value]))
        }
        Format::Human => human_form(output, &status, now()),
    }
}

pub(super) async fn ask(daemon: &mut Daemon) -> Result<NodeStatus, Failure> {
    let status = daemon.ask(async |mut client| client.status(wire::StatusRequest {}).await).await?;
    Ok(status.try_into()?)
}

/// The keys of the JSON form, each with its value as text.
fn fields(status: &NodeStatus) -> Vec<(&'static str, String)> {
    vec![
        ("node", status.node.clone()),
        ("version", status.version.clone()),
        ("enforcement", status.enforcement.to_string()),
        ("mode", status.mode.to_string()),
        ("enforcer", status.enforcer.clone()),
        ("interfaces", status.interfaces.join(",")),
        ("uptime", status.uptime.as_secs().to_string()),
        ("packets", status.packets.to_string()),
        ("lost", status.lost.to_string()),
        ("sources", status.sources.to_string()),
        ("blocked", status.blocked.to_string()),
        ("alerts", status.alerts.to_string()),
        ("pending", status.pending.to_string()),
        ("cluster", status.cluster.clone().unwrap_or_default()),
        ("peers_alive", status.peers_alive.to_string()),
        ("peers_known", status.peers_known.to_string()),
        ("coordinator", status.coordinator.as_str().to_owned()),
        ("models", status.models.join(",")),
        ("health", worst(status).as_str().to_owned()),
    ]
}

fn human_form(output: &mut Output, status: &NodeStatus, now: Time) -> Result<(), Failure> {
    let on = status.enforcement == EnforcementState::On;
    let tone = match worst(status) {
        HealthLevel::Error => Tone::Bad,
        HealthLevel::Warn => Tone::Warn,
        HealthLevel::Info if on => Tone::Good,
        HealthLevel::Info => Tone::Warn,
    };
    let (node, version) = (&status.node, &status.version);
    let summary = if on { "protects this host" } else { "watches, and drops nothing" };
    output.headline(&format!("{node} {summary} (smartfw {version}, up {})", human(status.uptime)), tone)?;
    output.line("")?;
    let mut grid = Grid::new(&["", ""]);
    for (name, value) in lines(status, now) {
        grid.row([name.to_owned(), value]);
    }
    output.table(grid, 2)?;
    health(output, status)
}

fn lines(status: &NodeStatus, now: Time) -> Vec<(&'static str, String)> {
    let rolls = status.reverts.map_or_else(String::new, |at| {
        format!("; rolls back {} unless you `smartfw-cli confirm`", relative(at, now))
    });
    let seen = status.packets.saturating_add(status.lost);
    let share = if seen == 0 { 0.0 } else { status.lost as f64 * 100.0 / seen as f64 };
    let mut lines = vec![
        ("enforcement", format!("{}{rolls}", enforcement(status.enforcement))),
        ("mode", mode_text(status.mode).to_owned()),
        ("enforcer", status.enforcer.clone()),
        ("interfaces", status.interfaces.join(", ")),
        ("packets seen", grouped(status.packets)),
        ("packets lost", format!("{} ({share:.2}%)", grouped(status.lost))),
        ("sources tracked", grouped(status.sources)),
        ("targets blocked", grouped(status.blocked)),
        ("alerts", grouped(status.alerts)),
    ];
    if status.pending > 0 {
        lines.push(("waiting", format!("{}: look with `smartfw-cli pending`", grouped(status.pending))));
    }
    let cluster = match &status.cluster {
        Some(name) => format!("{name}, {} of {} peers alive", status.peers_alive, status.peers_known),
        None => "none".to_owned(),
    };
    lines.push(("cluster", cluster));
    lines.push(("coordinator", status.coordinator.as_str().to_owned()));
    let models =
        if status.models.is_empty() { "none: rules only".to_owned() } else { status.models.join(", ") };
    lines.push(("models", models));
    lines
}

fn health(output: &mut Output, status: &NodeStatus) -> Result<(), Failure> {
    output.line("")?;
    if status.health.is_empty() {
        return output.headline("Health: all is well", Tone::Good);
    }
    output.headline("Health", Tone::Plain)?;
    let mut grid = Grid::new(&["", "", ""]);
    for entry in &status.health {
        let tone = match entry.level {
            HealthLevel::Info => Tone::Good,
            HealthLevel::Warn => Tone::Warn,
            HealthLevel::Error => Tone::Bad,
        };
        let remedy = if entry.remedy.is_empty() { String::new() } else { format!("do: {}", entry.remedy) };
        grid.toned([
            (entry.level.to_string(), tone),
            (entry.what.clone(), Tone::Plain),
            (remedy, Tone::Plain),
        ]);
    }
    output.table(grid, 2)
}

fn worst(status: &NodeStatus) -> HealthLevel {
    status.health.iter().map(|entry| entry.level).max().unwrap_or(HealthLevel::Info)
}
