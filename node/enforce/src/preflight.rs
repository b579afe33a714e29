//! Whether this host and this process can enforce at all.

use std::fs;

use crate::{EnforceError, Iptables, Options};

const STATUS: &str = "/proc/thread-self/status";
/// CAP_NET_ADMIN's bit.
const NET_ADMIN: u32 = 12;

/// Checks everything that enforcement with iptables needs, and changes nothing.
///
/// # Errors
/// The first thing that is missing, with what to do about it: the capability, a program, the kernel's part.
pub fn preflight() -> Result<(), EnforceError> {
    let status = fs::read_to_string(STATUS).map_err(EnforceError::file(STATUS))?;
    if !has_net_admin(&status) {
        return Err(EnforceError::Capability { what: "changing the firewall".into() });
    }
    Iptables::open(Options::default()).map(drop)
}

fn has_net_admin(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> NET_ADMIN & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_capability_is_read_from_the_effective_set() {
        assert!(has_net_admin("Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t0000000000001000\n"));
        assert!(!has_net_admin("CapPrm:\t000001ffffffffff\nCapEff:\t0000000000000000\n"));
        assert!(!has_net_admin("CapEff:\tgarbage\n") && !has_net_admin(""));
    }
}
