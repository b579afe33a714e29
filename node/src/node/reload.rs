//! Reading the configuration again, without losing state.

use std::sync::{Arc, Mutex, PoisonError};

use smartfw_config::{NodeConfig, Sources, changed_keys, load};
use smartfw_core::config::SensorConfig;
use smartfw_proto::view::Reloaded;

use super::parts::Links;
use crate::{control::Reload, inbox::Input, logs::Limits, store::most_rows};

/// Keys beginning so are taken over while the node runs; all others need a restart.
const AT_ONCE: [&str; 4] = ["enforcement.", "detection.rules.", "limits.", "logs."];

/// Keys among those that need a restart all the same: threads and tables are made once.
const AT_RESTART: [&str; 8] = [
    "enforcement.enforcer",
    "enforcement.destroy_connections",
    "logs.format",
    "limits.sources",
    "limits.proven",
    "limits.connections",
    "limits.services",
    "limits.verdicts",
];

/// What `reload` and SIGHUP do.
pub(super) fn reloader(
    config: &NodeConfig,
    sources: &Sources,
    links: &Links,
    sensor: &Arc<Mutex<SensorConfig>>,
) -> Reload {
    let (sources, sensor, running) = (sources.clone(), sensor.clone(), Mutex::new(config.clone()));
    let backlog = links.backlog.clone();
    let (inbox, feed, logs) = (links.inbox.clone(), links.feed.clone(), links.logs.clone());
    Arc::new(move || {
        let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = load(&sources).map_err(|error| error.to_string())?;
        if new.policy.node.is_empty() {
            new.policy.node.clone_from(&running.policy.node);
        }
        let (applied, restart) = changed_keys(&running, &new).into_iter().partition(|key| at_once(key));
        // The name is part of what was already said.
        new.policy.node.clone_from(&running.policy.node);
        backlog.set_most(most_rows(&new.policy.limits));
        inbox.send(Input::Config(new.policy.clone()));
        (*sensor.lock().unwrap_or_else(PoisonError::into_inner)).clone_from(&new.sensor);
        feed.config(new.sensor.clone());
        logs.set_limits(Limits { max_size: new.logs.max_size, keep: new.logs.keep });
        running.policy = new.policy;
        running.sensor = new.sensor;
        running.logs = new.logs;
        Ok(Reloaded { applied, restart })
    })
}

fn at_once(key: &str) -> bool {
    AT_ONCE.iter().any(|prefix| key.starts_with(prefix)) && !AT_RESTART.contains(&key)
}
