//! The kinds of values: what each accepts, and how a person is told.

use std::{fmt::Display, net::SocketAddr, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

use smartfw_core::{IpNet, prefix};

use crate::{LoginSource, parse_duration, raw::Raw};

/// What a key's value must be.
pub(crate) trait Kind {
    /// The parsed value.
    type Value;
    /// In words, for `must be …`.
    fn expected(&self) -> String;
    /// The value, or what was found instead.
    fn parse(&self, raw: &Raw) -> Result<Self::Value, String>;
    /// The value as TOML.
    fn show(&self, value: &Self::Value) -> String;
}

/// An integer within a range.
pub(crate) struct Number<T>(pub(crate) RangeInclusive<T>);

impl<T: TryFrom<i64> + PartialOrd + Display + Copy> Kind for Number<T> {
    type Value = T;
    fn expected(&self) -> String {
        format!("an integer from {} to {}", self.0.start(), self.0.end())
    }
    fn parse(&self, raw: &Raw) -> Result<T, String> {
        let number = raw.integer().and_then(|number| T::try_from(number).ok());
        number.filter(|number| self.0.contains(number)).ok_or_else(|| raw.to_string())
    }
    fn show(&self, value: &T) -> String {
        value.to_string()
    }
}

/// `true` or `false`.
pub(crate) struct Switch;

impl Kind for Switch {
    type Value = bool;
    fn expected(&self) -> String {
        "true or false".to_owned()
    }
    fn parse(&self, raw: &Raw) -> Result<bool, String> {
        match raw {
            Raw::Bool(value) => Ok(*value),
            Raw::Untyped(text) => text.parse().map_err(|_| raw.to_string()),
            _ => Err(raw.to_string()),
        }
    }
    fn show(&self, value: &bool) -> String {
        value.to_string()
    }
}

/// A length of time, in whole seconds.
pub(crate) struct Span(pub(crate) RangeInclusive<u64>);

const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

impl Kind for Span {
    type Value = Duration;
    fn expected(&self) -> String {
        let [from, to] = [self.0.start(), self.0.end()].map(|secs| span_text(*secs));
        format!("a duration like \"90s\", \"5m\", \"1h\" or \"7d\" from {from} to {to}")
    }
    fn parse(&self, raw: &Raw) -> Result<Duration, String> {
        let number = raw.integer().and_then(|number| u64::try_from(number).ok());
        let secs = number.or_else(|| raw.text().and_then(parse_duration).map(|span| span.as_secs()));
        secs.filter(|secs| self.0.contains(secs)).map(Duration::from_secs).ok_or_else(|| raw.to_string())
    }
    fn show(&self, value: &Duration) -> String {
        format!("\"{}\"", span_text(value.as_secs()))
    }
}

fn span_text(secs: u64) -> String {
    let unit = UNITS.iter().find(|(_, unit)| secs >= *unit && secs.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{secs}s"), |(name, unit)| format!("{}{name}", secs / unit))
}

/// Exactly four durations, none shorter than the one before.
pub(crate) struct Ladder(pub(crate) Span);

impl Kind for Ladder {
    type Value = [Duration; 4];
    fn expected(&self) -> String {
        format!("a list of four rising values, each {}", self.0.expected())
    }
    fn parse(&self, raw: &Raw) -> Result<[Duration; 4], String> {
        let steps = raw.list().ok_or_else(|| raw.to_string())?;
        let steps = steps.iter().map(|step| self.0.parse(step)).collect::<Result<Vec<_>, _>>()?;
        let steps: [Duration; 4] = steps.try_into().map_err(|_| raw.to_string())?;
        if steps.is_sorted() { Ok(steps) } else { Err("a falling list".to_owned()) }
    }
    fn show(&self, value: &[Duration; 4]) -> String {
        list_text(value.iter().map(|step| self.0.show(step)))
    }
}

/// A number of bytes.
pub(crate) struct Size(pub(crate) RangeInclusive<u64>);

const SIZES: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl Kind for Size {
    type Value = u64;
    fn expected(&self) -> String {
        let [from, to] = [self.0.start(), self.0.end()].map(|bytes| size_text(*bytes));
        format!("a size in bytes like 1048576 or \"64MiB\" from {from} to {to}")
    }
    fn parse(&self, raw: &Raw) -> Result<u64, String> {
        let number = raw.integer().and_then(|number| u64::try_from(number).ok());
        let bytes = number.or_else(|| raw.text().and_then(parse_size));
        bytes.filter(|bytes| self.0.contains(bytes)).ok_or_else(|| raw.to_string())
    }
    fn show(&self, value: &u64) -> String {
        format!("\"{}\"", size_text(*value))
    }
}

fn size_text(bytes: u64) -> String {
    let unit = SIZES.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}

fn parse_size(text: &str) -> Option<u64> {
    let (name, unit) = SIZES.iter().find(|(name, _)| text.trim().ends_with(name)).unwrap_or(&("", 1));
    let number = text.trim().strip_suffix(name)?.trim();
    number.parse::<u64>().ok()?.checked_mul(*unit)
}

/// One of a few words.
pub(crate) struct Choice<T: 'static>(pub(crate) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Kind for Choice<T> {
    type Value = T;
    fn expected(&self) -> String {
        self.0.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(" or ")
    }
    fn parse(&self, raw: &Raw) -> Result<T, String> {
        let named = |text: &str| self.0.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        raw.text().and_then(named).ok_or_else(|| raw.to_string())
    }
    fn show(&self, value: &T) -> String {
        let name = self.0.iter().find(|(_, known)| known == value).map_or("", |(name, _)| *name);
        format!("\"{name}\"")
    }
}

/// A list of at most so many.
pub(crate) struct List<K>(pub(crate) K, pub(crate) usize);

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;
    fn expected(&self) -> String {
        format!("a list of at most {}, each {}", self.1, self.0.expected())
    }
    fn parse(&self, raw: &Raw) -> Result<Self::Value, String> {
        let values = raw.list().filter(|values| values.len() <= self.1).ok_or_else(|| raw.to_string())?;
        values.iter().map(|value| self.0.parse(value)).collect()
    }
    fn show(&self, value: &Self::Value) -> String {
        list_text(value.iter().map(|value| self.0.show(value)))
    }
}

