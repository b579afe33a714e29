//! Which member a person means.

use crate::{Node, problem::Problem};

/// Digits of an id that tell members apart: as many as are shown.
const SHORTEST: usize = 16;
/// Members of one name that are named before a person decides.
const SHOWN: usize = 4;

/// The one member that a person means: by its name, or by the beginning of its id.
pub(super) fn meant<'a>(nodes: &'a [Node], text: &str) -> Result<&'a Node, Problem> {
    let named: Vec<&Node> = nodes.iter().filter(|node| node.name == text).collect();
    if let [node] = named[..] {
        return Ok(node);
    }
    let by_id = |node: &&Node| text.len() >= SHORTEST && node.id.starts_with(text);
    match nodes.iter().filter(by_id).collect::<Vec<_>>()[..] {
        [node] => Ok(node),
        [] if named.is_empty() => Err(Problem::missing(format!("no member is called {text:?}"))),
        [] => {
            Err(Problem::conflict(twins(text, &named), "name one by its id, as GET /api/v1/nodes shows it"))
        }
        _ => Err(Problem::conflict(format!("{text:?} may be several members"), "give more of the id")),
    }
}

/// The same, to be ordered about: by a name only if that is surely its own. A liar may have an id of somebody else go by
/// the name of whoever has not shown his certificate here.
pub(super) fn surely_meant<'a>(nodes: &'a [Node], text: &str) -> Result<&'a Node, Problem> {
    let node = meant(nodes, text)?;
    if node.name_proven || node.id.starts_with(text) {
        return Ok(node);
    }
    let why = format!("only other members say that {} is called {text:?}", node.id);
    Err(Problem::conflict(why, "make sure on a node (smartfw-cli cluster nodes), and name it by its id"))
}

fn twins(name: &str, nodes: &[&Node]) -> String {
    let shown = nodes.iter().take(SHOWN).map(|node| format!("{} ({})", node.id, node.state));
    let rest = if nodes.len() > SHOWN { ", …" } else { "" };
    format!("{} members are called {name:?}: {}{rest}", nodes.len(), shown.collect::<Vec<_>>().join(", "))
}
