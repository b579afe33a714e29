//! SYN cookies: what keeps a service reachable under a flood of forged sources, where blocking helps nobody.

use std::fs;

use crate::EnforceError;

/// Of the calling thread's network namespace.
const PATH: &str = "/proc/sys/net/ipv4/tcp_syncookies";

/// Whether the kernel answers with SYN cookies when a queue is full (it covers IPv6 too).
///
/// # Errors
/// When the setting cannot be read.
pub fn enabled() -> Result<bool, EnforceError> {
    let text = fs::read_to_string(PATH).map_err(EnforceError::file(PATH))?;
    Ok(text.trim() != "0")
}

/// Switches SYN cookies on; false when they were on already.
///
/// # Errors
/// When the setting cannot be changed (not root, or a read-only `/proc/sys` in a container).
pub fn enable() -> Result<bool, EnforceError> {
    if enabled()? {
        return Ok(false);
    }
    fs::write(PATH, "1\n").map_err(EnforceError::file(PATH))?;
    Ok(true)
}
