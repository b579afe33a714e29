//! The line of a log file around sshd's message.

/// The message of a syslog line that sshd itself wrote: `TIME HOST sshd[PID]: MESSAGE`.
pub(super) fn message(line: &str) -> Option<&str> {
    let rest = after_time(line)?;
    let (host, rest) = rest.split_once(' ')?;
    let (program, message) = rest.split_once(": ")?;
    let (name, pid) = program.strip_suffix(']')?.split_once('[')?;
    let is_pid = !pid.is_empty() && pid.len() <= 10 && pid.bytes().all(|byte| byte.is_ascii_digit());
    let is_sshd = name == "sshd" || name == "sshd-session";
    (!host.is_empty() && is_sshd && is_pid).then_some(message)
}

/// What follows the time stamp, of either kind.
fn after_time(line: &str) -> Option<&str> {
    traditional(line).or_else(|| iso(line))
}

/// `Nov  2 15:04:05 `
fn traditional(line: &str) -> Option<&str> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (stamp, rest) = line.split_at_checked(16)?;
    MONTHS.contains(&stamp.get(..3)?).then_some(())?;
    matches(&stamp[3..], " #d dd:dd:dd ").then_some(rest)
}

/// `2026-11-22T15:04:05[.123456](Z|+01:00) `
fn iso(line: &str) -> Option<&str> {
    let (stamp, rest) = line.split_once(' ')?;
    let (date, zone) = stamp.split_at_checked(19)?;
    let digits = zone
        .strip_prefix('.')
        .map_or(0, |fraction| 1 + fraction.bytes().take_while(u8::is_ascii_digit).count());
    let zone = zone.get(digits..)?;
    let is_zone = zone == "Z" || matches(zone, "+dd:dd") || matches(zone, "-dd:dd");
    (matches(date, "dddd-dd-ddTdd:dd:dd") && is_zone && digits <= 10).then_some(rest)
}

/// Whether `text` has this form: `d` a digit, `#` a digit or a blank, everything else itself.
fn matches(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
            b'd' => byte.is_ascii_digit(),
            b'#' => byte.is_ascii_digit() || byte == b' ',
            _ => byte == form,
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_time_stamps_and_both_names_are_known() {
        for line in [
            "Nov 22 15:04:05 web-1 sshd[4711]: hello: world",
            "Nov  2 15:04:05 web-1 sshd-session[1]: hello: world",
            "2026-11-22T15:04:05.123456+01:00 web-1 sshd[4711]: hello: world",
            "2026-11-22T15:04:05Z web-1 sshd[4711]: hello: world",
        ] {
            assert_eq!(message(line), Some("hello: world"), "{line}");
        }
    }

    #[test]
    fn lines_of_other_programs_and_shapes_are_not_sshds() {
        for line in [
            "",
            "Nov 22 15:04:05 web-1 su[4711]: sshd[1]: hello",
            "Nov 22 15:04:05 web-1 sshd: hello",
            "Nov 22 15:04:05 web-1 sshd[x]: hello",
            "Nov 22 15:04:05 web-1 sshd[]: hello",
            "Nov 22 15:04:05 web-1 notsshd[1]: hello",
            "Nov 22 15:04:05  sshd[1]: hello",
            "Xyz 22 15:04:05 web-1 sshd[1]: hello",
            "2026-11-22 15:04:05 web-1 sshd[1]: hello",
            " Nov 22 15:04:05 web-1 sshd[1]: hello",
            "Nov 22 15:04:05 web-1 app[9]: x Nov 22 15:04:05 web-1 sshd[1]: hello",
        ] {
            assert_eq!(message(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(line in ".{0,200}") {
            message(&line);
        }
    }
}
