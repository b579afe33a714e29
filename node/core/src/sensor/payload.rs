//! What the first bytes of a payload give away. Only looked at, never kept.

/// Whether the payload begins with an HTTP/1 request line.
pub(super) fn is_http_request(payload: &[u8]) -> bool {
    const METHODS: [&[u8]; 9] =
        [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"PROPFIND ", b"CONNECT "];
    METHODS.iter().any(|method| payload.starts_with(method))
}

/// Whether the payload begins with a TLS record of application data (type 23, version 3.x).
pub(super) fn is_tls_data(payload: &[u8]) -> bool {
    payload.starts_with(&[23, 3])
}

/// Whether the payload begins with a TLS handshake record.
pub(super) fn is_tls_handshake(payload: &[u8]) -> bool {
    payload.starts_with(&[22, 3])
}

/// Whether the payload begins with SSH's NEWKEYS message (RFC 4253, 7.3): 12 bytes long, 10 of padding, type 21.
/// Everything after it is encrypted.
pub(super) fn is_ssh_newkeys(payload: &[u8]) -> bool {
    payload.starts_with(&[0, 0, 0, 12, 10, 21])
}

/// Where the header of a request ends, if it does in this payload.
pub(super) fn header_end(payload: &[u8]) -> Option<usize> {
    if payload == b"\r\n" || payload == b"\n" {
        return Some(payload.len());
    }
    payload.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// The value of a header field, matched without regard to case.
pub(super) fn header<'a>(payload: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    payload.split(|byte| *byte == b'\n').find_map(|line| {
        let (field, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        field.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

/// Whether a request announces a body that this payload does not hold in full.
pub(super) fn awaits_body(payload: &[u8], header_end: usize) -> bool {
    let announced = header(&payload[..header_end], b"Content-Length")
        .and_then(|value| core::str::from_utf8(value).ok()?.parse::<usize>().ok());
    match announced {
        Some(length) => payload.len() - header_end < length,
        None => header(&payload[..header_end], b"Transfer-Encoding").is_some(),
    }
}

/// Whether a request carries a password where everybody can read it: a login form's answer.
pub(super) fn has_password(payload: &[u8]) -> bool {
    const NAMES: [&[u8]; 4] = [b"password=", b"passwd=", b"pwd=", b"pass="];
    // A form's fields come first; an upload may be of any length.
    let payload = &payload[..payload.len().min(4096)];
    let after_separator = |at: usize| at == 0 || matches!(payload[at - 1], b'?' | b'&' | b'\n');
    NAMES.iter().any(|name| {
        payload.windows(name.len()).enumerate().any(|(at, part)| part == *name && after_separator(at))
    })
}

/// Whether a request carries a password in an `Authorization` header.
pub(super) fn has_basic_authorization(payload: &[u8]) -> bool {
    header(payload, b"Authorization").is_some_and(|value| value.starts_with(b"Basic "))
}

/// What a service says in the open about a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Refused,
    Welcome,
}

/// The service's word about a login, where it speaks in the open on its own port.
pub(super) fn login_reply(port: u16, payload: &[u8]) -> Option<Reply> {
    let starts = |text: &[u8]| payload.starts_with(text);
    let holds = |text: &[u8]| payload.windows(text.len()).any(|part| part == text);
    let (refused, welcome) = match port {
        21 => (starts(b"530 ") || starts(b"530-"), starts(b"230 ") || starts(b"230-")),
        23 => (holds(b"Login incorrect") || holds(b"login incorrect"), holds(b"Last login")),
        25 | 465 | 587 => (starts(b"535 "), starts(b"235 ")),
        110 | 995 => (starts(b"-ERR [AUTH]") || starts(b"-ERR Auth") || starts(b"-ERR auth"), false),
        143 | 993 => (holds(b" NO [AUTHENTICATIONFAILED]"), holds(b" OK [CAPABILITY")),
        // Error 1045, access denied: a packet's four-byte header, 0xff, the number little-endian.
        3306 => (payload.get(4..7) == Some(&[0xff, 0x15, 0x04]), payload.get(3..7) == Some(&[2, 0, 0, 0])),
        // An ErrorResponse with SQLSTATE 28P01 or 28000; AuthenticationOk.
        5432 => (starts(b"E") && (holds(b"C28P01") || holds(b"C28000")), starts(b"R\0\0\0\x08\0\0\0\0")),
        // SecurityResult: failed, ok (RFC 6143, 7.1.3).
        5900 => (starts(&[0, 0, 0, 1]), payload == [0, 0, 0, 0]),
        _ => return None,
    };
    match (refused, welcome) {
        (true, _) => Some(Reply::Refused),
        (_, true) => Some(Reply::Welcome),
        _ => None,
    }
}

/// The status of an HTTP response.
pub(super) fn http_status(payload: &[u8]) -> Option<u16> {
    let rest = payload.strip_prefix(b"HTTP/1.")?;
    core::str::from_utf8(rest.get(2..5)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_finished_when_its_body_is_there() {
        let whole = b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc";
        let end = header_end(whole).unwrap();
        assert!(!awaits_body(whole, end));
        assert!(awaits_body(&whole[..end + 2], end));
        assert_eq!(header_end(b"GET / HTTP/1.1\r\nX-a: b\r\n"), None);
    }

    #[test]
    fn a_password_is_a_field_of_its_own() {
        assert!(has_password(b"GET /login?username=a&password=b HTTP/1.1"));
        assert!(has_password(b"POST /l HTTP/1.1\r\n\r\npassword=b"));
        assert!(!has_password(b"GET /?mypassword=b HTTP/1.1"));
    }

    #[test]
    fn services_say_in_the_open_that_a_login_failed() {
        assert_eq!(login_reply(21, b"530 Login incorrect.\r\n"), Some(Reply::Refused));
        assert_eq!(login_reply(21, b"230 Login successful.\r\n"), Some(Reply::Welcome));
        assert_eq!(login_reply(21, b"331 Please specify the password.\r\n"), None);
        assert_eq!(login_reply(3306, b"\x48\0\0\x02\xff\x15\x04#28000"), Some(Reply::Refused));
        assert_eq!(login_reply(80, b"530 "), None);
    }
}
