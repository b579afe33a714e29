//! Running the programs that come with the system: arguments as a list, never through a shell, with an end to the
//! waiting and to what is read.

use std::{
    ffi::OsStr,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use crate::EnforceError;

/// Programs answer within milliseconds; ten seconds are a lock that is never released.
const PATIENCE: Duration = Duration::from_secs(10);
/// A table of 100,000 rules takes about 10 MB.
const OUTPUT: usize = 32 << 20;
/// The first lines say what is wrong.
const COMPLAINT: usize = 2048;
/// How long to wait between two looks at a child that has closed its output.
const PAUSE: Duration = Duration::from_millis(1);
/// Where system programs are, even when the caller's PATH does not say so.
const SYSTEM: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Runs `program` with `arguments`, feeds it `input`, and returns what it wrote.
pub(crate) fn run<S: AsRef<OsStr>>(
    program: &str,
    arguments: &[S],
    input: &[u8],
) -> Result<Vec<u8>, EnforceError> {
    run_for(PATIENCE, program, arguments, input)
}

/// Where `program` is, if it is installed.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = std::env::split_paths(&path).filter(|directory| directory.is_absolute());
    SYSTEM.iter().map(PathBuf::from).chain(own).map(|d| d.join(program)).find(|path| path.is_file())
}

fn run_for<S: AsRef<OsStr>>(
    patience: Duration,
    program: &str,
    arguments: &[S],
    input: &[u8],
) -> Result<Vec<u8>, EnforceError> {
    let path = find(program).ok_or_else(|| missing(program))?;
    let line = || describe(program, arguments);
    let failed = |source| EnforceError::System { what: line(), source };
    let deadline = Instant::now() + patience;
    let mut child = spawn(&path, arguments).map_err(failed)?;
    let mut output = attend(&mut child, input.to_vec());
    match output.wait(&mut child, deadline) {
        Ok(Some(status)) if status.success() && output.stdout.len() <= OUTPUT => Ok(output.stdout),
        Ok(Some(status)) if status.success() => {
            Err(EnforceError::TooMuchOutput { command: line(), limit: OUTPUT })
        }
        Ok(Some(status)) => Err(complaint(line(), status, &output.stderr)),
        Ok(None) => Err(EnforceError::Timeout { command: line(), seconds: patience.as_secs() }),
        Err(error) => Err(failed(error)),
    }
}

fn spawn<S: AsRef<OsStr>>(path: &Path, arguments: &[S]) -> io::Result<Child> {
    let search = std::env::join_paths(SYSTEM).unwrap_or_default();
    Command::new(path)
        .args(arguments)
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", search)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// What a running child writes, read by threads of its own so that no pipe can fill up.
struct Output {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    readers: [Receiver<Vec<u8>>; 2],
}

fn attend(child: &mut Child, input: Vec<u8>) -> Output {
    if let Some(mut stdin) = child.stdin.take() {
        // A child that stops reading fails by its own exit code; its closed pipe is no news.
        thread::spawn(move || stdin.write_all(&input).ok());
    }
    let readers = [reader(child.stdout.take(), OUTPUT + 1), reader(child.stderr.take(), COMPLAINT)];
    Output { stdout: Vec::new(), stderr: Vec::new(), readers }
}

fn reader(pipe: Option<impl Read + Send + 'static>, limit: usize) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.by_ref().take(limit as u64).read_to_end(&mut kept);
            // The rest is read and forgotten, so that the child can end.
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        // The receiver is gone only when the child took too long.
        let _ = sender.send(kept);
    });
    receiver
}

impl Output {
    /// The child's end, or `None` when it had to be killed.
    fn wait(&mut self, child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        let left = || deadline.saturating_duration_since(Instant::now());
        let complete = self.readers[0].recv_timeout(left()).and_then(|stdout| {
            self.stdout = stdout;
            self.stderr = self.readers[1].recv_timeout(left())?;
            Ok(())
        });
        while complete.is_ok() && !left().is_zero() {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            thread::sleep(PAUSE);
        }
        child.kill()?;
        child.wait()?;
        Ok(None)
    }
}

fn complaint(command: String, status: ExitStatus, stderr: &[u8]) -> EnforceError {
    let stderr = String::from_utf8_lossy(stderr).trim().replace('\n', "; ");
    if stderr.contains("Permission denied (you must be root)") {
        return EnforceError::Capability { what: command };
    }
    let status = status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"));
    EnforceError::Command { command, status, stderr }
}

fn missing(program: &str) -> EnforceError {
    let package = match program {
        name if name.starts_with("iptables") || name.starts_with("ip6tables") => "iptables",
        "ipset" => "ipset",
        "systemd-run" | "systemctl" => "systemd",
        "ip" => "iproute2",
        _ => "the package of that name",
    };
    EnforceError::MissingProgram { program: program.into(), package }
}

fn describe<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> String {
    arguments.iter().fold(program.to_owned(), |line, word| line + " " + &word.as_ref().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [&str; 0] = [];

    #[test]
    fn what_goes_in_comes_out() {
        let text = vec![b'x'; 1 << 20];
        assert_eq!(run("cat", &NONE, &text).unwrap(), text);
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let error = run("ls", &["/nowhere at all"], b"").unwrap_err();
        let EnforceError::Command { command, status, stderr } = error else { panic!("{error}") };
        assert_eq!((command.as_str(), status.as_str()), ("ls /nowhere at all", "exit code 2"));
        assert!(stderr.contains("No such file"), "{stderr}");
    }

    #[test]
    fn a_missing_program_names_its_package() {
        let error = run("iptables-of-the-future", &NONE, b"").unwrap_err();
        assert!(error.to_string().contains("apt-get install iptables"), "{error}");
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let started = Instant::now();
        let error = run_for(Duration::from_millis(200), "sleep", &["60"], b"").unwrap_err();
        assert!(matches!(error, EnforceError::Timeout { .. }), "{error}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_program_that_never_stops_writing_is_cut_off() {
        let error = run("head", &["-c", "33554433", "/dev/zero"], b"").unwrap_err();
        assert!(matches!(error, EnforceError::TooMuchOutput { .. }), "{error}");
    }
}
