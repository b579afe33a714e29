//! A signer: lets machines join and renews members.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use smartfw_core::Time;
use smartfw_core::fleet::NodeId;
use thiserror::Error;

use crate::certificate::{Certificate, CertificateError, requested_key};
use crate::file::{self, FileError};
use crate::identity::{Identity, IdentityError, load_certificate, save_certificates};
use crate::issue::{self, IssueError};
use crate::key::{Key, KeyError, PublicKey, random};
use crate::ledger::{Give, Invitation, Ledger, LedgerError};
use crate::name::{Label, MemberName, Role, Subject};
use crate::revocations::Revocations;
use crate::root::Root;
use crate::token::Token;
use crate::trust::{Chain, Member, Refused, Standing, Trust};

/// The signer's right to sign.
const AUTHORITY: &str = "authority.pem";
/// What it remembers.
const LEDGER: &str = "ledger";
/// The longest life of a token: it lies around in chats and shell histories.
pub const TOKEN_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A signer: its key, the root's word that it may sign, and what it gave out.
#[derive(Debug)]
pub struct Signer {
    key: Arc<Key>,
    authority: Certificate,
    trust: Trust,
    name: MemberName,
    ledger: Ledger,
}

/// What a machine asks for that wants to join.
#[derive(Clone, Debug)]
pub struct Joining<'a> {
    /// The name that it would like.
    pub name: &'a Label,
    /// Its request: only the key in it counts.
    pub request: &'a [u8],
    /// What it can be: a token for anything else is not used up.
    pub roles: &'a [Role],
}

/// What is known of the cluster when somebody asks to join.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// Who has a name, as far as this member knows.
    pub holder: &'a dyn Fn(&Label) -> Option<NodeId>,
    /// Who was expelled.
    pub revocations: &'a Revocations,
    /// The root, where it is on this machine: needed for signers only.
    pub root: Option<&'a Root>,
}

/// What it gets.
#[derive(Clone, Debug)]
pub enum Joined {
    /// A member's certificates.
    Member(Chain),
    /// A new signer's right to sign, with which it signs itself: see [`Signer::new`].
    Signer(Certificate),
}

