//! What holds for every route of the table.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use serde_json::json;

use super::bench::{Bench, From, key, nobody, token};
use crate::{
    auth::Role,
    dispatch::MOST_BODY,
    routes::{Access, Route, routes},
};

/// The path with something in its open place.
fn path(route: &Route) -> String {
    let path = route.path();
    path.split_once('{').map_or(path.clone(), |(prefix, _)| format!("{prefix}something"))
}

async fn send(bench: &Bench, route: &Route, from: &From<'_>, body: impl Into<Body>) -> super::bench::Answer {
    let from = from.clone().with("content-type", "application/json");
    bench.send(route.method().as_str(), &path(route), &from, body).await
}

fn lower(needed: Role) -> &'static [&'static str] {
    match needed {
        Role::Bouncer => &["viewer", "operator", "admin"],
        Role::Viewer => &["bouncer"],
        Role::Operator => &["bouncer", "viewer"],
        Role::Admin => &["bouncer", "viewer", "operator"],
    }
}

#[tokio::test]
async fn every_route_but_the_login_refuses_who_is_not_known() {
    let bench = Bench::new();
    for route in routes() {
        for from in [nobody(), token("sfw_wrong"), key("\u{e9}"), nobody().with("cookie", "__Host-smartfw=x")]
        {
            let answer = send(&bench, route, &from, "{}").await;
            let expected = match route.access() {
                Access::Open => 422,
                Access::From(Role::Bouncer) => 403,
                Access::From(_) => 401,
            };
            assert_eq!(answer.status, expected, "{} {}: {}", route.method(), route.path, answer.text);
        }
    }
    assert!(bench.fleet.orders().is_empty());
}

#[test]
fn the_login_alone_is_open_to_everybody_and_nothing_is_in_the_table_twice() {
    let open: Vec<&str> =
        routes().iter().filter(|route| route.access() == Access::Open).map(|route| route.path).collect();
    assert_eq!(open, ["/api/v1/login"]);
    let names: BTreeSet<String> =
        routes().iter().map(|route| format!("{} {}", route.method(), route.path())).collect();
    assert_eq!(names.len(), routes().len());
    // What is read is for viewers at least, what is changed for operators: but for one's own session and password.
    for route in routes().iter().filter(|route| route.action.is_some() && !route.is_open()) {
        let own = ["/api/v1/logout", "/api/v1/me/password"].contains(&route.path);
        assert_eq!(route.access() == Access::From(Role::Viewer), own, "{}", route.path);
    }
}

#[tokio::test]
async fn every_route_refuses_a_role_that_is_too_low() {
    let bench = Bench::new();
    let mut tokens = BTreeMap::new();
    for role in ["bouncer", "viewer", "operator", "admin"] {
        tokens.insert(role, token(&bench.token(role).await));
    }
    let mut asked = 0;
    for route in routes() {
        let Access::From(needed) = route.access() else { continue };
        for role in lower(needed) {
            let answer = send(&bench, route, &tokens[role], "{}").await;
            assert_eq!(answer.status, 403, "{role}: {} {}", route.method(), route.path);
            asked += 1;
        }
    }
    assert!(asked > routes().len(), "{asked}");
    assert!(bench.fleet.orders().is_empty());
}

#[tokio::test]
async fn every_route_refuses_a_body_that_is_too_large_told_or_untold() {
    let bench = Bench::new();
    let (admin, bouncer) = (token(&bench.token("admin").await), key(&bench.token("bouncer").await));
    for route in routes() {
        let from = if route.for_bouncers() { &bouncer } else { &admin };
        let untold = vec![b' '; MOST_BODY + 1];
        assert_eq!(send(&bench, route, from, untold).await.status, 413, "{}", route.path);
        let told = from.clone().with("content-length", (MOST_BODY + 1).to_string());
        assert_eq!(send(&bench, route, &told, "{}").await.status, 413, "{}", route.path);
    }
}

