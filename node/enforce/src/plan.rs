//! From changes to what each set gains and loses, and from what the sets hold to what is enforced.

use std::collections::{BTreeMap, BTreeSet};

use smartfw_core::{
    IpNet, Time,
    enforcement::{Change, Enforced, Entry},
    prefix,
};

use crate::{
    comment,
    sets::{Element, LONGEST, Role, Set, storable},
};

/// What each set gains and loses. Everything is added before anything is deleted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// In the order in which it is done: protection first.
    pub(crate) add: BTreeMap<Set, Vec<Element>>,
    /// Blocks go first, protection last.
    pub(crate) delete: BTreeMap<Set, Vec<Element>>,
    /// How many targets and protections end.
    pub(crate) ended: usize,
}

/// What `changes` mean for the sets at `now`; of several changes of one target the last counts.
pub(crate) fn plan(now: Time, changes: &[Change]) -> Plan {
    let mut blocks: BTreeMap<IpNet, Option<&Entry>> = BTreeMap::new();
    let mut protected: BTreeMap<IpNet, bool> = BTreeMap::new();
    for change in changes {
        match change {
            Change::Block(entry) => put(&mut blocks, entry.target, Some(entry)),
            Change::Unblock(target) => put(&mut blocks, *target, None),
            Change::Protect(net) => put(&mut protected, *net, true),
            Change::Unprotect(net) => put(&mut protected, *net, false),
        }
    }
    let mut plan = Plan::default();
    blocks.into_iter().for_each(|(net, entry)| plan.block(now, net, entry));
    protected.into_iter().for_each(|(net, wanted)| plan.protect(net, wanted));
    plan
}

/// Every set's elements under `desired` at `now`, empty sets included.
pub(crate) fn contents(now: Time, desired: &Enforced) -> BTreeMap<Set, Vec<Element>> {
    let blocks = desired.blocks.values().cloned().map(Change::Block);
    let changes: Vec<_> = blocks.chain(desired.protected.iter().copied().map(Change::Protect)).collect();
    let mut add = plan(now, &changes).add;
    for set in Set::all() {
        add.entry(set).or_default();
    }
    add
}

/// The two halves of everything, where both are blocked alike, as the one prefix they were made from.
pub(crate) fn merge_halves(blocks: &mut BTreeMap<IpNet, Entry>) {
    for everything in ["0.0.0.0/0", "::/0"].iter().filter_map(|text| text.parse::<IpNet>().ok()) {
        let halves: Vec<IpNet> = storable(everything).collect();
        let held: Vec<&Entry> = halves.iter().filter_map(|half| blocks.get(half)).collect();
        let [first, second] = held.as_slice() else { continue };
        if first.note == second.note && first.strength == second.strength {
            let merged = Entry { target: everything, ..(*first).clone() };
            blocks.retain(|net, _| !halves.contains(net));
            blocks.insert(everything, merged);
        }
    }
}

/// What is enforced when `element` is in `set` at `now`.
pub(crate) fn record(enforced: &mut Enforced, now: Time, set: Set, element: &Element) {
    let Some(strength) = set.role.strength() else { return enforced.protected.push(element.net) };
    let expires =
        (element.timeout != 0).then(|| now.after(std::time::Duration::from_secs(element.timeout.into())));
    let note = comment::read(&element.comment).unwrap_or_else(|| comment::adopted(&element.net));
    let entry = Entry { target: element.net, strength, expires, note };
    // A target in both sets is between two steps of a move: the stronger one is what packets meet.
    let known = enforced.blocks.get(&element.net);
    if known.is_none_or(|known| known.strength < strength) {
        enforced.blocks.insert(element.net, entry);
    }
}

impl Plan {
    /// The plan without the deletions of targets that could not be added where they should go.
    pub(crate) fn spare(&mut self, failed: &BTreeSet<IpNet>) {
        for elements in self.delete.values_mut() {
            elements.retain(|element| !failed.contains(&element.net));
        }
    }

    fn block(&mut self, now: Time, net: IpNet, entry: Option<&Entry>) {
        let timeout = entry.and_then(|entry| timeout(now, entry.expires));
        let role = entry.map(|entry| Role::of(entry.strength));
        self.ended += usize::from(timeout.is_none());
        for other in [Role::Hard, Role::Soft] {
            match (entry, timeout) {
                (Some(entry), Some(timeout)) if role == Some(other) => {
                    let element = element(net, timeout, comment::write(&entry.note));
                    self.add.entry(Set::holding(other, &net)).or_default().push(element);
                }
                _ => self.delete(other, net),
            }
        }
    }

    fn protect(&mut self, net: IpNet, wanted: bool) {
        if wanted {
            let element = element(net, 0, comment::PROTECTED.into());
            self.add.entry(Set::holding(Role::Pass, &net)).or_default().push(element);
        } else {
            self.ended += 1;
            self.delete(Role::Pass, net);
        }
    }

    fn delete(&mut self, role: Role, net: IpNet) {
        let elements = self.delete.entry(Set::holding(role, &net)).or_default();
        elements.push(element(net, 0, String::new()));
    }
}

