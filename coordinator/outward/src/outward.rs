//! All ways out together.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use smartfw_core::Health;
use tokio::time::{sleep, timeout};

use crate::{
    NodeEvent,
    notify::{self, Notifier, Target},
    settings::{BadSettings, Settings, SetupError},
    state::State,
    transport::{self, Exporter},
    trouble::Trouble,
};

/// More ways out are a mistake: each has a queue of up to 32 MiB.
const MOST: usize = 64;

/// How often is looked whether everything is out.
const LOOK: Duration = Duration::from_millis(20);

/// Everything that leaves.
#[derive(Default)]
pub struct Outward {
    exporters: Vec<Exporter>,
    notifiers: Vec<Notifier>,
}

impl Outward {
    /// Starts every way out, in a runtime. Nobody is dialled before there is something to say.
    ///
    /// # Errors
    /// When one of them cannot be set up; none is started then.
    pub fn start(settings: &Settings) -> Result<Self, BadSettings> {
        Self::start_with(settings, transport::Patience::USUAL, notify::Patience::USUAL)
    }

    pub(crate) fn start_with(
        settings: &Settings,
        sending: transport::Patience,
        telling: notify::Patience,
    ) -> Result<Self, BadSettings> {
        let Settings { export, webhook, slack, email } = settings;
        check_names(settings)?;
        let mut all = Self::default();
        for one in export {
            let exporter = Exporter::start(one, sending).map_err(named(&one.name))?;
            all.exporters.push(exporter);
        }
        let hooks = webhook.iter().map(|one| (&one.name, &one.rules, one.limits, notify::hook(one, telling)));
        let slacks = slack.iter().map(|one| (&one.name, &one.rules, one.limits, notify::slack(one, telling)));
        let mails = email.iter().map(|one| (&one.name, &one.rules, one.limits, notify::mail(one, telling)));
        for (name, rules, limits, target) in hooks.chain(slacks).chain(mails) {
            let start = |target: Target| Notifier::start(name, rules, limits, target, telling);
            all.notifiers.push(target.and_then(start).map_err(named(name))?);
        }
        Ok(all)
    }

    /// Takes an event; never waits.
    pub fn tell(&self, told: &Arc<NodeEvent>) {
        self.exporters.iter().for_each(|one| one.tell(told));
        self.notifiers.iter().for_each(|one| one.tell(told));
    }

    /// How each way out is, in the order of the configuration.
    pub fn states(&self) -> Vec<State> {
        let exporters = self.exporters.iter().map(Exporter::state);
        exporters.chain(self.notifiers.iter().map(Notifier::state)).collect()
    }

    /// What is wrong with any of them, and what to do.
    pub fn health(&self) -> Vec<Health> {
        self.states().iter().flat_map(State::health).collect()
    }

    /// Waits until everything is out, for so long at most; what is not is lost. Sums that are not due are not told.
    pub async fn finish(self, within: Duration) {
        let out = async {
            while self.states().iter().any(|state| state.waiting > 0) {
                sleep(LOOK).await;
            }
        };
        if timeout(within, out).await.is_err() {
            let lost: usize = self.states().iter().map(|state| state.waiting).sum();
            tracing::warn!(lost, "some of what should go out was not taken before the end");
        }
    }

    /// Sends a test by the notifier of this name, and gives what the other side says; `None` where there is none.
    pub async fn test(&self, name: &str) -> Option<Result<String, Trouble>> {
        let notifier = self.notifiers.iter().find(|one| one.name() == name)?;
        Some(notifier.test().await)
    }
}

fn named(name: &str) -> impl FnOnce(SetupError) -> BadSettings {
    let name = name.to_owned();
    |why| BadSettings { name, why }
}

fn check_names(settings: &Settings) -> Result<(), BadSettings> {
    let Settings { export, webhook, slack, email } = settings;
    let names = export.iter().map(|one| &one.name).chain(webhook.iter().map(|one| &one.name));
    let names: Vec<&String> =
        names.chain(slack.iter().map(|one| &one.name)).chain(email.iter().map(|one| &one.name)).collect();
    if names.len() > MOST {
        return Err(named("all together")(SetupError::TooMany(MOST)));
    }
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| name.is_empty() || name.chars().count() > 64 || !seen.insert(**name)) {
        Some(name) => Err(named(name)(SetupError::Name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
