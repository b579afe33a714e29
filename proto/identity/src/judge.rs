//! Signing and judging runs and orders: ring behind the core's traits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use smartfw_core::fleet::{
    Entry, NodeId, OperatorOrder, OrderKind, OrderVerifier, RUN_BYTES, RUN_ENTRIES, RunHeader, RunParts,
    SealError, SignedOrder, SignedRun, Signer, Unverified, VerifiedOrder, VerifiedRun, Verifier,
};

use crate::identity::{Current, Identity};
use crate::key::{Domain, KeyError, sha256};
use crate::name::Role;
use crate::revocations::Revocations;
use crate::trust::{Chain, Member, Refused, Roles, Trust};

/// Chains whose signatures were checked and are remembered: checking one costs two signatures, a run only one.
const CHAINS: usize = 4096;

/// How runs and orders are written as bytes; the wire's business, not ours.
pub trait Codec {
    /// The bytes of a run.
    ///
    /// # Errors
    /// When it does not fit its limits, in words.
    fn encode_run(&self, header: &RunHeader, entries: &[Entry]) -> Result<Vec<u8>, String>;

    /// The run in these bytes.
    ///
    /// # Errors
    /// When they are none, in words.
    fn decode_run(&self, bytes: &[u8]) -> Result<(RunHeader, Vec<Entry>), String>;

    /// The bytes of an order.
    ///
    /// # Errors
    /// When it does not fit its limits, in words.
    fn encode_order(&self, order: &OperatorOrder) -> Result<Vec<u8>, String>;

    /// The order in these bytes.
    ///
    /// # Errors
    /// When they are none, in words.
    fn decode_order(&self, bytes: &[u8]) -> Result<OperatorOrder, String>;
}

/// Signs this member's runs with whatever certificate is current.
#[derive(Clone, Debug)]
pub struct RunSigner<C> {
    current: Current,
    codec: C,
}

impl<C: Codec> RunSigner<C> {
    /// A signer of runs.
    pub const fn new(current: Current, codec: C) -> Self {
        Self { current, codec }
    }
}

impl<C: Codec> Signer for RunSigner<C> {
    fn id(&self) -> NodeId {
        self.current.get().id()
    }

    fn seal(&mut self, header: RunHeader, entries: Vec<Entry>) -> Result<VerifiedRun, SealError> {
        let identity = self.current.get();
        if header.origin != identity.id() {
            return Err(SealError::NoKey(format!("{} cannot sign for {}", identity.id(), header.origin)));
        }
        let bytes = self.codec.encode_run(&header, &entries).map_err(SealError::TooLong)?;
        if bytes.len() > RUN_BYTES || entries.len() > RUN_ENTRIES {
            return Err(SealError::TooLong(format!("{} bytes, {} entries", bytes.len(), entries.len())));
        }
        let signature = identity.key().sign(Domain::Run, &bytes);
        let certificate = identity.chain().to_bytes().into();
        let signed = SignedRun { bytes: bytes.into(), signature, certificate };
        Ok(VerifiedRun::from_verified(RunParts { header, entries, signed }))
    }

    fn leaves(&self, entry: &Entry) -> bool {
        leaves(entry, &self.codec)
    }
}

/// Whether an entry may leave the cluster: it blocks for all sites, or takes that back. Who is logged in, who is allowed and
/// which addresses are watched is nobody's business there.
pub fn leaves(entry: &Entry, codec: &impl Codec) -> bool {
    match entry {
        Entry::Block(_) | Entry::Withdraw { .. } => true,
        Entry::Order(order) => {
            let order = codec.decode_order(&order.bytes);
            order.is_ok_and(|order| order.site.is_none() && matches!(order.kind, OrderKind::Block { .. }))
        }
        Entry::Sessions { .. } | Entry::Coordinator { .. } | Entry::Unknown { .. } => false,
    }
}

/// An operator's signature under an order.
///
/// # Errors
/// When the identity is no operator's, its certificate does not hold when the order is issued, or the order does not
/// fit its limits.
pub fn sign_order(
    operator: &Identity,
    order: &OperatorOrder,
    codec: &impl Codec,
) -> Result<SignedOrder, Unverified> {
    Roles::OPERATOR.admit(operator.member()).map_err(bad)?;
    operator.member().valid_at(order.issued).map_err(bad)?;
    let bytes = codec.encode_order(order).map_err(Unverified::Malformed)?;
    let signature = operator.key().sign(Domain::Order, &bytes);
    let certificate = operator.chain().to_bytes().into();
    Ok(SignedOrder { bytes: bytes.into(), signature, certificate, lasts: order.lasts() })
}

/// A new order's id.
///
/// # Errors
/// When the system gives no random numbers.
pub fn order_id() -> Result<u128, KeyError> {
    crate::key::random().map(u128::from_be_bytes)
}

/// Judges runs and orders of one cluster. For runs of another cluster whose root an operator added, make another.
#[derive(Debug)]
pub struct Judge<C> {
    trust: Trust,
    revocations: Arc<Revocations>,
    codec: C,
    chains: Mutex<Chains>,
}

impl<C: Codec> Judge<C> {
    /// A judge under one root.
    pub fn new(trust: Trust, revocations: Arc<Revocations>, codec: C) -> Self {
        Self { trust, revocations, codec, chains: Mutex::default() }
    }

