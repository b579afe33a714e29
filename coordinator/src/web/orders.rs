//! What people order through the API, signed with the operator's certificate that this coordinator was given.

use std::path::PathBuf;

use smartfw_api::{Order, Ordered, Refusal, Refused};
use smartfw_core::{
    Class,
    fleet::{Entry, OperatorOrder, OrderKind, RunHeader},
};
use smartfw_identity::{Codec, Identity, IdentityError, order_id, sign_order};
use smartfw_proto::convert;

use crate::{clock, fleet::Fleet, intake::NotCarried};

/// The folder of operators' identities within the state folder, by cluster, as `SMARTFW_OPERATOR_DIR` has them.
pub(super) const FOLDER: &str = "operator";

/// Who signs.
#[derive(Debug)]
pub(super) struct Orders {
    folder: PathBuf,
}

impl Orders {
    pub(super) const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Signs an order and has a node give it. The certificate is read each time: it may be renewed, or taken away.
    pub(super) async fn give(&self, fleet: &Fleet, order: Order) -> Result<Ordered, Refusal> {
        let folder = self.folder.clone();
        let signed = tokio::task::spawn_blocking(move || sign(&folder, order)).await;
        let (id, signed) =
            signed.map_err(|_| unavailable("the coordinator is ending".into(), "try again"))??;
        fleet.order(signed).await.map_err(not_carried)?;
        Ok(Ordered { id: Some(format!("{id:032x}")), members: fleet.totals().connected })
    }
}

fn sign(folder: &std::path::Path, order: Order) -> Result<(u128, smartfw_core::fleet::SignedOrder), Refusal> {
    let operator = Identity::load(folder, None).map_err(|why| no_operator(folder, &why))?;
    let id = order_id().map_err(|why| unavailable(why.to_string(), "try again"))?;
    let order = OperatorOrder {
        id,
        operator: operator.member().name.name.to_string(),
        issued: clock::now(),
        lasts: None,
        site: None,
        kind: kind(order)?,
    };
    let signed = sign_order(&operator, &order, &Wire);
    signed.map(|signed| (id, signed)).map_err(|why| {
        refusal(Refused::Conflict, why.to_string(), "look at the operator's certificate, or at the order")
    })
}

/// What ends something names what it ends: versions and ids that nodes know and this coordinator does not.
fn kind(order: Order) -> Result<OrderKind, Refusal> {
    match order {
        Order::Block { target, duration, reason, force } => {
            Ok(OrderKind::Block { targets: vec![target], duration, class: Class::Manual, reason, force })
        }
        Order::Allow { target, duration, comment } => Ok(OrderKind::Allow { target, duration, comment }),
        Order::Unblock { target, .. } => Err(on_a_node("unblock", &target)),
        Order::Disallow { target } => Err(on_a_node("allow remove", &target)),
    }
}

fn on_a_node(command: &str, target: &smartfw_core::IpNet) -> Refusal {
    refusal(
        Refused::Conflict,
        "such an order names what it ends by numbers that only nodes know".into(),
        &format!("run `smartfw-cli {command} {target}` on any node, with an operator's key"),
    )
}

fn no_operator(folder: &std::path::Path, why: &IdentityError) -> Refusal {
    let why = format!("this coordinator has no operator's certificate that it can use ({why})");
    let make = format!(
        "on this host `SMARTFW_OPERATOR_DIR={} smartfw-cli cluster join ADDR:PORT --token T --operator NAME \
         --no-passphrase` with the token of `smartfw-cli cluster token --role operator`, or give the order by \
         smartfw-cli on a node",
        folder.parent().unwrap_or(folder).display()
    );
    refusal(Refused::Conflict, why, &make)
}

fn not_carried(why: NotCarried) -> Refusal {
    match why {
        NotCarried::Refused { .. } | NotCarried::Unreadable(_) => {
            refusal(Refused::Conflict, why.to_string(), "look at what the node says")
        }
        NotCarried::Nobody | NotCarried::Silent | NotCarried::Busy => {
            unavailable(why.to_string(), "try again in a moment")
        }
    }
}

fn unavailable(why: String, remedy: &str) -> Refusal {
    refusal(Refused::Unavailable, why, remedy)
}

fn refusal(kind: Refused, why: String, remedy: &str) -> Refusal {
    Refusal { kind, what: "the order is not given".into(), why, remedy: remedy.into() }
}

/// Orders as the wire writes them.
struct Wire;

impl Codec for Wire {
    fn encode_run(&self, header: &RunHeader, entries: &[Entry]) -> Result<Vec<u8>, String> {
        convert::encode_run(header, entries).map_err(|why| why.to_string())
    }

    fn decode_run(&self, bytes: &[u8]) -> Result<(RunHeader, Vec<Entry>), String> {
        convert::decode_run(bytes).map_err(|why| why.to_string())
    }

    fn encode_order(&self, order: &OperatorOrder) -> Result<Vec<u8>, String> {
        convert::encode_order(order).map_err(|why| why.to_string())
    }

    fn decode_order(&self, bytes: &[u8]) -> Result<OperatorOrder, String> {
        convert::decode_order(bytes).map_err(|why| why.to_string())
    }
}
