//! What this host is, and who must never be locked out of it.

pub mod net;
#[cfg(test)]
mod testing;
