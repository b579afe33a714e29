//! Servers that this host cannot live without, out of the files of those who use them.
//!
//! Only addresses written as such are taken: a name would have to be asked for, and whoever answers would choose who is
//! protected.

pub(crate) mod dhcp;
pub(crate) mod resolvers;
pub(crate) mod time;
