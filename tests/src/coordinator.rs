//! A coordinator on a host of its own beside a fleet, asked as its users ask it.
#![expect(clippy::unwrap_used, reason = "a laboratory that cannot go on has failed")]

use std::{fs, net::Ipv4Addr, path::PathBuf, process::Command};

use serde_json::{Value, json};

use crate::{
    daemon::program,
    hosts::{Hosts, SOON, address},
    namespace::Namespace,
    process::{Running, until},
};

/// Where on the wire it is.
pub const COORDINATOR: usize = 5;

/// A coordinator; it ends when dropped.
#[derive(Debug)]
pub struct Coordinator {
    /// Its host.
    pub host: Namespace,
    /// The folder of its files.
    pub dir: PathBuf,
    running: Option<Running>,
    starts: u32,
}

/// What goes along with the questions of who has logged in.
pub type Session = Vec<String>;

impl Coordinator {
    /// Joins the fleet of the first host, and starts.
    pub fn join(hosts: &Hosts) -> Self {
        let mut coordinator = Self::enter(hosts);
        coordinator.start();
        coordinator
    }

    /// Joins the fleet of the first host, and does not start yet.
    pub fn enter(hosts: &Hosts) -> Self {
        let dir = hosts.folder(COORDINATOR);
        fs::create_dir_all(&dir).unwrap();
        let coordinator = Self { host: hosts.guest(COORDINATOR), dir, running: None, starts: 0 };
        coordinator.configure("");
        let token = hosts.token(0, &["--role", "coordinator"]);
        let signer = format!("{}:7470", address(0));
        let joined = coordinator
            .command()
            .args(["join", &signer, "--token", &token, "--name", "memory"])
            .output()
            .unwrap();
        assert!(joined.status.success(), "{}", String::from_utf8_lossy(&joined.stderr));
        coordinator
    }

    /// Its configuration from the next start on.
    pub fn configure(&self, text: &str) {
        fs::write(self.dir.join("coordinator.toml"), text).unwrap();
    }

    /// Its program, with its folders.
    pub fn command(&self) -> Command {
        let mut command = self.host.command(&program("smartfw-coordinator").unwrap().display().to_string());
        let file = |name: &str| self.dir.join(name);
        command.arg("--config").arg(file("coordinator.toml")).arg("--state-dir").arg(file("state"));
        command.arg("--log-dir").arg(file("log"));
        command
    }

    /// Where it is reached.
    pub fn at() -> Ipv4Addr {
        address(COORDINATOR)
    }

    /// What it printed since its last start.
    pub fn said(&self) -> String {
        fs::read_to_string(self.journal()).unwrap_or_default()
    }

    /// Starts it, and waits until it answers.
    pub fn start(&mut self) {
        self.start_with(|_| ());
    }

    /// The same with a command that was changed.
    pub fn start_with(&mut self, change: impl FnOnce(&mut Command)) {
        self.starts += 1;
        let mut command = self.command();
        command.args(["--http", &format!("{}:7480", Self::at()), "--metrics", "off"]);
        change(&mut command);
        self.running = Some(Running::start(command, &self.journal()).unwrap());
        until("the coordinator answers", SOON, || self.ask(&["/api/v1/openapi.json"]).0 != 0)
            .unwrap_or_else(|error| panic!("{error}: {}", self.said()));
    }

    /// Kills it without a warning.
    pub fn kill(&mut self) {
        self.running.take().unwrap().end(libc::SIGKILL);
    }

    /// How much of the machine's memory it has, KiB.
    pub fn memory(&self) -> u64 {
        let pid = self.running.as_ref().unwrap().pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// What curl is answered: the status (0: nobody answers), and the body. The last argument is the path.
    pub fn ask(&self, arguments: &[&str]) -> (u16, Value) {
        let (path, more) = arguments.split_last().unwrap();
        let mut curl = self.host.command("curl");
        curl.args(["-sk", "-m", "10", "-w", "\n%{http_code}", "-H", "Content-Type: application/json"])
            .args(more);
        let done = curl.arg(format!("https://{}:7480{path}", Self::at())).output().unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
    }

    /// Logs in, which every start needs anew.
    pub fn log_in(&self) -> Session {
        let jar = self.dir.join("jar").display().to_string();
        // Nobody looked on when it was made: it is in a file.
        let password = fs::read_to_string(self.dir.join("state/coordinator/web/first-password")).unwrap();
        let login = json!({"name": "admin", "password": password.trim()}).to_string();
        let (status, body) = self.ask(&["-c", &jar, "-d", &login, "/api/v1/login"]);
        assert_eq!(status, 200, "{body}");
        ["-b", &jar, "-H", "X-Smartfw: 1"].map(str::to_owned).to_vec()
    }

    /// How who has logged in is answered.
    pub fn ask_as(&self, session: &Session, path: &str) -> (u16, Value) {
        self.ask(&session.iter().map(String::as_str).chain([path]).collect::<Vec<_>>())
    }

    /// How it is answered that something shall be taken back.
    pub fn delete(&self, session: &Session, path: &str) -> (u16, Value) {
        let arguments = session.iter().map(String::as_str).chain(["-X", "DELETE", path]);
        self.ask(&arguments.collect::<Vec<_>>())
    }

    /// The secret of a new token.
    pub fn token(&self, session: &Session, role: &str) -> String {
        let token = json!({"name": role, "role": role, "duration": 3600});
        let (made, token) = self.post(session, "/api/v1/tokens", &token);
        assert_eq!(made, 201, "{token}");
        token["token"].as_str().unwrap().to_owned()
    }

    /// Gives it an operator's certificate.
    pub fn appoint(&self, hosts: &Hosts) {
        let token = hosts.token(0, &["--role", "operator"]);
        let mut join = self.host.command(&program("smartfw-cli").unwrap().display().to_string());
        join.env("SMARTFW_OPERATOR_DIR", self.dir.join("state/coordinator/operator"));
        let signer = format!("{}:7470", address(0));
        join.args(["cluster", "join", &signer, "--token", &token, "--operator", "web", "--no-passphrase"]);
        let joined = join.output().unwrap();
        assert!(joined.status.success(), "{}", String::from_utf8_lossy(&joined.stderr));
    }

    /// What must be answered.
    #[track_caller]
    pub fn get(&self, session: &Session, path: &str) -> Value {
        let (status, body) = self.ask_as(session, path);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// What is sent, and how it is answered.
    pub fn post(&self, session: &Session, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let arguments: Vec<&str> = session.iter().map(String::as_str).chain(["-d", &body, path]).collect();
        self.ask(&arguments)
    }

    /// All events that a question is about (`node=web-1`), the oldest first.
    pub fn history(&self, session: &Session, question: &str) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut page = self.get(session, &format!("/api/v1/events?limit=500&{question}{cursor}"));
            all.append(page["events"].as_array_mut().unwrap());
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        all.reverse();
        all
    }

    /// What is wrong with it, in one text: what, and what to do.
    pub fn troubles(&self, session: &Session) -> String {
        self.get(session, "/api/v1/health")["health"].to_string()
    }

    fn journal(&self) -> PathBuf {
        self.dir.join(format!("journal-{}", self.starts))
    }
}
