//! Messages over HTTPS: any webhook, and Slack's.

mod answer;
mod body;

use std::{collections::BTreeMap, path::Path, time::SystemTime};

use reqwest::{
    Client, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use ring::hmac;
use rustls::RootCertStore;

use super::{Patience, message::Message};
use crate::{
    settings::{Discreet, Secret, SetupError, Slack, Webhook},
    tls,
    trouble::Trouble,
};

use body::Body;

/// `sha256=` and the HMAC of `TIMESTAMP.BODY` in hexadecimal.
const SIGNATURE: &str = "x-smartfw-signature";

/// Seconds since 1970. It is signed, too: a receiver that refuses old ones cannot be told the same twice.
const TIMESTAMP: &str = "x-smartfw-timestamp";

/// What is set here and by HTTP itself.
const OURS: [&str; 6] = ["content-type", "content-length", "host", "transfer-encoding", SIGNATURE, TIMESTAMP];

/// An address that takes messages. It is not shown: the address may be a secret.
pub(crate) struct Hook {
    client: Client,
    url: Url,
    headers: HeaderMap,
    key: Option<hmac::Key>,
    body: Body,
}

impl Hook {
    pub(crate) fn webhook(settings: &Webhook, patience: Patience) -> Result<Self, SetupError> {
        let Webhook { url, secret, headers, text, digest, ca_file, .. } = settings;
        let secret = secret.as_ref().map(Secret::read).transpose()?;
        let url = address(url)?;
        Ok(Self {
            headers: checked(headers)?,
            key: secret.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())),
            body: Body::json(text.as_deref(), digest.as_deref())?,
            client: client(&url, ca_file.as_deref(), patience)?,
            url,
        })
    }

    pub(crate) fn slack(settings: &Slack, patience: Patience) -> Result<Self, SetupError> {
        let Slack { url, text, digest, ca_file, .. } = settings;
        let url = address(url)?;
        Ok(Self {
            client: client(&url, ca_file.as_deref(), patience)?,
            url,
            headers: HeaderMap::new(),
            key: None,
            body: Body::slack(text.as_deref(), digest.as_deref())?,
        })
    }

    /// Sends a message; gives what the other side says.
    pub(crate) async fn send(&self, message: &Message) -> Result<String, Trouble> {
        let body = self.body.say(message);
        let mut request = self.client.post(self.url.clone()).headers(self.headers.clone());
        if let Some(key) = &self.key {
            let seconds =
                SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            request = request.header(TIMESTAMP, seconds).header(SIGNATURE, signature(key, seconds, &body));
        }
        let sent = request.header(CONTENT_TYPE, "application/json").body(body).send().await;
        answer::judge(sent.map_err(answer::trouble)?).await
    }
}

fn signature(key: &hmac::Key, seconds: u64, body: &str) -> String {
    let tag = hmac::sign(key, format!("{seconds}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

/// The open is for this machine only: what is sent names people's addresses, and the address may be a secret.
fn address(url: &Discreet) -> Result<Url, SetupError> {
    let url = Url::parse(&url.read()?).map_err(|_| SetupError::Url)?;
    let here = match url.host_str() {
        Some(host) => host == "localhost" || is_loopback(host),
        None => return Err(SetupError::Url),
    };
    let fits = url.scheme() == "https" || (url.scheme() == "http" && here);
    fits.then_some(url).ok_or(SetupError::Url)
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Redirects are not followed: a message could go to somebody else, with its secrets.
fn client(url: &Url, ca_file: Option<&Path>, patience: Patience) -> Result<Client, SetupError> {
    // Where TLS is not spoken nobody needs to be believed.
    let tls =
        if url.scheme() == "https" { tls::client(ca_file)? } else { tls::believing(RootCertStore::empty())? };
    let builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("smartfw/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(patience.answer)
        .timeout(patience.answer);
    let here = url.host_str().is_some_and(|host| host == "localhost" || is_loopback(host));
    let builder = if here { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| SetupError::Http(error.without_url().to_string()))
}

fn checked(headers: &BTreeMap<String, Discreet>) -> Result<HeaderMap, SetupError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let bad = || SetupError::Header(name.clone());
        let known = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        if OURS.contains(&known.as_str()) {
            return Err(bad());
        }
        let mut value = HeaderValue::from_str(&value.read()?).map_err(|_| bad())?;
        value.set_sensitive(true);
        map.insert(known, value);
    }
    Ok(map)
}
