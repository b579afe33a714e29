//! Messages for people: what is worth one, how many, in which words, and to whom.

mod digest;
mod email;
mod hook;
mod message;
mod summary;
mod template;
mod worker;

use std::time::Duration;

use smartfw_core::EventKind;

use crate::{
    backoff::Waits,
    event::{Facts, NodeEvent},
    settings::{Email, Rules, SetupError, Slack, Webhook},
};

pub use template::BadTemplate;
pub use worker::Notifier;

pub(crate) use worker::Target;

use email::Mail;
use hook::Hook;
use template::Template;

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For a message to be taken, all in all.
    pub(crate) answer: Duration,
    /// Between attempts.
    pub(crate) waits: Waits,
}

impl Patience {
    /// Whoever is told to wait for longer than five minutes asks after five minutes.
    pub(crate) const USUAL: Self = Self {
        answer: Duration::from_secs(20),
        waits: Waits { first: Duration::from_secs(1), longest: Duration::from_secs(300) },
    };
}

pub(crate) fn hook(settings: &Webhook, patience: Patience) -> Result<Target, SetupError> {
    Hook::webhook(settings, patience).map(Target::Hook)
}

pub(crate) fn slack(settings: &Slack, patience: Patience) -> Result<Target, SetupError> {
    Hook::slack(settings, patience).map(Target::Hook)
}

pub(crate) fn mail(settings: &Email, patience: Patience) -> Result<Target, SetupError> {
    Mail::new(settings, patience).map(Target::Mail)
}

impl Rules {
    /// Whether the event is worth a message.
    pub fn want(&self, event: &NodeEvent) -> bool {
        let Self { kinds, classes, min_confidence, nodes, actions } = self;
        let facts = Facts::of(event);
        let action = facts.text("action").and_then(|action| action.parse().ok());
        let on_node = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => event.node.starts_with(beginning),
            None => event.node == *pattern,
        };
        kinds.means(&facts.kind)
            && (facts.kind == EventKind::Health
                || facts.class.map_or(classes.0.is_empty(), |class| classes.means(&class)))
            && facts.confidence().is_none_or(|confidence| confidence >= *min_confidence)
            && (nodes.is_empty() || nodes.iter().any(on_node))
            && action.is_none_or(|action| actions.means(&action))
    }

    pub(crate) fn check(&self) -> Result<(), SetupError> {
        if (0.0..=1.0).contains(&self.min_confidence) { Ok(()) } else { Err(SetupError::Confidence) }
    }
}

/// The words of both kinds of messages.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    single: Template,
    digest: Template,
}

impl Words {
    /// These, or the usual ones; `key` is where the first is from.
    pub(crate) fn new(
        key: &'static str,
        single: Option<&str>,
        digest: Option<&str>,
        usual: (&str, &str),
    ) -> Result<Self, SetupError> {
        let bad = |key| move |why| SetupError::Template { key, why };
        Ok(Self {
            single: Template::parse(single.unwrap_or(usual.0), message::SINGLE).map_err(bad(key))?,
            digest: Template::parse(digest.unwrap_or(usual.1), message::DIGEST).map_err(bad("digest"))?,
        })
    }

    /// The text of a message, with each field escaped for where it goes.
    pub(crate) fn say(&self, message: &message::Message, escape: impl Fn(&str) -> String) -> String {
        let fields = message.fields();
        let template = match message {
            message::Message::Single { .. } => &self.single,
            message::Message::Digest(_) => &self.digest,
        };
        template.render(|field| escape(&message::as_text(&fields, field)))
    }
}

#[cfg(test)]
mod tests;
