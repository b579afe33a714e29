//! The real daemon and the real command line, in the server's namespace, with all their files under one folder.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    namespace::Namespace,
    net::INTERFACE,
    process::{Running, last_line, until},
};

/// How long the daemon may take until it answers.
const START: Duration = Duration::from_secs(15);

/// A node that guards the server. Dropping it ends the daemon; its rules go with the namespace.
#[derive(Debug)]
pub struct Guard<'a> {
    server: &'a Namespace,
    dir: PathBuf,
    environment: Vec<(String, String)>,
    running: Option<Running>,
    starts: u32,
}

/// What the command line answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The exit code.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it complained about.
    pub err: String,
}

/// Where the programs are: `SMARTFW_BIN`, or beside this program.
pub fn program(name: &str) -> Result<PathBuf> {
    let beside = env::current_exe()?;
    let folders = beside.ancestors().skip(1).take(2).map(Path::to_owned);
    let given = env::var_os("SMARTFW_BIN").map(PathBuf::from);
    let found = given.into_iter().chain(folders).map(|folder| folder.join(name)).find(|path| path.exists());
    found.with_context(|| {
        format!(
            "{name} is not built (cargo build --release -p {name}), or SMARTFW_BIN does not name its folder"
        )
    })
}

impl<'a> Guard<'a> {
    /// Prepares a folder for a node, without starting it. `config` is the text of its configuration.
    pub fn prepare(server: &'a Namespace, dir: &Path, config: &str) -> Result<Self> {
        for name in ["state", "log"] {
            fs::create_dir_all(dir.join(name))?;
        }
        fs::write(dir.join("node.toml"), config)?;
        Ok(Self { server, dir: dir.to_owned(), environment: Vec::new(), running: None, starts: 0 })
    }

    /// Prepares and starts a node with an empty configuration.
    pub fn start(server: &'a Namespace, dir: &Path) -> Result<Self> {
        let mut guard = Self::prepare(server, dir, "")?;
        guard.launch()?;
        Ok(guard)
    }

    /// Starts the daemon and waits until it answers.
    pub fn launch(&mut self) -> Result<()> {
        self.spawn(&[])?;
        let asked = until("the daemon answers", START, || self.cli(&["status"]).is_ok_and(|a| a.code == 0));
        asked.with_context(|| format!("smartfw-node: {}", self.last_words()))?;
        Ok(())
    }

    /// Starts the daemon with more arguments, and does not wait.
    pub fn spawn(&mut self, more: &[&str]) -> Result<()> {
        let mut command = self.node()?;
        command.args(["--interface", INTERFACE, "--name", "guard", "--metrics", "127.0.0.1:9470"]).args(more);
        self.starts += 1;
        self.running = Some(Running::start(command, &self.log())?);
        Ok(())
    }

    /// The daemon's program inside the namespace, with its folders and its socket.
    pub fn node(&self) -> Result<Command> {
        // As its unit does.
        let mut command = self.server.command("nice");
        command.args(["-n", "-10"]).arg(program("smartfw-node")?);
        let file = |name: &str| self.dir.join(name);
        command.arg("--config").arg(file("node.toml")).arg("--state-dir").arg(self.state());
        command.arg("--log-dir").arg(file("log")).arg("--socket").arg(self.socket());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// A variable of the environment for every later start of the daemon.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// The command line inside the namespace, with the daemon's socket.
    pub fn client(&self) -> Result<Command> {
        let mut command = self.server.command(&program("smartfw-cli")?.display().to_string());
        command.env("SMARTFW_STATE_DIR", self.state()).env("SMARTFW_CONFIG", self.dir.join("node.toml"));
        command.arg("--socket").arg(self.socket());
        Ok(command)
    }

    /// Asks through the command line.
    pub fn cli(&self, args: &[&str]) -> Result<Answer> {
        self.tell(args, "")
    }

    /// Asks through the command line with something on its standard input.
    pub fn tell(&self, args: &[&str], input: &str) -> Result<Answer> {
        self.answer(self.client()?, args, input)
    }

    /// Runs the command line that [`Self::client`] gave, with arguments and something on its standard input.
    pub fn answer(&self, mut client: Command, args: &[&str], input: &str) -> Result<Answer> {
        client.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = client.spawn()?;
        // A program that refuses before it reads closes the pipe, which is its right.
        let _ = child.stdin.take().context("no stdin")?.write_all(input.as_bytes());
        let done = child.wait_with_output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Answer {
            code: done.status.code().unwrap_or(-1),
            out: text(&done.stdout),
            err: text(&done.stderr),
        })
    }

    /// Asks for JSON; an error when the command fails.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let answer = self.cli(&[&["-o", "json"], args].concat())?;
        ensure!(answer.code == 0, "{args:?} ended with {}: {}", answer.code, answer.err);
        serde_json::from_str(&answer.out)
            .with_context(|| format!("{args:?} did not print JSON: {}", answer.out))
    }

    /// Does what must succeed.
    pub fn order(&self, args: &[&str]) -> Result<String> {
        let answer = self.cli(args)?;
        ensure!(answer.code == 0, "{args:?} ended with {}: {}", answer.code, answer.err);
        Ok(answer.out)
    }

    /// Kills the daemon without a warning.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.end(libc::SIGKILL);
        }
    }

    /// Ends the daemon in order.
    pub fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.end(libc::SIGTERM);
        }
    }

    /// The daemon's process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(Running::pid)
    }

    /// Whether the daemon runs.
    pub fn alive(&mut self) -> bool {
        self.running.as_mut().is_some_and(Running::alive)
    }

    /// The folder of its state.
    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("node.sock")
    }

    /// The last line that the daemon printed.
    pub fn last_words(&self) -> String {
        last_line(&self.log())
    }

    /// What the daemon printed since its last start.
    pub fn log(&self) -> PathBuf {
        self.dir.join(format!("node-{}.out", self.starts))
    }
}