fn list_text(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}

/// An address or prefix.
pub(crate) struct Net;

impl Kind for Net {
    type Value = IpNet;
    fn expected(&self) -> String {
        "an address or prefix like \"192.0.2.7\" or \"2001:db8::/32\"".to_owned()
    }
    fn parse(&self, raw: &Raw) -> Result<IpNet, String> {
        let net = raw.text().and_then(|text| prefix::parse_target(text).ok());
        net.ok_or_else(|| raw.to_string())
    }
    fn show(&self, value: &IpNet) -> String {
        format!("\"{value}\"")
    }
}

/// Text of a certain form, of at most so many bytes.
pub(crate) struct Word {
    /// In words.
    pub(crate) expected: &'static str,
    /// The most bytes.
    pub(crate) longest: usize,
    /// Whether it may be empty.
    pub(crate) empty: bool,
    /// Which characters it may have.
    pub(crate) accepts: fn(char) -> bool,
}

impl Kind for Word {
    type Value = String;
    fn expected(&self) -> String {
        self.expected.to_owned()
    }
    fn parse(&self, raw: &Raw) -> Result<String, String> {
        let fits = |text: &&str| {
            text.len() <= self.longest && (self.empty || !text.is_empty()) && text.chars().all(self.accepts)
        };
        raw.text().filter(fits).map(str::to_owned).ok_or_else(|| raw.to_string())
    }
    fn show(&self, value: &String) -> String {
        format!("\"{value}\"")
    }
}

/// A public key.
pub(crate) struct PublicKey;

impl Kind for PublicKey {
    type Value = [u8; 32];
    fn expected(&self) -> String {
        "a public key of 64 hexadecimal digits".to_owned()
    }
    fn parse(&self, raw: &Raw) -> Result<[u8; 32], String> {
        raw.text().and_then(key_of).ok_or_else(|| raw.to_string())
    }
    fn show(&self, value: &[u8; 32]) -> String {
        let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("\"{digits}\"")
    }
}

fn key_of(text: &str) -> Option<[u8; 32]> {
    // A sign would be taken for a digit's place.
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = [0; 32];
    for (byte, at) in key.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(key)
}

