//! `trust`: whose blocks are believed.

use smartfw_core::fleet::OrderKind;
use smartfw_proto::view::ClusterNode;

use super::{cluster, fleet};
use crate::{
    args::{Format, Global, Trust},
    failure::Failure,
    output::{Grid, Output, Tone, grouped},
};

pub(super) fn run(global: &Global, output: &mut Output, command: Trust) -> Result<(), Failure> {
    match command {
        Trust::List => list(global, output),
        Trust::Add { node } => believe(global, output, &node, true),
        Trust::Remove { node } => believe(global, output, &node, false),
    }
}

fn list(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let nodes = cluster::nodes(global)?;
    match output.format {
        Format::Json => output.json(&nodes.iter().map(object).collect()),
        Format::Raw => nodes.iter().try_for_each(|node| {
            let id = node.id.map_or_else(String::new, |id| format!("{id:#}"));
            output.raw(&[node.name.clone(), id, node.trust.to_string(), node.believed.to_string()])
        }),
        Format::Human => output.table(table(&nodes), 0),
    }
}

fn object(node: &ClusterNode) -> serde_json::Value {
    let whole = smartfw_proto::json::cluster_node(node);
    serde_json::json!({
        "name": whole["name"], "id": whole["id"], "trust": whole["trust"], "believed": whole["believed"],
        "blocks": whole["blocks"], "withheld": whole["withheld"],
    })
}

fn table(nodes: &[ClusterNode]) -> Grid {
    let mut grid =
        Grid::new(&["NAME", "TRUST", "BELIEVED", "BLOCKS", "NOT ENFORCED", "ID"]).numbers(&[1, 3, 4]);
    for node in nodes {
        let (word, tone) = if node.believed { ("yes", Tone::Good) } else { ("no", Tone::Bad) };
        let plain = |text: String| (text, Tone::Plain);
        grid.toned([
            plain(node.name.clone()),
            plain(format!("{:.2}", node.trust)),
            (word.to_owned(), tone),
            plain(grouped(node.blocks)),
            plain(grouped(node.withheld)),
            plain(node.id.map_or_else(|| "-".to_owned(), |id| id.to_string())),
        ]);
    }
    grid
}

fn believe(global: &Global, output: &mut Output, node: &str, believed: bool) -> Result<(), Failure> {
    let nodes = cluster::nodes(global)?;
    let ClusterNode { id: Some(id), name, .. } = cluster::meant(&nodes, node)? else {
        return Err(Failure::failed("this node is in no cluster: there is nobody else to believe"));
    };
    fleet::need(global)?.forever(global, OrderKind::Trust { node: *id, believed })?;
    match (output.format, believed) {
        (Format::Human, true) => {
            output.line(&format!("{name} is believed; what was held against it is forgiven"))
        }
        (Format::Human, false) => {
            output.line(&format!("{name} is not believed: its blocks are shown, and not enforced"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::cluster::samples::node;

    #[test]
    fn who_is_not_believed_stands_out() {
        let liar = ClusterNode { trust: 0.0, believed: false, withheld: 12, ..node("web-2", 2) };
        let text = table(&[node("web-1", 1), liar]).render(false, None);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "NAME   TRUST  BELIEVED  BLOCKS  NOT ENFORCED  ID",
                "web-1   1.00  yes           12             0  0101010101010101",
                "web-2   0.00  no            12            12  0202020202020202",
            ]
        );
    }
}
