//! Every key, once: its meaning, what it accepts, where its value goes, whether it can change while running.

use std::{fmt::Write as _, net::SocketAddr, path::PathBuf, time::Duration};

use smartfw_config::{ConfigError, LogFormat, parse_duration};

use super::{
    Place, Settings,
    layers::{Layers, Written},
    nearest::nearest,
};

/// A key.
struct Key {
    name: &'static str,
    about: &'static str,
    expected: &'static str,
    /// Puts the value in its place; `None` when it is not what is expected.
    set: fn(&mut Settings, &Written) -> Option<()>,
    /// The value as TOML.
    show: fn(&Settings) -> String,
    /// Whether it can be applied while running.
    live: bool,
    /// Whether it must not be shown in an error.
    secret: bool,
}

/// What most keys are.
const KEY: Key = Key {
    name: "",
    about: "",
    expected: "",
    set: |_, _| None,
    show: |_| String::new(),
    live: false,
    secret: false,
};

const FILE: &str = "a path, or \"off\"";
const ADDRESS: &str = "an address and port like \"127.0.0.1:9471\", or \"off\"";

/// What is kept for less is no history; what is kept for more than ten years is an archive.
const AGES: std::ops::RangeInclusive<u64> = 3600..=3650 * 86_400;
/// Less than a few segments cannot be kept; more than this no disk holds.
const SIZES: std::ops::RangeInclusive<u64> = 64 << 20..=1 << 50;
/// Fewer are no outage; more than this is no outbox.
const ITEMS: std::ops::RangeInclusive<u64> = 1_000..=100_000_000;
const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

