//! What a list held when we last heard of it, so that only differences are told and changes behind our back are seen.

use std::collections::{BTreeMap, BTreeSet};

use ring::digest::{SHA256, digest};
use serde_json::{Value, value::RawValue};

use crate::{
    body,
    change::Change,
    heard::{self, Heard},
    item::{ITEM_BYTES, List},
    key::KEY_BYTES,
    trouble::Trouble,
};

/// Half a SHA-256: whoever can write to the database must not find two contents that look the same.
type Fingerprint = [u8; 16];

/// The rows of a list that we have heard of, newest first in importance: the oldest are forgotten.
#[derive(Debug)]
pub(crate) struct Copy {
    list: List,
    most: usize,
    known: BTreeMap<String, Fingerprint>,
}

impl Copy {
    pub(crate) const fn new(list: List, most: usize) -> Self {
        Self { list, most, known: BTreeMap::new() }
    }

    /// `put`: this stands there now, and nothing else.
    pub(crate) fn put(&mut self, change: &Change) -> Result<Vec<Heard>, Trouble> {
        let mut told = Vec::new();
        match inside(&change.path) {
            Inside::Whole => self.replace(change, &mut told)?,
            Inside::Row(key) => self.row(key, &change.data, &mut told),
            Inside::Part(key) => self.part(key, &mut told),
        }
        Ok(told)
    }

    /// `patch`: these children stand there now, the others as before.
    pub(crate) fn patch(&mut self, change: &Change) -> Result<Vec<Heard>, Trouble> {
        let mut told = Vec::new();
        if let Inside::Row(key) | Inside::Part(key) = inside(&change.path) {
            self.part(key, &mut told);
            return Ok(told);
        }
        let mut children = change.children()?.unwrap_or_default();
        // Whoever tidies removes many at once: in order each is the oldest.
        children.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (key, row) in children {
            match key.split_once('/') {
                Some((key, _)) => self.part(key, &mut told),
                None => self.row(&key, &row, &mut told),
            }
        }
        Ok(told)
    }

    fn replace(&mut self, change: &Change, told: &mut Vec<Heard>) -> Result<(), Trouble> {
        let Some(rows) = change.children()? else {
            told.push(Heard::Unreadable { key: String::new(), why: "the list is no list" });
            return Ok(());
        };
        let there: BTreeSet<&str> = rows.iter().map(|(key, _)| key.as_str()).collect();
        // What is older than all that is shown slid out of the window, or was tidied away.
        let oldest = there.first().copied().unwrap_or_default();
        self.known.retain(|key, _| {
            let stays = there.contains(key.as_str());
            if !stays && key.as_str() > oldest {
                told.push(Heard::Removed { key: key.clone() });
            }
            stays
        });
        for (key, row) in &rows {
            self.row(key, row, told);
        }
        Ok(())
    }

    fn row(&mut self, key: &str, row: &RawValue, told: &mut Vec<Heard>) {
        if key.len() > KEY_BYTES {
            told.push(Heard::Unreadable { key: body::shown(key), why: "its key is too long" });
            return;
        }
        if row.get() == "null" {
            return self.removed(key, told);
        }
        let print = fingerprint(row.get());
        match self.known.insert(key.to_owned(), print) {
            Some(before) if before == print => return,
            Some(_) => told.push(Heard::Rewritten { key: key.to_owned() }),
            None => {}
        }
        if self.known.len() > self.most {
            self.known.pop_first();
        }
        told.push(
            heard::read(self.list, key, row)
                .unwrap_or_else(|why| Heard::Unreadable { key: body::shown(key), why }),
        );
    }

    fn removed(&mut self, key: &str, told: &mut Vec<Heard>) {
        let oldest = self.known.first_key_value().is_some_and(|(oldest, _)| oldest == key);
        if self.known.remove(key).is_some() && !oldest {
            told.push(Heard::Removed { key: key.to_owned() });
        }
    }

    /// We write rows whole.
    fn part(&mut self, key: &str, told: &mut Vec<Heard>) {
        if self.known.remove(key).is_some() {
            told.push(Heard::Rewritten { key: key.to_owned() });
        }
    }
}

/// What a path within the list means.
enum Inside<'a> {
    Whole,
    Row(&'a str),
    Part(&'a str),
}

fn inside(path: &str) -> Inside<'_> {
    let path = path.trim_matches('/');
    match path.split_once('/') {
        _ if path.is_empty() => Inside::Whole,
        Some((key, _)) => Inside::Part(key),
        None => Inside::Row(path),
    }
}

/// The same for the same contents, in whatever order the names come.
fn fingerprint(raw: &str) -> Fingerprint {
    let sorted = (raw.len() <= ITEM_BYTES).then(|| serde_json::from_str(raw).ok()).flatten();
    let text = sorted.map(|mut value: Value| {
        value.sort_all_objects();
        value.to_string()
    });
    let digest = digest(&SHA256, text.as_deref().unwrap_or(raw).as_bytes());
    let mut print = Fingerprint::default();
    for (to, from) in print.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    print
}

#[cfg(test)]
mod tests;
