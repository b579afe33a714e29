//! Who is there, for those who ask often: no block is looked at.

use std::net::SocketAddr;

use smartfw_core::{
    fleet::NodeId,
    members::{Member, MemberState},
};

use super::Brain;

/// A member, in few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its key.
    pub id: NodeId,
    /// Its name: as its certificate says; until that is known, as it says itself.
    pub name: String,
    /// Where it is reached.
    pub address: SocketAddr,
    /// How it is.
    pub state: MemberState,
}

impl Brain {
    /// Every member, ourselves first.
    pub fn named(&self) -> Vec<Named> {
        std::iter::once(self.members.me())
            .chain(self.members.members())
            .map(|member| self.name(&member))
            .collect()
    }

    fn name(&self, Member { id, card, state, .. }: &Member) -> Named {
        let certified = self.members.known_keys().member(id);
        let name = certified.map_or_else(|| card.name.clone(), |certified| certified.name.name.to_string());
        Named { id: *id, name, address: card.address, state: *state }
    }
}
