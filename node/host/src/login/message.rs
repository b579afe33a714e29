//! What sshd says of a login, parsed so that nobody can put words in its mouth.
//!
//! Whoever knocks chooses the user's name (up to a hundred characters, with blanks), and in a certificate a comment that
//! comes behind the address. So a message must begin and end as sshd writes it, and the address is where only sshd can
//! have written it: read from the end, or where exactly one place has its form.

use std::net::IpAddr;

use super::Outcome;

/// What one message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) kind: Kind,
    pub(super) source: IpAddr,
    pub(super) port: u16,
    pub(super) user: String,
    /// How often; more than once only where the log folds repetitions.
    pub(super) times: u32,
}

/// What kind of failure or success a message speaks of. Several messages may speak of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Somebody is in.
    Accepted,
    /// A password was wrong: each counts.
    WrongPassword,
    /// A key was refused. A client offers all it has: one connection counts once.
    WrongKey,
    /// A user that does not exist; followed by a wrong password, if one is tried.
    NoSuchUser,
    /// It hung up, or was hung up on, while authenticating.
    GaveUp,
}

impl Kind {
    pub(super) fn outcome(self) -> Outcome {
        if self == Self::Accepted { Outcome::Accepted } else { Outcome::Failed }
    }
}

/// The longest message sshd writes.
const MAX_MESSAGE: usize = 1024;
/// Repetitions that one line may stand for.
const MAX_TIMES: u32 = 100;

/// What `message` says of a login, if it is one of sshd's messages about one.
pub(super) fn parse(message: &str) -> Option<Said> {
    if message.len() > MAX_MESSAGE || message.contains(char::is_control) {
        return None;
    }
    if let Some(rest) = message.strip_prefix("message repeated ") {
        let (times, inner) = rest.split_once(" times: [ ")?;
        let said = once(inner.strip_suffix(']')?)?;
        return Some(Said { times: times.parse::<u32>().ok()?.clamp(1, MAX_TIMES), ..said });
    }
    once(message)
}

fn once(message: &str) -> Option<Said> {
    if let Some(rest) = message.strip_prefix("Accepted ") {
        return attempt(rest, |_| Some(Kind::Accepted));
    }
    if let Some(rest) = message.strip_prefix("Failed ") {
        return attempt(rest, |method| match method {
            "password" => Some(Kind::WrongPassword),
            "publickey" => Some(Kind::WrongKey),
            _ if method.starts_with("keyboard-interactive") => Some(Kind::WrongPassword),
            // `none` is how a client asks which methods there are.
            _ => None,
        });
    }
    if let Some(rest) = message.strip_prefix("Invalid user ") {
        let (user, source, port) = from_the_end(rest)?;
        return Some(said(Kind::NoSuchUser, user, source, port));
    }
    let rest = message.strip_suffix(" [preauth]")?;
    if let Some(rest) = rest.strip_prefix("error: maximum authentication attempts exceeded for ") {
        let (user, source, port) = from_the_end(rest.strip_suffix(" ssh2")?)?;
        return Some(said(Kind::GaveUp, known(user), source, port));
    }
    hung_up(rest)
}

/// `METHOD for [invalid user ]USER from ADDRESS port PORT ssh2[: EXTRA]`
fn attempt(rest: &str, kind: impl Fn(&str) -> Option<Kind>) -> Option<Said> {
    let (method, rest) = rest.split_once(" for ")?;
    let is_word = method.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-/".contains(&byte));
    let kind = kind(method).filter(|_| is_word)?;
    let with_extra = method == "publickey" || method == "hostbased" || method.starts_with("gssapi");
    let (user, source, port) =
        if with_extra { only_place(rest)? } else { from_the_end(rest.strip_suffix(" ssh2")?)? };
    Some(said(kind, known(user), source, port))
}

/// `Connection closed by`, `Connection reset by` and `Disconnecting`, while a user was being authenticated: the user's
/// name comes before the address.
fn hung_up(rest: &str) -> Option<Said> {
    const BEGINNINGS: [&str; 5] = [
        "Connection closed by authenticating user ",
        "Connection closed by invalid user ",
        "Connection reset by authenticating user ",
        "Connection reset by invalid user ",
        "Disconnected from authenticating user ",
    ];
    let rest = BEGINNINGS.iter().find_map(|beginning| rest.strip_prefix(beginning))?;
    let (before, port) = rest.rsplit_once(" port ")?;
    let (user, source) = before.rsplit_once(' ')?;
    Some(said(Kind::GaveUp, user, address(source)?, number(port)?))
}

