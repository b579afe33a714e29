//! `cluster`: how a fleet is made, grows, is looked at, and expels.

mod canary;
pub(super) mod lists;
mod membership;
mod revoke;

use smartfw_proto::{view::ClusterNode, wire};

use crate::{
    args::{Cluster, Global},
    client::{self, Daemon},
    failure::Failure,
    output::Output,
};

pub(super) fn run(global: &Global, output: &mut Output, command: Cluster) -> Result<(), Failure> {
    match command {
        Cluster::Init(args) => membership::init(global, output, args),
        Cluster::Token(args) => membership::token(global, output, args),
        Cluster::Join(args) => membership::join(global, output, args),
        Cluster::Leave { force } => membership::leave(global, output, force),
        Cluster::Nodes => lists::nodes(global, output),
        Cluster::Blocks { origin } => lists::blocks(global, output, origin),
        Cluster::Revoke(args) => revoke::run(global, output, &args),
        Cluster::Canary(command) => canary::run(global, output, command),
    }
}

/// The members, the node that answers first.
pub(super) fn nodes(global: &Global) -> Result<Vec<ClusterNode>, Failure> {
    client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        let asked = wire::ListNodesRequest {};
        let stream = daemon.ask_cluster(async |mut client| client.list_nodes(asked).await).await?;
        let mut nodes = Vec::new(); // the daemon knows four thousand
        let collected = daemon.each(stream, |node: ClusterNode| {
            nodes.push(node);
            Ok(())
        });
        collected.await.map(|()| nodes)
    })
}

/// The one member that a person means: by its name, or by the beginning of its id.
pub(super) fn meant<'a>(nodes: &'a [ClusterNode], text: &str) -> Result<&'a ClusterNode, Failure> {
    if let [node] = nodes.iter().filter(|node| node.name == text).collect::<Vec<_>>()[..] {
        return Ok(node);
    }
    let by_id = |node: &&ClusterNode| {
        text.len() >= SHORTEST && node.id.is_some_and(|id| format!("{id:#}").starts_with(text))
    };
    match nodes.iter().filter(by_id).collect::<Vec<_>>()[..] {
        [node] => Ok(node),
        [] => Err(Failure::failed(format!(
            "{text:?} is no member: name one as `smartfw-cli cluster nodes` shows it, or give its id"
        ))),
        _ => Err(Failure::failed(format!("{text:?} may be several members: give more of its id"))),
    }
}

/// Digits of an id that tell members apart: as many as are shown.
const SHORTEST: usize = 16;

#[cfg(test)]
pub(super) mod samples {
    use std::time::Duration;

    use smartfw_core::{fleet::NodeId, members::MemberState};

    use super::*;
    use crate::commands::samples::NOW;

    pub(in super::super) fn node(name: &str, n: u8) -> ClusterNode {
        ClusterNode {
            name: name.into(),
            id: Some(NodeId([n; 32])),
            address: Some(format!("10.0.0.{n}:7470")),
            state: MemberState::Alive,
            version: "0.1.0".into(),
            blocks: 12,
            withheld: 0,
            trust: 1.0,
            believed: true,
            round_trip: Some(Duration::from_micros(400)),
            certificate_expires: Some(NOW.after(Duration::from_secs(29 * 86_400))),
            site: "default".into(),
            me: n == 1,
            role: Some("node".into()),
            signer: Some(NodeId([1; 32])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{samples::node, *};

    #[test]
    fn a_member_is_meant_by_name_or_by_enough_of_its_id() {
        let nodes = [node("web-1", 0x11), node("web-2", 0x22)];
        assert_eq!(meant(&nodes, "web-2").unwrap().name, "web-2");
        assert_eq!(meant(&nodes, &"11".repeat(8)).unwrap().name, "web-1");
        for wrong in ["web", "1111", "", &"33".repeat(32)] {
            assert!(meant(&nodes, wrong).unwrap_err().line().unwrap().contains("no member"), "{wrong}");
        }
        let twins = [node("web-1", 0x11), node("web-1", 0x11)];
        assert!(meant(&twins, &"11".repeat(8)).unwrap_err().line().unwrap().contains("several"));
    }
}
