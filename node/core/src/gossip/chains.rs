//! Certificate chains of one log, each held once: an origin's, and those of the operators whose orders it carries.

use alloc::{collections::BTreeMap, sync::Arc};

/// The chains, and how often each is used.
#[derive(Clone, Debug, Default)]
pub(super) struct Chains {
    used: BTreeMap<Arc<[u8]>, usize>,
    bytes: usize,
}

impl Chains {
    /// Puts the chain that is held in the place of one with the same bytes.
    pub(super) fn share(&mut self, chain: &mut Arc<[u8]>) {
        if let Some((held, _)) = self.used.get_key_value(chain) {
            *chain = held.clone();
        } else {
            self.bytes += chain.len();
        }
        *self.used.entry(chain.clone()).or_default() += 1;
    }

    /// One use less.
    pub(super) fn release(&mut self, chain: &Arc<[u8]>) {
        let Some(used) = self.used.get_mut(chain) else { return };
        *used -= 1;
        if *used == 0 {
            self.used.remove(chain);
            self.bytes -= chain.len();
        }
    }

    /// Bytes of all.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}