const KEYS: [Key; 17] = [
    Key {
        name: "state_dir",
        about: "Where the coordinator keeps what it must not forget, in the folder coordinator/: identity, history, accounts.",
        expected: "a path",
        set: |settings, value| path(value).map(|path| settings.state_dir = path),
        show: |settings| quoted(settings.state_dir.display()),
        ..KEY
    },
    Key {
        name: "log_dir",
        about: "Where log files go. The program's own messages go to stderr.",
        expected: "a path",
        set: |settings, value| path(value).map(|path| settings.log_dir = path),
        show: |settings| quoted(settings.log_dir.display()),
        ..KEY
    },
    Key {
        name: "listen",
        about: "Where nodes connect (gRPC, mutual TLS).",
        expected: "an address and port like \"0.0.0.0:7471\"",
        set: |settings, value| value.text()?.parse().ok().map(|address| settings.listen = address),
        show: |settings| quoted(settings.listen),
        ..KEY
    },
    Key {
        name: "http",
        about: "Where the REST API is served, over TLS.",
        expected: ADDRESS,
        set: |settings, value| address(value).map(|address| settings.http = address),
        show: |settings| shown(settings.http),
        ..KEY
    },
    Key {
        name: "metrics",
        about: "Where metrics are served to Prometheus, over plain HTTP: keep it on loopback.",
        expected: ADDRESS,
        set: |settings, value| address(value).map(|address| settings.metrics = address),
        show: |settings| shown(settings.metrics),
        ..KEY
    },
    Key {
        name: "history",
        about: "Where events are kept: \"sled\", on the own disk, or \"redis://…\", which several coordinators may share.",
        expected: "\"sled\" or an address like \"redis://192.0.2.1:6379\"",
        set: |settings, value| place(value).map(|place| settings.history = place),
        show: |settings| match &settings.history {
            Place::Embedded => quoted("sled"),
            Place::Redis(address) => quoted(address),
        },
        secret: true,
        ..KEY
    },
    Key {
        name: "outward",
        about: "The file that says what leaves to the outside world: SIEM, webhooks, mail.",
        expected: FILE,
        set: |settings, value| file(value).map(|path| settings.outward = path),
        show: |settings| written(settings.outward.as_ref()),
        ..KEY
    },
    Key {
        name: "web.certificate",
        about: "The certificate shown there (PEM, with those that vouch for it); \"off\": one that the coordinator makes for itself.",
        expected: FILE,
        set: |settings, value| file(value).map(|path| settings.web.certificate = path),
        show: |settings| written(settings.web.certificate.as_ref()),
        ..KEY
    },
    Key {
        name: "web.key",
        about: "Its private key (PEM).",
        expected: FILE,
        set: |settings, value| file(value).map(|path| settings.web.key = path),
        show: |settings| written(settings.web.key.as_ref()),
        ..KEY
    },
    Key {
        name: "retention.age",
        about: "What is older is let go.",
        expected: "a duration like \"90d\" from 1h to 3650d",
        set: |settings, value| age(value).map(|age| settings.retention.age = age),
        show: |settings| in_units(settings.retention.age.as_secs(), &[("d", 86_400), ("h", 3600), ("s", 1)]),
        live: true,
        ..KEY
    },
    Key {
        name: "retention.bytes",
        about: "Of more bytes the oldest are let go.",
        expected: "a size like \"10GiB\" from 64MiB to 1048576GiB",
        set: |settings, value| size(value).map(|bytes| settings.retention.bytes = bytes),
        show: |settings| in_units(settings.retention.bytes, &UNITS),
        live: true,
        ..KEY
    },
    Key {
        name: "mirror.url",
        about: "The Firebase Realtime Database that mirrors events and blocks.",
        expected: "an address like \"https://NAME.firebaseio.com\", or \"off\"",
        set: |settings, value| url(value).map(|url| settings.mirror.url = url),
        show: |settings| quoted(settings.mirror.url.as_deref().unwrap_or("off")),
        secret: true,
        ..KEY
    },
    Key {
        name: "mirror.account",
        about: "The key file (JSON) of the service account that may write to it.",
        expected: FILE,
        set: |settings, value| file(value).map(|path| settings.mirror.account = path),
        show: |settings| written(settings.mirror.account.as_ref()),
        ..KEY
    },
    Key {
        name: "mirror.secret",
        about: "The file of the database's secret, where there is no service account.",
        expected: FILE,
        set: |settings, value| file(value).map(|path| settings.mirror.secret = path),
        show: |settings| written(settings.mirror.secret.as_ref()),
        ..KEY
    },
    Key {
        name: "mirror.outbox_items",
        about: "So many events and blocks may wait for the database; of more the oldest are dropped.",
        expected: "an integer from 1000 to 100000000",
        set: |settings, value| {
            let items = value.number().filter(|items| ITEMS.contains(items));
            items.map(|items| settings.mirror.outbox.items = items)
        },
        show: |settings| settings.mirror.outbox.items.to_string(),
        ..KEY
    },
    Key {
        name: "mirror.outbox_bytes",
        about: "Their bytes, on disk.",
        expected: "a size like \"256MiB\" from 64MiB to 1048576GiB",
        set: |settings, value| size(value).map(|bytes| settings.mirror.outbox.bytes = bytes),
        show: |settings| in_units(settings.mirror.outbox.bytes, &UNITS),
        ..KEY
    },
    Key {
        name: "logs.format",
        about: "How the program's own messages on stderr look.",
        expected: "\"human\" or \"json\"",
        set: |settings, value| format(value).map(|format| settings.log_format = format),
        show: |settings| match settings.log_format {
            LogFormat::Human => quoted("human"),
            LogFormat::Json => quoted("json"),
        },
        ..KEY
    },
];

/// The settings that the layers make.
pub(super) fn read(layers: &Layers) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    let mut wrong = None;
    for (name, (value, place)) in layers {
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            let nearest = nearest(name, KEYS.iter().map(|key| key.name)).to_owned();
            return Err(ConfigError::UnknownKey { place: place.clone(), key: name.clone(), nearest });
        };
        if (key.set)(&mut settings, value).is_none() {
            let (expected, found) = (key.expected.to_owned(), found(key, value));
            let error = ConfigError::WrongValue { place: place.clone(), key: name.clone(), expected, found };
            wrong.get_or_insert(error); // an unknown key comes first: a wrong value may follow from it
        }
    }
    wrong.map_or(Ok(settings), Err)
}

/// The keys whose values differ: those that can be applied while running, and the others.
pub(super) fn changes(before: &Settings, after: &Settings) -> (Vec<String>, Vec<String>) {
    let changed = KEYS.iter().filter(|key| (key.show)(before) != (key.show)(after));
    let (live, rest): (Vec<&Key>, Vec<&Key>) = changed.partition(|key| key.live);
    let names = |keys: Vec<&Key>| keys.into_iter().map(|key| key.name.to_owned()).collect();
    (names(live), names(rest))
}

