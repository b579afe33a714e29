//! Whether a chain of certificates makes somebody a member.
//!
//! A chain is `member <- signer <- root`, always of this shape; the root itself does not travel. The rules beyond
//! X.509's own, each with a test:
//! - all three name the same cluster, and the root is exactly the one that we know;
//! - only the root signs signers; a signer signs nodes, coordinators and operators;
//! - a signer's own certificate as a member is signed by itself: same key, same name as its authority;
//! - who signs may not be a member with that certificate, and a member may not sign.

use std::fmt;

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use smartfw_core::Time;
use smartfw_core::fleet::{CHAIN_BYTES, NodeId};
use std::time::Duration;
use thiserror::Error;

use crate::certificate::{Certificate, CertificateError};
use crate::clock::Shown;
use crate::issue::LEAF_LIFE;
use crate::key::PublicKey;
use crate::name::{Label, MemberName, Role, Subject};

/// How long after its certificate expired a member may still exchange logs.
pub const GRACE: Duration = LEAF_LIFE;

/// A chain as it travels: the member's certificate and its signer's.
#[derive(Clone, PartialEq, Eq)]
pub struct Chain {
    leaf: Certificate,
    signer: Certificate,
}

impl Chain {
    pub(crate) const fn new(leaf: Certificate, signer: Certificate) -> Self {
        Self { leaf, signer }
    }

    /// Reads the chain that a peer presented in a handshake: two certificates, or three with the root last.
    ///
    /// # Errors
    /// When it has another length, or a certificate is none of ours.
    pub fn parse<'a>(ders: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Refused> {
        let mut ders = ders.into_iter();
        let leaf = ders.next().ok_or(Refused::NoCertificate)?;
        let signer = ders.next().ok_or(Refused::Shape("it lacks its signer's certificate"))?;
        if ders.nth(1).is_some() {
            return Err(Refused::Shape("it is longer than member, signer and root"));
        }
        Ok(Self { leaf: Certificate::parse(leaf)?, signer: Certificate::parse(signer)? })
    }

    /// Reads [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// When the bytes are too long, cut off, or hold what is none of ours.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refused> {
        const CUT: Refused = Refused::Shape("it is cut off");
        if bytes.len() > CHAIN_BYTES {
            return Err(Refused::Shape("it is longer than any of ours"));
        }
        let (length, rest) = bytes.split_first_chunk::<2>().ok_or(CUT)?;
        let (leaf, signer) = rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(CUT)?;
        Self::parse([leaf, signer])
    }

    /// As it travels beside runs and orders: the length of the first certificate in two bytes, then both.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Certificates are at most `CERTIFICATE_BYTES` long, see `Certificate::parse`.
        let length = (self.leaf.der().len() as u16).to_be_bytes();
        [&length, self.leaf.der().as_ref(), self.signer.der().as_ref()].concat()
    }

    /// The member's certificate.
    pub const fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// Its signer's.
    pub const fn signer(&self) -> &Certificate {
        &self.signer
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({} <- {})", self.leaf.subject, self.signer.subject)
    }
}

/// A member whose chain holds at some time, whatever else is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who it is.
    pub id: NodeId,
    /// What it is called.
    pub name: MemberName,
    /// What it may do.
    pub role: Role,
    /// Its key.
    pub key: PublicKey,
    /// Who signed its certificate.
    pub signer: NodeId,
    /// From when the chain holds.
    pub not_before: Time,
    /// Until when the chain holds.
    pub not_after: Time,
}

/// How a member stands at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its certificate holds.
    Valid,
    /// It expired less than [`GRACE`] ago: logs may be exchanged with it, and nothing else.
    Grace,
}

impl Member {
    /// How it stands at `at`.
    ///
    /// # Errors
    /// When its certificate does not hold yet, or expired longer ago than [`GRACE`].
    pub fn standing(&self, at: Time) -> Result<Standing, Refused> {
        let who = self.name.clone().into();
        if at < self.not_before {
            Err(Refused::NotYetValid { who, from: Shown(self.not_before), at: Shown(at) })
        } else if at <= self.not_after {
            Ok(Standing::Valid)
        } else if at <= self.not_after.after(GRACE) {
            Ok(Standing::Grace)
        } else {
            Err(Refused::Expired { who, until: Shown(self.not_after), at: Shown(at) })
        }
    }

