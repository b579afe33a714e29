//! Times, for people.

use std::fmt;

use smartfw_core::Time;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time that shows itself as RFC 3339.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown(pub Time);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0.as_secs()).ok();
        let date = seconds.and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
        match date.and_then(|d| d.format(&Rfc3339).ok()) {
            Some(text) => f.write_str(&text),
            None => f.write_str("a time out of range"),
        }
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What the system's clock says: for handshakes and open streams only.
pub(crate) fn system() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Time::from_secs(since.map_or(0, |since| since.as_secs()))
}
