//! Durations as people write them: one way, in the configuration and on the command line.

use std::time::Duration;

const UNITS: [(char, u64); 5] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400), ('w', 7 * 86_400)];

/// Reads `90s`, `10m`, `4h`, `7d`, `2w`, sums of them (`1h30m`), and `90`, which is seconds. `None` for what is no
/// duration, or one of more than 64 bits.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return rest.parse().ok().map(Duration::from_secs);
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit())?);
        let mut letters = tail.chars();
        let unit = letters.next()?;
        let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*seconds)?)?;
        rest = letters.as_str();
    }
    (!text.trim().is_empty()).then(|| Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let seconds = |text| parse_duration(text).map(|duration| duration.as_secs());
        assert_eq!(seconds("90s"), Some(90));
        assert_eq!(seconds("90"), Some(90));
        assert_eq!(seconds("2w"), Some(1_209_600));
        assert_eq!(seconds(" 1h30m "), Some(5400));
    }

    #[test]
    fn what_is_no_duration_is_none() {
        for text in
            ["", "m", "-5m", "+5", "5 m", "1y", "h1", "99999999999999999999s", "18446744073709551615w"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
