//! Times and durations, as users and as bouncers read them.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Serialize, Serializer};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Where the time comes from: the system, or a test that lets it pass.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> OffsetDateTime + Send + Sync>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::of(OffsetDateTime::now_utc)
    }

    /// What `now` says.
    pub fn of(now: impl Fn() -> OffsetDateTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    pub fn now(&self) -> OffsetDateTime {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// `time` as users see it: RFC 3339, UTC, in milliseconds. Empty beyond the year 9999.
pub fn rfc3339(time: OffsetDateTime) -> String {
    let nanos = time.nanosecond() / 1_000_000 * 1_000_000;
    let text =
        time.replace_nanosecond(nanos).ok().and_then(|time| time.checked_to_offset(time::UtcOffset::UTC));
    text.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

pub(crate) fn parse(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

/// For serde.
pub(crate) fn at<S: Serializer>(time: &OffsetDateTime, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&rfc3339(*time))
}

/// For serde: null for never.
pub(crate) fn perhaps<S: Serializer>(time: &Option<OffsetDateTime>, to: S) -> Result<S::Ok, S::Error> {
    time.map(rfc3339).serialize(to)
}

/// The time as it is kept in files: seconds since 1970.
pub(crate) fn seconds(time: OffsetDateTime) -> i64 {
    time.unix_timestamp()
}

/// `time` and a while; none where no calendar goes.
pub(crate) fn after(time: OffsetDateTime, while_: Duration) -> Option<OffsetDateTime> {
    time.checked_add(while_.try_into().ok()?)
}

/// A span as Go writes it (`time.Duration.String`): `3h59m50.1s`.
pub(crate) fn go_duration(span: time::Duration) -> String {
    let sign = if span.is_negative() { "-" } else { "" };
    let nanos = span.whole_nanoseconds().unsigned_abs();
    let (seconds, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    if seconds == 0 {
        return match fraction {
            0 => "0s".to_owned(),
            1..1_000 => format!("{sign}{fraction}ns"),
            1_000..1_000_000 => format!("{sign}{}µs", decimal(fraction / 1_000, fraction % 1_000, 3)),
            _ => format!("{sign}{}ms", decimal(fraction / 1_000_000, fraction % 1_000_000, 6)),
        };
    }
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let rest = decimal(seconds % 60, fraction, 9);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{rest}s"),
        (0, _) => format!("{sign}{minutes}m{rest}s"),
        _ => format!("{sign}{hours}h{minutes}m{rest}s"),
    }
}

fn decimal(whole: u128, fraction: u128, digits: usize) -> String {
    let text = format!("{whole}.{fraction:0digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_milliseconds_and_utc() {
        let time = parse("2017-07-14T04:40:00.123999999+02:00").unwrap();
        assert_eq!(rfc3339(time), "2017-07-14T02:40:00.123Z");
        assert_eq!(parse("yesterday"), None);
    }

    #[test]
    fn durations_read_as_go_writes_them() {
        // What time.Duration.String of Go's documentation gives for these.
        let cases = [
            (14_390_100_000_000, "3h59m50.1s"),
            (3_600_000_000_000, "1h0m0s"),
            (60_000_000_000, "1m0s"),
            (1_500_000_000, "1.5s"),
            (10_000_000_000, "10s"),
            (1_500_000, "1.5ms"),
            (1_100, "1.1µs"),
            (7, "7ns"),
            (0, "0s"),
            (-90_000_000_000, "-1m30s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(go_duration(time::Duration::nanoseconds(nanos)), text);
        }
    }
}
