//! The roles.

use serde::{Deserialize, Serialize};

/// What somebody may do. A bouncer reads decisions and nothing else; of the others each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads decisions.
    Bouncer,
    /// Sees everything but accounts and the audit log.
    Viewer,
    /// Blocks and allows.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// Whether it may do what `needed` may.
    pub fn covers(self, needed: Self) -> bool {
        match (self, needed) {
            (Self::Bouncer, Self::Bouncer) => true,
            (Self::Bouncer, _) | (_, Self::Bouncer) => false,
            (has, needed) => has as u8 >= needed as u8,
        }
    }

    /// As users read it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Bouncer => "bouncer",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Role::{Admin, Bouncer, Operator, Viewer};

    #[test]
    fn each_may_what_those_below_may_and_bouncers_stand_apart() {
        let ladder = [Viewer, Operator, Admin];
        for (has, role) in ladder.iter().enumerate() {
            for (needed, other) in ladder.iter().enumerate() {
                assert_eq!(role.covers(*other), has >= needed, "{role:?} {other:?}");
            }
            assert!(!role.covers(Bouncer) && !Bouncer.covers(*role));
        }
        assert!(Bouncer.covers(Bouncer));
    }
}
