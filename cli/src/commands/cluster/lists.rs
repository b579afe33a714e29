//! `cluster nodes` and `cluster blocks`.

use smartfw_core::{Time, members::MemberState};
use smartfw_proto::{
    json,
    view::{ClusterNode, FleetBlockFilter, FleetBlockRow},
    wire,
};

use crate::{
    args::{Format, Global},
    client::{self, Daemon},
    duration::{now, relative},
    failure::Failure,
    output::{Grid, Output, Tone, grouped},
    render,
};

/// Rows of a table that are laid out together.
const TABLE: usize = 5000;
/// Names in one cell of a table; the rest is counted.
const NAMES: usize = 3;

pub(super) fn nodes(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let nodes = super::nodes(global)?;
    match output.format {
        Format::Json => output.json(&nodes.iter().map(json::cluster_node).collect()),
        Format::Raw => nodes.iter().try_for_each(|node| output.raw(&raw_node(node))),
        Format::Human => {
            output.table(node_table(&nodes, now()), 0)?;
            if nodes.iter().all(|node| node.id.is_none()) {
                output.line("This node is in no cluster (smartfw-cli cluster init, cluster join).")?;
            }
            Ok(())
        }
    }
}

fn node_table(nodes: &[ClusterNode], now: Time) -> Grid {
    let headings = [
        "NAME",
        "ADDRESS",
        "STATE",
        "ROLE",
        "VERSION",
        "BLOCKS",
        "TRUST",
        "ROUND TRIP",
        "CERTIFICATE ENDS",
        "ID",
    ];
    let mut grid = Grid::new(&headings).numbers(&[5, 6, 7]);
    for node in nodes {
        let plain = |text: String| (text, Tone::Plain);
        let name =
            if node.me && node.id.is_some() { format!("{} (this)", node.name) } else { node.name.clone() };
        let trust = if node.believed { Tone::Plain } else { Tone::Bad };
        let trip = node.round_trip.map(|took| format!("{:.1} ms", took.as_secs_f64() * 1e3));
        grid.toned([
            plain(name),
            plain(or_dash(node.address.clone())),
            (node.state.to_string(), tone(node.state)),
            plain(or_dash(node.role.clone())),
            plain(node.version.clone()),
            plain(blocks_made(node)),
            (format!("{:.2}", node.trust), trust),
            plain(or_dash(trip)),
            plain(or_dash(node.certificate_expires.map(|at| relative(at, now)))),
            plain(or_dash(node.id.map(|id| id.to_string()))),
        ]);
    }
    grid
}

fn blocks_made(node: &ClusterNode) -> String {
    match node.withheld {
        0 => grouped(node.blocks),
        withheld => format!("{} ({} not enforced here)", grouped(node.blocks), grouped(withheld)),
    }
}

const fn tone(state: MemberState) -> Tone {
    match state {
        MemberState::Alive => Tone::Good,
        MemberState::Suspect => Tone::Warn,
        MemberState::Dead => Tone::Bad,
        MemberState::Left => Tone::Plain,
    }
}

fn raw_node(node: &ClusterNode) -> Vec<String> {
    vec![
        node.name.clone(),
        node.address.clone().unwrap_or_default(),
        node.state.to_string(),
        node.version.clone(),
        node.blocks.to_string(),
        node.trust.to_string(),
        node.round_trip.map_or_else(String::new, |took| format!("{:.1}", took.as_secs_f64() * 1e3)),
        node.certificate_expires.map_or_else(String::new, json::rfc3339),
        node.id.map_or_else(String::new, |id| format!("{id:#}")),
        node.site.clone(),
        node.role.clone().unwrap_or_default(),
        node.signer.map_or_else(String::new, |id| format!("{id:#}")),
    ]
}

pub(super) fn blocks(global: &Global, output: &mut Output, origin: Option<String>) -> Result<(), Failure> {
    let asked = FleetBlockFilter { origin, covering: None };
    match output.format {
        Format::Json => array(global, output, asked),
        Format::Raw => each(global, asked, |row| output.raw(&raw_block(&row))),
        Format::Human => table(global, output, asked),
    }
}

/// The fleet's blocks that are asked for, one by one, in order of target.
pub(in super::super) fn each(
    global: &Global,
    asked: FleetBlockFilter,
    each: impl FnMut(FleetBlockRow) -> Result<(), Failure>,
) -> Result<(), Failure> {
    client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        let asked = wire::ListFleetBlocksRequest::from(asked);
        let stream = daemon.ask_cluster(async |mut client| client.list_fleet_blocks(asked).await).await?;
        daemon.each(stream, each).await
    })
}

fn array(global: &Global, output: &mut Output, asked: FleetBlockFilter) -> Result<(), Failure> {
    let mut first = true;
    each(global, asked, |row| {
        let separator: &[u8] = if first { b"[\n" } else { b",\n" };
        first = false;
        output.bytes(separator)?;
        output.bytes(json::text(&json::fleet_block(&row)).as_bytes())
    })?;
    output.bytes(if first { b"[]\n" } else { b"\n]\n" })
}

fn table(global: &Global, output: &mut Output, asked: FleetBlockFilter) -> Result<(), Failure> {
    let now = now();
    let (mut rows, mut any) = (Vec::new(), false);
    each(global, asked, |row| {
        any = true;
        rows.push(row);
        if rows.len() == TABLE {
            output.table(block_table(&rows, now), 0)?;
            rows.clear();
        }
        Ok(())
    })?;
    match (any, rows.is_empty()) {
        (false, _) => output.line("The fleet blocks nothing."),
        (true, true) => Ok(()),
        (true, false) => output.table(block_table(&rows, now), 0),
    }
}

