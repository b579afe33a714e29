//! The cluster, as a daemon tells of it and is told.

mod rows;

use std::time::Duration;

use smartfw_core::{
    IpNet, Time,
    fleet::{CHAIN_BYTES, COVERED, ENTRY_BYTES, NodeId, SignedOrder, Version},
    order::Refusal,
};

use super::{
    ConvertError, Problem,
    answer::Refused,
    peer::{self, bytes, decode_order, encode_order, fixed, version},
    scalar::{Result, clip, clipped, durations, list, nanos, required, target, text, times},
};
use crate::{
    limits,
    view::{
        Covers, Entered, Entering, Founded, Founding, Given, Invite, Invited, OperatorKey, StandingOrder,
    },
    wire,
};

impl From<Founding> for wire::FoundRequest {
    fn from(Founding { cluster, site, operator, advertise, passphrase }: Founding) -> Self {
        Self { cluster, site, operator, advertise, passphrase }
    }
}

impl TryFrom<wire::FoundRequest> for Founding {
    type Error = ConvertError;
    fn try_from(request: wire::FoundRequest) -> Result<Self> {
        Ok(Self {
            cluster: text("found.cluster", limits::NAME, request.cluster)?,
            site: text("found.site", limits::NAME, request.site)?,
            operator: text("found.operator", limits::NAME, request.operator)?,
            advertise: text("found.advertise", limits::ADDRESS, request.advertise)?,
            passphrase: text("found.passphrase", limits::PASSPHRASE, request.passphrase)?,
        })
    }
}

impl From<Founded> for wire::FoundAnswer {
    fn from(Founded { cluster, node, name, root, fingerprint, operator }: Founded) -> Self {
        let OperatorKey { key, chain, root: certificate } = operator;
        Self {
            cluster,
            node: node.0.to_vec(),
            name,
            root,
            fingerprint: fingerprint.to_vec(),
            operator: Some(wire::OperatorKey { key, chain, root: certificate }),
        }
    }
}

impl TryFrom<wire::FoundAnswer> for Founded {
    type Error = ConvertError;
    fn try_from(answer: wire::FoundAnswer) -> Result<Self> {
        let wire::OperatorKey { key, chain, root } = required("found.operator", answer.operator)?;
        Ok(Self {
            cluster: text("found.cluster", limits::NAME, answer.cluster)?,
            node: peer::node("found.node", &answer.node)?,
            name: text("found.name", limits::NAME, answer.name)?,
            root: text("found.root", limits::ROOT, answer.root)?,
            fingerprint: fixed("found.fingerprint", &answer.fingerprint)?,
            operator: OperatorKey {
                key: bytes("found.operator.key", limits::CERTIFICATE, key)?,
                chain: bytes("found.operator.chain", CHAIN_BYTES, chain)?,
                root: bytes("found.operator.root", limits::CERTIFICATE, root)?,
            },
        })
    }
}

impl From<Invite> for wire::InviteRequest {
    fn from(Invite { lasts, site, role, replace, root }: Invite) -> Self {
        let (root, passphrase) = root.unzip();
        Self { lasts: nanos(lasts), site, role, replace, root, passphrase }
    }
}

impl TryFrom<wire::InviteRequest> for Invite {
    type Error = ConvertError;
    fn try_from(request: wire::InviteRequest) -> Result<Self> {
        let root = request.root.map(|root| text("invite.root", limits::ROOT, root)).transpose()?;
        let passphrase = request.passphrase;
        let passphrase =
            passphrase.map(|words| text("invite.passphrase", limits::PASSPHRASE, words)).transpose()?;
        Ok(Self {
            lasts: Duration::from_nanos(request.lasts),
            site: request.site.map(|site| text("invite.site", limits::NAME, site)).transpose()?,
            role: text("invite.role", limits::NAME, request.role)?,
            replace: request.replace.map(|name| text("invite.replace", limits::NAME, name)).transpose()?,
            root: root.zip(passphrase),
        })
    }
}

impl From<Invited> for wire::InviteAnswer {
    fn from(Invited { token, expires, address }: Invited) -> Self {
        Self { token, expires: expires.as_nanos(), address: clip(limits::ADDRESS, address) }
    }
}

