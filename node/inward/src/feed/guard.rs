//! What of a list is believed: strangers make it, and now and then by mistake.

use std::collections::BTreeSet;

use smartfw_core::{IpNet, prefix};
use thiserror::Error;

use super::Parsed;

/// The widest IPv4 prefix that a feed may list, by its length.
pub const WIDEST_V4: u8 = 16;
/// The widest IPv6 prefix.
pub const WIDEST_V6: u8 = 32;

/// Of so many entries at most one may be unreadable: a table has a line of headings, a page of HTML has nothing else.
const ONE_IN: usize = 10;
/// So many unreadable lines are borne in any list.
const BORNE: usize = 3;

/// So many entries may go at once, whatever the share: small lists change as a whole.
const FEW_GONE: usize = 10;
/// So many may come.
const FEW_NEW: usize = 100;

/// What is no stranger's to block, by IANA's registries of special-purpose addresses: this host, private networks,
/// carriers' networks, link-local, multicast and reserved addresses.
const SPECIAL: [&str; 14] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/127",
    "64:ff9b::/96",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
];

/// A list that can be enforced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// What it lists.
    pub nets: BTreeSet<IpNet>,
    /// What was left out of it.
    pub left_out: LeftOut,
}

/// What was left out of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Lines that are no address.
    pub unreadable: usize,
    /// Private, reserved or multicast space.
    pub special: usize,
    /// Prefixes that are wider than a stranger may have blocked.
    pub wide: usize,
}

/// Why a list, or a change of it, is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Doubt {
    /// It looks like something else.
    #[error("{unreadable} of its {lines} lines are no addresses, the first of them \"{example}\"")]
    Shape {
        /// How many cannot be read.
        unreadable: usize,
        /// Of how many.
        lines: usize,
        /// The first.
        example: String,
    },
    /// It is empty, and was not.
    #[error("it is empty now, and had {before} entries")]
    Emptied {
        /// How many entries it had.
        before: usize,
    },
    /// Too much of it is new or gone.
    #[error("{new} entries are new and {gone} are gone, of {before}: more than {most} per cent")]
    Change {
        /// How many are new.
        new: usize,
        /// How many are gone.
        gone: usize,
        /// How many there were.
        before: usize,
        /// The share that may change, per cent.
        most: u8,
    },
}

/// Leaves out what is no stranger's to block.
///
/// # Errors
/// [`Doubt::Shape`] when too little of it is addresses.
pub fn sift(parsed: Parsed) -> Result<List, Doubt> {
    let Parsed { nets, unreadable, example } = parsed;
    let lines = nets.len() + unreadable;
    if unreadable > BORNE && unreadable * ONE_IN > lines || (nets.is_empty() && unreadable > 0) {
        return Err(Doubt::Shape { unreadable, lines, example: example.unwrap_or_default() });
    }
    let special: Vec<IpNet> = SPECIAL.iter().filter_map(|text| text.parse().ok()).collect();
    let mut list = List { left_out: LeftOut { unreadable, ..LeftOut::default() }, ..List::default() };
    for net in nets {
        if is_wide(&net) {
            list.left_out.wide += 1;
        } else if special.iter().any(|special| prefix::overlap(special, &net)) {
            list.left_out.special += 1;
        } else {
            list.nets.insert(net);
        }
    }
    Ok(list)
}

fn is_wide(net: &IpNet) -> bool {
    net.prefix_len() < if matches!(net, IpNet::V4(_)) { WIDEST_V4 } else { WIDEST_V6 }
}

/// Refuses a list that differs too much from the last one.
///
/// # Errors
/// [`Doubt::Emptied`] or [`Doubt::Change`].
pub fn changed_too_much(before: &BTreeSet<IpNet>, after: &BTreeSet<IpNet>, most: u8) -> Result<(), Doubt> {
    let had = before.len();
    if after.is_empty() && had > 0 {
        return Err(Doubt::Emptied { before: had });
    }
    let gone = before.difference(after).count();
    let new = after.len() - (had - gone);
    let share = had * usize::from(most) / 100;
    if gone > share.max(FEW_GONE) || new > share.max(FEW_NEW) {
        return Err(Doubt::Change { new, gone, before: had, most });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{Format, parse};

    fn sifted(text: &str) -> Result<List, Doubt> {
        sift(parse(text.as_bytes(), &Format::Plain).unwrap())
    }

    fn numbered(range: std::ops::Range<u32>) -> BTreeSet<IpNet> {
        range.map(|n| IpNet::from(std::net::IpAddr::from((0xC633_0000 + n).to_be_bytes()))).collect()
    }

    #[test]
    fn what_is_no_strangers_to_block_is_left_out_and_counted() {
        let text = "0.0.0.0/0\n10.1.2.3\n192.168.0.0/24\n127.0.0.1\n::1\nfe80::1\n224.0.0.1\n255.255.255.255\n\
                    100.64.0.1\n198.0.0.0/15\n2001::/31\n198.51.0.0/16\n2001:db8::/32\n192.0.2.1\n192.0.2.1\n";
        let list = sifted(text).unwrap();
        assert_eq!(list.left_out, LeftOut { unreadable: 0, special: 8, wide: 3 });
        assert_eq!(list.nets.len(), 3);
        assert_eq!(sifted("192.0.0.0/8\n").unwrap().left_out.wide, 1, "which holds private space besides");
    }

    #[test]
    fn one_line_in_ten_may_be_unreadable() {
        let lines = |good: u32, bad: usize| {
            let good: String = numbered(0..good).iter().map(|net| format!("{net}\n")).collect();
            sifted(&(good + &"x\n".repeat(bad)))
        };
        assert_eq!(lines(1, 3).unwrap().left_out.unreadable, 3);
        assert!(lines(36, 4).is_ok());
        let doubt = lines(35, 4).unwrap_err();
        assert_eq!(doubt, Doubt::Shape { unreadable: 4, lines: 39, example: "x".into() });
        assert!(lines(0, 1).is_err() && lines(0, 0).is_ok());
    }

    #[test]
    fn a_list_may_change_by_its_share_and_not_by_one_entry_more() {
        let before = numbered(0..1000);
        let change = |after: std::ops::Range<u32>| changed_too_much(&before, &numbered(after), 50);
        assert_eq!((change(500..1000), change(0..1500), change(500..1500)), (Ok(()), Ok(()), Ok(())));
        assert_eq!(change(501..1000), Err(Doubt::Change { new: 0, gone: 501, before: 1000, most: 50 }));
        assert_eq!(change(0..1501), Err(Doubt::Change { new: 501, gone: 0, before: 1000, most: 50 }));
        assert_eq!(change(0..0), Err(Doubt::Emptied { before: 1000 }));
    }

    #[test]
    fn a_small_list_may_change_by_a_few_entries() {
        let before = numbered(0..10);
        assert_eq!(changed_too_much(&before, &numbered(10..110), 50), Ok(()));
        assert!(changed_too_much(&before, &numbered(10..111), 50).is_err());
        assert!(changed_too_much(&before, &BTreeSet::new(), 100).is_err());
        assert!(changed_too_much(&numbered(0..11), &numbered(11..12), 0).is_err());
        assert_eq!(changed_too_much(&BTreeSet::new(), &BTreeSet::new(), 0), Ok(()));
    }
}
