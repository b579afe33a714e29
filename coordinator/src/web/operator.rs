//! The operator's certificate with which orders are signed. Nobody renews it behind people's backs: they are told long before
//! it ends.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use smartfw_core::Time;
use smartfw_identity::{FileError, Identity, IdentityError, Member};
use smartfw_proto::json::rfc3339;
use tokio::time::interval;

use crate::{
    clock,
    health::{Health, Level, Matter},
};

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(600);
/// How long before its end it is told, as `smartfw-cli` tells it.
const SOON: Duration = Duration::from_secs(7 * 86_400);

/// Looks at the certificate in a folder, for ever.
pub(super) async fn watch(folder: PathBuf, health: Arc<Health>) {
    let mut turn = interval(LOOK);
    loop {
        turn.tick().await;
        let (folder, health) = (folder.clone(), health.clone());
        let _ = tokio::task::spawn_blocking(move || look(&folder, &health, clock::now())).await;
    }
}

/// A coordinator that gives no orders needs none: each order says so.
fn look(folder: &Path, health: &Health, now: Time) {
    match Identity::load(folder, None) {
        Ok(operator) => tell(operator.member(), folder, health, now),
        Err(IdentityError::File(FileError::Missing(_))) => health.clear(Matter::Operator),
        Err(why) => {
            let what = format!("no order is given: the operator's certificate cannot be used: {why}");
            let remedy = format!("mend or remove {}", folder.display());
            health.set(Matter::Operator, Level::Warn, what, remedy);
        }
    }
}

fn tell(operator: &Member, folder: &Path, health: &Health, now: Time) {
    let (name, until) = (&operator.name.name, operator.not_after);
    let (level, what) = if now > until {
        (Level::Error, "no order is given: the operator's certificate ended at")
    } else if until.since(now) < SOON {
        (Level::Warn, "the operator's certificate, with which orders are signed, ends at")
    } else {
        return health.clear(Matter::Operator);
    };
    let remedy = format!(
        "`smartfw-cli cluster token --role operator --replace {name}` on a signer, then on this host as the coordinator's \
         user `SMARTFW_OPERATOR_DIR={} smartfw-cli cluster join ADDR:PORT --token T --operator {name} --no-passphrase`",
        folder.parent().unwrap_or(folder).display()
    );
    health.set(Matter::Operator, level, format!("{what} {}", rfc3339(until)), remedy);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Cluster;

    #[test]
    fn that_the_operators_certificate_ends_is_told_a_week_before_and_when_it_is_over() {
        let (cluster, place) = (Cluster::found("prod"), tempfile::tempdir().unwrap());
        let (operator, folder, health) =
            (&cluster.founded.operator, place.path().join("prod"), Health::default());
        let end = operator.member().not_after;
        let told = |before: i64| {
            let now = end.as_nanos().wrapping_add_signed(-before * 1_000_000_000);
            look(&folder, &health, Time::from_nanos(now));
            health.list().first().map(|entry| entry.level)
        };
        assert_eq!(told(-1), None, "there is none");
        operator.save(&folder, None).unwrap();
        let week = 7 * 86_400;
        for (before, level) in [
            (week + 1, None),
            (week - 1, Some(Level::Warn)),
            (0, Some(Level::Warn)),
            (-1, Some(Level::Error)),
        ] {
            assert_eq!(told(before), level, "{before}");
        }
        let entry = health.list().remove(0);
        assert!(entry.what.contains(&rfc3339(end)), "{}", entry.what);
        let place = format!("SMARTFW_OPERATOR_DIR={} ", place.path().display());
        assert!(
            entry.remedy.contains(&place) && entry.remedy.contains("--replace operator`"),
            "{}",
            entry.remedy
        );
        std::fs::write(folder.join("chain.pem"), "nonsense").unwrap();
        assert_eq!(told(week + 1), Some(Level::Warn), "it cannot be used");
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(told(-1), None, "somebody has taken it away");
    }
}
