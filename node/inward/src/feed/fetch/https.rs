//! HTTPS, and nothing else.

use std::{error::Error as _, time::Duration};

use reqwest::{
    Certificate, Client, Response, StatusCode, Url,
    header::{ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED},
    redirect::{Action, Attempt, Policy},
};

use super::{FetchError, Fetched, Patience, Validators};

/// Redirects that are followed.
const REDIRECTS: usize = 5;

/// A longer mark is not remembered, bytes.
const MARK: usize = 512;

/// What a redirect is refused with.
#[derive(Debug, thiserror::Error)]
#[error("not followed")]
struct NotFollowed;

/// A client that speaks HTTPS.
#[derive(Debug)]
pub(super) struct Https {
    client: Client,
    whole: Duration,
    bytes: usize,
}

impl Https {
    pub(super) fn new(patience: &Patience, authority: Option<&[u8]>) -> Result<Self, String> {
        // Where the program has chosen a provider, that one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("smartfw/", env!("CARGO_PKG_VERSION")))
            .https_only(true)
            .referer(false)
            .redirect(Policy::custom(follow))
            .connect_timeout(patience.connect)
            .read_timeout(patience.silence)
            .timeout(patience.whole)
            .pool_max_idle_per_host(0);
        if let Some(der) = authority {
            builder = builder.tls_certs_merge([Certificate::from_der(der).map_err(tls)?]);
        }
        Ok(Self { client: builder.build().map_err(tls)?, whole: patience.whole, bytes: patience.bytes })
    }

    pub(super) async fn get(&self, url: &Url, known: &Validators) -> Result<Fetched, FetchError> {
        let mut request = self.client.get(url.clone());
        for (name, mark) in [(IF_NONE_MATCH, &known.etag), (IF_MODIFIED_SINCE, &known.modified)] {
            if let Some(mark) = mark {
                request = request.header(name, mark);
            }
        }
        let response = request.send().await.map_err(|error| self.failed(error))?;
        match response.status() {
            StatusCode::NOT_MODIFIED if *known != Validators::default() => Ok(Fetched::Unchanged),
            StatusCode::OK => {
                let headers = response.headers();
                let marks = Validators { etag: mark(headers, ETAG), modified: mark(headers, LAST_MODIFIED) };
                Ok(Fetched::New(self.body(response).await?, marks))
            }
            other => Err(FetchError::Status(other.as_u16())),
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, FetchError> {
        if response.content_length().is_some_and(|length| length > self.bytes as u64) {
            return Err(FetchError::Large(self.bytes));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(error))? {
            if bytes.len() + chunk.len() > self.bytes {
                return Err(FetchError::Large(self.bytes));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn failed(&self, error: reqwest::Error) -> FetchError {
        if error.is_timeout() {
            return FetchError::Slow(self.whole);
        }
        if error.is_redirect() || says_not_followed(&error) {
            return FetchError::Redirect;
        }
        FetchError::Unreachable(innermost(&error))
    }
}

fn follow(attempt: Attempt<'_>) -> Action {
    if attempt.url().scheme() == "https" && attempt.previous().len() <= REDIRECTS {
        attempt.follow()
    } else {
        attempt.error(NotFollowed)
    }
}

fn says_not_followed(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.is::<NotFollowed>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// The words of the first cause: those around it name the whole address, which may hold a key.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: Option<&dyn std::error::Error> = error.source();
    let mut words = String::new();
    while let Some(inner) = cause {
        words = inner.to_string();
        cause = inner.source();
    }
    if words.is_empty() { "it ended the connection".to_owned() } else { words }
}

fn mark(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    (text.len() <= MARK).then(|| text.to_owned())
}

fn tls(error: reqwest::Error) -> String {
    innermost(&error.without_url())
}
