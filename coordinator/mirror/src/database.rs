//! A Firebase Realtime Database, as REST shows it.
//!
//! Sources: firebase.google.com/docs/reference/rest/database and /docs/database/rest/{auth,save-data,retrieve-data}.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use reqwest::{
    Client, Method, Response, StatusCode, Url,
    header::{AUTHORIZATION, HeaderMap, LOCATION, RETRY_AFTER},
    redirect::Policy,
};
use thiserror::Error;
use tokio::time::timeout;

use crate::{
    auth::{Auth, Credential},
    body,
    trouble::Trouble,
};

/// Requests that are made for one: the first, and one for each redirect. Firebase needs one redirect.
const HOPS: usize = 5;

/// So much is read of a refusal.
const REFUSAL_BYTES: usize = 64 << 10;

/// Where Firebase keeps its databases.
const FIREBASE: [&str; 2] = [".firebaseio.com", ".firebasedatabase.app"];

/// How long is waited for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For an answer.
    pub answer: Duration,
    /// For the next byte of a stream. Firebase sends something every 30 s.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let [connect, answer, silence] = [10, 30, 75].map(Duration::from_secs);
        Self { connect, answer, silence }
    }
}

/// The database cannot be used.
#[derive(Debug, Error)]
pub enum BadDatabase {
    /// It is no address of a database. It is not repeated: who put a secret in it should not see it in a log.
    #[error("that is no address of a database; the Firebase console shows it: https://NAME.firebaseio.com")]
    Address,
    /// Secrets would go over the network in the open.
    #[error("only an emulator on this machine is spoken to over http: begin the address with https://")]
    Open,
    /// The system's part of TLS cannot be used.
    #[error("TLS cannot be set up: {0}; install ca-certificates")]
    Tls(String),
}

/// A database, and who we are to it.
#[derive(Debug)]
pub struct Database {
    base: Url,
    http: Client,
    auth: Auth,
    pub(crate) patience: Patience,
}

/// A request; cheap to repeat.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) path: Vec<&'a str>,
    pub(crate) query: Vec<(&'a str, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: Method, path: Vec<&'a str>) -> Self {
        Self { method, path, query: Vec::new(), headers: HeaderMap::new(), body: Bytes::new() }
    }
}

impl Database {
    /// The database at this address; nothing is sent yet.
    ///
    /// # Errors
    /// When the address is none, or would carry secrets in the open.
    pub fn new(address: &str, auth: Auth, patience: Patience) -> Result<Self, BadDatabase> {
        let base = parse(address)?;
        // Where the program has chosen a provider, that one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .user_agent(concat!("smartfw/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(patience.connect);
        let http = if is_loopback(&base) { http.no_proxy() } else { http };
        let http = http.build().map_err(|error| BadDatabase::Tls(Trouble::from(error).to_string()))?;
        Ok(Self { base, http, auth, patience })
    }

    /// Whether an address can be one of a database, whatever else may be wrong.
    ///
    /// # Errors
    /// When it is none, or secrets would go over the network in the open.
    pub fn check(address: &str) -> Result<(), BadDatabase> {
        parse(address).map(drop)
    }

    /// Sends a request; with fresh credentials once more if the first ones are not taken. The answer is a success, its
    /// body not yet read.
    pub(crate) async fn send(&self, request: &Request<'_>, now: Duration) -> Result<Response, Trouble> {
        match self.attempt(request, now).await {
            Err(Trouble::Unauthorised(_)) if self.auth.forget().await => self.attempt(request, now).await,
            other => other,
        }
    }

    /// The credentials have expired or were withdrawn.
    pub(crate) async fn forget_token(&self) {
        self.auth.forget().await;
    }

    /// Sends a request and reads at most so much of the answer.
    pub(crate) async fn ask(
        &self,
        request: &Request<'_>,
        most: usize,
        now: Duration,
    ) -> Result<(HeaderMap, Vec<u8>), Trouble> {
        let answer = self.send(request, now).await?;
        let headers = answer.headers().clone();
        let bytes = timeout(self.patience.answer, body::read(answer, most, "an answer")).await;
        Ok((headers, bytes.unwrap_or(Err(Trouble::Silent))?))
    }

    async fn attempt(&self, request: &Request<'_>, now: Duration) -> Result<Response, Trouble> {
        let waited = timeout(self.patience.answer, self.auth.credential(&self.http, now)).await;
        let credential = waited.unwrap_or(Err(Trouble::Silent))?;
        let mut url =
            self.url(request).ok_or_else(|| Trouble::Nonsense("the address has no path".to_owned()))?;
        for _ in 0..HOPS {
            let sent = self.once(request, url.clone(), &credential);
            let answer = timeout(self.patience.answer, sent).await.unwrap_or(Err(Trouble::Silent))?;
            if !matches!(answer.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
                let judged = timeout(self.patience.answer, judge(answer, &credential)).await;
                return judged.unwrap_or(Err(Trouble::Silent));
            }
            url = self.redirected(&url, &answer)?;
        }
        Err(Trouble::Redirects)
    }

    async fn once(&self, request: &Request<'_>, mut url: Url, who: &Credential) -> Result<Response, Trouble> {
        let bearer = match who {
            Credential::Bearer(token) => Some(format!("Bearer {}", token.as_str())),
            Credential::Parameter(secret) => {
                url.query_pairs_mut().append_pair("auth", secret);
                None
            }
        };
        let mut sent = self.http.request(request.method.clone(), url).headers(request.headers.clone());
        if let Some(bearer) = bearer {
            sent = sent.header(AUTHORIZATION, bearer);
        }
        if !request.body.is_empty() {
            sent = sent.body(request.body.clone());
        }
        Ok(sent.send().await?)
    }

