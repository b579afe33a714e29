//! Orders about members: whose word counts, and who is one no more.

use smartfw_api::{Refusal, Refused};
use smartfw_core::fleet::{NodeId, OrderKind};
use smartfw_identity::{Member, Role};

use super::{Wanted, refusals::refusal};
use crate::view::{Link, NodeRow};

/// Members that are named before a person decides.
const SHOWN: usize = 20;

/// Who is expelled.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Whom {
    pub(super) id: NodeId,
    pub(super) role: Role,
}

/// The order to believe a member's blocks, or no longer.
pub(super) fn believing(rows: &[NodeRow], node: &str, believed: bool) -> Result<Vec<Wanted>, Refusal> {
    let row = known(rows, node)?;
    if is_expelled(row) {
        let why = format!("{} is expelled: nothing that it says counts", row.name);
        let remedy = "let it join with a new key and a new token, and name that member";
        return Err(refusal(Refused::Conflict, why, remedy));
    }
    Ok(vec![(OrderKind::Trust { node: row.id, believed }, None)])
}

/// The member that is to be expelled, unless others go with it that are not meant.
pub(super) fn whom(
    rows: &[NodeRow],
    node: &str,
    me: &Member,
    with_its_members: bool,
) -> Result<Whom, Refusal> {
    let row = known(rows, node)?;
    not_ourselves(row, me)?;
    let signed = going_along(rows, row);
    if !signed.is_empty() && !with_its_members {
        return Err(refusal(
            Refused::Conflict,
            format!("{} is not expelled: {}", row.name, told(&signed)),
            "replace those by another signer first (cluster leave, and cluster join with its token), or say \
             with_its_members=true",
        ));
    }
    // Operators are never listed.
    Ok(Whom { id: row.id, role: row.role.unwrap_or(Role::Node) })
}

fn known<'a>(rows: &'a [NodeRow], node: &str) -> Result<&'a NodeRow, Refusal> {
    let id = node.parse::<NodeId>().ok();
    rows.iter().find(|row| Some(row.id) == id).ok_or_else(|| {
        let remedy = "GET /api/v1/nodes lists the members; an operator is expelled by the root: smartfw-cli cluster \
                      revoke ID --root FILE on a node";
        refusal(Refused::Missing, format!("{node:?} is no member that is known here"), remedy)
    })
}

/// Nobody cuts off the branch that it sits on by one request.
fn not_ourselves(row: &NodeRow, me: &Member) -> Result<(), Refusal> {
    let (why, remedy) = if row.id == me.id {
        (
            "this is the coordinator that you ask".to_owned(),
            "stop it and run `smartfw-coordinator leave` on its host",
        )
    } else if row.id == me.signer {
        (
            format!("{} signed this coordinator's certificate, which would be out with it", row.name),
            "run `smartfw-cli cluster revoke` on a node, or let the coordinator join by another signer first",
        )
    } else {
        return Ok(());
    };
    Err(refusal(Refused::Conflict, why, remedy))
}

/// Those whose certificates it signed, by name; and how many more may be among them, where that is not known.
#[derive(Debug, Default)]
struct Along {
    signed: Vec<String>,
    unknown: usize,
}

impl Along {
    fn is_empty(&self) -> bool {
        self.signed.is_empty() && self.unknown == 0
    }
}

fn going_along(rows: &[NodeRow], whom: &NodeRow) -> Along {
    let mut along = Along::default();
    for row in rows.iter().filter(|row| row.id != whom.id && !is_expelled(row)) {
        match &row.member {
            Some(member) if member.signer == whom.id => along.signed.push(row.name.to_string()),
            // Only a signer has any.
            None if whom.role != Some(Role::Node) => along.unknown += 1,
            _ => {}
        }
    }
    along
}

fn told(Along { signed, unknown }: &Along) -> String {
    let mut parts = Vec::new();
    if !signed.is_empty() {
        let rest = if signed.len() > SHOWN { ", …" } else { "" };
        let names = signed.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        parts.push(format!("with it go {} whose certificates it signed ({names}{rest})", signed.len()));
    }
    if *unknown > 0 {
        parts.push(format!("of {unknown} it is not known here who signed them, and they may go with it"));
    }
    parts.join("; ")
}

fn is_expelled(row: &NodeRow) -> bool {
    matches!(row.link, Link::Expelled(_))
}
