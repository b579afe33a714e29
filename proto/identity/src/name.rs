//! What members are called, and what their certificates let them do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest label: one label of a host name, so that host names fit.
pub const LABEL_BYTES: usize = 63;

/// One word of a name: 1 to 63 of `a-z`, `0-9`, `.`, `_` and `-`, beginning with a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

/// The text is no [`Label`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} cannot be a name: use 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit"
)]
pub struct BadLabel(String);

impl Label {
    /// The label of this text; capitals become small letters, since host names do not tell them apart.
    ///
    /// # Errors
    /// When the text has other characters, is empty or is too long.
    pub fn new(text: &str) -> Result<Self, BadLabel> {
        let small = text.to_ascii_lowercase();
        if is_label(&small) {
            Ok(Self(small))
        } else {
            Err(BadLabel(text.chars().take(LABEL_BYTES).collect()))
        }
    }

    /// The site of a member that was given none.
    pub fn default_site() -> Self {
        Self("default".into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_label(text: &str) -> bool {
    let tame = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: u8| tame(byte) || matches!(byte, b'.' | b'_' | b'-');
    text.len() <= LABEL_BYTES && text.bytes().next().is_some_and(tame) && text.bytes().all(inner)
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Label {
    type Err = BadLabel;
    fn from_str(text: &str) -> Result<Self, BadLabel> {
        Self::new(text)
    }
}

impl TryFrom<String> for Label {
    type Error = BadLabel;
    fn try_from(text: String) -> Result<Self, BadLabel> {
        if is_label(&text) { Ok(Self(text)) } else { Err(BadLabel(text)) }
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

/// What a certificate lets its holder do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Watches its host and speaks of what it sees.
    Node,
    /// A node that also signs certificates of others.
    Signer,
    /// Collects what nodes report; speaks for nobody.
    Coordinator,
    /// A person who orders the fleet.
    Operator,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Node, Self::Signer, Self::Coordinator, Self::Operator];

    /// As it is written in certificates and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Signer => "signer",
            Self::Coordinator => "coordinator",
            Self::Operator => "operator",
        }
    }

    /// Whether it answers connections; operators only make them.
    pub const fn serves(self) -> bool {
        !matches!(self, Self::Operator)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no [`Role`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no role {0:?}: use node, signer, coordinator or operator")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| UnknownRole(text.chars().take(LABEL_BYTES).collect()))
    }
}

/// A member's full name. It is a label of a key, never a proof.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberName {
    /// The cluster.
    pub cluster: Label,
    /// The site within it; private addresses mean the same host only within one.
    pub site: Label,
    /// The member; unique within the cluster.
    pub name: Label,
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}/{}", self.cluster, self.site, self.name)
    }
}

/// Whom a certificate speaks of.
///
/// Written as the only subject alternative name, a URI: `smartfw://CLUSTER/SITE/NAME?role=ROLE` for members and
/// `smartfw://CLUSTER?role=root` for the root. The role is in the URI, not in a usage of our own: a usage needs a
/// registered object identifier, and any tool that prints certificates shows a URI in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The root of a cluster.
    Root {
        /// The cluster.
        cluster: Label,
    },
    /// A member.
    Member {
        /// Its full name.
        name: MemberName,
        /// What it may do.
        role: Role,
    },
}

const SCHEME: &str = "smartfw://";
const ROLE: &str = "?role=";

impl Subject {
    /// The cluster.
    pub const fn cluster(&self) -> &Label {
        match self {
            Self::Root { cluster } => cluster,
            Self::Member { name, .. } => &name.cluster,
        }
    }

    /// Reads exactly what [`Display`](fmt::Display) writes; every other spelling is refused, so that no two texts
    /// mean one subject.
    pub fn parse(uri: &str) -> Option<Self> {
        let (path, role) = uri.strip_prefix(SCHEME)?.split_once(ROLE)?;
        let label = |text: &str| Label::try_from(text.to_owned()).ok();
        let mut parts = path.split('/');
        let cluster = label(parts.next()?)?;
        if role == "root" {
            return parts.next().is_none().then_some(Self::Root { cluster });
        }
        let name = MemberName { cluster, site: label(parts.next()?)?, name: label(parts.next()?)? };
        let role = role.parse().ok()?;
        parts.next().is_none().then_some(Self::Member { name, role })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root { cluster } => write!(f, "{SCHEME}{cluster}{ROLE}root"),
            Self::Member { name, role } => write!(f, "{name}{ROLE}{role}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_subject_is_read_as_it_was_written_and_in_no_other_spelling() {
        for uri in ["smartfw://prod?role=root", "smartfw://prod/default/web-1?role=signer"] {
            assert_eq!(Subject::parse(uri).unwrap().to_string(), uri);
        }
        for uri in [
            "smartfw://prod",
            "smartfw://prod/web-1?role=node",
            "smartfw://prod/a/b/c?role=node",
            "smartfw://prod/a/B?role=node",
            "smartfw://prod/a/b?role=root",
            "smartfw://prod/a/b?role=node&role=operator",
            "smartfw://prod/a/b?role=node?role=operator",
            "smartfw://prod/../b?role=node",
            "https://prod/a/b?role=node",
            "smartfw://prod/a/b?role=",
        ] {
            assert_eq!(Subject::parse(uri), None, "{uri}");
        }
    }

    #[test]
    fn a_host_name_becomes_a_label() {
        assert_eq!(Label::new("Web-1.Example.org").unwrap().as_str(), "web-1.example.org");
        assert!(Label::new(&"a".repeat(63)).is_ok());
        for bad in ["", "-a", ".", "a b", "a/b", "é", &"a".repeat(64)] {
            assert!(Label::new(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = (Subject::parse(&text), Label::new(&text), text.parse::<Role>());
            let _ = Subject::parse(&format!("smartfw://{text}?role=node"));
        }
    }
}
