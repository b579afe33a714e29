//! What the other side of a hook says.

use std::{error::Error, time::Duration};

use reqwest::{
    Response, StatusCode, Url,
    header::{HeaderMap, LOCATION, RETRY_AFTER},
};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use crate::trouble::{Trouble, said};

/// So much of an answer is read.
const READ: usize = 4096;

/// A success, or why it is none.
pub(super) async fn judge(answer: Response) -> Result<String, Trouble> {
    let status = answer.status();
    let code = status.as_u16();
    if status.is_redirection() {
        return Err(Trouble::Redirected { status: code, host: new_host(&answer) });
    }
    let after = wanted(answer.headers(), OffsetDateTime::now_utc());
    let text = beginning(answer).await;
    match status {
        _ if status.is_success() => Ok(format!("{code} {text}").trim_end().to_owned()),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => {
            Err(Trouble::Busy { status: code, said: text, after })
        }
        _ if status.is_server_error() => Err(Trouble::Busy { status: code, said: text, after }),
        _ => Err(Trouble::Refused { status: code, said: text }),
    }
}

/// The address itself is not shown: it may be a secret, and errors like to repeat it.
pub(super) fn trouble(error: reqwest::Error) -> Trouble {
    let error = error.without_url();
    let mut deepest: &dyn Error = &error;
    let mut is_tls = false;
    while let Some(source) = deepest.source() {
        is_tls |= is_of_rustls(source);
        deepest = source;
    }
    let why = said(&deepest.to_string());
    match () {
        () if is_tls => Trouble::Tls(why),
        () if error.is_timeout() => Trouble::Unreachable(format!("no answer in time ({why})")),
        () if error.is_connect() => Trouble::Unreachable(why),
        () if error.is_builder() => Trouble::Unsayable(why),
        () => Trouble::Nonsense(why),
    }
}

/// What an error of `io` wraps is not its source, and may be another one.
fn is_of_rustls(error: &(dyn Error + 'static)) -> bool {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || inner.is_some_and(|inner| is_of_rustls(inner))
}

fn new_host(answer: &Response) -> String {
    let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let url = location.and_then(|location| answer.url().join(location).ok());
    url.as_ref().and_then(Url::host_str).map_or_else(|| "nowhere".to_owned(), said)
}

/// What cannot be read in time is not needed.
async fn beginning(mut answer: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < READ
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        bytes.extend_from_slice(&chunk[..chunk.len().min(READ - bytes.len())]);
    }
    said(&String::from_utf8_lossy(&bytes))
}

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn wanted(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    Some(Duration::try_from(at - now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_in_seconds_or_as_a_date() {
        let now = OffsetDateTime::from_unix_timestamp(784_111_777 - 60).unwrap();
        let wanted = |text: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            wanted(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(wanted("120"), Some(120));
        assert_eq!(wanted("Sun, 06 Nov 1994 08:49:37 GMT"), Some(60));
        assert_eq!(wanted("Sun, 06 Nov 1904 08:49:37 GMT"), Some(0));
        assert_eq!((wanted("soon"), wanted("-1"), wanted("1e9")), (None, None, None));
    }
}
