//! Members that are known: those whom a person named, and those of the last answer, kept on disk.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use smartfw_core::fleet::NodeId;
use smartfw_proto::convert::FleetMember;

use crate::place::replace;

/// Members that are kept: one that answers is enough.
const KEPT: usize = 1_024;
/// Bytes of the file: each takes some 120.
const LONGEST: u64 = 256 << 10;

/// Whom we know.
#[derive(Debug)]
pub struct Known {
    path: PathBuf,
    seeds: Vec<SocketAddr>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    members: Vec<Member>,
    /// Who answered last.
    good: Option<SocketAddr>,
    /// Where the next turn begins.
    turn: usize,
}

/// A member, as the file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
    /// All hexadecimal digits of its id.
    id: String,
    address: SocketAddr,
}

impl Known {
    /// Those in the identity's folder, and those whom a person named. What cannot be read is only forgotten.
    pub fn load(folder: &Path, seeds: Vec<SocketAddr>) -> Self {
        let path = folder.join("members.json");
        let members = read(&path).unwrap_or_else(|why| {
            tracing::warn!(path = %path.display(), why, "members that were known are forgotten");
            Vec::new()
        });
        Self { path, seeds, state: Mutex::new(State { members, ..State::default() }) }
    }

    /// Whom to dial next: who answered last, then others, so that in some turns all come.
    pub(super) fn next(&self, most: usize) -> Vec<SocketAddr> {
        let mut state = self.state();
        let all: Vec<SocketAddr> =
            self.seeds.iter().copied().chain(state.members.iter().map(|member| member.address)).collect();
        let mut next: Vec<SocketAddr> = state.good.into_iter().collect();
        let turn = state.turn.checked_rem(all.len()).unwrap_or_default();
        let mut looked = 0;
        for address in all[turn..].iter().chain(&all[..turn]) {
            if next.len() >= most {
                break;
            }
            looked += 1;
            if !next.contains(address) {
                next.push(*address);
            }
        }
        state.turn = turn + looked;
        next
    }

    /// Where a member is.
    pub(super) fn find(&self, id: &NodeId) -> Option<SocketAddr> {
        let id = format!("{id:#}");
        self.state().members.iter().find(|member| member.id == id).map(|member| member.address)
    }

    /// What a member says of who is in the fleet.
    pub(super) fn hear(&self, from: SocketAddr, members: &[FleetMember]) {
        let there = members.iter().filter(|member| matches!(member.state.as_str(), "alive" | "suspect"));
        let parsed = there.filter_map(|member| {
            Some(Member { id: format!("{:#}", member.id), address: member.address.parse().ok()? })
        });
        let members: Vec<Member> = parsed.take(KEPT).collect();
        let mut state = self.state();
        state.good = Some(from);
        if members.is_empty() || members == state.members {
            return;
        }
        state.members.clone_from(&members);
        drop(state);
        let written =
            serde_json::to_vec(&members).map_err(Into::into).and_then(|text| replace(&self.path, &text));
        if let Err(why) = written {
            tracing::warn!(why = format!("{why:#}"), "who is in the fleet is not kept for the next start");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> Result<Vec<Member>, String> {
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Ok(about) if about.len() > LONGEST => return Err("the file is too long".into()),
        _ => {}
    }
    let text = fs::read(path).map_err(|error| error.to_string())?;
    let mut members: Vec<Member> = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    members.truncate(KEPT);
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], n))
    }

    fn member(n: u16, state: &str) -> FleetMember {
        let (name, site) = (format!("web-{n}"), "default".to_owned());
        let id = NodeId(std::array::from_fn(|i| n.to_be_bytes()[i % 2]));
        FleetMember { id, name, site, address: at(n).to_string(), state: state.into() }
    }

    #[test]
    fn in_some_turns_all_are_asked_and_who_answered_last_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let known = Known::load(folder.path(), vec![at(1), at(2)]);
        assert_eq!(known.next(6), [at(1), at(2)]);
        let members: Vec<FleetMember> = (3..10).map(|n| member(n, "alive")).collect();
        known.hear(at(2), &members);
        let mut asked: Vec<SocketAddr> = (0..4).flat_map(|_| known.next(3)).collect();
        assert_eq!(asked[0], at(2));
        asked.sort_unstable();
        asked.dedup();
        assert_eq!(asked.len(), 9);
    }

    #[test]
    fn who_is_there_is_known_after_a_restart_and_garbage_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let known = Known::load(folder.path(), Vec::new());
        assert!(known.next(6).is_empty());
        let mut members: Vec<FleetMember> = (0..2_000).map(|n| member(n, "alive")).collect();
        members[1] = member(1, "dead");
        members[2].address = "somewhere:7470".into();
        known.hear(at(5), &members);
        let again = Known::load(folder.path(), Vec::new());
        assert_eq!(again.state().members.len(), KEPT);
        assert_eq!((again.find(&members[0].id), again.find(&members[1].id)), (Some(at(0)), None));
        fs::write(folder.path().join("members.json"), "[{").unwrap();
        assert!(Known::load(folder.path(), Vec::new()).next(6).is_empty());
        fs::write(folder.path().join("members.json"), vec![b' '; LONGEST as usize + 1]).unwrap();
        assert!(Known::load(folder.path(), vec![at(1)]).next(6) == [at(1)]);
    }
}
