//! What goes where: the tables `export`, `webhook`, `slack` and `email`.

mod address;
mod secret;
mod value;

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;
use smartfw_core::{Action, Class, EventKind};
use thiserror::Error;

use crate::{
    format::{Facility, Format},
    notify::BadTemplate,
    tls::BadTls,
};

pub use address::{BadPlace, HostPort, Place};
pub use secret::{BadSecret, Discreet, Secret};
pub use value::{Bounded, Named, Span};

/// Everything that leaves, in all.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Every event, for programs.
    pub export: Vec<Export>,
    /// Messages as JSON.
    pub webhook: Vec<Webhook>,
    /// Messages for Slack, and whoever takes the same.
    pub slack: Vec<Slack>,
    /// Messages by mail.
    pub email: Vec<Email>,
}

/// A stream of events for a SIEM or another program.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// What health calls it.
    pub name: String,
    /// Where to.
    pub to: Place,
    /// How.
    #[serde(default)]
    pub format: Format,
    /// Which events.
    #[serde(default = "Named::all")]
    pub kinds: Named<EventKind>,
    /// The syslog facility.
    #[serde(default)]
    pub facility: Facility,
    /// The authority that the receiver's certificate must be from; without it the system's.
    pub ca_file: Option<PathBuf>,
    /// The name in the receiver's certificate, where it is not the host.
    pub server_name: Option<String>,
    /// How many events may wait.
    #[serde(default)]
    pub queue: Bounded<10_000, 100, 1_000_000>,
    /// How large a file may grow, in bytes.
    #[serde(default)]
    pub max_size: Bounded<67_108_864, 65_536, 1_099_511_627_776>,
    /// How many old files are kept.
    #[serde(default)]
    pub keep: Bounded<4, 0, 1000>,
}

/// Which events are worth a message. Empty lists mean all.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Alerts only, unless told otherwise.
    pub kinds: Named<EventKind>,
    /// Of these classes.
    pub classes: Named<Class>,
    /// With at least this confidence, where the event has one.
    pub min_confidence: f64,
    /// On these nodes; `web-*` means all whose names begin so.
    pub nodes: Vec<String>,
    /// With one of these actions, where the event has one.
    pub actions: Named<Action>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            kinds: Named(vec![EventKind::Alert]),
            classes: Named(Vec::new()),
            min_confidence: 0.0,
            nodes: Vec::new(),
            actions: Named(Vec::new()),
        }
    }
}

/// How many messages a person gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The same source and class is not told again for so long, only counted.
    pub repeat: Span<600>,
    /// So many single messages …
    pub messages: Bounded<10, 0, 1000>,
    /// … in this time; the rest is summed up.
    pub per: Span<600>,
    /// How long sums are gathered before they are told.
    pub digest: Span<600>,
}

/// A JSON object to an address over HTTPS.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// What health calls it.
    pub name: String,
    /// Where to.
    pub url: Discreet,
    /// Signs each request: `X-SmartFW-Signature`.
    pub secret: Option<Secret>,
    /// More headers.
    #[serde(default)]
    pub headers: BTreeMap<String, Discreet>,
    /// The body of a single message; without it all fields as an object.
    pub text: Option<String>,
    /// The body of a digest; without it all fields as an object.
    pub digest: Option<String>,
    /// The authority that the receiver's certificate must be from; without it the system's.
    pub ca_file: Option<PathBuf>,
    /// Which events.
    #[serde(default)]
    pub rules: Rules,
    /// How many messages.
    #[serde(default)]
    pub limits: Limits,
}

/// Slack's incoming webhook, or one of the same shape.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slack {
    /// What health calls it.
    pub name: String,
    /// Where to: whoever has it can write there, so it is best kept in a file.
    pub url: Discreet,
    /// The text of a single message.
    pub text: Option<String>,
    /// The text of a digest.
    pub digest: Option<String>,
    /// The authority that the receiver's certificate must be from; without it the system's.
    pub ca_file: Option<PathBuf>,
    /// Which events.
    #[serde(default)]
    pub rules: Rules,
    /// How many messages.
    #[serde(default)]
    pub limits: Limits,
}

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// In the open at first, then TLS or nothing (RFC 3207); usually port 587.
    #[default]
    Starttls,
    /// TLS from the first byte (RFC 8314); usually port 465.
    Tls,
    /// In the open, to this machine only.
    None,
}

/// A mail to people.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// What health calls it.
    pub name: String,
    /// `HOST:PORT`.
    pub server: String,
    /// How it is spoken to.
    #[serde(default)]
    pub security: Security,
    /// Who we are to it.
    pub user: Option<String>,
    /// The password of `user`.
    pub password: Option<Secret>,
    /// The sender.
    pub from: String,
    /// The receivers.
    pub to: Vec<String>,
    /// The subject of a single message.
    pub subject: Option<String>,
    /// The text of a single message.
    pub text: Option<String>,
    /// The text of a digest.
    pub digest: Option<String>,
    /// The authority that the server's certificate must be from; without it the system's.
    pub ca_file: Option<PathBuf>,
    /// Which events.
    #[serde(default)]
    pub rules: Rules,
    /// How many messages.
    #[serde(default)]
    pub limits: Limits,
}

/// A way out cannot be set up.
#[derive(Debug, Error)]
#[error("{name}: {why}")]
pub struct BadSettings {
    /// Its name in the configuration.
    pub name: String,
    /// Why.
    pub why: SetupError,
}

/// Why a way out cannot be set up.
#[derive(Debug, Error)]
pub enum SetupError {
    /// Two have the same name, or one has none.
    #[error("every export, webhook, slack and email needs a `name` of its own, of 1 to 64 characters")]
    Name,
    /// There are too many of them.
    #[error("more than {0} ways out; leave some out")]
    TooMany(usize),
    /// About certificates.
    #[error(transparent)]
    Tls(#[from] BadTls),
    /// About a secret.
    #[error(transparent)]
    Secret(#[from] BadSecret),
    /// About a template.
    #[error("`{key}`: {why}")]
    Template {
        /// Its key.
        key: &'static str,
        /// What is wrong with it.
        why: BadTemplate,
    },
    /// About the use of TLS.
    #[error("`ca_file` and `server_name` have a meaning with tls:// only")]
    NoTls,
    /// About a name in a certificate.
    #[error("{0:?} can be in no certificate; `server_name` is a host's name or address")]
    ServerName(String),
    /// About the address of a hook; it is not repeated, since it may be a secret.
    #[error("`url` is no address that begins with https:// (http:// is for this machine only)")]
    Url,
    /// About a header.
    #[error("the header {0:?} is none, or its value is not plain text, or SmartFW sets it itself")]
    Header(String),
    /// About a mail server.
    #[error("`server` is HOST:PORT, such as smtp.example.org:587")]
    Server,
    /// About an address of mail.
    #[error("{0:?} is no address of mail")]
    Mailbox(String),
    /// About a login.
    #[error(
        "`user` and `password` go together, and not in the open: use `security = \"starttls\"` or \"tls\""
    )]
    Login,
    /// About mail in the open.
    #[error("`security = \"none\"` is for a mail server on this machine only")]
    Open,
    /// About the number of receivers.
    #[error("`to` has 1 to {0} addresses")]
    Receivers(usize),
    /// About a confidence.
    #[error("`min_confidence` is a number from 0 to 1")]
    Confidence,
    /// HTTP cannot be set up.
    #[error("HTTP cannot be set up: {0}")]
    Http(String),
}

#[cfg(test)]
mod tests;
