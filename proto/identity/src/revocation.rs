//! Who was expelled: a set of signed statements that only grows.
//!
//! What a statement does depends on the whole set, never on the order in which it arrived, so that all members come to
//! the same judgement:
//! - the root's word reaches everybody: a member, an operator, a signer and everything that it signed;
//! - an operator's word reaches everybody but operators: revoking one needs the root, also by way of its signer;
//! - the word of an operator that the root revoked is void. What of it shall stand, the root says again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smartfw_core::Time;
use smartfw_core::fleet::NodeId;
use thiserror::Error;

use crate::identity::Identity;
use crate::key::{Domain, sha256};
use crate::name::{Label, Role};
use crate::root::Root;
use crate::trust::{Chain, Member, Refused, Roles, Trust};

/// The longest statement, with its author's certificates.
pub const REVOCATION_BYTES: usize = 8 << 10;
/// Statements of one operator: expelling every member of the largest fleet once. A stolen key shall not fill the set.
pub const REVOCATIONS_EACH: usize = 1024;
/// Statements of all operators together.
pub const REVOCATIONS: usize = 4096;
/// Statements of the root, which always finds room beside the operators'.
pub const ROOT_REVOCATIONS: usize = 4096;

/// What is signed.
#[derive(Debug, Serialize, Deserialize)]
struct Statement {
    cluster: Label,
    node: NodeId,
    issued: Time,
}

/// How a statement travels.
#[derive(Debug, Serialize, Deserialize)]
struct Wire {
    statement: Vec<u8>,
    signature: Vec<u8>,
    /// The operator's certificates; none: the root's word.
    chain: Option<Vec<u8>>,
}

/// A statement whose signature was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Who is expelled.
    pub node: NodeId,
    /// When it was said, by its author's clock.
    pub issued: Time,
    /// Who said it.
    pub author: Author,
    bytes: Arc<[u8]>,
    /// Of the bytes: a set of thousands is compared often, and hashed once.
    hash: [u8; 32],
}

/// Who expels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Author {
    /// The root.
    Root,
    /// An operator.
    Operator {
        /// The operator.
        id: NodeId,
        /// Who signed its certificate.
        signer: NodeId,
    },
}