    /// The same, without the grace.
    ///
    /// # Errors
    /// When its certificate does not hold at `at`.
    pub fn valid_at(&self, at: Time) -> Result<(), Refused> {
        match self.standing(at)? {
            Standing::Valid => Ok(()),
            Standing::Grace => {
                let (until, at) = (Shown(self.not_after), Shown(at));
                Err(Refused::Expired { who: self.name.clone().into(), until, at })
            }
        }
    }
}

/// Why somebody is not taken for a member, or not for the right one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// It showed none.
    #[error("it showed no certificate: only members may connect; join the cluster with a token first")]
    NoCertificate,
    /// One of its certificates is none of ours.
    #[error("its certificate is none of ours: {0}")]
    Certificate(#[from] CertificateError),
    /// The chain has the wrong form.
    #[error("its chain of certificates is none of ours: {0}")]
    Shape(&'static str),
    /// Another cluster's, or forged.
    #[error(
        "its certificate was not signed under the root of cluster {cluster}: it is of another cluster, or forged"
    )]
    Foreign {
        /// Our cluster.
        cluster: Label,
    },
    /// It was signed by one who may not.
    #[error("its certificate breaks a rule of who may sign what: {0}")]
    Path(&'static str),
    /// Too early.
    #[error(
        "the certificate of {who} holds from {from} only, and it is {at} here: compare the clocks of both"
    )]
    NotYetValid {
        /// Whose.
        who: Box<MemberName>,
        /// Its beginning.
        from: Shown,
        /// When it was looked at.
        at: Shown,
    },
    /// Too late.
    #[error(
        "the certificate of {who} expired at {until}, and it is {at} here: let it join again with a new token"
    )]
    Expired {
        /// Whose.
        who: Box<MemberName>,
        /// Its end.
        until: Shown,
        /// When it was looked at.
        at: Shown,
    },
    /// An operator expelled it.
    #[error("{who} ({id}) was revoked: it needs a new key and a new token to come back")]
    Revoked {
        /// Whose certificate.
        who: Box<MemberName>,
        /// The revoked key: the member's own, or its signer's.
        id: NodeId,
    },
    /// Nobody knows who was expelled, so nobody new is let in.
    #[error("the list of revoked members cannot be read, so nobody can be let in: {0}")]
    RevocationsUnreadable(String),
    /// It is somebody, but not one for this.
    #[error("{who} is a {role}, and this is for {wanted} only")]
    WrongRole {
        /// Who it is.
        who: Box<MemberName>,
        /// Its role.
        role: Role,
        /// Whom this is for.
        wanted: Roles,
    },
    /// It is a member, but another one.
    #[error("{who} ({id}) answered where {expected} was expected: the address was given to another member")]
    WrongMember {
        /// Who it is.
        who: Box<MemberName>,
        /// Its key.
        id: NodeId,
        /// Who should have been there.
        expected: String,
    },
    /// The token pins another root.
    #[error("the other side belongs to another cluster than the token: check the address")]
    WrongRoot,
}

/// A set of roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles(pub &'static [Role]);

impl Roles {
    /// Every role.
    pub const ANY: Self = Self(&Role::ALL);
    /// Those who speak to each other: all but operators.
    pub const SERVING: Self = Self(&[Role::Node, Role::Signer, Role::Coordinator]);
    /// Those who say what they see.
    pub const ORIGINS: Self = Self(&[Role::Node, Role::Signer]);
    /// Those who sign certificates.
    pub const SIGNER: Self = Self(&[Role::Signer]);
    /// Those who order the fleet.
    pub const OPERATOR: Self = Self(&[Role::Operator]);

