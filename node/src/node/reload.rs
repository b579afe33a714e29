//! Reading the configuration again, without losing state.

use std::sync::{Arc, Mutex, PoisonError};

use smartfw_config::{NodeConfig, Sources, changed_keys, load};
use smartfw_core::config::SensorConfig;
use smartfw_proto::view::Reloaded;

use super::parts::{self, Links};
use crate::{
    control::Reload,
    feeds::{self, Feeds},
    inbox::Input,
    logs::Limits,
    store::most_rows,
};

/// Keys beginning so are taken over while the node runs; all others need a restart.
const AT_ONCE: [&str; 7] =
    ["enforcement.", "detection.rules.", "detection.models.", "models.", "limits.", "logs.", "feed"];

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
    (sensor, feeds): (&Arc<Mutex<SensorConfig>>, &Feeds),
) -> Reload {
    let feeds = feeds.clone();
    let (sources, sensor, started) = (sources.clone(), sensor.clone(), config.clone());
    let running = Mutex::new(config.clone());
    let (backlog, models) = (links.backlog.clone(), links.models.clone());
    let (inbox, feed, logs) = (links.inbox.clone(), links.feed.clone(), links.logs.clone());
    Arc::new(move || {
        let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = load(&sources).map_err(|error| error.to_string())?;
        if new.policy.node.is_empty() {
            new.policy.node.clone_from(&started.policy.node);
        }
        let followed = feeds::configured(&new)?;
        let reloaded = compared(&started, &running, &new);
        // The name is part of what was already said.
        new.policy.node.clone_from(&started.policy.node);
        backlog.set_most(most_rows(&new.policy.limits));
        inbox.send(Input::Config(new.policy.clone()));
        (*sensor.lock().unwrap_or_else(PoisonError::into_inner)).clone_from(&new.sensor);
        feed.config(new.sensor.clone());
        models.believe(parts::trusted(&new));
        logs.set_limits(Limits { max_size: new.logs.max_size, keep: new.logs.keep });
        feeds.configured(followed);
        *running = new;
        Ok(reloaded)
    })
}

/// What is taken over now, and what is not since the start, however often it was read meanwhile.
fn compared(started: &NodeConfig, running: &NodeConfig, new: &NodeConfig) -> Reloaded {
    let applied = changed_keys(running, new).into_iter().filter(|key| at_once(key)).collect();
    let restart = changed_keys(started, new).into_iter().filter(|key| !at_once(key)).collect();
    Reloaded { applied, restart }
}

fn at_once(key: &str) -> bool {
    AT_ONCE.iter().any(|prefix| key.starts_with(prefix)) && !AT_RESTART.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_restart_is_named_until_there_was_one() {
        let (started, mut new) = (NodeConfig::default(), NodeConfig::default());
        new.sensor.limits.sources += 1;
        new.logs.keep += 1;
        new.trusted_keys.push([1; 32]);
        let first = compared(&started, &started, &new);
        assert_eq!(
            (first.applied, first.restart),
            (vec!["logs.keep".into(), "models.trusted_keys".into()], vec!["limits.sources".to_owned()])
        );
        let second = compared(&started, &new, &new);
        assert_eq!((second.applied.len(), second.restart), (0, vec!["limits.sources".to_owned()]));
        assert_eq!(compared(&started, &new, &started).restart.len(), 0);
    }
}