#[tokio::test]
async fn every_route_that_takes_a_body_refuses_what_is_none() {
    let bench = Bench::new();
    let (admin, bouncer) = (token(&bench.token("admin").await), key(&bench.token("bouncer").await));
    let before = bench.fleet.orders().len();
    let bodies: [(&[u8], u16); 6] =
        [(b"", 400), (b"{", 400), (b"\xff\xfe", 400), (b"[]", 422), (b" [1,2]", 422), (b"\"x\"", 422)];
    for route in routes().iter().filter(|route| route.body.is_some()) {
        let from = if route.for_bouncers() { &bouncer } else { &admin };
        for (body, status) in bodies {
            let answer = send(&bench, route, from, body.to_vec()).await;
            assert_eq!(answer.status, status, "{} {body:?}: {}", route.path, answer.text);
        }
        let deep = format!("{{\"a\":{}", "[".repeat(60_000));
        for body in [deep, "{}{}".to_owned()] {
            assert_eq!(send(&bench, route, from, body).await.status / 100, 4, "{}", route.path);
        }
        let plain = from.clone().with("content-type", "text/plain");
        let answer = bench.send(route.method().as_str(), &path(route), &plain, "{}").await;
        assert_eq!(answer.status, 415, "{}", route.path);
    }
    assert_eq!(bench.fleet.orders().len(), before);
}