fn put<T: Copy>(map: &mut BTreeMap<IpNet, T>, net: IpNet, value: T) {
    for part in storable(prefix::canonical_net(net)) {
        map.insert(part, value);
    }
}

pub(crate) fn element(net: IpNet, timeout: u32, comment: String) -> Element {
    Element { net, timeout, comment, packets: 0, bytes: 0 }
}

/// The kernel's seconds until `expires`: 0 for ever, `None` when it is over.
pub(crate) fn timeout(now: Time, expires: Option<Time>) -> Option<u32> {
    let Some(expires) = expires else { return Some(0) };
    let left = expires.since(now);
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    (seconds > 0).then_some(seconds.min(LONGEST) as u32)
}

#[cfg(test)]
mod tests {
    use smartfw_core::{BlockId, Class, Strength, enforcement::Note};

    use super::*;

    const NOW: Time = Time::from_secs(1_000_000);

    fn entry(target: &str, strength: Strength, expires: Option<Time>) -> Entry {
        let note = Note { id: BlockId(7), class: Class::PortScan, origin: "web-1".into() };
        Entry { target: target.parse().unwrap(), strength, expires, note }
    }

    fn names(sets: &BTreeMap<Set, Vec<Element>>) -> Vec<String> {
        let nets = |(set, elements): (&Set, &Vec<Element>)| {
            elements.iter().map(|e| format!("{} {}", set.name(), e.net)).collect::<Vec<_>>()
        };
        sets.iter().flat_map(nets).collect()
    }

    #[test]
    fn a_block_enters_its_set_and_leaves_the_other() {
        let plan = plan(NOW, &[Change::Block(entry("203.0.113.7/32", Strength::Hard, None))]);
        assert_eq!(names(&plan.add), ["smartfw_hard4 203.0.113.7/32"]);
        assert_eq!(names(&plan.delete), ["smartfw_soft4 203.0.113.7/32"]);
    }

    #[test]
    fn the_last_change_of_a_target_counts() {
        let block = Change::Block(entry("2001:db8::/32", Strength::Soft, None));
        let unblock = Change::Unblock("2001:db8::/32".parse().unwrap());
        assert!(plan(NOW, &[block.clone(), unblock.clone()]).add.is_empty());
        assert_eq!(names(&plan(NOW, &[unblock, block]).add), ["smartfw_soft6 2001:db8::/32"]);
    }

    #[test]
    fn a_block_that_is_over_is_deleted_and_never_made_permanent() {
        let over = entry("203.0.113.7/32", Strength::Hard, Some(NOW));
        assert!(plan(NOW, &[Change::Block(over)]).add.is_empty());
        assert_eq!(timeout(NOW, Some(Time::from_secs(999_999))), None);
        assert_eq!(timeout(NOW, Some(NOW.after(std::time::Duration::from_millis(1)))), Some(1));
        assert_eq!(timeout(NOW, None), Some(0));
        assert_eq!(timeout(NOW, Some(Time::NEVER)), Some(2_147_483));
    }

    #[test]
    fn protection_is_added_first() {
        let protect = Change::Protect("192.0.2.1/32".parse().unwrap());
        let block = Change::Block(entry("192.0.2.0/24", Strength::Hard, None));
        let plan = plan(NOW, &[block, protect]);
        assert_eq!(names(&plan.add), ["smartfw_pass4 192.0.2.1/32", "smartfw_hard4 192.0.2.0/24"]);
    }

    #[test]
    fn a_mapped_address_goes_to_the_set_that_sees_its_packets() {
        let plan = plan(NOW, &[Change::Block(entry("::ffff:203.0.113.7/128", Strength::Hard, None))]);
        assert_eq!(names(&plan.add), ["smartfw_hard4 203.0.113.7/32"]);
    }

    #[test]
    fn the_halves_of_everything_are_read_as_everything() {
        let whole = entry("0.0.0.0/0", Strength::Hard, None);
        let plan = plan(NOW, &[Change::Block(whole.clone())]);
        assert_eq!(names(&plan.add), ["smartfw_hard4 0.0.0.0/1", "smartfw_hard4 128.0.0.0/1"]);
        let mut enforced = Enforced::default();
        for (set, elements) in &plan.add {
            elements.iter().for_each(|element| record(&mut enforced, NOW, *set, element));
        }
        merge_halves(&mut enforced.blocks);
        assert_eq!(enforced.blocks.into_values().collect::<Vec<_>>(), [whole]);
    }

    #[test]
    fn an_entry_of_somebody_else_is_adopted_under_a_lasting_id() {
        let set = Set::named("smartfw_hard4").unwrap();
        let element = element("198.51.100.0/24".parse().unwrap(), 0, "blocked by \"hand\"".into());
        let read = || {
            let mut enforced = Enforced::default();
            record(&mut enforced, NOW, set, &element);
            enforced.blocks.into_values().next().unwrap()
        };
        assert_eq!((read().note.origin.as_str(), read().note.class), ("kernel", Class::Manual));
        assert_eq!(read().note.id, read().note.id);
    }
}
