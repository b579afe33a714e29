//! The text of `sets.ipset`.

use std::{fmt::Write, time::Duration};

use smartfw_core::{
    IpNet, Time,
    enforcement::{Enforced, Entry},
};

use super::Snapshot;
use crate::{
    comment,
    plan::{merge_halves, record, timeout},
    sets::{CAPACITY, Element, LONGEST, Role, Set, TYPE, storable},
};

const TITLE: &str = "# What SmartFW enforces. By hand: ipset restore -exist -file sets.ipset";
const SAVED_AT: &str = "# saved-at ";
const UNTIL: &str = "# until ";
/// The longest line that we write has about 350 bytes.
const LINE: usize = 512;

/// The text for what is enforced at `now`.
pub(super) fn write(now: Time, enforced: &Enforced) -> String {
    let mut text = format!("{TITLE}\n{SAVED_AT}{}\n", now.as_secs());
    for set in Set::all() {
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "create {} {TYPE} family {} timeout 0 counters comment maxelem {CAPACITY}",
            set.name(),
            set.family.word()
        );
    }
    for net in enforced.protected.iter().flat_map(|net| storable(*net)) {
        add(&mut text, Set::holding(Role::Pass, &net), net, 0, comment::PROTECTED);
    }
    enforced.blocks.values().for_each(|entry| block(&mut text, now, entry));
    text
}

/// What the text says at `now`; lines that cannot be read are counted.
pub(super) fn read(now: Time, text: &str) -> Snapshot {
    let mut snapshot = Snapshot::default();
    // A snapshot without its time counts from now: rather too long than not at all.
    let saved = text.lines().find_map(|line| seconds(line, SAVED_AT)).unwrap_or(now).min(now);
    let mut until = None;
    for line in text.lines() {
        if line.starts_with(UNTIL) {
            until = seconds(line, UNTIL);
            snapshot.damaged += usize::from(until.is_none());
        } else if line.starts_with("add ") && line.len() <= LINE {
            let kept = keep(&mut snapshot.enforced, now, saved, line, until.take());
            snapshot.damaged += usize::from(kept.is_none());
        } else if !line.starts_with("create ") && !line.starts_with('#') && !line.is_empty()
            || line.len() > LINE
        {
            snapshot.damaged += 1;
        }
    }
    merge_halves(&mut snapshot.enforced.blocks);
    snapshot
}

fn block(text: &mut String, now: Time, entry: &Entry) {
    let Some(timeout) = timeout(now, entry.expires) else { return };
    let long = entry.expires.filter(|_| u64::from(timeout) >= LONGEST);
    for net in storable(entry.target) {
        if let Some(expires) = long {
            let _ = writeln!(text, "{UNTIL}{}", expires.as_secs());
        }
        let set = Set::holding(Role::of(entry.strength), &net);
        add(text, set, net, timeout, &comment::write(&entry.note));
    }
}

fn add(text: &mut String, set: Set, net: IpNet, timeout: u32, comment: &str) {
    let _ = writeln!(text, "add {} {net} timeout {timeout} comment \"{comment}\"", set.name());
}

/// Takes over the element of a line, unless it is over; `None` when the line cannot be read.
fn keep(enforced: &mut Enforced, now: Time, saved: Time, line: &str, until: Option<Time>) -> Option<()> {
    let (set, mut element) = element(line)?;
    if element.timeout != 0 {
        let ends = until.unwrap_or_else(|| saved.after(Duration::from_secs(element.timeout.into())));
        let Some(left) = timeout(now, Some(ends)) else { return Some(()) };
        element.timeout = left;
        record(enforced, now, set, &element);
        // The kernel's longest timeout is not the end of what lasts longer.
        if let Some(entry) = enforced.blocks.get_mut(&element.net) {
            entry.expires = Some(ends);
        }
        return Some(());
    }
    record(enforced, now, set, &element);
    Some(())
}

/// The set and element of one line, in exactly the form that [`add`] writes.
fn element(line: &str) -> Option<(Set, Element)> {
    let (head, comment) = line.strip_prefix("add ")?.split_once(" comment ")?;
    let comment = comment.strip_prefix('"')?.strip_suffix('"')?;
    let mut words = head.split(' ');
    let set = Set::named(words.next()?)?;
    let net: IpNet = words.next()?.parse().ok()?;
    let timeout = words.next().filter(|word| *word == "timeout").and(words.next())?.parse().ok()?;
    let exact = words.next().is_none() && net == net.trunc() && net.prefix_len() > 0;
    let ours = set == Set::holding(set.role, &net) && !comment.contains('"');
    (exact && ours && u64::from(timeout) <= LONGEST)
        .then(|| (set, Element { net, timeout, comment: comment.to_owned(), packets: 0, bytes: 0 }))
}