    /// Nothing, when `member` has one of them.
    ///
    /// # Errors
    /// When it has none.
    pub fn admit(self, member: &Member) -> Result<(), Refused> {
        if self.0.contains(&member.role) {
            return Ok(());
        }
        Err(Refused::WrongRole { who: member.name.clone().into(), role: member.role, wanted: self })
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, role) in self.0.iter().enumerate() {
            write!(f, "{}{role}s", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// The root of one cluster, and what follows from it.
#[derive(Clone, Debug)]
pub struct Trust {
    cluster: Label,
    root: Certificate,
    anchor: TrustAnchor<'static>,
}

impl Trust {
    /// Trust in this root.
    ///
    /// # Errors
    /// When the certificate is not that of a root.
    pub fn new(root: Certificate) -> Result<Self, Refused> {
        const NONE: Refused = Refused::Shape("what should be the root is none");
        let Subject::Root { cluster } = &root.subject else { return Err(NONE) };
        let anchor = webpki::anchor_from_trusted_cert(root.der()).map_err(|_| NONE)?.to_owned();
        if !root.authority {
            return Err(NONE);
        }
        Ok(Self { cluster: cluster.clone(), anchor, root })
    }

    /// The cluster.
    pub const fn cluster(&self) -> &Label {
        &self.cluster
    }

    /// The root's certificate.
    pub const fn root(&self) -> &Certificate {
        &self.root
    }

    /// Checks everything about a chain that does not depend on when it is looked at, nor on revocation.
    ///
    /// # Errors
    /// When it does not lead to our root, or breaks a rule of who may sign what.
    pub fn check(&self, chain: &Chain) -> Result<Member, Refused> {
        let Chain { leaf, signer } = chain;
        let (not_before, not_after) = self.period(chain)?;
        let member = self.member(leaf, signer, (not_before, not_after))?;
        self.check_signatures(chain, member.role, not_before)?;
        Ok(member)
    }

    fn period(&self, Chain { leaf, signer }: &Chain) -> Result<(Time, Time), Refused> {
        let from = leaf.not_before.max(signer.not_before).max(self.root.not_before);
        let until = leaf.not_after.min(signer.not_after).min(self.root.not_after);
        let never = Refused::Path("its certificates never held at the same time");
        if from <= until { Ok((from, until)) } else { Err(never) }
    }

    fn member(
        &self,
        leaf: &Certificate,
        signer: &Certificate,
        (not_before, not_after): (Time, Time),
    ) -> Result<Member, Refused> {
        if leaf.subject.cluster() != &self.cluster || signer.subject.cluster() != &self.cluster {
            return Err(Refused::Foreign { cluster: self.cluster.clone() });
        }
        let Subject::Member { name, role } = &leaf.subject else {
            return Err(Refused::Path("a root is no member"));
        };
        if leaf.authority {
            return Err(Refused::Path("an authority is no member"));
        }
        let Subject::Member { role: Role::Signer, .. } = &signer.subject else {
            return Err(Refused::Path("only signers sign members"));
        };
        if !signer.authority {
            return Err(Refused::Path("a member's own certificate signs nobody"));
        }
        if *role == Role::Signer && (leaf.key != signer.key || leaf.subject != signer.subject) {
            return Err(Refused::Path("only the root makes signers"));
        }
        let (id, key, signer) = (leaf.id(), leaf.key, signer.id());
        Ok(Member { id, name: name.clone(), role: *role, key, signer, not_before, not_after })
    }

    /// Signatures, constraints, usages and unknown extensions, by the library that rustls trusts with it.
    fn check_signatures(&self, chain: &Chain, role: Role, at: Time) -> Result<(), Refused> {
        let foreign = || Refused::Foreign { cluster: self.cluster.clone() };
        let leaf = webpki::EndEntityCert::try_from(chain.leaf.der()).map_err(|_| foreign())?;
        let usage = |usage| {
            let at = UnixTime::since_unix_epoch(Duration::from_secs(at.as_secs()));
            let anchors = std::slice::from_ref(&self.anchor);
            let between: &[CertificateDer<'_>] = std::slice::from_ref(chain.signer.der());
            leaf.verify_for_usage(&[webpki::ring::ED25519], anchors, between, at, usage, None, None)
                .map(|path| path.intermediate_certificates().count())
                .map_err(|e| self.explain(&e))
        };
        let mut between = usage(webpki::KeyUsage::client_auth())?;
        if role.serves() {
            between = between.min(usage(webpki::KeyUsage::server_auth())?);
        }
        if between == 1 { Ok(()) } else { Err(Refused::Path("only signers sign members")) }
    }

    fn explain(&self, error: &webpki::Error) -> Refused {
        match error {
            webpki::Error::EndEntityUsedAsCa => Refused::Path("a member's own certificate signs nobody"),
            webpki::Error::PathLenConstraintViolated => Refused::Path("a signer makes no signers"),
            webpki::Error::RequiredEkuNotFoundContext(_) => Refused::Path("it lacks the usages of its role"),
            _ => Refused::Foreign { cluster: self.cluster.clone() },
        }
    }
}

#[cfg(test)]
mod tests;