/// A machine is not let in, or a member not renewed.
#[derive(Debug, Error)]
pub enum SignError {
    /// The token or the name is not good.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The token is of another signer.
    #[error(
        "the token was given out by {issuer}, and this is {here}: only the signer that printed a token redeems it"
    )]
    WrongSigner {
        /// Whose token it is.
        issuer: NodeId,
        /// Whom it was shown to.
        here: NodeId,
    },
    /// The token is of another cluster.
    #[error("the token belongs to another cluster: print one on a signer of this one")]
    WrongCluster,
    /// The request is not good.
    #[error("the request for a certificate is refused: {0}")]
    Request(#[from] CertificateError),
    /// The name is bound.
    #[error("the token is for the name {bound} only: join as {bound}, or print another")]
    WrongName {
        /// Whom it is for.
        bound: Label,
    },
    /// The token is for something else.
    #[error("the token is for a new {role}: {}", how(*.role))]
    WrongRole {
        /// What it is for.
        role: Role,
    },
    /// Only the root makes signers.
    #[error(
        "only the root makes signers: import the cluster's root on this machine first, then redeem the token again"
    )]
    RootNeeded,
    /// The member that asks is not in good standing.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It expired.
    #[error("{0} has expired, and the expired cannot renew: let it join again with a new token")]
    Expired(Box<MemberName>),
    /// It asks for another key.
    #[error("{0} asks for a certificate about another key than its own: a new key needs a new token")]
    OtherKey(Box<MemberName>),
    /// The token would live too long.
    #[error("a token lives at most seven days")]
    TooLong,
    /// The certificate could not be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// No random numbers.
    #[error(transparent)]
    NoChance(#[from] KeyError),
    /// The signer's own files or certificates are not good.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The authority is not one for this key under this root.
    #[error("the right to sign does not belong to this key and this root: {0}")]
    Authority(&'static str),
}

impl From<FileError> for SignError {
    fn from(error: FileError) -> Self {
        Self::Identity(error.into())
    }
}

impl Signer {
    /// A signer with the root's word, remembering what it gives out in `folder`; and itself as a member.
    ///
    /// # Errors
    /// When the authority is not the root's word about this key.
    pub fn new(
        key: Arc<Key>,
        authority: Certificate,
        root: Certificate,
        folder: &Path,
        now: Time,
    ) -> Result<(Self, Identity), SignError> {
        let signer = Self::with(key, authority, root, folder)?;
        let identity = signer.own(now)?;
        Ok((signer, identity))
    }

    fn with(
        key: Arc<Key>,
        authority: Certificate,
        root: Certificate,
        folder: &Path,
    ) -> Result<Self, SignError> {
        let Subject::Member { name, role: Role::Signer } = &authority.subject else {
            return Err(SignError::Authority("it is not about a signer"));
        };
        if authority.key != *key.public() {
            return Err(SignError::Authority("it is about another key"));
        }
        let (name, trust) = (name.clone(), Trust::new(root)?);
        Ok(Self { key, authority, trust, name, ledger: Ledger::at(folder.join(LEDGER)) })
    }

    /// Reads the right to sign beside the identity that [`Identity::save`] wrote. Nothing is written.
    ///
    /// # Errors
    /// When there is none, or it is not about the identity's key.
    pub fn load(folder: &Path, identity: &Identity, now: Time) -> Result<Self, SignError> {
        let authority = load_certificate(&folder.join(AUTHORITY))?;
        let root = identity.trust().root().clone();
        let signer = Self::with(identity.key().clone(), authority, root, folder)?;
        signer.certified(now)?;
        Ok(signer)
    }

    /// Writes the right to sign into the folder of its identity.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn save(&self, folder: &Path) -> Result<(), SignError> {
        Ok(save_certificates(&folder.join(AUTHORITY), &[&self.authority])?)
    }

    /// Whether a folder holds the right to sign.
    pub fn is_at(folder: &Path) -> bool {
        file::read_public(&folder.join(AUTHORITY)).is_ok()
    }

    /// The signer itself as a member, with a new certificate: it renews itself, as long as its right to sign holds.
    ///
    /// # Errors
    /// When the right to sign is not the root's word, or has expired.
    pub fn own(&self, now: Time) -> Result<Identity, SignError> {
        let identity = self.certified(now)?;
        self.give(identity.member(), now)?;
        Ok(identity)
    }

    fn certified(&self, now: Time) -> Result<Identity, SignError> {
        let chain = self.certify(&self.name, Role::Signer, self.key.public(), now)?;
        let identity = Identity::new(self.key.clone(), chain, self.trust.clone())?;
        identity.member().valid_at(now)?;
        Ok(identity)
    }

    /// A new token; only this signer redeems it, once.
    ///
    /// # Errors
    /// When it would live longer than [`TOKEN_LIFE`], or cannot be remembered.
    pub fn invite(&self, invitation: Invitation, now: Time) -> Result<Token, SignError> {
        if invitation.expires.since(now) > TOKEN_LIFE {
            return Err(SignError::TooLong);
        }
        let token = Token::new(random()?, self.trust.root().fingerprint(), self.key.id(), invitation.expires);
        self.ledger.invite(&token, invitation, now)?;
        Ok(token)
    }

    /// What a token allows, without using it: nothing is signed or written, so that strangers who guess cost little.
    ///
    /// # Errors
    /// When the token is another signer's, or unknown, used or expired.
    pub fn look(&self, token: &Token, now: Time) -> Result<Invitation, SignError> {
        self.is_mine(token)?;
        Ok(self.ledger.look(token, now)?)
    }

    /// Whether a token for a role is out that may still be redeemed.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn expects(&self, role: Role, now: Time) -> Result<bool, SignError> {
        Ok(self.ledger.expects(role, now)?)
    }

    /// Lets a machine join. Name, role, site and usages are the token's and ours; of the request only the key counts.
    /// The token is used up on disk before the certificate exists.
    ///
    /// # Errors
    /// When the token is not good here, the name is taken, the key was revoked, or the request does not show that its
    /// sender has the key.
    pub fn redeem(
        &self,
        token: &Token,
        joining: &Joining<'_>,
        known: Known<'_>,
        now: Time,
    ) -> Result<Joined, SignError> {
        let invitation = self.look(token, now)?;
        if !joining.roles.contains(&invitation.role) {
            return Err(SignError::WrongRole { role: invitation.role });
        }
        let key = requested_key(joining.request)?;
        let name = chosen_name(&invitation, joining.name)?;
        if invitation.replace.is_none() {
            untaken(name, (known.holder)(name), key.id())?;
        }
        let full = self.full_name(&invitation.site, name);
        known.revocations.check_key(key.id(), invitation.role, &full)?;
        if invitation.role == Role::Signer {
            return self.make_signer(token, &invitation.site, name, &key, known.root, now);
        }
        let until = now.after(issue::LEAF_LIFE);
        self.ledger.redeem(token, Give { name, to: key.id(), until }, now)?;
        Ok(Joined::Member(self.certify(&full, invitation.role, &key, now)?))
    }

    /// Gives a member a new certificate about the same key, name, site and role.
    ///
    /// # Errors
    /// When it was revoked or has expired, asks for another key, or its name was given to another.
    pub fn renew(
        &self,
        member: &Member,
        request: &[u8],
        revocations: &Revocations,
        now: Time,
    ) -> Result<Chain, SignError> {
        revocations.check(member)?;
        if member.standing(now)? != Standing::Valid {
            return Err(SignError::Expired(member.name.clone().into()));
        }
        if requested_key(request)? != member.key {
            return Err(SignError::OtherKey(member.name.clone().into()));
        }
        if member.role == Role::Signer && member.id != self.key.id() {
            return Err(SignError::Refused(Refused::Path("a signer renews itself")));
        }
        self.give(member, now)?;
        self.certify(&member.name, member.role, &member.key, now)
    }

    /// Gives a member its first certificate without a token: for the operator that founds the cluster.
    pub(crate) fn admit(
        &self,
        name: &Label,
        role: Role,
        key: &PublicKey,
        now: Time,
    ) -> Result<Chain, SignError> {
        let name = self.full_name(&self.name.site, name);
        let chain = self.certify(&name, role, key, now)?;
        self.give(&self.trust.check(&chain)?, now)?;
        Ok(chain)
    }

    /// Who has a name, as far as this signer gave it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn holder(&self, name: &Label) -> Result<Option<NodeId>, SignError> {
        Ok(self.ledger.holder(name)?)
    }

    /// Until when its right to sign holds; renewing it needs the root.
    pub const fn until(&self) -> Time {
        self.authority.not_after
    }

    fn is_mine(&self, token: &Token) -> Result<(), SignError> {
        if *token.root() != self.trust.root().fingerprint() {
            return Err(SignError::WrongCluster);
        }
        let (issuer, here) = (token.signer(), self.key.id());
        if issuer == here { Ok(()) } else { Err(SignError::WrongSigner { issuer, here }) }
    }

    fn make_signer(
        &self,
        token: &Token,
        site: &Label,
        name: &Label,
        key: &PublicKey,
        root: Option<&Root>,
        now: Time,
    ) -> Result<Joined, SignError> {
        let ours = |root: &&Root| root.certificate() == self.trust.root();
        let root = root.filter(ours).ok_or(SignError::RootNeeded)?;
        let until = now.after(issue::SIGNER_LIFE);
        self.ledger.redeem(token, Give { name, to: key.id(), until }, now)?;
        Ok(Joined::Signer(root.sign_signer(site, name, key, now)?))
    }

    fn certify(&self, name: &MemberName, role: Role, key: &PublicKey, now: Time) -> Result<Chain, SignError> {
        let subject = Subject::Member { name: name.clone(), role };
        let leaf = issue::leaf(&subject, role, key, (&self.authority, &self.key), now)?;
        Ok(Chain::new(leaf, self.authority.clone()))
    }

    fn give(&self, member: &Member, now: Time) -> Result<(), SignError> {
        let until = now.after(issue::LEAF_LIFE);
        Ok(self.ledger.give(Give { name: &member.name.name, to: member.id, until }, now)?)
    }

    fn full_name(&self, site: &Label, name: &Label) -> MemberName {
        MemberName { cluster: self.trust.cluster().clone(), site: site.clone(), name: name.clone() }
    }
}

/// How one joins in a role.
const fn how(role: Role) -> &'static str {
    match role {
        Role::Node | Role::Signer => "on its host, run `smartfw-cli cluster join ADDR:PORT --token TOKEN`",
        Role::Coordinator => "on its host, run `smartfw-coordinator join ADDR:PORT --token TOKEN`",
        Role::Operator => {
            "as that person, run `smartfw-cli cluster join ADDR:PORT --token TOKEN --operator NAME`"
        }
    }
}

fn chosen_name<'a>(invitation: &'a Invitation, wanted: &'a Label) -> Result<&'a Label, SignError> {
    match &invitation.replace {
        None => Ok(wanted),
        Some(bound) if bound == wanted => Ok(bound),
        Some(bound) => Err(SignError::WrongName { bound: bound.clone() }),
    }
}

fn untaken(name: &Label, holder: Option<NodeId>, joining: NodeId) -> Result<(), LedgerError> {
    match holder {
        Some(by) if by != joining => Err(LedgerError::Taken { name: name.clone(), by }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