#[tokio::test]
async fn every_path_refuses_methods_that_it_does_not_have() {
    let bench = Bench::new();
    let admin = token(&bench.token("admin").await);
    for route in routes() {
        let path = path(route);
        let own: Vec<_> =
            routes().iter().filter(|other| other.path == route.path).map(Route::method).collect();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "OPTIONS", "PROPFIND"] {
            if own.iter().all(|own| own.as_str() != method) {
                let answer = bench.send(method, &path, &admin, "{}").await;
                assert_eq!(answer.status, 405, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let bench = Bench::new();
    let admin = token(&bench.token("admin").await);
    let mut answers = vec![bench.get("/", &nobody()).await, bench.get("/api/v1/none", &nobody()).await];
    for route in routes() {
        answers.push(send(&bench, route, &nobody(), "{}").await);
        answers.push(send(&bench, route, &admin, "{}").await);
    }
    for answer in answers {
        let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"));
        assert_eq!(
            (header("x-content-type-options").as_str(), header("cache-control").as_str()),
            ("nosniff", "no-store")
        );
        assert!(header("strict-transport-security").starts_with("max-age="));
    }
}

#[tokio::test]
async fn every_change_is_written_down_with_who_and_what_and_how_it_ended() {
    let bench = Bench::new();
    let secret = bench.token("admin").await;
    let admin = token(&secret);
    let mut actions: Vec<&str> = Vec::new();
    for route in routes().iter().filter(|route| route.action.is_some() && !route.is_open()) {
        send(&bench, route, &admin, "{}").await;
        actions.push(route.action.unwrap());
    }
    let log = bench.get("/api/v1/audit?limit=500&who=admin", &admin).await;
    let entries = log.body["entries"].as_array().unwrap();
    for action in actions {
        let entry = entries.iter().find(|entry| entry["action"] == json!(action)).unwrap();
        assert_eq!((&entry["from"], &entry["role"]), (&json!("192.0.2.1"), &json!("admin")), "{action}");
    }
    assert!(!log.text.contains(&secret) && !log.text.contains(&bench.password));
}

#[tokio::test]
async fn hostile_paths_and_queries_are_refused_and_nothing_panics() {
    let bench = Bench::new();
    let admin = token(&bench.token("admin").await);
    let long = format!("/api/v1/nodes/{}", "x".repeat(10_000));
    let paths = [
        ("/api/v1/nodes/%00", 400),
        ("/api/v1/nodes/%ff%fe", 404),
        ("/api/v1/nodes/%1b%5b2J", 400),
        ("/api/v1/nodes/..%2f..%2fetc%2fpasswd", 404),
        ("/api/v1/../../etc/passwd", 404),
        ("/api//v1/health", 404),
        ("/api/v1/health/", 404),
        ("/v1/decisions/1", 404),
        (&long, 400),
        ("/api/v1/events?cursor=../../x", 422),
        ("/api/v1/events?cursor=99999999999999999999999999", 422),
        ("/api/v1/audit?cursor=-1", 400),
        ("/api/v1/blocks?cursor=%27%3b--", 400),
        ("/api/v1/blocks?limit=0", 400),
        ("/api/v1/blocks?limit=501", 400),
        ("/api/v1/events?from=9999-99-99", 400),
        ("/api/v1/events?limit=1&limit=2", 400),
        ("/api/v1/statistics?over=0", 400),
        ("/api/v1/health?x=y", 400),
    ];
    for (path, status) in paths {
        let answer = bench.get(path, &admin).await;
        assert_eq!(answer.status, status, "{path:.80}: {}", answer.text);
        assert!(answer.body["error"]["do"].is_string(), "{path:.80}");
    }
    for target in ["", "x", "1.2.3", "10.0.0.0/33", "%00", "::/129", "0x7f.1"] {
        let answer = bench.delete(&format!("/api/v1/blocks/{target}"), &admin).await;
        assert!((400..500).contains(&answer.status), "{target}: {}", answer.status);
    }
    assert!(bench.fleet.orders().is_empty());
}

#[test]
fn whatever_is_asked_is_answered_and_never_a_failure_of_ours() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = Bench::new();
    let (admin, bouncer) =
        runtime.block_on(async { (bench.token("admin").await, bench.token("bouncer").await) });
    let strange = proptest::collection::vec(proptest::sample::select(STRANGE.to_vec()), 0..6);
    let asked = (0..routes().len(), strange.clone(), strange.clone(), strange);
    let config =
        proptest::test_runner::Config { cases: 500, failure_persistence: None, ..Default::default() };
    proptest::test_runner::TestRunner::new(config)
        .run(&asked, |(number, tail, query, body)| {
            let route = &routes()[number];
            let from = if route.for_bouncers() { key(&bouncer) } else { token(&admin) };
            let prefix = route.path().split('{').next().unwrap().to_owned();
            // What no request's line can hold comes encoded.
            let encoded = |pieces: Vec<&str>| {
                let forbidden = |letter: char| "\"\\{}[".contains(letter);
                pieces.concat().split_inclusive(forbidden).map(escaped).collect::<String>()
            };
            let path = format!("{prefix}{}?{}", encoded(tail), encoded(query));
            let from =
                from.with("content-type", "application/json").with("cookie", "__Host-smartfw=%00; =;;");
            let answer = runtime.block_on(bench.send(route.method().as_str(), &path, &from, body.concat()));
            proptest::prop_assert!(answer.status < 500, "{} {}: {}", route.method(), path, answer.text);
            // Elsewhere than at the route there is nothing, another method, or a longer route.
            let met = |other: &&Route| {
                let longer = other.path().split('{').next().is_some_and(|prefix| path.starts_with(prefix));
                other.method() == route.method() && longer
            };
            let refusals = || routes().iter().filter(met).flat_map(Route::refusals);
            let known = [route.status, 404, 405].contains(&answer.status)
                || refusals().any(|status| status == answer.status);
            proptest::prop_assert!(known, "{} {} undocumented: {}", route.method(), path, answer.status);
            Ok(())
        })
        .unwrap();
}

/// A text whose last letter is encoded, where it may not stand in a request's line.
fn escaped(text: &str) -> String {
    match text.strip_suffix(['"', '\\', '{', '}', '[']) {
        Some(rest) => format!("{rest}%{:02x}", text.as_bytes()[text.len() - 1]),
        None => text.to_owned(),
    }
}

/// Pieces of paths, queries and bodies that some parser somewhere stumbled over.
const STRANGE: [&str; 40] = [
    "/",
    "..",
    "%2e%2e%2f",
    "%00",
    "%ff",
    "%",
    "%zz",
    "+",
    "&",
    "=",
    ",",
    "limit=1",
    "limit=",
    "cursor=",
    "from=",
    "to=",
    "source=",
    "target",
    "::",
    "::ffff:",
    "10.0.0.0",
    "/33",
    "/-1",
    "0",
    "18446744073709551616",
    "1e999",
    "{",
    "}",
    "[",
    "\"",
    ":",
    "null",
    "\\u0000",
    "%f0%9f%98%80",
    "9999-12-31T23:59:59Z",
    "-0001-01-01T00:00:00Z",
    "ip=",
    "startup=true",
    "reason=",
    "contains=false",
];
