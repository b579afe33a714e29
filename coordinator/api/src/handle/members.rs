//! Which member a person means.

use crate::{Node, problem::Problem};

/// Digits of an id that tell members apart: as many as are shown.
const SHORTEST: usize = 16;
/// Members of one name that are named before a person decides.
const SHOWN: usize = 4;

/// The one member that a person means: by the beginning of its id, else by its name. Names that only others tell come
/// last: a liar may give anybody any name, that of somebody else or what looks like his id.
pub(super) fn meant<'a>(nodes: &'a [Node], text: &str) -> Result<&'a Node, Problem> {
    let by_id: Vec<&Node> = nodes.iter().filter(|node| is_id_of(text, node)).collect();
    let named: Vec<&Node> = nodes.iter().filter(|node| node.name == text).collect();
    let proven: Vec<&Node> = named.iter().copied().filter(|node| node.name_proven).collect();
    match (&by_id[..], &proven[..], &named[..]) {
        ([node], ..) | ([], [node], _) | ([], [], [node]) => Ok(node),
        ([], [], []) => Err(Problem::missing(format!("no member is called {text:?}"))),
        ([], ..) => {
            Err(Problem::conflict(twins(text, &named), "name one by its id, as GET /api/v1/nodes shows it"))
        }
        _ => Err(Problem::conflict(format!("{text:?} may be several members"), "give more of the id")),
    }
}

/// The same, to be ordered about: by a name only if that is surely its own.
pub(super) fn surely_meant<'a>(nodes: &'a [Node], text: &str) -> Result<&'a Node, Problem> {
    let node = meant(nodes, text)?;
    if node.name_proven || is_id_of(text, node) {
        return Ok(node);
    }
    let why = format!("only other members say that {} is called {text:?}", node.id);
    Err(Problem::conflict(why, "make sure on a node (smartfw-cli cluster nodes), and name it by its id"))
}

fn is_id_of(text: &str, node: &Node) -> bool {
    text.len() >= SHORTEST && node.id.starts_with(text)
}

fn twins(name: &str, nodes: &[&Node]) -> String {
    let shown = nodes.iter().take(SHOWN).map(|node| format!("{} ({})", node.id, node.state));
    let rest = if nodes.len() > SHOWN { ", …" } else { "" };
    format!("{} members are called {name:?}: {}{rest}", nodes.len(), shown.collect::<Vec<_>>().join(", "))
}
