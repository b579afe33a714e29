//! Times as detectors write them.

use smartfw_core::Time;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// RFC 3339, and Suricata's form of it without the colon of the offset: `2017-04-07T22:24:37.251547+0100`.
pub(super) fn parse(text: &str) -> Option<Time> {
    let (date, offset) = text.split_at_checked(text.len().checked_sub(5)?)?;
    let suricata = offset.starts_with(['+', '-']) && offset[1..].bytes().all(|byte| byte.is_ascii_digit());
    let colon = || format!("{date}{}:{}", &offset[..3], &offset[3..]);
    let text = if suricata { colon() } else { text.to_owned() };
    let nanos = OffsetDateTime::parse(&text, &Rfc3339).ok()?.unix_timestamp_nanos();
    u64::try_from(nanos).ok().map(Time::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_an_offset_are_the_same_time() {
        let time = Time::from_nanos(1_491_600_277_251_547_000);
        for text in [
            "2017-04-07T22:24:37.251547+0100",
            "2017-04-07T22:24:37.251547+01:00",
            "2017-04-07T21:24:37.251547Z",
        ] {
            assert_eq!(parse(text), Some(time), "{text}");
        }
        for text in ["", "+0100", "2017", "äöü+0100", "1917-04-07T22:24:37+0000", "2017-04-07T22:24:37+9900"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
