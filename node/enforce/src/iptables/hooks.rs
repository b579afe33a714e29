//! Our chains and the jumps to them, for one family: looked at, mended, removed.

use std::collections::BTreeMap;

use super::{
    listing::Listing,
    rules::{CHAIN, OPTIONAL, Place, Table, places},
    tool::{Tool, unusable},
};
use crate::{EnforceError, Finding, Trouble};

/// The jump to our chain, as iptables prints it.
const JUMP: &str = "-j SMARTFW";

/// The rules of one family.
pub(crate) struct Hooks {
    tool: Tool,
    avoid: Vec<Table>,
    /// Tables that cannot be had, with what the tool said.
    unusable: BTreeMap<Table, String>,
    /// How this host's tool prints our chain where it is not as we write it, learnt right after writing it.
    printed: BTreeMap<Table, Vec<String>>,
}

impl Hooks {
    /// Rules that keep out of the tables in `avoid`.
    pub(crate) fn new(tool: Tool, avoid: &[Table]) -> Self {
        Self { tool, avoid: avoid.to_vec(), unusable: BTreeMap::new(), printed: BTreeMap::new() }
    }

    /// What is not as it shall be.
    pub(crate) fn verify(&self) -> Result<Vec<Finding>, EnforceError> {
        let mut findings = Vec::new();
        for place in self.places() {
            match self.tool.list(place.table) {
                Ok(listing) => findings.extend(self.check(place, &listing)),
                // Whether the table can be had at all, installing finds out.
                Err(error) if unusable(&error) => {
                    findings.push(Finding::new(Trouble::Missing, self.named("chain SMARTFW", place.table)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(findings)
    }

    /// Mends what is not as it shall be, in the best tables that can be had, and says what it mended.
    pub(crate) fn install(&mut self) -> Result<Vec<Finding>, EnforceError> {
        self.unusable.clear();
        let mut mended = Vec::new();
        // Each round that starts again has lost a table.
        'tables: loop {
            let places = self.places();
            if places.is_empty() {
                let why = self.unusable.values().last().cloned().unwrap_or_default();
                return Err(EnforceError::NoTable { why });
            }
            for place in &places {
                match self.mend(*place) {
                    Ok(findings) => mended.extend(findings),
                    Err(error) if self.lost(place.table, &error) => continue 'tables,
                    Err(error) => return Err(error),
                }
            }
            self.leave_others(&places, &mut mended)?;
            return Ok(mended);
        }
    }

    /// Where packets are dropped.
    pub(crate) fn places(&self) -> Vec<Place> {
        places(|table| !self.avoid.contains(&table) && !self.unusable.contains_key(&table))
    }

    /// The tables that could not be had, and why.
    pub(crate) fn unavailable(&self) -> impl Iterator<Item = (Table, &str)> {
        self.unusable.iter().map(|(table, why)| (*table, why.as_str()))
    }

    /// Whether the table itself is why `error` came about; it is not used any more then.
    fn lost(&mut self, table: Table, error: &EnforceError) -> bool {
        let lost = unusable(error) && self.tool.restore(table, &[]).as_ref().is_err_and(unusable);
        if lost {
            self.unusable.insert(table, error.to_string());
        }
        lost
    }

    fn mend(&mut self, place: Place) -> Result<Vec<Finding>, EnforceError> {
        let listing = self.tool.list(place.table)?;
        let findings = self.check(place, &listing);
        if findings.is_empty() {
            return Ok(findings);
        }
        if self.tool.restore(place.table, &self.lines(place, &listing)).is_err() {
            // Somebody may have changed the table since it was listed: once more from what is there now.
            let listing = self.tool.list(place.table)?;
            self.tool.restore(place.table, &self.lines(place, &listing))?;
        }
        self.learn(place, &self.tool.list(place.table)?);
        Ok(findings)
    }

    fn learn(&mut self, place: Place, listing: &Listing) {
        let wanted = place.rules(self.tool.family);
        let printed = listing.chain(CHAIN).filter(|rules| rules.len() == wanted.len() && **rules != wanted);
        match printed {
            Some(printed) => self.printed.insert(place.table, printed.to_vec()),
            None => self.printed.remove(&place.table),
        };
    }

    /// Our chain in tables where it has no place (any more).
    fn leave_others(&self, places: &[Place], mended: &mut Vec<Finding>) -> Result<(), EnforceError> {
        let placed = |table: &Table| places.iter().any(|place| place.table == *table);
        for table in
            Table::ALL.into_iter().filter(|table| !placed(table) && !self.unusable.contains_key(table))
        {
            if remove(self.tool, table)? {
                mended.push(Finding::new(Trouble::Foreign, self.named("chain SMARTFW", table)));
            }
        }
        Ok(())
    }

    fn check(&self, place: Place, listing: &Listing) -> Vec<Finding> {
        let chain = listing.chain(CHAIN);
        let trouble = match chain {
            None => Some(Trouble::Missing),
            Some(rules) if !self.expected(place, rules) => Some(Trouble::Altered),
            Some(_) => None,
        };
        let mut findings: Vec<_> = trouble
            .map(|trouble| Finding::new(trouble, self.named("chain SMARTFW", place.table)))
            .into_iter()
            .collect();
        for hook in hooks(place, listing) {
            let trouble = hook_trouble(listing.chain(hook).unwrap_or_default());
            let what = || self.named(&format!("the jump from {hook} to SMARTFW"), place.table);
            findings.extend(trouble.map(|trouble| Finding::new(trouble, what())));
        }
        findings
    }

    fn expected(&self, place: Place, rules: &[String]) -> bool {
        rules == place.rules(self.tool.family)
            || self.printed.get(&place.table).is_some_and(|printed| printed == rules)
    }

    /// What brings the table from what is listed to what it shall be, in one step.
    fn lines(&self, place: Place, listing: &Listing) -> Vec<String> {
        let mut lines = Vec::new();
        if !listing.chain(CHAIN).is_some_and(|rules| self.expected(place, rules)) {
            lines.extend(fill(place, self.tool));
        }
        for hook in hooks(place, listing) {
            let rules = listing.chain(hook).unwrap_or_default();
            if hook_trouble(rules).is_some() {
                let present = rules.iter().filter(|rule| *rule == JUMP);
                lines.extend(present.map(|_| format!("-D {hook} {JUMP}")));
                lines.push(format!("-I {hook} 1 {JUMP}"));
            }
        }
        lines
    }

    fn named(&self, what: &str, table: Table) -> String {
        format!("{what} in table {table} ({})", self.tool.family)
    }
}

/// The lines that make our chain and fill it, for a place that has none.
pub(crate) fn fill(place: Place, tool: Tool) -> impl Iterator<Item = String> {
    let rules = place.rules(tool.family).into_iter().map(|rule| format!("-A {CHAIN} {rule}"));
    std::iter::once(format!(":{CHAIN} - [0:0]")).chain(rules)
}

/// The line that hangs our chain into a built-in one.
pub(crate) fn jump(hook: &str) -> String {
    format!("-I {hook} 1 {JUMP}")
}

/// Removes our chain and everything that leads to it from a table; false when there was nothing of ours.
pub(crate) fn remove(tool: Tool, table: Table) -> Result<bool, EnforceError> {
    let listing = tool.list(table)?;
    if listing.chain(CHAIN).is_none() {
        return Ok(false);
    }
    let mut lines: Vec<String> =
        listing.entrances().map(|(chain, rule)| format!("-D {chain} {rule}")).collect();
    lines.extend([format!("-F {CHAIN}"), format!("-X {CHAIN}")]);
    tool.restore(table, &lines).map(|()| true)
}

fn hooks(place: Place, listing: &Listing) -> impl Iterator<Item = &'static str> {
    let wanted = |hook: &&str| **hook != *OPTIONAL || listing.chain(OPTIONAL).is_some();
    place.table.hooks().iter().copied().filter(wanted)
}

fn hook_trouble(rules: &[String]) -> Option<Trouble> {
    let jumps = rules.iter().filter(|rule| *rule == JUMP).count();
    match (jumps, rules.first()) {
        (0, _) => Some(Trouble::Missing),
        (_, Some(first)) if first != JUMP => Some(Trouble::NotFirst),
        (1, _) => None,
        _ => Some(Trouble::Altered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        iptables::{listing::parse, tool::Backend},
        sets::Family,
    };

    fn hooks_of(family: Family) -> Hooks {
        Hooks::new(Tool::new(family, Backend::Default), &[])
    }

    fn lines(listed: &str) -> Vec<String> {
        let hooks = hooks_of(Family::V4);
        hooks.lines(hooks.places()[0], &parse(listed))
    }

    const CHAIN_LISTED: &str = ":SMARTFW - [0:0]\n-A SMARTFW -i lo -j RETURN\n\
        -A SMARTFW -m set --match-set smartfw_pass4 src -j RETURN\n\
        -A SMARTFW -m set --match-set smartfw_hard4 src -j DROP\n";

    #[test]
    fn an_empty_table_gets_chain_and_jump() {
        assert_eq!(
            lines(":PREROUTING ACCEPT [0:0]\n"),
            [
                ":SMARTFW - [0:0]",
                "-A SMARTFW -i lo -j RETURN",
                "-A SMARTFW -m set --match-set smartfw_pass4 src -j RETURN",
                "-A SMARTFW -m set --match-set smartfw_hard4 src -j DROP",
                "-I PREROUTING 1 -j SMARTFW",
            ]
        );
    }

    #[test]
    fn only_the_jump_moves_when_a_foreign_rule_came_before_it() {
        let listed = format!("{CHAIN_LISTED}-A PREROUTING -j ACCEPT\n-A PREROUTING -j SMARTFW\n");
        assert_eq!(lines(&listed), ["-D PREROUTING -j SMARTFW", "-I PREROUTING 1 -j SMARTFW"]);
    }

    #[test]
    fn a_second_jump_is_one_too_many() {
        let listed = format!("{CHAIN_LISTED}-A PREROUTING -j SMARTFW\n-A PREROUTING -j SMARTFW\n");
        assert_eq!(lines(&listed).len(), 3);
        assert_eq!(lines(&format!("{CHAIN_LISTED}-A PREROUTING -j SMARTFW\n")), [] as [&str; 0]);
    }

    #[test]
    fn an_altered_chain_is_found() {
        let hooks = hooks_of(Family::V4);
        let listed = format!("{CHAIN_LISTED}-A SMARTFW -j ACCEPT\n-A PREROUTING -j SMARTFW\n");
        let findings = hooks.check(hooks.places()[0], &parse(&listed));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].to_string(), "chain SMARTFW in table raw (IPv4) was altered");
    }

    #[test]
    fn dockers_chain_is_used_where_docker_is() {
        let mut hooks = hooks_of(Family::V6);
        hooks.avoid = vec![Table::Raw, Table::Mangle];
        let jumps = |listed| {
            let lines = hooks.lines(hooks.places()[0], &parse(listed));
            lines.iter().filter(|line| line.starts_with("-I")).count()
        };
        assert_eq!(jumps(":INPUT ACCEPT [0:0]\n"), 2);
        assert_eq!(jumps(":INPUT ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n"), 3);
    }
}
