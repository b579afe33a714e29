//! Sessions that logind keeps: pam_systemd registers them after authentication.

use std::path::Path;

use super::Session;
use crate::read;

/// The SSH sessions of logind.
pub(crate) fn sessions(root: &Path) -> Vec<Session> {
    // Beside each session is a pipe.
    let files = read::files(&root.join("run/systemd/sessions"), |name| !name.ends_with(".ref"));
    files.iter().filter_map(|file| session(&read::text(file))).collect()
}

fn session(text: &str) -> Option<Session> {
    let value = |key| text.lines().find_map(|line: &str| line.strip_prefix(key)?.strip_prefix('='));
    let serves = value("SERVICE").is_some_and(|service| service.starts_with("sshd"));
    if !serves || value("REMOTE") != Some("1") || value("STATE") == Some("closing") {
        return None;
    }
    let address = read::address(value("REMOTE_HOST")?)?;
    Some(Session { address, user: value("USER").unwrap_or_default().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSH: &str = "# This is private data.\nUID=0\nUSER=root\nSTATE=active\nREMOTE=1\nTYPE=tty\nCLASS=user\n\
                       REMOTE_HOST=192.0.2.7\nSERVICE=sshd\nLEADER=4711\n";

    #[test]
    fn a_remote_ssh_session_counts_until_it_closes() {
        let expected = Session { address: "192.0.2.7".parse().unwrap(), user: "root".into() };
        assert_eq!(session(SSH), Some(expected));
        assert_eq!(session(&SSH.replace("=active", "=closing")), None);
    }

    #[test]
    fn pipes_push_no_session_out() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("run/systemd/sessions");
        std::fs::create_dir_all(&folder).unwrap();
        for number in 0..200 {
            std::fs::write(folder.join(format!("{number}.ref")), "").unwrap();
            std::fs::write(folder.join(number.to_string()), SSH).unwrap();
        }
        assert_eq!(sessions(root.path()).len(), 200);
    }

    #[test]
    fn other_sessions_do_not_count() {
        assert_eq!(session(&SSH.replace("=sshd", "=vsftpd")), None);
        assert_eq!(session(&SSH.replace("REMOTE=1", "REMOTE=0")), None);
        assert_eq!(session(&SSH.replace("192.0.2.7", "host.example")), None);
        assert_eq!(session("no session"), None);
    }
}