fn said(kind: Kind, user: &str, source: IpAddr, port: u16) -> Said {
    Said { kind, source, port, user: user.to_owned(), times: 1 }
}

fn known(user: &str) -> &str {
    user.strip_prefix("invalid user ").unwrap_or(user)
}

/// `USER from ADDRESS port PORT`, where USER may hold anything: the last ` from ` is sshd's.
fn from_the_end(text: &str) -> Option<(&str, IpAddr, u16)> {
    let (user, place) = text.rsplit_once(" from ")?;
    let (source, port) = place.split_once(" port ")?;
    Some((user, address(source)?, number(port)?))
}

/// The same where anything may also follow behind ` ssh2`: only if exactly one place has that form.
fn only_place(text: &str) -> Option<(&str, IpAddr, u16)> {
    let mut found = None;
    for (at, _) in text.match_indices(" from ") {
        let rest = &text[at + " from ".len()..];
        let Some(end) = rest.find(" ssh2") else { break };
        let ends_there =
            matches!(&rest[end + " ssh2".len()..], "" | ":") || rest[end + 5..].starts_with(": ");
        let Some((source, port)) = rest[..end].split_once(" port ") else { continue };
        if let (true, Some(source), Some(port)) = (ends_there, address(source), number(port)) {
            if found.is_some() {
                return None;
            }
            found = Some((&text[..at], source, port));
        }
    }
    found
}

