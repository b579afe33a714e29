//! sled alone, as the history would use it: one tree of events by time, one tree of each field's values with the times.

use std::path::Path;

use anyhow::Result;
use sled::{Batch, Db, Tree};
use smartfw_history::{Event, Query};

/// A history in sled alone.
pub(crate) struct Plain {
    db: Db,
    addresses: Tree,
    classes: Tree,
    nodes: Tree,
}

impl Plain {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let db = sled::Config::new().path(path).cache_capacity(256 << 20).flush_every_ms(None).open()?;
        let tree = |name| db.open_tree(name);
        let (addresses, classes, nodes) = (tree("addresses")?, tree("classes")?, tree("nodes")?);
        Ok(Self { db, addresses, classes, nodes })
    }

    pub(crate) fn append(&self, events: &[Event]) -> Result<()> {
        let [mut rows, mut addresses, mut classes, mut nodes] = [(); 4].map(|()| Batch::default());
        for event in events {
            let key = key(event);
            rows.insert(key.as_slice(), event.body.as_bytes());
            addresses.insert(term(event.address.map(|net| net.to_string()), &key), &[]);
            classes.insert(term(event.class.map(|class| class.as_str().to_owned()), &key), &[]);
            nodes.insert(term(Some(event.id.to_string()), &key), &[]);
        }
        self.db.apply_batch(rows)?;
        self.addresses.apply_batch(addresses)?;
        self.classes.apply_batch(classes)?;
        self.nodes.apply_batch(nodes)?;
        self.db.flush()?;
        Ok(())
    }

    /// The rows of a query by time and one field.
    pub(crate) fn query(&self, query: &Query) -> Result<usize> {
        let (tree, value) = if let Some(net) = query.address {
            (&self.addresses, net.to_string())
        } else if let Some(class) = query.class {
            (&self.classes, class.as_str().to_owned())
        } else {
            (&self.nodes, query.node.map(|node| node.to_string()).unwrap_or_default())
        };
        let from = term(Some(value.clone()), &query.from.as_nanos().to_be_bytes());
        let to = term(Some(value), &query.to.as_nanos().to_be_bytes());
        let mut rows = 0;
        for key in tree.range(from..to).keys().rev().take(query.limit) {
            let key = key?;
            let row = self.db.get(&key[key.len() - KEY..])?;
            rows += usize::from(row.is_some());
        }
        Ok(rows)
    }

    pub(crate) fn bytes(&self) -> Result<u64> {
        Ok(self.db.size_on_disk()?)
    }
}

/// Bytes of an event's key.
const KEY: usize = 24;

fn key(event: &Event) -> Vec<u8> {
    [event.time.as_nanos(), event.id.short(), event.sequence].map(u64::to_be_bytes).concat()
}

fn term(value: Option<String>, key: &[u8]) -> Vec<u8> {
    [value.unwrap_or_default().as_bytes(), &[0], key].concat()
}