impl TryFrom<wire::InviteAnswer> for Invited {
    type Error = ConvertError;
    fn try_from(answer: wire::InviteAnswer) -> Result<Self> {
        Ok(Self {
            token: text("invite.token", limits::TOKEN, answer.token)?,
            expires: Time::from_nanos(answer.expires),
            address: text("invite.address", limits::ADDRESS, answer.address)?,
        })
    }
}

impl From<Entering> for wire::EnterRequest {
    fn from(Entering { address, token, advertise, name }: Entering) -> Self {
        Self { address, token, advertise, name }
    }
}

impl TryFrom<wire::EnterRequest> for Entering {
    type Error = ConvertError;
    fn try_from(request: wire::EnterRequest) -> Result<Self> {
        let advertise = request.advertise;
        Ok(Self {
            address: text("enter.address", limits::ADDRESS, request.address)?,
            token: text("enter.token", limits::TOKEN, request.token)?,
            advertise: advertise.map(|at| text("enter.advertise", limits::ADDRESS, at)).transpose()?,
            name: request.name.map(|name| text("enter.name", limits::NAME, name)).transpose()?,
        })
    }
}

impl From<Entered> for wire::EnterAnswer {
    fn from(Entered { cluster, site, name, role, node, members, ahead }: Entered) -> Self {
        Self { cluster, site, name, role, node: node.0.to_vec(), members, ahead }
    }
}

impl TryFrom<wire::EnterAnswer> for Entered {
    type Error = ConvertError;
    fn try_from(answer: wire::EnterAnswer) -> Result<Self> {
        Ok(Self {
            cluster: text("enter.cluster", limits::NAME, answer.cluster)?,
            site: text("enter.site", limits::NAME, answer.site)?,
            name: text("enter.name", limits::NAME, answer.name)?,
            role: text("enter.role", limits::NAME, answer.role)?,
            node: peer::node("enter.node", &answer.node)?,
            members: answer.members,
            ahead: answer.ahead,
        })
    }
}

impl TryFrom<StandingOrder> for wire::StandingOrder {
    type Error = ConvertError;
    fn try_from(StandingOrder { order, targets, expires }: StandingOrder) -> Result<Self> {
        Ok(Self { order: encode_order(&order)?, targets, expires: expires.map(Time::as_nanos) })
    }
}

impl TryFrom<wire::StandingOrder> for StandingOrder {
    type Error = ConvertError;
    fn try_from(standing: wire::StandingOrder) -> Result<Self> {
        let wire::StandingOrder { order, targets, expires } = standing;
        Ok(Self { order: decode_order(&order)?, targets, expires: times(expires) })
    }
}

impl TryFrom<wire::OrderChunk> for Vec<StandingOrder> {
    type Error = ConvertError;
    fn try_from(chunk: wire::OrderChunk) -> Result<Self> {
        list("orders", limits::STANDING, chunk.orders)
    }
}

impl From<Covers> for wire::CoversAnswer {
    fn from(Covers { covers, orders, lasts, targets, total, more }: Covers) -> Self {
        let covered = |(origin, version): (NodeId, Version)| wire::Covered {
            origin: origin.0.to_vec(),
            version: Some(version.into()),
        };
        let cut = covers.len().max(orders.len()) > limits::COVERS;
        Self {
            covers: covers.into_iter().take(limits::COVERS).map(covered).collect(),
            orders: orders.into_iter().take(limits::COVERS).map(|id| id.to_be_bytes().to_vec()).collect(),
            lasts: lasts.map(nanos),
            targets: clipped(limits::ENDED, targets),
            total,
            more: more || cut,
        }
    }
}

impl TryFrom<wire::CoversAnswer> for Covers {
    type Error = ConvertError;
    fn try_from(answer: wire::CoversAnswer) -> Result<Self> {
        let covered = |wire::Covered { origin, version: at }| {
            Ok((peer::node("covers.origin", &origin)?, version("covers.version", at)?))
        };
        within("covers", limits::COVERS, answer.covers.len())?;
        within("covers.orders", limits::COVERS, answer.orders.len())?;
        within("covers.targets", limits::ENDED, answer.targets.len())?;
        let id = |id: &Vec<u8>| fixed("covers.orders", id).map(u128::from_be_bytes);
        Ok(Self {
            covers: answer.covers.into_iter().map(covered).collect::<Result<_>>()?,
            orders: answer.orders.iter().map(id).collect::<Result<_>>()?,
            lasts: durations(answer.lasts),
            targets: targets("covers.targets", answer.targets)?,
            total: answer.total,
            more: answer.more,
        })
    }
}

