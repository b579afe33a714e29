//! Times and durations as people write and read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use smartfw_core::Time;

/// The longest duration that is taken: a hundred years. Longer is `forever`.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Reads what the configuration reads: `90s`, `10m`, `4h`, `7d`, `2w`, sums of them (`1h30m`), and seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    match smartfw_config::parse_duration(text) {
        None => Err(format!("{text:?} is no duration: write 90s, 10m, 4h, 7d or 1h30m")),
        Some(Duration::ZERO) => Err(format!("{text:?} is no time at all: write 90s, 10m, 4h, 7d or 1h30m")),
        Some(total) if total > LONGEST => {
            Err(format!("{text:?} is longer than a hundred years: write forever"))
        }
        Some(total) => Ok(total),
    }
}

/// A duration, or for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Option<Duration>);

/// Reads what [`parse`] reads, and `forever`.
pub(crate) fn parse_span(text: &str) -> Result<Span, String> {
    if text == "forever" { Ok(Span(None)) } else { parse(text).map(|duration| Span(Some(duration))) }
}

/// The two largest units: `6d 4h`, `59m 3s`, `0s`.
pub(crate) fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let mut rest = seconds;
    let mut words = Vec::new();
    for (unit, name) in parts {
        if rest >= unit {
            words.push(format!("{}{name}", rest / unit));
            rest %= unit;
        } else if !words.is_empty() {
            break;
        }
        if words.len() == 2 {
            break;
        }
    }
    if words.is_empty() { "0s".to_owned() } else { words.join(" ") }
}

/// The host's clock.
pub(crate) fn now() -> Time {
    Time::ZERO.after(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// `2026-01-31 12:00:03` in UTC.
pub(crate) fn date(time: Time) -> String {
    let text = smartfw_proto::json::rfc3339(time);
    text.get(..19).unwrap_or(&text).replace('T', " ")
}

/// `5m 3s ago`, `in 5m 3s`.
pub(crate) fn relative(time: Time, now: Time) -> String {
    if time > now {
        format!("in {}", human(time.since(now)))
    } else {
        format!("{} ago", human(now.since(time)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_in_the_configuration_and_never_none_at_all() {
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_span("forever"), Ok(Span(None)));
        for text in ["", "0", "0s", "5 m", "soon", "101000w"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_shown_in_two_units() {
        let shown = |seconds| human(Duration::from_secs(seconds));
        assert_eq!(shown(0), "0s");
        assert_eq!(shown(59), "59s");
        assert_eq!(shown(3600), "1h");
        assert_eq!(shown(3605), "1h");
        assert_eq!(shown(3665), "1h 1m");
        assert_eq!(shown(90_061), "1d 1h");
    }

    #[test]
    fn times_are_shown_beside_now() {
        let (now, later) = (Time::from_secs(100), Time::from_secs(160));
        assert_eq!(relative(later, now), "in 1m");
        assert_eq!(relative(now, later), "1m ago");
        assert_eq!(date(Time::from_secs(1_769_860_800)), "2026-01-31 12:00:00");
    }
}
