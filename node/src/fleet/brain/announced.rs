//! A coordinator that announces itself here.

use std::net::SocketAddr;

use smartfw_core::{
    fleet::NodeId,
    gossip::{Audience, Now},
    members::{Member, MemberState},
};
use smartfw_proto::{convert::FleetMember, limits};
use tokio::sync::oneshot;

use super::{super::Announced, Brain};

impl Brain {
    /// Says where a coordinator is, where the fleet does not know it yet, and answers who is in the fleet.
    pub(super) fn announced(
        &mut self,
        now: Now,
        id: NodeId,
        address: SocketAddr,
        reply: oneshot::Sender<Announced>,
    ) {
        let said = match self.coordinators.announced(now.steady, id, address) {
            Ok(None) => Ok(()),
            Ok(Some(entry)) => match self.say(now, Audience::Cluster, entry) {
                None => Ok(()),
                Some(_) => {
                    self.coordinators.unsaid(&id);
                    Err("this node has no room to say it: is its disk full?".to_owned())
                }
            },
            Err(wait) => Err(format!("it has just moved: say it again in {} s", wait.as_secs() + 1)),
        };
        drop(reply.send(said.map(|()| self.announce_members())));
    }

    fn announce_members(&self) -> Vec<FleetMember> {
        let all = std::iter::once(self.members.me()).chain(self.members.members());
        all.take(limits::ANNOUNCED).map(|member| self.announce_member(&member)).collect()
    }

    fn announce_member(&self, Member { id, card, state, .. }: &Member) -> FleetMember {
        let certified = self.members.known_keys().member(id).map(|certified| &certified.name);
        let (name, site) = certified.map_or_else(
            || (card.name.clone(), card.site.clone()),
            |name| (name.name.to_string(), name.site.to_string()),
        );
        FleetMember { id: *id, name, site, address: card.address.to_string(), state: word(*state).to_owned() }
    }
}

const fn word(state: MemberState) -> &'static str {
    match state {
        MemberState::Alive => "alive",
        MemberState::Suspect => "suspect",
        MemberState::Dead => "dead",
        MemberState::Left => "left",
    }
}
