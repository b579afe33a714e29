//! What the system and the service manager tell the daemon.

use std::sync::mpsc::Receiver;

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{control::Reload, notify::Notifier};

/// The signals that are listened for. What comes before [`Signals::wait`] waits for it.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on. Needs a runtime.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits until the daemon shall end, reading the configuration again as often as it is told to.
    pub(super) async fn wait(
        self,
        reload: &Reload,
        notifier: &Notifier,
        failures: Receiver<String>,
    ) -> anyhow::Result<()> {
        let Self { mut terminate, mut interrupt, mut hangup } = self;
        let failure = tokio::task::spawn_blocking(move || failures.recv());
        tokio::pin!(failure);
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