    fn url(&self, request: &Request<'_>) -> Option<Url> {
        let mut url = self.base.clone();
        let (last, before) = request.path.split_last()?;
        url.path_segments_mut().ok()?.pop_if_empty().extend(before).push(&format!("{last}.json"));
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        Some(url)
    }

    /// Where an answer sends us, without the credentials that it may repeat.
    fn redirected(&self, from: &Url, answer: &Response) -> Result<Url, Trouble> {
        let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let url = location.and_then(|location| from.join(location).ok());
        let mut url = url.ok_or_else(|| Trouble::Nonsense("a redirect to nowhere".to_owned()))?;
        if !self.may_follow(&url) {
            return Err(Trouble::ForeignRedirect(body::shown(url.host_str().unwrap_or("nowhere"))));
        }
        let secret = |name: &str| name == "auth" || name == "access_token";
        let kept: Vec<(String, String)> =
            url.query_pairs().into_owned().filter(|(name, _)| !secret(name)).collect();
        url.set_query(None);
        if !kept.is_empty() {
            url.query_pairs_mut().extend_pairs(kept);
        }
        Ok(url)
    }

    /// Our credentials go to the host that was configured and to Firebase's, and never from https to http.
    fn may_follow(&self, url: &Url) -> bool {
        let configured = url.host() == self.base.host() && url.scheme() == self.base.scheme();
        let host = url.host_str().unwrap_or_default();
        let firebase = url.scheme() == "https" && FIREBASE.iter().any(|domain| host.ends_with(domain));
        (configured || firebase) && url.username().is_empty() && url.password().is_none()
    }
}

fn parse(address: &str) -> Result<Url, BadDatabase> {
    let base = Url::parse(address).map_err(|_| BadDatabase::Address)?;
    let odd = base.query_pairs().any(|(name, _)| name != "ns");
    if odd || base.host_str().is_none() || !base.username().is_empty() || base.password().is_some() {
        return Err(BadDatabase::Address);
    }
    if is_safe(&base) { Ok(base) } else { Err(BadDatabase::Open) }
}

/// Secrets may go there: it is https, or this machine.
pub(crate) fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

async fn judge(answer: Response, who: &Credential) -> Result<Response, Trouble> {
    let status = answer.status();
    match status.as_u16() {
        200..=299 => Ok(answer),
        401 | 403 => Err(Trouble::Unauthorised(format!("{} {}", status.as_u16(), said(answer, who).await))),
        408 | 412 | 429 | 500..=599 => {
            Err(Trouble::Busy { status: status.as_u16(), after: retry_after(answer.headers()) })
        }
        _ => Err(Trouble::Refused { status: status.as_u16(), said: said(answer, who).await }),
    }
}

/// Without our credentials: some servers repeat the address that they refuse.
async fn said(answer: Response, who: &Credential) -> String {
    let said = body::read(answer, REFUSAL_BYTES, "a refusal").await.unwrap_or_default();
    body::shown(&who.hidden_in(&String::from_utf8_lossy(&said)))
}

/// Seconds; the other form of the header, a date, is not understood and the back-off decides.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_addresses_and_the_emulators_namespace_stays() {
        let path = || vec!["clusters", "a%b é", "runs"];
        let at = |base| database(base).url(&Request::new(Method::GET, path())).unwrap().to_string();
        assert_eq!(
            at("https://x.firebaseio.com"),
            "https://x.firebaseio.com/clusters/a%25b%20%C3%A9/runs.json"
        );
        let mut request = Request::new(Method::GET, path());
        request.query = vec![("orderBy", "\"$key\"".to_owned())];
        let url = database("http://localhost:9000/?ns=demo").url(&request).unwrap();
        assert_eq!(url.query(), Some("ns=demo&orderBy=%22%24key%22"));
    }

    #[test]
    fn credentials_follow_only_to_the_configured_host_and_to_firebase() {
        let ours = database("https://mirror.example");
        let follows = |url| ours.may_follow(&Url::parse(url).unwrap());
        for good in [
            "https://mirror.example/x",
            "https://s-usc1c.firebaseio.com/x",
            "https://a.europe-west1.firebasedatabase.app",
        ] {
            assert!(follows(good), "{good}");
        }
        for bad in [
            "http://mirror.example/x",
            "http://s.firebaseio.com",
            "https://evil.example",
            "https://firebaseio.com.evil.example",
            "https://evilfirebaseio.com",
            "https://user@mirror.example",
            "https://mirror.example.evil.example",
        ] {
            assert!(!follows(bad), "{bad}");
        }
    }

    #[test]
    fn secrets_never_go_over_the_network_in_the_open() {
        let of = |address| Database::new(address, Auth::emulator(), Patience::default());
        for good in
            ["https://x.firebaseio.com", "http://localhost:9000", "http://127.0.0.1:1", "http://[::1]:9"]
        {
            assert!(of(good).is_ok(), "{good}");
        }
        for open in [
            "http://x.firebaseio.com",
            "http://192.0.2.1",
            "ftp://localhost",
            "http://localhost.evil.example",
        ] {
            assert!(matches!(of(open), Err(BadDatabase::Open)), "{open}");
        }
        for none in [
            "",
            "x.firebaseio.com",
            "https://user:secret@x.firebaseio.com",
            "https://x.firebaseio.com?auth=secret",
            "https://x.firebaseio.com:port?auth=secret",
        ] {
            let refused = of(none).unwrap_err();
            assert!(matches!(refused, BadDatabase::Address) && !refused.to_string().contains("secret"));
        }
    }

    fn database(base: &str) -> Database {
        Database::new(base, Auth::emulator(), Patience::default()).unwrap()
    }
}