fn address(word: &str) -> Option<IpAddr> {
    word.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

fn number(word: &str) -> Option<u16> {
    word.parse().ok().filter(|_| word.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(message: &str, kind: Kind, source: &str, port: u16, user: &str) {
        let said = parse(message).unwrap_or_else(|| panic!("not understood: {message}"));
        let expected = Said { kind, source: source.parse().unwrap(), port, user: user.into(), times: 1 };
        assert_eq!(said, expected, "{message}");
    }

    #[test]
    fn what_sshd_says_is_understood() {
        use Kind::*;
        check(
            "Failed password for root from 192.0.2.1 port 4711 ssh2",
            WrongPassword,
            "192.0.2.1",
            4711,
            "root",
        );
        check(
            "Failed password for invalid user bob from 2001:db8::1 port 1 ssh2",
            WrongPassword,
            "2001:db8::1",
            1,
            "bob",
        );
        check(
            "Failed keyboard-interactive/pam for root from 192.0.2.1 port 2 ssh2",
            WrongPassword,
            "192.0.2.1",
            2,
            "root",
        );
        check(
            "Failed publickey for root from 192.0.2.1 port 2 ssh2: RSA SHA256:abc",
            WrongKey,
            "192.0.2.1",
            2,
            "root",
        );
        check(
            "Accepted password for root from ::ffff:192.0.2.1 port 2 ssh2",
            Accepted,
            "192.0.2.1",
            2,
            "root",
        );
        check(
            "Accepted publickey for alice from 192.0.2.1 port 2 ssh2: ED25519 SHA256:abc",
            Accepted,
            "192.0.2.1",
            2,
            "alice",
        );
        check("Invalid user admin from 192.0.2.1 port 60000", NoSuchUser, "192.0.2.1", 60000, "admin");
        check("Invalid user  from 192.0.2.1 port 60000", NoSuchUser, "192.0.2.1", 60000, "");
        check(
            "Connection closed by authenticating user root 192.0.2.1 port 5 [preauth]",
            GaveUp,
            "192.0.2.1",
            5,
            "root",
        );
        check(
            "error: maximum authentication attempts exceeded for invalid user x from 192.0.2.1 port 5 ssh2 [preauth]",
            GaveUp,
            "192.0.2.1",
            5,
            "x",
        );
    }

    #[test]
    fn a_user_name_cannot_name_another_source() {
        use Kind::*;
        let evil = "root from 198.51.100.9 port 22 ssh2";
        check(
            &format!("Failed password for invalid user {evil} from 192.0.2.1 port 4711 ssh2"),
            WrongPassword,
            "192.0.2.1",
            4711,
            evil,
        );
        check(&format!("Invalid user {evil} from 192.0.2.1 port 4711"), NoSuchUser, "192.0.2.1", 4711, evil);
        let evil = "x 198.51.100.9 port 22";
        check(
            &format!("Connection closed by invalid user {evil} 192.0.2.1 port 5 [preauth]"),
            GaveUp,
            "192.0.2.1",
            5,
            evil,
        );
        check(
            &format!(
                "error: maximum authentication attempts exceeded for invalid user {evil} from 192.0.2.1 port 5 ssh2 [preauth]"
            ),
            GaveUp,
            "192.0.2.1",
            5,
            evil,
        );
    }

    #[test]
    fn a_name_or_a_certificate_with_a_second_place_is_not_believed() {
        for message in [
            "Failed publickey for invalid user x from 198.51.100.9 port 22 ssh2 from 192.0.2.1 port 5 ssh2: RSA SHA256:a",
            "Failed publickey for root from 192.0.2.1 port 5 ssh2: RSA-CERT SHA256:a ID x from 198.51.100.9 port 22 ssh2 (serial 0) CA RSA SHA256:b",
            "Accepted publickey for root from 192.0.2.1 port 5 ssh2: RSA-CERT SHA256:a ID from 198.51.100.9 port 22 ssh2: (serial 0) CA RSA SHA256:b",
        ] {
            if let Some(said) = parse(message) {
                assert_eq!(said.source.to_string(), "192.0.2.1", "{message}");
            }
        }
    }

    #[test]
    fn a_name_cannot_be_another_message() {
        let accepted = "Accepted password for root from 198.51.100.9 port 22 ssh2";
        let message = format!("Failed password for invalid user {accepted} from 192.0.2.1 port 1 ssh2");
        assert_eq!(parse(&message).unwrap().kind, Kind::WrongPassword);
        assert_eq!(parse(&format!("Invalid user {accepted}")), None);
        assert_eq!(parse(&format!(" {accepted}")), None);
        assert_eq!(parse(&format!("{accepted} ")), None);
        assert_eq!(parse(&format!("User {accepted}")), None);
    }

    #[test]
    fn what_is_no_login_says_nothing() {
        for message in [
            "",
            "Failed none for root from 192.0.2.1 port 2 ssh2",
            "Failed password for root from host.example port 2 ssh2",
            "Failed password for root from 192.0.2.1 port 70000 ssh2",
            "Failed password for root from 192.0.2.1 port +2 ssh2",
            "Failed password for root from 192.0.2.1 port 2",
            "Failed password for root\nfrom 192.0.2.1 port 2 ssh2",
            "Connection closed by 192.0.2.1 port 5 [preauth]",
            "Connection closed by authenticating user root 192.0.2.1 port 5",
            "Received disconnect from 192.0.2.1 port 5:11: disconnected by user",
            "Server listening on 0.0.0.0 port 22.",
        ] {
            assert_eq!(parse(message), None, "{message}");
        }
    }

    #[test]
    fn folded_repetitions_count_up_to_the_limit() {
        let times = |times: &str| {
            let inner = "Failed password for root from 192.0.2.1 port 2 ssh2";
            parse(&format!("message repeated {times} times: [ {inner}]")).map(|said| said.times)
        };
        assert_eq!((times("3"), times("4000000000"), times("x")), (Some(3), Some(MAX_TIMES), None));
    }

    proptest! {
        #[test]
        fn no_user_name_moves_the_blame(user in "[ -~]{0,100}", invalid: bool) {
            let invalid = if invalid { "invalid user " } else { "" };
            let messages = [
                format!("Failed password for {invalid}{user} from 192.0.2.1 port 4711 ssh2"),
                format!("Failed publickey for {invalid}{user} from 192.0.2.1 port 4711 ssh2: RSA SHA256:x"),
                format!("Invalid user {user} from 192.0.2.1 port 4711"),
                format!("Connection closed by invalid user {user} 192.0.2.1 port 4711 [preauth]"),
            ];
            for message in messages {
                if let Some(said) = parse(&message) {
                    prop_assert_eq!(said.source.to_string(), "192.0.2.1");
                    prop_assert_ne!(said.kind, Kind::Accepted);
                }
            }
        }

        #[test]
        fn garbage_never_panics(message in ".{0,200}") {
            parse(&message);
        }
    }
}
