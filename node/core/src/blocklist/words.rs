//! Who says that a target be dropped, and why: texts that many blocks share.

use alloc::{collections::BTreeSet, sync::Arc};

use crate::{BlockId, fleet::Version, record::Speaker};

/// Who says so, and why.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Words {
    /// Empty where a member of this fleet says so: its name may change.
    pub(crate) origin: alloc::boxed::Box<str>,
    pub(crate) reason: alloc::boxed::Box<str>,
    /// `None` for what was decided on this node.
    pub(crate) said: Option<Arc<Said>>,
}

/// Whose word of the fleet it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Said {
    pub(crate) speaker: Speaker,
    /// Of the version, where a member says so; the sequence is in the block's id.
    pub(crate) epoch: u64,
    /// An operator insisted on the width.
    pub(crate) force: bool,
}

impl Said {
    /// The id of what a member says under a sequence: another for every origin, log and epoch, and the sequence can be
    /// had back.
    pub(crate) fn id(&self, sequence: u64) -> BlockId {
        BlockId(sequence.wrapping_add(self.salt()))
    }

    /// The number under which a member said what has this id.
    pub(crate) fn version(&self, id: BlockId) -> Version {
        Version { epoch: self.epoch, sequence: id.0.wrapping_sub(self.salt()) }
    }

    fn salt(&self) -> u64 {
        let (node, log) = match &self.speaker {
            Speaker::Member { node, site } => (node, u64::from(*site)),
            Speaker::Foreign { cluster, node } => (node, cluster.short()),
            Speaker::Order(_) => return 0,
        };
        let words = node
            .0
            .chunks_exact(8)
            .map(|chunk| chunk.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte)));
        words.chain([self.epoch, log]).fold(0, |salt: u64, word| {
            let mixed = (salt ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9)
        })
    }
}

impl Words {
    /// Whether the same log, the same order or the same node says both: the later word takes the place of the earlier.
    pub(super) fn same_speaker(&self, other: &Self) -> bool {
        match (&self.said, &other.said) {
            (None, None) => self.origin == other.origin,
            (Some(one), Some(other)) => one.speaker == other.speaker,
            _ => false,
        }
    }

    pub(super) fn is_local(&self, origin: &str) -> bool {
        self.said.is_none() && *self.origin == *origin
    }

    /// Whose word of the fleet it is.
    pub(crate) fn speaker(&self) -> Option<&Speaker> {
        self.said.as_ref().map(|said| &said.speaker)
    }
}

/// Origins and reasons, each kept once while many blocks share it.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    pub(super) known: BTreeSet<Arc<Words>>,
    /// The lines of an import follow each other.
    last: Option<Arc<Words>>,
}

/// An import has one reason for all its lines, detection has a few alive at a time. When it is full it is emptied:
/// that costs a copy of each text, nothing else.
pub(super) const TEXTS: usize = 1024;

impl Texts {
    pub(super) const fn new() -> Self {
        Self { known: BTreeSet::new(), last: None }
    }

    pub(super) fn shared(&mut self, origin: &str, reason: &str, said: Option<&Arc<Said>>) -> Arc<Words> {
        let same = |words: &&Arc<Words>| {
            *words.origin == *origin && *words.reason == *reason && words.said.as_ref() == said
        };
        if let Some(last) = self.last.as_ref().filter(same) {
            return Arc::clone(last);
        }
        let words = Words { origin: origin.into(), reason: reason.into(), said: said.cloned() };
        let words = self.known.get(&words).cloned().unwrap_or_else(|| self.learn(words));
        self.last = Some(Arc::clone(&words));
        words
    }

    fn learn(&mut self, words: Words) -> Arc<Words> {
        if self.known.len() >= TEXTS {
            self.known.clear();
        }
        let words = Arc::new(words);
        self.known.insert(Arc::clone(&words));
        words
    }
}
