//! What the mirror relies on, asked of the fake; and of a real database where there is one:
//!
//! | variable | what |
//! |---|---|
//! | `FIREBASE_DATABASE_EMULATOR_HOST` | the emulator of the Firebase tools, `HOST:PORT` |
//! | `SMARTFW_FIREBASE_URL`, `SMARTFW_FIREBASE_SECRET` | a database, and its secret or an access token of it (`ya29.…`) |
//!
//! Everything is written under `/smartfw-contract/<random>` and removed at the end.

use std::{env, time::Duration};

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use smartfw_mirror_fake::Fake;
use tokio::time::timeout;

#[tokio::test]
async fn what_is_put_is_got_and_null_removes_it() {
    let at = Target::new().await;
    assert_eq!(at.ok(Method::PUT, "a", "", json!({"x": 1, "none": null, "empty": {}})).await["x"], 1);
    assert_eq!(at.get("a", "").await, json!({"x": 1}));
    at.ok(Method::DELETE, "a", "", Value::Null).await;
    assert_eq!(at.get("a", "").await, Value::Null);
    at.ok(Method::PUT, "a", "", json!(1)).await;
    at.ok(Method::PUT, "a", "", Value::Null).await;
    assert_eq!(at.get("a", "").await, Value::Null);
    at.leave().await;
}

#[tokio::test]
async fn a_patch_writes_many_paths_at_once_and_leaves_the_others() {
    let at = Target::new().await;
    at.ok(Method::PUT, "", "", json!({"runs": {"k1": "a", "k2": "b"}})).await;
    let sent = json!({"runs/k1": "c", "events/deep/k3": {"n": 1}, "runs/k2": null});
    assert_eq!(at.ok(Method::PATCH, "", "", sent.clone()).await, sent, "it answers what was sent");
    assert_eq!(at.get("", "").await, json!({"runs": {"k1": "c"}, "events": {"deep": {"k3": {"n": 1}}}}));
    at.leave().await;
}

