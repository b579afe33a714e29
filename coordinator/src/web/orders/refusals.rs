//! Why an order is not given, for those who asked for it.

use std::path::Path;

use smartfw_api::{Refusal, Refused};
use smartfw_core::IpNet;
use smartfw_identity::IdentityError;

use crate::{announcing::NotExpelled, intake::NotCarried};

pub(super) fn no_operator(folder: &Path, why: &IdentityError) -> Refusal {
    let why = format!("this coordinator has no operator's certificate that it can use ({why})");
    let make = format!(
        "on this host, as root, `SMARTFW_OPERATOR_DIR={} smartfw-cli cluster join ADDR:PORT --token T --operator NAME \
         --no-passphrase` with the token of `smartfw-cli cluster token --role operator`, or give the order by \
         smartfw-cli on a node",
        folder.parent().unwrap_or(folder).display()
    );
    refusal(Refused::Conflict, why, &make)
}

pub(super) fn not_carried(why: NotCarried) -> Refusal {
    match why {
        NotCarried::Refused { .. } | NotCarried::Unreadable(_) => {
            refusal(Refused::Conflict, why.to_string(), "look at what the node says")
        }
        NotCarried::Nobody | NotCarried::Silent | NotCarried::Busy => {
            unavailable(why.to_string(), "try again in a moment")
        }
    }
}

pub(super) fn not_expelled(why: NotExpelled) -> Refusal {
    let on_a_node = "run `smartfw-cli cluster revoke` on a node";
    match why {
        NotExpelled::Nobody => unavailable(
            why.to_string(),
            "see at GET /api/v1/health whether members hear this coordinator, and try again, or do it on a node",
        ),
        NotExpelled::Older | NotExpelled::Refused(_) => {
            refusal(Refused::Conflict, why.to_string(), on_a_node)
        }
        NotExpelled::Unkept(_) => Refusal {
            what: "members expel it, and not all is well".into(),
            ..unavailable(why.to_string(), "look at the coordinator's health, and ask for it again")
        },
    }
}

/// Half of a revocation is done, and that half is in force.
pub(super) fn after_expulsion(why: Refusal) -> Refusal {
    let why_not = format!("it is expelled, and the order beside that is not given: {}", why.why);
    Refusal { what: "only half of it is done".into(), why: why_not, ..why }
}

/// Of several orders some are given: whoever asked hears which, and so does the audit log.
pub(super) fn in_part(given: &[u128], all: usize, why: Refusal) -> Refusal {
    if given.is_empty() {
        return why;
    }
    let ids: Vec<String> = given.iter().map(|id| format!("{id:032x}")).collect();
    let (count, ids) = (given.len(), ids.join(", "));
    Refusal {
        what: format!("only {count} of {all} orders are known to be given"),
        // The audit log keeps the beginning.
        why: format!("{count} of {all} orders are given, and then: {}; given: {ids}", why.why),
        remedy: "ask for it again: what is over already is not named then".into(),
        ..why
    }
}

/// There is nothing of the fleet's to end; `nodes` are those of which people said it on the spot.
pub(super) fn nothing_to_end(what: &str, command: &str, nodes: &[String]) -> Refusal {
    let Some(first) = nodes.first() else {
        let why = format!("nobody {what}");
        return refusal(Refused::Missing, why, "GET /api/v1/blocks and GET /api/v1/allow list what there is");
    };
    let others = if nodes.len() > 1 { format!(" and {} others", nodes.len() - 1) } else { String::new() };
    let why =
        format!("only people on single nodes ({first}{others}) said so, and theirs is the last word there");
    refusal(Refused::Conflict, why, &format!("run `smartfw-cli {command} --local` on each of them"))
}

/// What a part of is ended only would be believed to be over.
pub(super) fn too_much(target: &IpNet) -> Refusal {
    let why =
        format!("the fleet says more of what is in {target} than nodes look through for one such order");
    refusal(Refused::Conflict, why, "name narrower prefixes, one after the other")
}

/// One order allows one target: who says otherwise lies, and what would be ended is not what was asked for.
pub(super) fn ambiguous(target: &IpNet) -> Refusal {
    let why = format!(
        "nodes tell the order that allows {target} of other targets or sites as well: some of them lie"
    );
    let remedy = "look at GET /api/v1/allow and at the nodes, and run `smartfw-cli allow remove` on one that you trust";
    refusal(Refused::Conflict, why, remedy)
}

pub(super) fn invalid(why: &str, remedy: &str) -> Refusal {
    refusal(Refused::Invalid, why.into(), remedy)
}

pub(super) fn unavailable(why: String, remedy: &str) -> Refusal {
    refusal(Refused::Unavailable, why, remedy)
}

pub(super) fn refusal(kind: Refused, why: String, remedy: &str) -> Refusal {
    Refusal { kind, what: "the order is not given".into(), why, remedy: remedy.into() }
}
