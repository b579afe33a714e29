//! Is the daemon alive, does it see everything, and what does it say of itself?

use std::{path::Path, time::Duration};

use smartfw_core::{HealthLevel, order::EnforcementState};
use smartfw_proto::view::NodeStatus;

use super::Check;
use crate::{
    args::Global,
    client::{self, Daemon},
    commands::status,
    duration::human,
};

/// The detector writes its heartbeat each second; after so many it is stuck.
const STUCK: Duration = Duration::from_secs(30);
/// Lost packets of ten thousand that are worth a word, and those that make detection blind.
const LOSS: (u64, u64) = (10, 1000);

pub(super) fn checks(global: &Global) -> Vec<Check> {
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        status::ask(&mut daemon).await
    });
    match answer {
        Ok(status) => alive(&status, &global.state_dir),
        Err(failure) => {
            let why = failure.line().unwrap_or_default();
            vec![Check::fail("daemon", why, "systemctl start smartfw-node; journalctl -u smartfw-node")]
        }
    }
}

fn alive(status: &NodeStatus, state_dir: &Path) -> Vec<Check> {
    let up = human(status.uptime);
    let mut checks =
        vec![Check::ok("daemon", format!("{} {} answers, up {up}", status.node, status.version))];
    checks.push(match status.enforcement {
        EnforcementState::On => Check::ok("enforcement", format!("on, by {}", status.enforcer)),
        state => Check::warn("enforcement", format!("{state}: nothing is dropped"), "smartfw-cli enable"),
    });
    checks.push(heartbeat(state_dir, status.uptime));
    checks.push(loss(status.packets, status.lost));
    checks.push(models(&status.models));
    for entry in &status.health {
        checks.push(match entry.level {
            HealthLevel::Info => Check::ok("health", entry.what.clone()),
            HealthLevel::Warn => Check::warn("health", entry.what.clone(), entry.remedy.clone()),
            HealthLevel::Error => Check::fail("health", entry.what.clone(), entry.remedy.clone()),
        });
    }
    checks
}

/// A model that should judge and does not is among the health entries.
fn models(models: &[String]) -> Check {
    let judges = if models.is_empty() { "none: only rules judge".to_owned() } else { models.join(", ") };
    Check::ok("model", judges)
}

pub(super) fn heartbeat(state_dir: &Path, uptime: Duration) -> Check {
    const NAME: &str = "heartbeat";
    let path = state_dir.join("heartbeat");
    let modified = path.metadata().and_then(|metadata| metadata.modified());
    let age = modified.map(|at| at.elapsed().unwrap_or_default());
    let remedy = "journalctl -u smartfw-node; systemctl restart smartfw-node";
    match age {
        Ok(age) if age <= STUCK => Check::ok(NAME, format!("the detector made progress {} ago", human(age))),
        Ok(age) => Check::fail(NAME, format!("the detector has made no progress for {}", human(age)), remedy),
        Err(_) if uptime < STUCK => Check::ok(NAME, "the daemon has only just started"),
        Err(error) => {
            let what = format!("cannot read {}: {error}", path.display());
            Check::warn(NAME, what, "run this as root, with the daemon's --state-dir")
        }
    }
}

pub(super) fn loss(packets: u64, lost: u64) -> Check {
    const NAME: &str = "capture";
    let all = packets.saturating_add(lost);
    let share = if all == 0 { 0 } else { (u128::from(lost) * 10_000 / u128::from(all)) as u64 };
    let what = format!("{lost} of {all} packets lost");
    let remedy =
        "watch fewer interfaces (`interfaces` in the configuration), or give the host more processor time";
    match share {
        share if share >= LOSS.1 => Check::fail(NAME, what, remedy),
        share if share >= LOSS.0 => Check::warn(NAME, what, remedy),
        _ if all == 0 => {
            Check::warn(NAME, "no packet was seen yet", "look at the interfaces in `smartfw-cli status`")
        }
        _ => Check::ok(NAME, what),
    }
}
