//! What the system and the service manager tell the daemon.

use std::sync::mpsc::Receiver;

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{SignalKind, signal};

use crate::{control::Reload, notify::Notifier};

/// Waits until the daemon shall end, reading the configuration again as often as it is told to.
pub(super) async fn wait(
    reload: &Reload,
    notifier: &Notifier,
    failures: Receiver<String>,
) -> anyhow::Result<()> {
    let failure = tokio::task::spawn_blocking(move || failures.recv());
    tokio::pin!(failure);
    let [mut terminate, mut interrupt, mut hangup] =
        [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()]
            .map(|kind| signal(kind).context("cannot listen for signals"));
    let (terminate, interrupt, hangup) = (terminate.as_mut(), interrupt.as_mut(), hangup.as_mut());
    let (Ok(terminate), Ok(interrupt), Ok(hangup)) = (terminate, interrupt, hangup) else {
        return Err(anyhow!("cannot listen for signals"));
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => reload_once(reload, notifier),
            why = &mut failure => {
                let why = why.ok().and_then(Result::ok).unwrap_or_else(|| "every thread ended".to_owned());
                return Err(anyhow!("it has to begin anew: {why}; what is blocked stays blocked"));
            }
        }
    }
}

fn reload_once(reload: &Reload, notifier: &Notifier) {
    notifier.reloading();
    match reload() {
        Ok(reloaded) => {
            tracing::info!(applied = ?reloaded.applied, restart = ?reloaded.restart, "configuration read again");
            notifier.ready("guards");
        }
        Err(why) => {
            tracing::error!(why, "the configuration is wrong; the old one stays in use");
            notifier.ready("guards; the changed configuration is wrong and was not applied");
        }
    }
}
