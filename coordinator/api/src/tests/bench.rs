//! An API with a fleet in memory and a clock that a test moves.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request},
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tower::ServiceExt as _;

use crate::{Api, Clock, MemoryFleet, Settings, dispatch::Peer};

/// 2026-01-01.
const START: i64 = 1_767_225_600;

pub(super) struct Bench {
    pub(super) folder: tempfile::TempDir,
    pub(super) fleet: Arc<MemoryFleet>,
    pub(super) api: Api,
    pub(super) router: Router,
    pub(super) password: String,
    seconds: Arc<AtomicI64>,
}

/// Who asks, and from where.
#[derive(Clone, Debug)]
pub(super) struct From<'a> {
    pub(super) headers: Vec<(&'a str, String)>,
    pub(super) address: &'a str,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
    pub(super) body: Value,
}

pub(super) fn nobody() -> From<'static> {
    From { headers: Vec::new(), address: "192.0.2.1" }
}

pub(super) fn token(secret: &str) -> From<'static> {
    nobody().with("authorization", format!("Bearer {secret}"))
}

pub(super) fn key(secret: &str) -> From<'static> {
    nobody().with("x-api-key", secret)
}

/// As the dashboard sends it.
pub(super) fn session(cookie: &str) -> From<'static> {
    nobody().with("cookie", cookie).with("x-smartfw", "1").with("origin", "https://fw.example")
}

impl<'a> From<'a> {
    pub(super) fn with(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(there, _)| *there != name);
        self
    }

    pub(super) fn at(self, address: &'a str) -> Self {
        From { address, ..self }
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let seconds = Arc::new(AtomicI64::new(START));
        let read = seconds.clone();
        let now = move || OffsetDateTime::from_unix_timestamp(read.load(Ordering::Relaxed)).unwrap();
        let clock = Clock::of(now);
        let fleet = MemoryFleet::new(clock.clone());
        let settings = Settings { state: folder.path().join("state"), log: folder.path().join("log"), clock };
        let (api, first) = Api::open(settings, fleet.clone()).unwrap();
        let (router, password) = (api.router(Router::new()), first.unwrap().reveal().to_owned());
        Self { folder, fleet, api, router, password, seconds }
    }

    pub(super) fn pass(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        from: &From<'_>,
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "fw.example");
        for (name, value) in &from.headers {
            request = request.header(*name, value);
        }
        let mut request = request.body(body.into()).unwrap();
        request.extensions_mut().insert(Peer(SocketAddr::new(from.address.parse().unwrap(), 40_000)));
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Answer { status: parts.status.as_u16(), headers: parts.headers, text, body }
    }

    pub(super) async fn get(&self, path: &str, from: &From<'_>) -> Answer {
        self.send("GET", path, from, Body::empty()).await
    }

    pub(super) async fn put(&self, method: &str, path: &str, from: &From<'_>, body: Value) -> Answer {
        self.send(method, path, &from.clone().with("content-type", "application/json"), body.to_string())
            .await
    }

    pub(super) async fn delete(&self, path: &str, from: &From<'_>) -> Answer {
        self.send("DELETE", path, from, Body::empty()).await
    }

    pub(super) async fn login(&self, name: &str, password: &str, from: &From<'_>) -> Answer {
        self.put("POST", "/api/v1/login", from, json!({"name": name, "password": password})).await
    }

    /// The cookie of a session of the first admin.
    pub(super) async fn admin(&self) -> String {
        let answer = self.login("admin", &self.password, &nobody()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.cookie()
    }

    /// The secret of a token with a role.
    pub(super) async fn token(&self, role: &str) -> String {
        let admin = session(&self.admin().await);
        let made = self.put("POST", "/api/v1/tokens", &admin, json!({"name": role, "role": role})).await;
        made.body["token"].as_str().unwrap().to_owned()
    }
}

impl Answer {
    pub(super) fn cookie(&self) -> String {
        let cookie = self.headers["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }
}
