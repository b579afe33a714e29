//! Two models over the same windows.

use crate::Class;

/// How often a shadow said what the model in use said. A word is an attack's class at the confidence that is asked for,
/// an anomaly, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Windows that the shadow judged.
    pub looks: u64,
    /// Windows of which both said the same.
    pub agreed: u64,
    used_only: [u64; Class::ALL.len()],
    shadow_only: [u64; Class::ALL.len()],
}

impl Comparison {
    /// Windows for each class that only the model in use gave it, where there are any.
    pub fn used_only(&self) -> impl Iterator<Item = (Class, u64)> {
        counted(self.used_only)
    }

    /// Windows for each class that only the shadow gave it, where there are any.
    pub fn shadow_only(&self) -> impl Iterator<Item = (Class, u64)> {
        counted(self.shadow_only)
    }

    pub(super) fn add(&mut self, used: Option<Class>, shadow: Option<Class>) {
        self.looks += 1;
        if used == shadow {
            self.agreed += 1;
            return;
        }
        if let Some(class) = used {
            self.used_only[class as usize] += 1;
        }
        if let Some(class) = shadow {
            self.shadow_only[class as usize] += 1;
        }
    }
}

fn counted(counts: [u64; Class::ALL.len()]) -> impl Iterator<Item = (Class, u64)> {
    Class::ALL.iter().copied().zip(counts).filter(|(_, count)| *count > 0)
}
