//! Values that are right alone and wrong together.

use crate::{ConfigError, EnforcerKind, NodeConfig, Place, layers::Layers};

/// Refuses what contradicts itself.
pub(crate) fn consistent(config: &NodeConfig, layers: &Layers) -> Result<(), ConfigError> {
    let limits = &config.policy.limits;
    let checks = [
        (
            limits.automatic_blocks <= limits.blocks,
            "limits.automatic_blocks",
            "must not be more than `limits.blocks`",
        ),
        (
            config.enforcer != EnforcerKind::Nftables,
            "enforcement.enforcer",
            "cannot be \"nftables\" yet: choose \"iptables\" or \"dry-run\"",
        ),
        (
            config.enforcer != EnforcerKind::Xdp,
            "enforcement.enforcer",
            "cannot be \"xdp\" yet: choose \"iptables\" or \"dry-run\"",
        ),
        (
            config.mirror.url.is_empty() || config.mirror.account.is_some() != config.mirror.secret.is_some(),
            "mirror.url",
            "needs `mirror.account` or `mirror.secret`, and not both",
        ),
        (
            config.mirror.follow.is_empty() || !config.mirror.url.is_empty(),
            "mirror.follow",
            "needs `mirror.url`",
        ),
        (
            config.mirror.cluster.is_empty() || !config.mirror.url.is_empty(),
            "mirror.cluster",
            "needs `mirror.url`",
        ),
        (config.state_dir != config.log_dir, "log_dir", "must not be the same folder as `state_dir`"),
    ];
    for (feed, number) in config.feeds.iter().zip(1..) {
        let twice = config.feeds.iter().filter(|other| other.name == feed.name).count() > 1;
        let checks = [
            (!feed.name.is_empty(), "name", "must be given"),
            (!feed.url.is_empty(), "url", "must be given"),
            (!twice, "name", "is the name of two feeds"),
        ];
        if let Some((_, key, what)) = checks.into_iter().find(|(holds, _, _)| !holds) {
            let key = format!("feed.{number}.{key}");
            let place = layers.get(&key).or_else(|| layers.get("feed"));
            let place = place.map_or(Place::Default, |(_, place)| place.clone());
            return Err(ConfigError::Conflict { place, key, what: what.to_owned() });
        }
    }
    match checks.into_iter().find(|(holds, _, _)| !holds) {
        None => Ok(()),
        Some((_, key, what)) => {
            let place = layers.get(key).map_or(Place::Default, |(_, place)| place.clone());
            Err(ConfigError::Conflict { place, key: key.to_owned(), what: what.to_owned() })
        }
    }
}
