//! A target as typed.

use std::{convert::Infallible, str::FromStr};

use smartfw_core::{IpNet, prefix::parse_target};

use crate::failure::Failure;

/// A target as typed. What is none is refused by the command (code 1), not by the usage (code 2): a script that
/// feeds addresses wants to know that this one was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target(String);

impl FromStr for Target {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl Target {
    /// The prefix that is meant.
    pub(crate) fn parse(&self) -> Result<IpNet, Failure> {
        parse_target(self.0.trim()).map_err(|_| {
            let shown: String = self.0.chars().take(60).collect();
            let example = "write an address or CIDR, like 203.0.113.7, 203.0.113.0/24 or 2001:db8::/48";
            Failure::failed(format!("{shown:?} is not a target: {example}"))
        })
    }
}
