//! Authenticated sessions out of the processes of sshd.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::{
    Session,
    process::{self, Process},
    table::{self, ESTABLISHED, LISTEN, Row, Table},
    title,
};

/// After so many looks a process that was not sshd is taken not to become it (a listener is forked before it is sshd).
const LOOKS: u8 = 4;
/// Scans after which all that is remembered of processes is forgotten: a number may be used again within one scan.
const FORGET: u32 = 64;
/// Looks for a session's connection before it is taken to have none (it may come by way of a pipe).
const TRIES: u8 = 4;
/// Sessions found at once. sshd itself allows ten to log in at a time, the kernel some thousand processes.
const MAX_FOUND: usize = 4096;

/// Looks for authenticated sessions among the processes; remembers what does not change between two looks.
pub struct Scanner {
    proc: PathBuf,
    network: PathBuf,
    looks: HashMap<u32, u8>,
    scans: u32,
    known: BTreeMap<Key, Connection>,
}

/// A process, also when its number is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    pid: u32,
    started: u64,
}

#[derive(Clone, Copy, Debug)]
enum Connection {
    From(IpAddr),
    /// Not found, so often.
    Unknown(u8),
}

/// An authenticated session's process, and those that may hold its connection.
struct Login {
    key: Key,
    user: String,
    sockets: Vec<u64>,
}

impl Scanner {
    /// Looks at the processes of this host, and at the sockets of the calling thread's network namespace.
    pub fn new(root: &Path) -> Self {
        Self {
            proc: root.join("proc"),
            network: root.join("proc/thread-self/net"),
            looks: HashMap::new(),
            scans: 0,
            known: BTreeMap::new(),
        }
    }

    /// The sessions that are authenticated now. Costs a system call per new process, and a look at the sockets only when
    /// there is a new session.
    pub fn scan(&mut self) -> Vec<Session> {
        let logins = self.logins();
        self.find_connections(&logins);
        let mut sessions = BTreeSet::new();
        for login in &logins {
            if let Some(Connection::From(address)) = self.known.get(&login.key) {
                sessions.insert(Session { address: *address, user: login.user.clone() });
            }
        }
        let alive: BTreeSet<Key> = logins.iter().map(|login| login.key).collect();
        self.known.retain(|key, _| alive.contains(key));
        sessions.into_iter().collect()
    }

    fn logins(&mut self) -> Vec<Login> {
        let pids = self.candidates();
        pids.into_iter().filter_map(|pid| self.login(pid)).take(MAX_FOUND).collect()
    }

    /// Processes that are, or may have become, sshd.
    fn candidates(&mut self) -> Vec<u32> {
        self.scans += 1;
        if self.scans.is_multiple_of(FORGET) {
            self.looks.clear();
        }
        let mut found = Vec::new();
        let pids = process::all(&self.proc);
        let alive: HashSet<u32> = pids.iter().copied().collect();
        // Numbers are used again: what ended says nothing about who comes.
        self.looks.retain(|pid, _| alive.contains(pid));
        for pid in pids {
            if self.looks.get(&pid).is_some_and(|looks| *looks >= LOOKS) {
                continue;
            }
            let identity = Process::new(&self.proc, pid).identity();
            if identity.is_some_and(|identity| title::PROGRAMS.contains(&identity.name.as_str())) {
                found.push(pid);
            } else {
                *self.looks.entry(pid).or_default() += 1;
            }
        }
        found
    }

    /// The session of a process, if it is one, authenticated, and served by the host's own sshd.
    fn login(&self, pid: u32) -> Option<Login> {
        const ROOT: u32 = 0;
        let process = Process::new(&self.proc, pid);
        let title = process.title();
        let user = title::authenticated(&title)?;
        let identity = process.identity()?;
        if !is_sshd(&process) {
            return None;
        }
        // Anybody can give a process of his any name. But root's process is root's, and a user's session is the child of
        // root's process for that connection, which nobody gets without logging in.
        let sockets = if process.user()? == ROOT {
            process.sockets()
        } else {
            let monitor = Process::new(&self.proc, identity.parent);
            if !is_sshd(&monitor) || monitor.user()? != ROOT || !title::is_monitor(&monitor.title()) {
                return None;
            }
            monitor.sockets().into_iter().chain(process.sockets()).collect()
        };
        let key = Key { pid, started: identity.started };
        Some(Login { key, user: user.to_owned(), sockets })
    }

    fn find_connections(&mut self, logins: &[Login]) {
        let is_known = |login: &Login| match self.known.get(&login.key) {
            Some(Connection::From(_)) => true,
            Some(Connection::Unknown(tries)) => *tries >= TRIES,
            None => false,
        };
        let new: Vec<&Login> = logins.iter().filter(|login| !is_known(login)).collect();
        if new.is_empty() {
            return;
        }
        let sockets = Sockets::read(&self.network, &new);
        for login in new {
            let tries = match self.known.get(&login.key) {
                Some(Connection::Unknown(tries)) => *tries,
                _ => 0,
            };
            let connection =
                sockets.connection(login).map_or(Connection::Unknown(tries + 1), Connection::From);
            self.known.insert(login.key, connection);
        }
    }
}

