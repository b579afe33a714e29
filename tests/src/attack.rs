//! Attacks with the tools that attackers use. Every load is bounded in count or time, and stays in the namespaces.

mod catalogue;
mod own;

use std::{
    env, fs,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use smartfw_core::Class;

use crate::{
    net::{Host, ROUTER_MAC, SERVER_V4, SERVER_V6},
    peers,
    process::{Running, Stop},
};
pub use catalogue::ALL;
pub use own::starve;

/// One way to attack the server.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// Its name, as in the labels.
    pub name: &'static str,
    /// What it is.
    pub class: Class,
    /// Which of the attacker's addresses the server sees.
    pub from: From,
    /// After how many seconds it is ended.
    pub seconds: u64,
    /// Whether its tool is kept out of training, to judge by it what was learned.
    pub held_out: bool,
    how: How,
}

/// Which source addresses an attack has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The attacker's IPv4 address.
    V4,
    /// The attacker's IPv6 address.
    V6,
    /// Any address at all.
    Random,
}

#[derive(Clone, Copy, Debug)]
enum How {
    /// A program and its arguments; see [`fill`] for what stands in braces.
    Tool(&'static str),
    /// Our own code by its name, told which address of the server to attack.
    Own(&'static str, fn(IpAddr, &Stop) -> Result<()>),
}

/// The attack of this name.
pub fn named(name: &str) -> Option<&'static Attack> {
    ALL.iter().find(|attack| attack.name == name)
}

impl Attack {
    /// The name of the program that carries it out.
    pub fn tool(&self) -> &'static str {
        match self.how {
            How::Tool(line) => line.split(' ').next().unwrap_or(line),
            How::Own(name, _) => name,
        }
    }

    /// Whether this machine has the program.
    pub fn is_installed(&self) -> bool {
        let paths = env::var_os("PATH").unwrap_or_default();
        matches!(self.how, How::Own(..)) || env::split_paths(&paths).any(|dir| dir.join(self.tool()).exists())
    }

    /// The addresses that the server sees, as in the labels.
    pub fn sources(&self, attacker: &Host) -> String {
        match self.from {
            From::V4 => attacker.v4.to_string(),
            From::V6 => attacker.v6.to_string(),
            From::Random => "random".to_owned(),
        }
    }

    /// Where its program's output stands after a run in `dir`; our own code has none.
    pub fn log(&self, dir: &Path) -> PathBuf {
        dir.join(format!("attack-{}.log", self.name))
    }

    /// Carries it out until its end or `stop`. How well it went says nothing: an attack that is blocked fails.
    pub fn run(&self, attacker: &Host, dir: &Path, stop: &Stop) -> Result<()> {
        ensure!(self.is_installed(), "{} is not installed", self.tool());
        let stop = stop.within(Duration::from_secs(self.seconds));
        match self.how {
            How::Own(_, run) => {
                let server = if self.from == From::V6 { SERVER_V6.into() } else { SERVER_V4.into() };
                let _ = attacker.namespace.inside(|| run(server, &stop))?;
            }
            How::Tool(line) => {
                let words = dir.join("words");
                fs::write(&words, wrong_passwords()).context("cannot write the list of passwords")?;
                let args: Vec<String> = line.split(' ').map(|part| fill(part, attacker, &words)).collect();
                let mut command = attacker.namespace.command(&args[0]);
                // Several keep their settings and their last session at home.
                command.args(&args[1..]).current_dir(dir).env("HOME", dir);
                Running::start(command, &self.log(dir))?.wait(&stop)?;
            }
        }
        Ok(())
    }
}

/// `{v4}` and `{v6}` stand for the server, `{v4s}` and `{v6s}` for its further addresses, `{me}` for the attacker, `{router}` for the router's hardware address,
/// `{words}` for a list of passwords.
fn fill(part: &str, attacker: &Host, words: &Path) -> String {
    part.replace("{v4}", &SERVER_V4.to_string())
        .replace("{v6}", &SERVER_V6.to_string())
        .replace("{v4s}", peers::ALL_V4)
        .replace("{v6s}", peers::ALL_V6)
        .replace("{me}", &attacker.v4.to_string())
        .replace("{router}", ROUTER_MAC)
        .replace("{words}", &words.display().to_string())
}

/// Two thousand passwords that do not fit.
fn wrong_passwords() -> String {
    (0..2000).map(|i| format!("wrong-{i}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn every_name_is_taken_once() {
        let names: BTreeSet<&str> = ALL.iter().map(|attack| attack.name).collect();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn no_tool_is_both_trained_on_and_held_out() {
        let tools = |held_out| -> BTreeSet<&str> {
            ALL.iter().filter(|attack| attack.held_out == held_out).map(Attack::tool).collect()
        };
        assert!(tools(true).is_disjoint(&tools(false)));
    }

    #[test]
    fn every_class_can_be_learned_without_any_one_tool_and_judged_by_one_never_seen() {
        let mut trained = BTreeMap::<&str, BTreeSet<&str>>::new();
        let mut unseen = trained.clone();
        for attack in ALL {
            let tools = if attack.held_out { &mut unseen } else { &mut trained };
            tools.entry(attack.class.as_str()).or_default().insert(attack.tool());
        }
        assert_eq!(trained.len(), 5);
        assert!(trained.values().all(|tools| tools.len() >= 2), "{trained:?}");
        assert_eq!(unseen.keys().collect::<Vec<_>>(), trained.keys().collect::<Vec<_>>());
    }
}
