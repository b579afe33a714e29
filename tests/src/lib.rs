//! A laboratory in network namespaces: one protected host with real services, clients that must come to no harm, and
//! attackers with the tools that attackers use. Nothing here touches the machine's own interfaces or firewall.
//!
//! ```text
//! clients 198.51.100.0/24, 2001:db8:2::/64 ──┐
//!                                          router ── server 192.0.2.2, 2001:db8:1::2
//! attackers 203.0.113.0/24, 2001:db8:3::/64 ─┘
//! ```

pub mod app;
pub mod attack;
pub mod benign;
pub mod capture;
pub mod coordinator;
pub mod crew;
pub mod daemon;
pub mod database;
pub mod disk;
pub mod fleet;
pub mod hosts;
pub mod kernel;
pub mod load;
pub mod namespace;
pub mod net;
pub mod peers;
pub mod persona;
pub mod process;
pub mod proxy;
pub mod scene;
pub mod simulation;
pub mod site;
pub mod trial;
pub mod ward;
pub mod web;
pub mod windows;
