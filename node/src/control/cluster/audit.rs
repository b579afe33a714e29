//! Who asked this node to change the fleet: one line a call, and of an order one line each, whatever became of it.

use serde_json::json;
use smartfw_core::{
    agent::OrderListed,
    fleet::{OperatorOrder, OrderKind, SignedOrder},
};
use smartfw_proto::convert::decode_order;
use tonic::{Request, Status, transport::server::UdsConnectInfo};

use crate::uplink::Uplink;

/// The user who calls, and the coordinators that are told of it.
#[derive(Clone, Debug)]
pub(in crate::control) struct Caller {
    pub(super) uid: Option<u32>,
    uplink: Uplink,
}

impl Caller {
    pub(in crate::control) fn of<T>(request: &Request<T>, uplink: &Uplink) -> Self {
        Self { uid: uid(request), uplink: uplink.clone() }
    }

    /// A call that ended; `told`: what it did.
    pub(in crate::control) fn ended<T>(
        &self,
        call: &str,
        result: Result<T, Status>,
        told: impl FnOnce(&T) -> String,
    ) -> Result<T, Status> {
        let mut body = json!({"kind": call, "uid": self.uid});
        match &result {
            Ok(done) => {
                let what = told(done);
                tracing::info!(uid = self.uid, call, what, "audit: done");
                body["what"] = what.into();
            }
            Err(why) => {
                tracing::warn!(uid = self.uid, call, why = why.message(), "audit: refused");
                body["refused"] = why.message().into();
            }
        }
        self.uplink.audit(|| body);
        result
    }

    /// An operator's order that was given, and what became of it.
    pub(super) fn gave(&self, signed: &SignedOrder, refused: Option<&str>) {
        let Ok(order) = decode_order(&signed.bytes) else {
            return tracing::warn!(uid = self.uid, "audit: refused what is no order");
        };
        let (kind, what) = named(&order);
        let (id, operator) = (format!("{:032x}", order.id), order.operator.as_str());
        match refused {
            None => {
                tracing::info!(uid = self.uid, kind, order = id, operator, what, "audit: an order was given")
            }
            Some(why) => {
                tracing::warn!(
                    uid = self.uid,
                    kind,
                    order = id,
                    operator,
                    what,
                    why,
                    "audit: an order was refused"
                );
            }
        }
        self.uplink.audit(|| {
            json!({
                "kind": "order", "uid": self.uid, "order": kind, "id": id, "operator": operator, "what": what,
                "refused": refused,
            })
        });
    }
}

/// Who calls, as the kernel says.
pub(super) fn uid<T>(request: &Request<T>) -> Option<u32> {
    let info = request.extensions().get::<UdsConnectInfo>();
    info.and_then(|info| info.peer_cred).map(|credentials| credentials.uid())
}

/// Its kind, and the target, member or order that it is about.
fn named(order: &OperatorOrder) -> (&'static str, String) {
    let listed = OrderListed { order: order.clone(), targets: 0, expires: None };
    let (kind, target, _) = listed.summary();
    let what = match &order.kind {
        OrderKind::Block { targets, .. } if targets.len() > 1 => {
            format!(
                "{} and {} more",
                target.map_or_else(String::new, |first| first.to_string()),
                targets.len() - 1
            )
        }
        OrderKind::Trust { node, believed } => format!("{node:#}, believed: {believed}"),
        OrderKind::Revoke { node } => format!("{node:#}"),
        OrderKind::Disallow { id } => format!("{id:032x}"),
        OrderKind::Panic { duration } => format!("for {} s", duration.as_secs()),
        _ => target.map_or_else(String::new, |target| target.to_string()),
    };
    (kind, what)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use smartfw_core::{Class, Time, fleet::NodeId};

    use super::*;
    use crate::control::cluster::orders::tests::order;

    #[test]
    fn a_line_says_what_the_order_is_about() {
        let targets = vec!["203.0.113.7/32".parse().unwrap(), "203.0.113.8/32".parse().unwrap()];
        let (duration, class) = (None, Class::Manual);
        let block = OrderKind::Block { targets, duration, class, reason: String::new(), force: false };
        let cases = [
            (block, ("block", "203.0.113.7/32 and 1 more".to_owned())),
            (OrderKind::Revoke { node: NodeId([2; 32]) }, ("revoke", "02".repeat(32))),
            (OrderKind::Panic { duration: Duration::from_secs(900) }, ("panic", "for 900 s".to_owned())),
            (OrderKind::Disallow { id: 0xab }, ("disallow", format!("{:032x}", 0xab))),
            (
                OrderKind::Canary { target: "192.0.2.1/32".parse().unwrap(), watched: true },
                ("canary", "192.0.2.1/32".to_owned()),
            ),
        ];
        for (kind, expected) in cases {
            assert_eq!(named(&order(1, Time::ZERO, kind)), expected);
        }
    }
}