    fn member(&self, chain: &[u8]) -> Result<Member, Unverified> {
        let hash = sha256(chain);
        if let Some(known) = self.chains().get(&hash) {
            return Ok(known);
        }
        let member = Chain::from_bytes(chain).and_then(|chain| self.trust.check(&chain)).map_err(bad)?;
        self.chains().remember(hash, &member);
        Ok(member)
    }

    fn chains(&self) -> std::sync::MutexGuard<'_, Chains> {
        self.chains.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decode(&self, run: &SignedRun) -> Result<VerifiedRun, Unverified> {
        let (header, entries) = self.decode_within_limits(run)?;
        Ok(VerifiedRun::from_verified(RunParts { header, entries, signed: run.clone() }))
    }

    fn decode_within_limits(&self, run: &SignedRun) -> Result<(RunHeader, Vec<Entry>), Unverified> {
        let malformed = |why: &str| Unverified::Malformed(why.into());
        if run.bytes.len() > RUN_BYTES {
            return Err(malformed("the run is longer than any may be"));
        }
        let (header, entries) = self.codec.decode_run(&run.bytes).map_err(Unverified::Malformed)?;
        let (count, cluster) = (entries.len(), self.trust.cluster().as_str());
        if count == 0 || count > RUN_ENTRIES {
            return Err(malformed("a run holds 1 to 1000 entries"));
        }
        if header.first.checked_add(count as u64 - 1).is_none() {
            return Err(malformed("its sequences do not fit"));
        }
        if header.cluster != cluster { Err(Unverified::WrongCluster) } else { Ok((header, entries)) }
    }
}

impl<C: Codec> Verifier for Judge<C> {
    /// The origin's own revocation is not looked at, as the trait demands; that of its signer is, since whom a revoked
    /// signer made is nobody that anybody knows to be revoked. Grace counts: logs may be exchanged in it.
    fn verify(&self, run: &SignedRun) -> Result<VerifiedRun, Unverified> {
        let member = self.member(&run.certificate)?;
        if !member.key.verify(Domain::Run, &run.bytes, &run.signature) {
            return Err(Unverified::Forged);
        }
        let verified = self.decode(run)?;
        let header = verified.header();
        if header.origin != member.id {
            return Err(Unverified::WrongOrigin);
        }
        may_say(&member, header, verified.entries())?;
        member.standing(header.issued).map_err(bad)?;
        let signer_only = Member { id: member.signer, ..member };
        self.revocations.check(&signer_only).map_err(bad)?;
        Ok(verified)
    }

    fn recall(&self, run: &SignedRun) -> Result<VerifiedRun, Unverified> {
        self.decode(run)
    }
}

impl<C: Codec> OrderVerifier for Judge<C> {
    fn verify_order(&self, order: &SignedOrder) -> Result<VerifiedOrder, Unverified> {
        let member = self.member(&order.certificate)?;
        Roles::OPERATOR.admit(&member).map_err(bad)?;
        if !member.key.verify(Domain::Order, &order.bytes, &order.signature) {
            return Err(Unverified::Forged);
        }
        let mut decoded = self.codec.decode_order(&order.bytes).map_err(Unverified::Malformed)?;
        member.valid_at(decoded.issued).map_err(bad)?;
        decoded.operator = member.name.name.to_string();
        let verified = VerifiedOrder { order: decoded, signer: member.id, issuer: member.signer };
        match self.revocations.check(&member) {
            Ok(()) => Ok(verified),
            Err(Refused::Revoked { .. }) => Err(Unverified::Revoked),
            Err(Refused::RevocationsUnreadable(why)) => Err(Unverified::Unjudged(verified.into(), why)),
            Err(other) => Err(bad(other)),
        }
    }
}

/// Nodes and signers say what they see; a coordinator only carries what operators signed; a site's log is its site's.
fn may_say(member: &Member, header: &RunHeader, entries: &[Entry]) -> Result<(), Unverified> {
    let wrong_site = header.site.as_deref().is_some_and(|site| site != member.name.site.as_str());
    if wrong_site {
        return Err(Unverified::BadCertificate(format!("{} is of another site than its run", member.name)));
    }
    let carries = |entry: &Entry| matches!(entry, Entry::Order(_));
    if member.role == Role::Coordinator && entries.iter().all(carries) {
        return Ok(());
    }
    Roles::ORIGINS.admit(member).map_err(bad)
}

fn bad(refused: Refused) -> Unverified {
    Unverified::BadCertificate(refused.to_string())
}

/// Of every chain the hash of its bytes, and whom it makes its holder; the oldest is forgotten first.
#[derive(Debug, Default)]
struct Chains {
    known: BTreeMap<[u8; 32], Member>,
    order: VecDeque<[u8; 32]>,
}

impl Chains {
    fn get(&self, hash: &[u8; 32]) -> Option<Member> {
        self.known.get(hash).cloned()
    }

    fn remember(&mut self, hash: [u8; 32], member: &Member) {
        if self.known.insert(hash, member.clone()).is_none() {
            self.order.push_back(hash);
        }
        if self.order.len() > CHAINS {
            self.order.pop_front().map(|oldest| self.known.remove(&oldest));
        }
    }
}

#[cfg(test)]
mod tests;