fn is_sshd(process: &Process) -> bool {
    process.program().is_some_and(|program| title::PROGRAMS.contains(&program.as_str()))
}

/// The TCP sockets that matter to some logins.
#[derive(Default)]
struct Sockets {
    established: HashMap<u64, Row>,
    /// Who listens: port and inode.
    listening: Vec<(u16, u64)>,
}

/// Listening sockets remembered.
const MAX_LISTENING: usize = 65_536;

impl Sockets {
    fn read(network: &Path, logins: &[&Login]) -> Self {
        let theirs: BTreeSet<u64> = logins.iter().flat_map(|login| login.sockets.iter().copied()).collect();
        let mut sockets = Self::default();
        for table in [Table::Tcp, Table::Tcp6] {
            table::each(network, table, |row| sockets.keep(row, &theirs));
        }
        sockets
    }

    fn keep(&mut self, row: Row, theirs: &BTreeSet<u64>) {
        match row.state {
            ESTABLISHED if theirs.contains(&row.inode) => {
                self.established.insert(row.inode, row);
            }
            LISTEN if self.listening.len() < MAX_LISTENING => {
                self.listening.push((row.local.port(), row.inode))
            }
            _ => {}
        }
    }

    /// The remote end of the connection that a login came by.
    ///
    /// Its processes also hold the connections that it forwards, whose ends proved nothing: those that came to a port
    /// that the session itself listens on, and those that it made. So the connection is the one to a port that somebody
    /// else listens on; failing that (sshd was stopped, its sessions live on), the first that it had.
    fn connection(&self, login: &Login) -> Option<IpAddr> {
        let own = |inode: &u64| login.sockets.contains(inode);
        let candidates = || {
            login.sockets.iter().filter_map(|inode| self.established.get(inode)).filter(|row| {
                !self.listening.iter().any(|(port, inode)| *port == row.local.port() && own(inode))
            })
        };
        let served = |row: &&Row| self.listening.iter().any(|(port, _)| *port == row.local.port());
        let connection = candidates().find(served).or_else(|| candidates().next())?;
        Some(connection.remote.ip())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(established: &[(u64, &str, &str)], listening: &[(u16, u64)]) -> Sockets {
        let row = |(inode, local, remote): &(u64, &str, &str)| {
            let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
            (*inode, Row { local, remote, state: ESTABLISHED, user: 0, inode: *inode })
        };
        Sockets { established: established.iter().map(row).collect(), listening: listening.to_vec() }
    }

    fn login(sockets: &[u64]) -> Login {
        Login { key: Key { pid: 1, started: 1 }, user: "root".into(), sockets: sockets.to_vec() }
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn ends_of_forwarded_connections_are_not_the_sessions() {
        let came = (5, "10.0.0.1:22", "10.0.0.7:4000");
        let made = (3, "10.0.0.1:40000", "203.0.113.1:443");
        let asked = (4, "10.0.0.1:9000", "203.0.113.2:5000");
        let sockets = sockets(&[came, made, asked], &[(22, 100), (9000, 6)]);
        assert_eq!(sockets.connection(&login(&[3, 4, 5, 6])), address("10.0.0.7"));
    }

    #[test]
    fn a_session_outlives_its_listener() {
        let sockets =
            sockets(&[(5, "10.0.0.1:22", "10.0.0.7:4000"), (9, "10.0.0.1:40000", "203.0.113.1:443")], &[]);
        assert_eq!(sockets.connection(&login(&[5, 9])), address("10.0.0.7"));
    }

    #[test]
    fn sockets_of_others_are_not_looked_at() {
        let mut sockets = Sockets::default();
        let row = Row {
            local: "10.0.0.1:22".parse().unwrap(),
            remote: "203.0.113.9:1".parse().unwrap(),
            state: ESTABLISHED,
            user: 0,
            inode: 8,
        };
        sockets.keep(row, &BTreeSet::from([7]));
        assert_eq!(sockets.connection(&login(&[7, 8])), None);
    }

    #[test]
    fn a_number_that_is_used_again_is_looked_at_again() {
        let root = tempfile::tempdir().unwrap();
        let process = root.path().join("proc/7");
        let become_program = |name: &str| {
            std::fs::create_dir_all(&process).unwrap();
            let stat = format!("7 ({name}) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0");
            std::fs::write(process.join("stat"), stat).unwrap();
        };
        let mut scanner = Scanner::new(root.path());
        become_program("sleep");
        (0..=LOOKS).for_each(|_| assert!(scanner.candidates().is_empty()));
        std::fs::remove_dir_all(&process).unwrap();
        assert!(scanner.candidates().is_empty());
        become_program("sshd");
        assert_eq!(scanner.candidates(), [7]);
    }

    #[test]
    fn the_table_of_listeners_is_bounded() {
        let mut sockets = Sockets::default();
        for inode in 0..MAX_LISTENING as u64 + 5 {
            let local = "10.0.0.1:22".parse().unwrap();
            sockets.keep(Row { local, remote: local, state: LISTEN, user: 0, inode }, &BTreeSet::new());
        }
        assert_eq!(sockets.listening.len(), MAX_LISTENING);
    }
}
