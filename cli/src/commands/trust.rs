//! `trust`: whose blocks are believed.

use std::path::Path;

use smartfw_core::fleet::OrderKind;
use smartfw_proto::{
    json, limits,
    view::{ClusterNode, ForeignRoot},
    wire,
};

use super::{cluster, fleet, mirror};
use crate::{
    args::{Format, Global, Trust},
    client::{self, Daemon},
    failure::Failure,
    output::{Grid, Output, Tone, grouped},
};

pub(super) fn run(global: &Global, output: &mut Output, command: Trust) -> Result<(), Failure> {
    match command {
        Trust::List => list(global, output),
        Trust::Add { root: Some(file), .. } => add_root(global, output, &file),
        Trust::Remove { root: Some(cluster), .. } => remove_root(global, output, cluster),
        Trust::Add { node, .. } => believe(global, output, &node.unwrap_or_default(), true),
        Trust::Remove { node, .. } => believe(global, output, &node.unwrap_or_default(), false),
    }
}

fn add_root(global: &Global, output: &mut Output, file: &Path) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| Failure::failed(format!("{}: {error}", file.display()));
    if std::fs::metadata(file).map_err(unreadable)?.len() > limits::PEM as u64 {
        return Err(Failure::failed(format!("{}: no root's certificate is so long", file.display())));
    }
    let pem = std::fs::read_to_string(file).map_err(unreadable)?;
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        daemon.ask_mirror(async |mut client| client.add_root(wire::AddRootRequest { pem }).await).await
    })?;
    let root = ForeignRoot::try_from(answer)?;
    let told = format!(
        "The root of cluster {} ({}) is believed on this node: what it signs may block, and nothing else",
        root.cluster, root.id
    );
    tell_root(output, &root, &told)
}

fn remove_root(global: &Global, output: &mut Output, cluster: String) -> Result<(), Failure> {
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        daemon
            .ask_mirror(async |mut client| client.remove_root(wire::RemoveRootRequest { cluster }).await)
            .await
    })?;
    let root = ForeignRoot::try_from(answer)?;
    let told = format!(
        "The root of cluster {} is believed no more on this node: what it blocked here ends",
        root.cluster
    );
    tell_root(output, &root, &told)
}

fn tell_root(output: &mut Output, root: &ForeignRoot, told: &str) -> Result<(), Failure> {
    match output.format {
        Format::Json => output.json(&json::foreign_root(root)),
        Format::Raw => output.raw(&raw_root(root)),
        Format::Human => output.line(told),
    }
}

fn raw_root(root: &ForeignRoot) -> [String; 4] {
    [root.cluster.clone(), format!("{:#}", root.id), root.trust.to_string(), root.believed.to_string()]
}

fn list(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let nodes = cluster::nodes(global)?;
    // A daemon of an earlier version knows of none.
    let roots = mirror::view(global).map(|view| view.roots).unwrap_or_default();
    match output.format {
        Format::Json => {
            output.json(&nodes.iter().map(object).chain(roots.iter().map(json::foreign_root)).collect())
        }
        Format::Raw => {
            nodes.iter().try_for_each(|node| {
                let id = node.id.map_or_else(String::new, |id| format!("{id:#}"));
                output.raw(&[node.name.clone(), id, node.trust.to_string(), node.believed.to_string()])
            })?;
            roots.iter().try_for_each(|root| output.raw(&raw_root(root)))
        }
        Format::Human => output.table(table(&nodes, &roots), 0),
    }
}

fn object(node: &ClusterNode) -> serde_json::Value {
    let whole = json::cluster_node(node);
    serde_json::json!({
        "name": whole["name"], "id": whole["id"], "trust": whole["trust"], "believed": whole["believed"],
        "blocks": whole["blocks"], "withheld": whole["withheld"],
    })
}

fn table(nodes: &[ClusterNode], roots: &[ForeignRoot]) -> Grid {
    let mut grid =
        Grid::new(&["NAME", "TRUST", "BELIEVED", "BLOCKS", "NOT ENFORCED", "ID"]).numbers(&[1, 3, 4]);
    let plain = |text: String| (text, Tone::Plain);
    let believed = |believed| if believed { ("yes", Tone::Good) } else { ("no", Tone::Bad) };
    for node in nodes {
        let (word, tone) = believed(node.believed);
        grid.toned([
            plain(node.name.clone()),
            plain(format!("{:.2}", node.trust)),
            (word.to_owned(), tone),
            plain(grouped(node.blocks)),
            plain(grouped(node.withheld)),
            plain(node.id.map_or_else(|| "-".to_owned(), |id| id.to_string())),
        ]);
    }
    for root in roots {
        let (word, tone) = believed(root.believed);
        grid.toned([
            plain(format!("cluster {}", root.cluster)),
            plain(format!("{:.2}", root.trust)),
            (word.to_owned(), tone),
            plain(grouped(root.blocks)),
            plain(grouped(root.withheld)),
            plain(root.id.to_string()),
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
    use smartfw_core::fleet::NodeId;

    use super::*;
    use crate::commands::cluster::samples::node;

    #[test]
    fn who_is_not_believed_stands_out() {
        let liar = ClusterNode { trust: 0.0, believed: false, withheld: 12, ..node("web-2", 2) };
        let root = ForeignRoot {
            cluster: "other".into(),
            id: NodeId([9; 32]),
            fingerprint: [1; 32],
            blocks: 3,
            withheld: 1,
            trust: 1.0,
            believed: true,
        };
        let text = table(&[node("web-1", 1), liar], &[root]).render(false, None);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "NAME           TRUST  BELIEVED  BLOCKS  NOT ENFORCED  ID",
                "web-1           1.00  yes           12             0  0101010101010101",
                "web-2           0.00  no            12            12  0202020202020202",
                "cluster other   1.00  yes            3             1  0909090909090909",
            ]
        );
    }
}