/// A commented configuration with every key at its default.
pub fn example() -> String {
    let mut text = String::from(
        "# Configuration of smartfw-coordinator. Every line that begins with `#` and a key shows a default.\n\
         # Drop-ins beside this file (coordinator.toml.d/*.toml, sorted) come after it, then environment variables such as\n\
         # SMARTFW_COORDINATOR__RETENTION__AGE=30d, then flags. `smartfw-coordinator --check` says what is wrong.\n",
    );
    let (defaults, mut section) = (Settings::default(), "");
    for key in &KEYS {
        let (within, name) = key.name.split_once('.').unwrap_or(("", key.name));
        if within != section {
            section = within;
            let _ = write!(text, "\n[{section}]\n");
        }
        let (about, expected, value) = (key.about, key.expected, (key.show)(&defaults));
        let _ = write!(text, "\n## {about}\n## Must be {expected}.\n#{name} = {value}\n");
    }
    text
}

/// What was found, on one line.
fn found(key: &Key, value: &Written) -> String {
    match value {
        _ if key.secret => "something else".to_owned(),
        Written::Text(text) | Written::Untyped(text) => {
            let clean: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).take(60).collect();
            format!("\"{clean}{}\"", if clean.len() < text.len() { "…" } else { "" })
        }
        Written::Number(number) => number.to_string(),
        Written::Other(what) => (*what).to_owned(),
    }
}

fn path(value: &Written) -> Option<PathBuf> {
    let text = value.text()?;
    (!text.is_empty() && text.len() < 4096 && !text.contains('\0')).then(|| text.into())
}

fn file(value: &Written) -> Option<Option<PathBuf>> {
    match value.text()? {
        "off" => Some(None),
        _ => path(value).map(Some),
    }
}

fn url(value: &Written) -> Option<Option<String>> {
    match value.text()? {
        "off" => Some(None),
        text if text.starts_with("http") && text.len() < 1024 => Some(Some(text.to_owned())),
        _ => None,
    }
}

fn address(value: &Written) -> Option<Option<SocketAddr>> {
    match value.text()? {
        "off" => Some(None),
        text => text.parse().ok().map(Some),
    }
}

fn place(value: &Written) -> Option<Place> {
    match value.text()? {
        "sled" => Some(Place::Embedded),
        text if text.starts_with("redis://") && text.len() < 1024 => Some(Place::Redis(text.to_owned())),
        _ => None,
    }
}

fn age(value: &Written) -> Option<Duration> {
    let seconds = value.number().or_else(|| parse_duration(value.text()?).map(|span| span.as_secs()))?;
    AGES.contains(&seconds).then(|| Duration::from_secs(seconds))
}

fn size(value: &Written) -> Option<u64> {
    let bytes = value.number().or_else(|| {
        let text = value.text()?.trim();
        let (name, unit) = UNITS.iter().find(|(name, _)| text.ends_with(name))?;
        text.strip_suffix(name)?.trim().parse::<u64>().ok()?.checked_mul(*unit)
    })?;
    SIZES.contains(&bytes).then_some(bytes)
}

fn format(value: &Written) -> Option<LogFormat> {
    match value.text()? {
        "human" => Some(LogFormat::Human),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}

fn written(path: Option<&PathBuf>) -> String {
    path.map_or_else(|| quoted("off"), |path| quoted(path.display()))
}

fn shown(address: Option<SocketAddr>) -> String {
    address.map_or_else(|| quoted("off"), quoted)
}

/// In the largest unit of which it is a multiple.
fn in_units(value: u64, units: &[(&str, u64)]) -> String {
    let unit = units.iter().find(|(_, unit)| value.is_multiple_of(*unit));
    unit.map_or_else(|| value.to_string(), |(name, unit)| quoted(format_args!("{}{name}", value / unit)))
}

fn quoted(value: impl std::fmt::Display) -> String {
    toml::Value::from(value.to_string()).to_string()
}
