//! Expelling: what an operator says of a member reaches others at once, and is kept here as well.

use std::{net::SocketAddr, sync::Arc};

use smartfw_core::fleet::NodeId;
use smartfw_identity::{
    Current, Member, Revocations,
    tls::{Expected, Net, channel},
};
use smartfw_proto::wire::{ExpelRequest, announcement_client::AnnouncementClient};
use tokio::{task::JoinSet, time::timeout};
use tonic::{Code, Status};

use super::{Known, PATIENCE, TRIED, endpoint};

/// Members that are told at once: no single one can keep it from the fleet.
const AT_ONCE: usize = 3;

/// Has members expel another.
#[derive(Clone)]
pub struct Expelling {
    /// The way to members.
    pub net: Arc<Net>,
    /// Who we are.
    pub current: Current,
    /// Who was expelled.
    pub revocations: Arc<Revocations>,
    /// Whom we know.
    pub known: Arc<Known>,
}

/// Nobody was expelled.
#[derive(Debug, thiserror::Error)]
pub enum NotExpelled {
    /// No member heard it.
    #[error("none of the members that this coordinator dials answers")]
    Nobody,
    /// No member that heard it can do it.
    #[error("the members that answer are of a version that hears from no coordinator who is expelled")]
    Older,
    /// A member refuses it.
    #[error("a member refuses it: {0}")]
    Refused(String),
    /// Members know it, and the coordinator does not keep it.
    #[error("members expel it, and this coordinator cannot keep that: {0}")]
    Unkept(String),
}

impl Expelling {
    /// Who this coordinator is.
    pub fn me(&self) -> Member {
        self.current.get().member().clone()
    }

    /// Tells members what an operator signed, and keeps it once one of them has it on its disk.
    pub(crate) async fn expel(&self, whom: NodeId, revocation: Vec<u8>) -> Result<(), NotExpelled> {
        let mut result = NotExpelled::Nobody;
        let mut members = self.known.next(TRIED);
        while !members.is_empty() {
            let rest = members.split_off(members.len().min(AT_ONCE));
            match self.tell(&members, whom, &revocation).await {
                Ok(()) => {
                    self.tell_also(rest, whom, revocation.clone());
                    return self.keep(revocation).await;
                }
                Err(NotExpelled::Nobody) => {}
                Err(why) => result = why,
            }
            members = rest;
        }
        Err(result)
    }

    /// Those who answered may be of one mind with whom is expelled, and tell nobody.
    fn tell_also(&self, members: Vec<SocketAddr>, whom: NodeId, revocation: Vec<u8>) {
        let this = self.clone();
        tokio::spawn(async move {
            for members in members.chunks(AT_ONCE) {
                drop(this.tell(members, whom, &revocation).await);
            }
        });
    }

    /// Answered once one of them has it; the others hear it all the same.
    async fn tell(&self, members: &[SocketAddr], whom: NodeId, revocation: &[u8]) -> Result<(), NotExpelled> {
        let mut told = JoinSet::new();
        for member in members {
            let telling = tell(self.net.clone(), *member, whom, revocation.to_vec());
            told.spawn(timeout(PATIENCE, telling));
        }
        let mut result = Err(NotExpelled::Nobody);
        while let Some(said) = told.join_next().await {
            match said {
                Ok(Ok(Ok(()))) => {
                    told.detach_all();
                    return Ok(());
                }
                Ok(Ok(Err(why))) if !matches!(why, NotExpelled::Nobody) => result = Err(why),
                _ => {}
            }
        }
        result
    }

    async fn keep(&self, revocation: Vec<u8>) -> Result<(), NotExpelled> {
        let set = self.revocations.clone();
        let kept = tokio::task::spawn_blocking(move || set.insert([revocation.as_slice()])).await;
        match kept {
            Ok(Ok((_, None))) => Ok(()),
            Ok(Ok((_, Some(why))) | Err(why)) => Err(NotExpelled::Unkept(why.to_string())),
            Err(why) => Err(NotExpelled::Unkept(why.to_string())),
        }
    }
}

/// Tells one member, unless it is the one: it would not pass it on.
async fn tell(
    net: Arc<Net>,
    member: SocketAddr,
    whom: NodeId,
    revocation: Vec<u8>,
) -> Result<(), NotExpelled> {
    let stream = net.dial(member, Expected::default()).await.map_err(|_| NotExpelled::Nobody)?;
    if stream.info().id() == whom {
        return Err(NotExpelled::Nobody);
    }
    let channel = channel(stream, endpoint()).await.map_err(|_| NotExpelled::Nobody)?;
    let said = AnnouncementClient::new(channel).expel(ExpelRequest { revocation }).await;
    said.map(drop).map_err(not_heard)
}

pub(super) fn not_heard(status: Status) -> NotExpelled {
    match status.code() {
        Code::Unimplemented => NotExpelled::Older,
        Code::FailedPrecondition | Code::InvalidArgument | Code::PermissionDenied => {
            NotExpelled::Refused(status.message().to_owned())
        }
        _ => NotExpelled::Nobody,
    }
}
