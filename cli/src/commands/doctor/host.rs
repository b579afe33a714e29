//! Is the host's clock right? Blocks end by it.

use std::{fs, path::Path};

use super::Check;
use crate::duration::{date, now};

/// Earlier than this program can have been built: 1 January 2026.
const BUILT: u64 = 1_767_225_600;
/// Programs that set the clock.
const SETTERS: [&str; 6] = ["systemd-timesyn", "chronyd", "ntpd", "ntpsec", "openntpd", "ptp4l"];

pub(super) fn checks() -> Vec<Check> {
    vec![clock(now().as_secs(), is_set())]
}

pub(super) fn clock(seconds: u64, set: bool) -> Check {
    const NAME: &str = "clock";
    let shown = date(smartfw_core::Time::from_secs(seconds));
    if seconds < BUILT {
        return Check::fail(
            NAME,
            format!("it says {shown} UTC, and that is over"),
            "set it: timedatectl set-ntp true",
        );
    }
    if set {
        return Check::ok(NAME, format!("{shown} UTC, kept right by a time service"));
    }
    Check::warn(NAME, format!("{shown} UTC, and no time service is running"), "timedatectl set-ntp true")
}

/// Whether a program that sets the clock runs, or the host has one that did.
fn is_set() -> bool {
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return true;
    }
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    let names =
        processes.flatten().filter_map(|process| fs::read_to_string(process.path().join("comm")).ok());
    names.into_iter().any(|name| SETTERS.contains(&name.trim()))
}