/// A statement could not be made, or is refused.
#[derive(Debug, Error)]
pub enum RevocationError {
    /// It is no statement.
    #[error("a revocation cannot be read: {0}")]
    Malformed(String),
    /// It is of another cluster.
    #[error("a revocation belongs to another cluster")]
    WrongCluster,
    /// Its signature does not hold.
    #[error("a revocation was not signed by whom it names: it is forged")]
    Forged,
    /// Its author may not expel.
    #[error("a revocation's author may not revoke: {0}")]
    Author(#[from] Refused),
    /// Its author was expelled by the root.
    #[error("a revocation's author, operator {0}, was revoked by the root: it is void")]
    Void(NodeId),
    /// Operators are expelled by the root.
    #[error("revoking an operator needs the root: import the cluster's root on this machine first")]
    NeedsRoot,
    /// The set is full.
    #[error("the set of revocations is full for {0}: let the root revoke the operator that filled it")]
    Full(&'static str),
    /// The set could not be kept.
    #[error(transparent)]
    File(#[from] crate::file::FileError),
    /// The set cannot be read.
    #[error("the set of revocations cannot be read: {0}")]
    Unreadable(String),
}

impl Revocation {
    /// An operator's word that a member is expelled, for [`RevocationSet::insert`] of all members.
    ///
    /// # Errors
    /// When the author is no operator, its certificate does not hold now, or the member is an operator.
    pub fn by_operator(
        author: &Identity,
        node: NodeId,
        role: Role,
        now: Time,
    ) -> Result<Vec<u8>, RevocationError> {
        if role == Role::Operator {
            return Err(RevocationError::NeedsRoot);
        }
        Roles::OPERATOR.admit(author.member())?;
        author.member().valid_at(now)?;
        let statement = statement(author.trust().cluster(), node, now)?;
        let signature = author.key().sign(Domain::Revocation, &statement).to_vec();
        encode(&Wire { statement, signature, chain: Some(author.chain().to_bytes()) })
    }

    /// The root's word that somebody is expelled.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn by_root(root: &Root, node: NodeId, now: Time) -> Result<Vec<u8>, RevocationError> {
        let statement = statement(root.cluster(), node, now)?;
        let signature = root.key().sign(Domain::Revocation, &statement).to_vec();
        encode(&Wire { statement, signature, chain: None })
    }

    /// Reads a statement and checks everything about it that does not depend on others.
    ///
    /// # Errors
    /// When it is none, is of another cluster, is forged, or its author is no operator.
    pub fn verify(bytes: &[u8], trust: &Trust) -> Result<Self, RevocationError> {
        if bytes.len() > REVOCATION_BYTES {
            return Err(RevocationError::Malformed(format!("it is longer than {REVOCATION_BYTES} bytes")));
        }
        let wire: Wire = decode(bytes)?;
        let Statement { cluster, node, issued } = decode(&wire.statement)?;
        if cluster != *trust.cluster() {
            return Err(RevocationError::WrongCluster);
        }
        let (key, author) = match &wire.chain {
            None => (trust.root().key, Author::Root),
            Some(chain) => {
                let operator = trust.check(&Chain::from_bytes(chain)?)?;
                Roles::OPERATOR.admit(&operator)?;
                operator.valid_at(issued)?;
                (operator.key, Author::Operator { id: operator.id, signer: operator.signer })
            }
        };
        if !key.verify(Domain::Revocation, &wire.statement, &wire.signature) {
            return Err(RevocationError::Forged);
        }
        Ok(Self { node, issued, author, bytes: bytes.into(), hash: sha256(bytes) })
    }

    /// As it travels.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The set of statements that hold.
#[derive(Clone, Debug, Default)]
pub struct RevocationSet {
    entries: BTreeMap<(Author, NodeId), Revocation>,
    /// Whom the root expelled.
    by_root: BTreeSet<NodeId>,
    /// Whom operators expelled, and how many of them said so.
    by_operators: BTreeMap<NodeId, usize>,
    /// How much each operator said, by operator and signer.
    said: BTreeMap<(NodeId, NodeId), usize>,
    /// The hashes of all statements.
    hashes: BTreeSet<[u8; 32]>,
}

/// What a statement changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// It says something new.
    New,
    /// It says what is known, and is kept in place of another.
    Instead,
    /// Nothing.
    Known,
}

impl RevocationSet {
    /// Adds a statement; whether it says something new.
    ///
    /// # Errors
    /// When its author was expelled by the root, or the set is full.
    pub fn insert(&mut self, revocation: Revocation) -> Result<bool, RevocationError> {
        self.place(revocation).map(|placed| placed == Placed::New)
    }

    pub(crate) fn place(&mut self, revocation: Revocation) -> Result<Placed, RevocationError> {
        let at = (revocation.author, revocation.node);
        match self.entries.get(&at) {
            // Said twice: all members keep the same one of the two, so that their digests agree.
            Some(known) if (known.issued, &known.bytes) <= (revocation.issued, &revocation.bytes) => {
                Ok(Placed::Known)
            }
            Some(known) => {
                self.hashes.remove(&known.hash);
                self.hashes.insert(revocation.hash);
                self.entries.insert(at, revocation);
                Ok(Placed::Instead)
            }
            None => self.add(revocation).map(|()| Placed::New),
        }
    }

    /// Whether exactly this statement is among them.
    pub fn knows(&self, bytes: &[u8]) -> bool {
        self.hashes.contains(&sha256(bytes))
    }

    fn add(&mut self, revocation: Revocation) -> Result<(), RevocationError> {
        match revocation.author {
            Author::Root if self.by_root.len() >= ROOT_REVOCATIONS => {
                return Err(RevocationError::Full("the root"));
            }
            Author::Root => {
                self.by_root.insert(revocation.node);
            }
            Author::Operator { id, signer } => {
                self.has_room(id, signer)?;
                self.count(revocation.node, id, signer);
            }
        }
        let (author, node) = (revocation.author, revocation.node);
        self.hashes.insert(revocation.hash);
        self.entries.insert((author, node), revocation);
        if author == Author::Root {
            self.drop_void(node);
        }
        Ok(())
    }

    fn count(&mut self, node: NodeId, id: NodeId, signer: NodeId) {
        *self.by_operators.entry(node).or_default() += 1;
        *self.said.entry((id, signer)).or_default() += 1;
    }

    fn has_room(&self, id: NodeId, signer: NodeId) -> Result<(), RevocationError> {
        if self.by_root.contains(&id) || self.by_root.contains(&signer) {
            return Err(RevocationError::Void(id));
        }
        let any = |byte| NodeId([byte; 32]);
        let of_it: usize = self.said.range((id, any(0))..=(id, any(u8::MAX))).map(|(_, count)| count).sum();
        if of_it >= REVOCATIONS_EACH {
            return Err(RevocationError::Full("this operator"));
        }
        if self.entries.len() - self.by_root.len() >= REVOCATIONS {
            return Err(RevocationError::Full("all operators"));
        }
        Ok(())
    }

    /// What an operator said whom, or whose signer, the root expelled can never count again.
    fn drop_void(&mut self, expelled: NodeId) {
        if !self.said.keys().any(|(id, signer)| expelled == *id || expelled == *signer) {
            return;
        }
        self.entries.retain(|(author, _), _| match author {
            Author::Root => true,
            Author::Operator { id, signer } => expelled != *id && expelled != *signer,
        });
        self.by_operators.clear();
        self.said.clear();
        self.hashes = self.entries.values().map(|revocation| revocation.hash).collect();
        let left: Vec<_> = self.entries.keys().copied().collect();
        for (author, node) in left {
            if let Author::Operator { id, signer } = author {
                self.count(node, id, signer);
            }
        }
    }

    /// Whether the holder of this key is expelled when it appears in this role.
    pub fn is_revoked(&self, node: &NodeId, role: Role) -> bool {
        self.by_root.contains(node) || (role != Role::Operator && self.by_operators.contains_key(node))
    }

    /// Nothing, when neither the member nor its signer is expelled.
    ///
    /// # Errors
    /// When one is.
    pub fn check(&self, member: &Member) -> Result<(), Refused> {
        let revoked = [member.id, member.signer].into_iter().find(|id| self.is_revoked(id, member.role));
        match revoked {
            Some(id) => Err(Refused::Revoked { who: member.name.clone().into(), id }),
            None => Ok(()),
        }
    }

    /// Every statement, in an order that is the same everywhere.
    pub fn iter(&self) -> impl Iterator<Item = &Revocation> {
        self.entries.values()
    }

    /// How many statements hold.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody is expelled.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Equal at two members when their sets are: the SHA-256 over those of all statements.
    pub fn digest(&self) -> [u8; 32] {
        sha256(&self.iter().flat_map(|revocation| revocation.hash).collect::<Vec<_>>())
    }
}

fn statement(cluster: &Label, node: NodeId, issued: Time) -> Result<Vec<u8>, RevocationError> {
    encode(&Statement { cluster: cluster.clone(), node, issued })
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, RevocationError> {
    postcard::to_allocvec(value).map_err(|e| RevocationError::Malformed(e.to_string()))
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, RevocationError> {
    let malformed = |why: String| RevocationError::Malformed(why);
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|e| malformed(e.to_string()))?;
    if rest.is_empty() { Ok(value) } else { Err(malformed("bytes follow it".into())) }
}

#[cfg(test)]
mod tests;