pub(in super::super) fn block_table(rows: &[FleetBlockRow], now: Time) -> Grid {
    let headings =
        ["TARGET", "CLASS", "ORIGIN", "CONFIRMED BY", "ENFORCED ON", "SINCE", "ENDS", "THERE WITHIN", "HERE"];
    let mut grid = Grid::new(&headings);
    for row in rows {
        let plain = |text: String| (text, Tone::Plain);
        let here =
            row.withheld.map_or_else(|| plain(String::new()), |why| (why.text().to_owned(), Tone::Warn));
        grid.toned([
            plain(row.target.to_string()),
            plain(row.class.to_string()),
            plain(row.origin.clone()),
            plain(some(&row.confirmed_by)),
            plain(some(&row.enforced_on)),
            plain(relative(row.since, now)),
            plain(render::until(row.expires, now)),
            plain(within(row)),
            here,
        ]);
    }
    grid
}

/// The slowest of those that were measured.
fn within(row: &FleetBlockRow) -> String {
    let slowest = row.propagation.iter().map(|(_, took)| *took).max();
    slowest.map_or_else(|| "-".to_owned(), |took| format!("{:.0} ms", took.as_secs_f64() * 1e3))
}

/// The first names, and how many more.
fn some(names: &[String]) -> String {
    let shown = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "-".to_owned(),
        count if count > NAMES => format!("{shown} and {} more", count - NAMES),
        _ => shown,
    }
}

fn raw_block(row: &FleetBlockRow) -> Vec<String> {
    let measured =
        row.propagation.iter().map(|(node, took)| format!("{node}={:.1}", took.as_secs_f64() * 1e3));
    vec![
        row.target.to_string(),
        row.class.to_string(),
        row.origin.clone(),
        row.confirmed_by.join(","),
        row.enforced_on.join(","),
        json::rfc3339(row.since),
        row.expires.map_or_else(|| "never".to_owned(), json::rfc3339),
        measured.collect::<Vec<_>>().join(","),
        row.withheld.map_or_else(String::new, |why| why.as_str().to_owned()),
    ]
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use smartfw_core::{Class, Withheld};

    use super::*;
    use crate::commands::{cluster::samples::node, samples::NOW};

    fn lines(grid: Grid) -> Vec<String> {
        grid.render(false, None).lines().map(|line| line.trim_end().to_owned()).collect()
    }

    #[test]
    fn members_are_a_table_with_this_node_marked() {
        let dead = ClusterNode {
            state: MemberState::Dead,
            withheld: 3,
            believed: false,
            trust: 0.4,
            round_trip: None,
            role: None,
            ..node("web-2", 2)
        };
        let table = lines(node_table(&[node("web-1", 1), dead], NOW));
        assert_eq!(
            table,
            [
                "NAME          ADDRESS        STATE  ROLE  VERSION                    BLOCKS  TRUST  ROUND TRIP  CERTIFICATE ENDS  ID",
                "web-1 (this)  10.0.0.1:7470  alive  node  0.1.0                          12   1.00      0.4 ms  in 29d            0101010101010101",
                "web-2         10.0.0.2:7470  dead   -     0.1.0    12 (3 not enforced here)   0.40           -  in 29d            0202020202020202",
            ]
        );
    }

    pub(in super::super) fn row() -> FleetBlockRow {
        FleetBlockRow {
            target: "203.0.113.7/32".parse().unwrap(),
            class: Class::PortScan,
            origin: "web-1".into(),
            confirmed_by: vec!["web-3".into()],
            enforced_on: ["web-1", "web-2", "web-3", "web-4"].map(String::from).to_vec(),
            since: Time::from_secs(NOW.as_secs() - 60),
            expires: Some(NOW.after(Duration::from_secs(240))),
            propagation: vec![
                ("web-2".into(), Duration::from_millis(7)),
                ("web-3".into(), Duration::from_millis(9)),
            ],
            withheld: None,
            origin_id: None,
        }
    }

    #[test]
    fn the_fleet_s_blocks_are_a_table_that_stays_narrow() {
        let other = FleetBlockRow {
            confirmed_by: vec![],
            enforced_on: vec![],
            propagation: vec![],
            expires: None,
            withheld: Some(Withheld::Quorum),
            ..row()
        };
        assert_eq!(
            lines(block_table(&[row(), other], NOW)),
            [
                "TARGET          CLASS      ORIGIN  CONFIRMED BY  ENFORCED ON                     SINCE   ENDS   THERE WITHIN  HERE",
                "203.0.113.7/32  port_scan  web-1   web-3         web-1, web-2, web-3 and 1 more  1m ago  in 4m  9 ms",
                "203.0.113.7/32  port_scan  web-1   -             -                               1m ago  never  -             fewer origins say so than this node asks for",
            ]
        );
    }

    #[test]
    fn raw_fields_are_in_the_order_of_the_object() {
        assert_eq!(
            raw_block(&row()).join("|"),
            "203.0.113.7/32|port_scan|web-1|web-3|web-1,web-2,web-3,web-4|2026-01-31T11:59:00.000000Z|\
             2026-01-31T12:04:00.000000Z|web-2=7.0,web-3=9.0|"
        );
        let withheld = FleetBlockRow { withheld: Some(Withheld::Quorum), ..row() };
        assert_eq!(raw_block(&withheld)[8], "quorum");
        assert_eq!(
            raw_node(&node("web-1", 1))[..8].join("|"),
            "web-1|10.0.0.1:7470|alive|0.1.0|12|1|0.4|2026-03-01T12:00:00.000000Z"
        );
    }
}