fn seconds(line: &str, prefix: &str) -> Option<Time> {
    line.strip_prefix(prefix)?.parse().ok().map(Time::from_secs)
}

#[cfg(test)]
mod tests {
    use smartfw_core::{BlockId, Class, Strength, enforcement::Note};

    use super::*;

    const NOW: Time = Time::from_secs(1_000_000);
    const DAY: u64 = 24 * 3600;

    fn entry(target: &str, strength: Strength, seconds: Option<u64>) -> Entry {
        let note = Note { id: BlockId(7), class: Class::PortScan, origin: "web 1\"".into() };
        let expires = seconds.map(|seconds| NOW.after(Duration::from_secs(seconds)));
        Entry { target: target.parse().unwrap(), strength, expires, note }
    }

    fn enforced() -> Enforced {
        let entries = [
            entry("203.0.113.7/32", Strength::Hard, Some(300)),
            entry("203.0.113.8/32", Strength::Soft, None),
            entry("2001:db8::/32", Strength::Hard, Some(90 * DAY)),
            entry("::/0", Strength::Soft, Some(60)),
        ];
        let blocks = entries.into_iter().map(|entry| (entry.target, entry)).collect();
        Enforced { blocks, protected: vec!["192.0.2.0/24".parse().unwrap()] }
    }

    #[test]
    fn deadlines_survive_the_time_that_the_host_was_down() {
        let text = write(NOW, &enforced());
        let later = NOW.after(Duration::from_secs(100));
        let snapshot = read(later, &text);
        let mut expected = enforced();
        expected.blocks.remove(&"::/0".parse().unwrap());
        assert_eq!(snapshot, Snapshot { enforced: expected, damaged: 0 });
        assert_eq!(read(NOW, &text).enforced, enforced());
    }

    #[test]
    fn a_clock_that_was_set_back_prolongs_nothing_beyond_its_duration() {
        let text = write(NOW, &enforced());
        let snapshot = read(Time::from_secs(500_000), &text);
        let entry = &snapshot.enforced.blocks[&"203.0.113.7/32".parse().unwrap()];
        assert_eq!(entry.expires, Some(Time::from_secs(500_300)));
    }

    #[test]
    fn damaged_lines_are_passed_over_and_counted() {
        let good =
            "add smartfw_hard4 203.0.113.7/32 timeout 0 comment \"smartfw 0000000000000007 port_scan a\"";
        for bad in [
            "add smartfw_hard4 203.0.113.7/32 timeout 0 comment \"smartfw",
            "add smartfw_hard4 203.0.113.7/33 timeout 0 comment \"x\"",
            "add smartfw_hard4 203.0.113.7/24 timeout 0 comment \"x\"",
            "add smartfw_hard6 203.0.113.7/32 timeout 0 comment \"x\"",
            "add smartfw_hard4 0.0.0.0/0 timeout 0 comment \"x\"",
            "add smartfw_hard4 203.0.113.7/32 timeout 9999999 comment \"x\"",
            "add smartfw_hard4 203.0.113.7/32 timeout -1 comment \"x\"",
            "add other 203.0.113.7/32 timeout 0 comment \"x\"",
            "del smartfw_hard4 203.0.113.7/32",
            "flush",
            "\u{fffd}\u{fffd}",
            "# until tomorrow",
            &"x".repeat(600),
        ] {
            let snapshot = read(NOW, &format!("{SAVED_AT}1000000\n{bad}\n{good}\n"));
            assert_eq!((snapshot.damaged, snapshot.enforced.blocks.len()), (1, 1), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_snapshot_cut_anywhere_loses_only_what_was_cut(cut in 0_usize..1200) {
            let text = write(NOW, &enforced());
            let snapshot = read(NOW, text.get(..cut).unwrap_or(&text));
            proptest::prop_assert!(snapshot.damaged <= 1);
            for (target, entry) in &snapshot.enforced.blocks {
                proptest::prop_assert!(enforced().blocks.get(target).is_none_or(|e| e.strength == entry.strength));
            }
        }

        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            read(NOW, &text);
        }
    }
}
