//! What the system tells the program.

use anyhow::Context as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::settings::{Retention, Settings, Sources};

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

    /// Waits until the program shall end, reading the configuration again as often as it is told to.
    pub(super) async fn wait(
        self,
        mut settings: Settings,
        sources: &Sources,
        retention: &watch::Sender<Retention>,
    ) {
        let Self { mut terminate, mut interrupt, mut hangup } = self;
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = hangup.recv() => settings = reload(settings, sources, retention),
            }
        }
    }
}

/// The settings in use from now on.
fn reload(before: Settings, sources: &Sources, retention: &watch::Sender<Retention>) -> Settings {
    match Settings::load(sources) {
        Ok(after) => {
            let (applied, restart) = before.changes(&after);
            retention.send_replace(after.retention);
            tracing::info!(?applied, ?restart, "configuration read again");
            Settings { retention: after.retention, ..before }
        }
        Err(why) => {
            tracing::error!(%why, "the configuration is wrong; the old one stays in use");
            before
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_can_change_while_running_does_and_a_mistake_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("coordinator.toml");
        let sources = Sources { file: Some(file.clone()), ..Sources::default() };
        let (retention, told) = watch::channel(Settings::default().retention);
        std::fs::write(&file, "listen = \"192.0.2.1:1\"\nretention.age = \"2h\"").unwrap();
        let settings = reload(Settings::default(), &sources, &retention);
        assert_eq!(told.borrow().age, Duration::from_secs(7200));
        assert_eq!(settings.listen, Settings::default().listen, "that needs a restart");
        std::fs::write(&file, "retention.age = \"2\"").unwrap();
        assert_eq!(reload(settings.clone(), &sources, &retention), settings);
        assert_eq!(told.borrow().age, Duration::from_secs(7200));
    }
}