#[tokio::test]
async fn silence_is_204_and_empty() {
    let at = Target::new().await;
    let answer =
        at.ask(Method::PATCH, "", "print=silent").body(json!({"k": 1}).to_string()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert!(answer.bytes().await.unwrap().is_empty());
    at.leave().await;
}

#[tokio::test]
async fn a_post_makes_keys_in_the_order_of_time() {
    let at = Target::new().await;
    let mut names = Vec::new();
    for n in 0..5 {
        let name = at.ok(Method::POST, "list", "", json!(n)).await["name"].as_str().unwrap().to_owned();
        assert_eq!(name.len(), 20);
        names.push(name);
    }
    assert!(names.is_sorted());
    assert_eq!(at.get(&format!("list/{}", names[3]), "").await, 3);
    at.leave().await;
}

#[tokio::test]
async fn an_etag_is_that_of_the_content_and_if_match_guards_it() {
    let at = Target::new().await;
    assert_eq!(etag(&at.etag("a").await), "null_etag");
    at.ok(Method::PUT, "a", "", json!("one")).await;
    let one = etag(&at.etag("a").await);
    assert_eq!(etag(&at.etag("a").await), one, "nothing has changed");
    at.ok(Method::PUT, "a", "", json!("two")).await;
    let two = etag(&at.etag("a").await);
    assert_ne!(one, two);
    let put = at.ask(Method::PUT, "a", "").header("if-match", &one).body("\"three\"").send().await.unwrap();
    assert_eq!((put.status(), etag(&put)), (StatusCode::PRECONDITION_FAILED, two.clone()));
    assert_eq!(put.text().await.unwrap().trim(), "\"two\"", "the current value comes with the refusal");
    let put = at.ask(Method::PUT, "a", "").header("if-match", &two).body("\"three\"").send().await.unwrap();
    assert_eq!(put.status(), StatusCode::OK);
    at.leave().await;
}

#[tokio::test]
async fn a_query_by_key_needs_no_index_and_gives_the_newest() {
    let at = Target::new().await;
    at.ok(Method::PUT, "list", "", json!({"a": 1, "b": 2, "c": 3, "d": 4})).await;
    let by_key = "orderBy=%22$key%22";
    assert_eq!(at.get("list", &format!("{by_key}&limitToLast=2")).await, json!({"c": 3, "d": 4}));
    assert_eq!(at.get("list", &format!("{by_key}&limitToFirst=1")).await, json!({"a": 1}));
    assert_eq!(
        at.get("list", &format!("{by_key}&startAt=%22b%22&endAt=%22c%22")).await,
        json!({"b": 2, "c": 3})
    );
    assert_eq!(at.get("list", &format!("{by_key}&equalTo=%22b%22")).await, json!({"b": 2}));
    at.leave().await;
}

#[tokio::test]
async fn a_query_by_a_child_without_an_index_and_one_without_an_order_are_refused() {
    let at = Target::new().await;
    at.ok(Method::PUT, "list", "", json!({"a": {"n": 1}})).await;
    for query in ["orderBy=%22n%22&startAt=1", "limitToLast=2"] {
        let refused = at.ask(Method::GET, "list", query).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{query}");
        assert!(refused.text().await.unwrap().contains("error"));
    }
    at.leave().await;
}

#[tokio::test]
async fn shallow_shows_keys_only_and_never_with_a_query() {
    let at = Target::new().await;
    at.ok(Method::PUT, "list", "", json!({"a": {"n": 1}, "b": {"n": 2}})).await;
    assert_eq!(at.get("list", "shallow=true").await, json!({"a": true, "b": true}));
    let both =
        at.ask(Method::GET, "list", "shallow=true&orderBy=%22$key%22&limitToLast=1").send().await.unwrap();
    assert_eq!(both.status(), StatusCode::BAD_REQUEST);
    at.leave().await;
}

#[tokio::test]
async fn the_server_knows_the_time_and_counts() {
    let at = Target::new().await;
    at.ok(Method::PUT, "time", "", json!({".sv": "timestamp"})).await;
    assert!(at.get("time", "").await.as_u64().unwrap() > 1_700_000_000_000);
    for _ in 0..3 {
        at.ok(Method::PUT, "count", "", json!({".sv": {"increment": 2}})).await;
    }
    assert_eq!(at.get("count", "").await, 6);
    at.leave().await;
}

#[tokio::test]
async fn keys_that_we_encode_are_taken_and_those_that_we_avoid_are_not() {
    let at = Target::new().await;
    let name = "a.b~,$#[]/\u{1}\u{7f} é%2e\"\\";
    let key = smartfw_mirror::encode(name).unwrap();
    at.ok(Method::PATCH, "", "", json!({ &key: 1 })).await;
    let there = at.get("", "").await;
    let keys: Vec<&String> = there.as_object().unwrap().keys().collect();
    assert_eq!(smartfw_mirror::decode(keys[0]).unwrap(), name);
    for bad in ["a.b", "a$b", "a#b", "a[b", "a]b", "a\u{1}b", ""] {
        let refused =
            at.ask(Method::PUT, "bad", "").body(json!({ bad: 1 }).to_string()).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{bad:?}");
    }
    at.leave().await;
}

#[tokio::test]
async fn what_is_no_json_is_refused() {
    let at = Target::new().await;
    let refused = at.ask(Method::PUT, "a", "").body("{\"a\":").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    at.leave().await;
}

#[tokio::test]
async fn a_stream_begins_with_everything_and_goes_on_with_changes() {
    let at = Target::new().await;
    at.ok(Method::PUT, "list", "", json!({"a": 1})).await;
    let mut stream = Stream::open(&at, "list", "").await;
    assert_eq!(stream.next().await, ("put".into(), json!({"path": "/", "data": {"a": 1}})));
    at.ok(Method::PUT, "list/b", "", json!({"n": 2})).await;
    assert_eq!(stream.next().await, ("put".into(), json!({"path": "/b", "data": {"n": 2}})));
    at.ok(Method::DELETE, "list/a", "", Value::Null).await;
    assert_eq!(stream.next().await, ("put".into(), json!({"path": "/a", "data": null})));
    at.ok(Method::PATCH, "list", "", json!({"c": 3, "d": 4})).await;
    let mut told = json!({});
    while told.as_object().unwrap().len() < 2 {
        // Whether as one patch or as two puts is the database's affair.
        let (event, change) = stream.next().await;
        match event.as_str() {
            "patch" => told = change["data"].clone(),
            _ => told[change["path"].as_str().unwrap().trim_matches('/')] = change["data"].clone(),
        }
    }
    assert_eq!(told, json!({"c": 3, "d": 4}));
    at.leave().await;
}

#[tokio::test]
async fn a_stream_of_a_query_shows_a_window_that_moves() {
    let at = Target::new().await;
    at.ok(Method::PUT, "list", "", json!({"a": 1, "b": 2, "c": 3})).await;
    let mut stream = Stream::open(&at, "list", "orderBy=%22$key%22&limitToLast=2").await;
    assert_eq!(stream.next().await.1, json!({"path": "/", "data": {"b": 2, "c": 3}}));
    at.ok(Method::PUT, "list/d", "", json!(4)).await;
    let (mut came, mut left) = (false, false);
    while !(came && left) {
        let (_, change) = stream.next().await;
        let said = |key: &str| match change["path"].as_str().unwrap() {
            "/" => change["data"].get(key).cloned(),
            path => (path == format!("/{key}")).then(|| change["data"].clone()),
        };
        came |= said("d") == Some(json!(4));
        left |= said("b") == Some(Value::Null);
    }
    at.leave().await;
}

/// A corner of a database.
struct Target {
    http: Client,
    base: String,
    query: String,
    bearer: Option<&'static str>,
    corner: String,
    _fake: Option<Fake>,
}

impl Target {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut random = [0; 8];
        SystemRandom::new().fill(&mut random).unwrap();
        let corner = format!("smartfw-contract/{:016x}", u64::from_be_bytes(random));
        let http = Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        let target =
            Self { http, base: String::new(), query: String::new(), bearer: None, corner, _fake: None };
        if let Ok(host) = env::var("FIREBASE_DATABASE_EMULATOR_HOST") {
            let (base, query) = (format!("http://{host}"), "ns=demo-smartfw".to_owned());
            return Self { base, query, bearer: Some("owner"), ..target };
        }
        if let Ok(url) = env::var("SMARTFW_FIREBASE_URL") {
            let secret =
                env::var("SMARTFW_FIREBASE_SECRET").expect("SMARTFW_FIREBASE_SECRET goes with the address");
            let name = if secret.starts_with("ya29.") { "access_token" } else { "auth" };
            return Self {
                base: url.trim_end_matches('/').into(),
                query: format!("{name}={secret}"),
                ..target
            };
        }
        let fake = Fake::start().await;
        Self { base: fake.url(), _fake: Some(fake), ..target }
    }

    fn ask(&self, method: Method, path: &str, query: &str) -> RequestBuilder {
        let whole = [self.corner.as_str(), path].join("/");
        let url = format!("{}/{}.json?{query}&{}", self.base, whole.trim_end_matches('/'), self.query);
        let request = self.http.request(method, url);
        self.bearer.map_or(request.try_clone().unwrap(), |token| request.bearer_auth(token))
    }

    async fn ok(&self, method: Method, path: &str, query: &str, body: Value) -> Value {
        let answer = self.ask(method, path, query).body(body.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    async fn get(&self, path: &str, query: &str) -> Value {
        let answer = self.ask(Method::GET, path, query).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    async fn etag(&self, path: &str) -> Response {
        self.ask(Method::GET, path, "").header("X-Firebase-ETag", "true").send().await.unwrap()
    }

    async fn leave(self) {
        self.ok(Method::DELETE, "", "", Value::Null).await;
    }
}

fn etag(answer: &Response) -> String {
    answer.headers()["etag"].to_str().unwrap().to_owned()
}

struct Stream {
    answer: Response,
    text: String,
}

impl Stream {
    async fn open(at: &Target, path: &str, query: &str) -> Self {
        let answer =
            at.ask(Method::GET, path, query).header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
        Self { answer, text: String::new() }
    }

    /// The next event that is not a sign of life.
    async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (name, data) = event.split_once('\n').unwrap();
                let name = name.strip_prefix("event: ").unwrap().to_owned();
                let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
                self.text = rest.to_owned();
                if name != "keep-alive" {
                    return (name, data);
                }
                continue;
            }
            let chunk =
                timeout(Duration::from_secs(20), self.answer.chunk()).await.unwrap().unwrap().unwrap();
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}
