//! This node's part in a fleet: streams and datagrams to the other members, and what of it reaches the driver.
//!
//! ```text
//! tls::Net -> Peer service / dialler -> links -> verify -> inbox -> driver thread: Brain (Gossip, Members, Sums) + Agent
//!                                       links <- outboxes (bounded) <- Send                  |
//!                                                                   disk <- Persist <--------+
//! ```
//! A node without `<state>/identity` has none of this: no thread, no socket, no cost.

mod brain;
mod control;
mod handle;
mod place;

pub use handle::{FleetBlockView, FleetHandle, FleetRefused, FleetStatus, MemberView};
pub use place::{FOLDER, Reach, ReachError, is_identity};