/// What a daemon is asked about targets: at most [`limits::CHUNK`].
impl TryFrom<wire::CheckTargetsRequest> for (Vec<IpNet>, bool) {
    type Error = ConvertError;
    fn try_from(request: wire::CheckTargetsRequest) -> Result<Self> {
        within("check.targets", limits::CHUNK, request.targets.len())?;
        Ok((targets("check.targets", request.targets)?, request.force))
    }
}

impl From<Vec<(IpNet, Refusal)>> for wire::CheckTargetsAnswer {
    fn from(refused: Vec<(IpNet, Refusal)>) -> Self {
        Self { refused: clipped(limits::REFUSED, refused) }
    }
}

impl TryFrom<wire::CheckTargetsAnswer> for Vec<(IpNet, Refusal)> {
    type Error = ConvertError;
    fn try_from(answer: wire::CheckTargetsAnswer) -> Result<Self> {
        let refused: Vec<Refused> = list("check.refused", limits::REFUSED, answer.refused)?;
        Ok(refused.into_iter().map(|Refused(target, why)| (target, why)).collect())
    }
}

impl From<SignedOrder> for wire::GivenOrder {
    fn from(SignedOrder { bytes, signature, certificate, lasts }: SignedOrder) -> Self {
        let order = wire::CarriedOrder {
            body: bytes.to_vec(),
            signature: signature.to_vec(),
            certificate: certificate.to_vec(),
        };
        Self { order: Some(order), lasts: lasts.map(nanos) }
    }
}

impl TryFrom<wire::GivenOrder> for SignedOrder {
    type Error = ConvertError;
    fn try_from(given: wire::GivenOrder) -> Result<Self> {
        let wire::CarriedOrder { body, signature, certificate } = required("give.order", given.order)?;
        Ok(Self {
            bytes: bytes("give.body", ENTRY_BYTES - CHAIN_BYTES, body)?.into(),
            signature: fixed("give.signature", &signature)?,
            certificate: bytes("give.certificate", CHAIN_BYTES, certificate)?.into(),
            lasts: durations(given.lasts),
        })
    }
}

impl From<Given> for wire::GiveRequest {
    fn from(given: Given) -> Self {
        Self { orders: clipped(limits::ORDERS, given.orders) }
    }
}

impl TryFrom<wire::GiveRequest> for Given {
    type Error = ConvertError;
    fn try_from(request: wire::GiveRequest) -> Result<Self> {
        Ok(Self { orders: list("give.orders", limits::ORDERS, request.orders)?, revocations: Vec::new() })
    }
}

impl From<Given> for wire::RevokeRequest {
    fn from(Given { orders, revocations }: Given) -> Self {
        Self { orders: clipped(limits::ORDERS, orders), revocations }
    }
}

impl TryFrom<wire::RevokeRequest> for Given {
    type Error = ConvertError;
    fn try_from(wire::RevokeRequest { revocations, orders }: wire::RevokeRequest) -> Result<Self> {
        within("revoke.revocations", limits::ORDERS, revocations.len())?;
        let one = |revocation| bytes("revoke.revocation", limits::REVOCATION, revocation);
        Ok(Self {
            orders: list("revoke.orders", limits::ORDERS, orders)?,
            revocations: revocations.into_iter().map(one).collect::<Result<_>>()?,
        })
    }
}

fn targets(field: &'static str, prefixes: Vec<wire::Prefix>) -> Result<Vec<IpNet>> {
    prefixes.into_iter().map(|prefix| target(field, Some(prefix))).collect()
}

fn within(field: &'static str, limit: usize, length: usize) -> Result<()> {
    if length > limit { Err(ConvertError::new(field, Problem::TooLong { length, limit })) } else { Ok(()) }
}

const _: () = assert!(limits::COVERS >= COVERED, "one order's worth fits");
