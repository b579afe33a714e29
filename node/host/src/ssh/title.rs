//! What sshd writes over its own command line, and what that proves.
//!
//! Before authentication a connection's processes are called `sshd: [accepted]`, `sshd: USER [priv]`, `sshd: USER [net]`,
//! `sshd: USER [pam]`, or `unknown` for the user; since 9.8 they begin with `sshd-session: `. Only after authentication
//! is there a process whose title has no brackets: `USER@TTYS`, `USER@notty`, or `USER` while it has no session (`-N`).

/// Programs that serve SSH connections, by the name of their file.
pub(super) const PROGRAMS: [&str; 3] = ["sshd", "sshd-session", "sshd-auth"];

/// The user of the authenticated session whose process has this title.
pub(super) fn authenticated(title: &str) -> Option<&str> {
    let who = subject(title)?;
    if who.contains(['[', ']']) || who.starts_with('/') {
        return None;
    }
    let user = who.rsplit_once('@').map_or(who, |(user, _)| user);
    (!user.is_empty() && user != "unknown").then_some(user)
}

/// Whether this is the title of a connection's privileged process.
pub(super) fn is_monitor(title: &str) -> bool {
    subject(title).is_some_and(|who| who.ends_with(" [priv]"))
}

fn subject(title: &str) -> Option<&str> {
    let who = title.strip_prefix("sshd: ").or_else(|| title.strip_prefix("sshd-session: "))?;
    Some(who.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_after_authentication_give_their_user() {
        for (title, user) in [
            ("sshd: root@pts/0", "root"),
            ("sshd: root@pts/0,pts/3", "root"),
            ("sshd: alice@notty", "alice"),
            ("sshd: alice", "alice"),
            ("sshd-session: alice@notty", "alice"),
            ("sshd: alice@corp.example@pts/1", "alice@corp.example"),
        ] {
            assert_eq!(authenticated(title), Some(user), "{title}");
        }
    }

    #[test]
    fn titles_before_authentication_prove_nothing() {
        for title in [
            "sshd: [accepted]",
            "sshd: root [priv]",
            "sshd: root [net]",
            "sshd: root [pam]",
            "sshd: unknown [priv]",
            "sshd: unknown",
            "sshd-session: root [priv]",
            "sshd-auth: root [net]",
            "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
            "sshd: /usr/sbin/sshd",
            "/usr/sbin/sshd -D",
            "sshd: ",
            "sshd",
            "vim sshd: root@pts/0",
        ] {
            assert_eq!(authenticated(title), None, "{title}");
        }
    }
}