/// An absolute path, or one that the person typed relative to where they are.
pub(crate) struct File;

impl Kind for File {
    type Value = PathBuf;
    fn expected(&self) -> String {
        "a path".to_owned()
    }
    fn parse(&self, raw: &Raw) -> Result<PathBuf, String> {
        path_of(raw).ok_or_else(|| raw.to_string())
    }
    fn show(&self, value: &PathBuf) -> String {
        toml::Value::from(value.display().to_string()).to_string()
    }
}

/// A path, or `off`.
pub(crate) struct MaybeFile;

impl Kind for MaybeFile {
    type Value = Option<PathBuf>;
    fn expected(&self) -> String {
        "a path, or \"off\"".to_owned()
    }
    fn parse(&self, raw: &Raw) -> Result<Self::Value, String> {
        if raw.text() == Some("off") { Ok(None) } else { File.parse(raw).map(Some) }
    }
    fn show(&self, value: &Self::Value) -> String {
        value.as_ref().map_or_else(|| "\"off\"".to_owned(), |path| File.show(path))
    }
}

/// Longer paths the kernel refuses.
const LONGEST_PATH: usize = 4096;

fn path_of(raw: &Raw) -> Option<PathBuf> {
    let fits = |text: &&str| !text.is_empty() && text.len() < LONGEST_PATH && !text.contains('\0');
    raw.text().filter(fits).map(PathBuf::from)
}

/// Where a list can be fetched.
pub(crate) struct Address;

impl Kind for Address {
    type Value = String;
    fn expected(&self) -> String {
        "an address like \"https://example.org/list.txt\", \"file:///var/lib/list.txt\", \"geoip:country:XX\" or \"geoip:as:64500\"".to_owned()
    }
    fn parse(&self, raw: &Raw) -> Result<String, String> {
        let fits = |text: &&str| {
            let rest = ["https://", "file://", "geoip:"].iter().find_map(|form| text.strip_prefix(form));
            let plain = |c: char| c.is_ascii_graphic() && c != '"';
            text.len() <= 2048 && rest.is_some_and(|rest| !rest.is_empty()) && text.chars().all(plain)
        };
        // What is wrong with it may be a secret.
        raw.text().filter(fits).map(str::to_owned).ok_or_else(|| "what is written there".to_owned())
    }
    fn show(&self, value: &String) -> String {
        format!("\"{value}\"")
    }
}

/// An address and port, or `off`.
pub(crate) struct Listen;

impl Kind for Listen {
    type Value = Option<SocketAddr>;
    fn expected(&self) -> String {
        "an address and port like \"127.0.0.1:9470\", or \"off\"".to_owned()
    }
    fn parse(&self, raw: &Raw) -> Result<Self::Value, String> {
        match raw.text() {
            Some("off") => Ok(None),
            Some(text) => SocketAddr::from_str(text).map(Some).map_err(|_| raw.to_string()),
            None => Err(raw.to_string()),
        }
    }
    fn show(&self, value: &Self::Value) -> String {
        value.map_or_else(|| "\"off\"".to_owned(), |address| format!("\"{address}\""))
    }
}

/// Where sshd's word comes from.
pub(crate) struct Logins;

impl Kind for Logins {
    type Value = LoginSource;
    fn expected(&self) -> String {
        "\"auto\", \"journald\", \"off\" or the absolute path of a log file".to_owned()
    }
    fn parse(&self, raw: &Raw) -> Result<LoginSource, String> {
        match raw.text() {
            Some("auto") => Ok(LoginSource::Auto),
            Some("journald") => Ok(LoginSource::Journal),
            Some("off") => Ok(LoginSource::Off),
            _ => {
                let path = path_of(raw).filter(|path| path.is_absolute());
                path.map(LoginSource::File).ok_or_else(|| raw.to_string())
            }
        }
    }
    fn show(&self, value: &LoginSource) -> String {
        match value {
            LoginSource::Auto => "\"auto\"".to_owned(),
            LoginSource::Journal => "\"journald\"".to_owned(),
            LoginSource::Off => "\"off\"".to_owned(),
            LoginSource::File(path) => File.show(path),
        }
    }
}
