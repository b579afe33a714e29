//! What CrowdSec's bouncers ask, and read.

use serde_json::{Value, json};

use super::bench::{Bench, key, token};

async fn block(bench: &Bench, target: &str, duration: Value) {
    let operator = token(&bench.token("operator").await);
    let body = json!({"target": target, "duration": duration});
    assert_eq!(bench.put("POST", "/api/v1/blocks", &operator, body).await.status, 202);
}

fn values(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|decision| decision["value"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_bouncer_begins_follows_and_sees_the_end() {
    let bench = Bench::new();
    let bouncer = key(&bench.token("bouncer").await);
    let nothing = bench.get("/v1/decisions/stream?startup=true", &bouncer).await;
    assert_eq!((nothing.status, nothing.text.as_str()), (200, r#"{"deleted":null,"new":null}"#));
    block(&bench, "203.0.113.7", json!(14_400)).await;
    bench.pass(10);
    let news = bench.get("/v1/decisions/stream", &bouncer).await;
    let decision = json!({
        "duration": "3h59m50s", "id": 1, "origin": "cscli", "scenario": "smartfw/manual", "scope": "Ip", "type": "ban",
        "value": "203.0.113.7",
    });
    assert_eq!(news.body, json!({"deleted": null, "new": [decision]}));
    assert_eq!(bench.get("/v1/decisions/stream?startup=false", &bouncer).await.body["new"], Value::Null);
    bench.pass(14_390);
    let news = bench.get("/v1/decisions/stream", &bouncer).await;
    assert_eq!((values(&news.body["deleted"]), &news.body["new"]), (vec!["203.0.113.7"], &Value::Null));
}

#[tokio::test]
async fn each_key_has_its_own_place_and_a_look_moves_none() {
    let bench = Bench::new();
    let (one, other) = (key(&bench.token("bouncer").await), key(&bench.token("bouncer").await));
    for bouncer in [&one, &other] {
        bench.get("/v1/decisions/stream?startup=true", bouncer).await;
    }
    block(&bench, "198.51.100.0/24", Value::Null).await;
    let look = bench.send("HEAD", "/v1/decisions/stream", &one, "").await;
    assert_eq!((look.status, look.text.as_str()), (200, ""));
    for bouncer in [&one, &other] {
        let news = bench.get("/v1/decisions/stream", bouncer).await;
        assert_eq!(news.body["new"][0]["scope"], "Range");
        assert_eq!(news.body["new"][0]["duration"], "87600h0m0s");
    }
}

#[tokio::test]
async fn filters_are_those_of_the_local_api() {
    let bench = Bench::new();
    let bouncer = key(&bench.token("bouncer").await);
    block(&bench, "203.0.113.7", json!(60)).await;
    block(&bench, "198.51.100.0/24", json!(60)).await;
    for (query, found) in [
        ("", &["198.51.100.0/24", "203.0.113.7"][..]),
        ("ip=203.0.113.7", &["203.0.113.7"]),
        ("ip=198.51.100.9", &["198.51.100.0/24"]),
        ("ip=192.0.2.1", &[]),
        ("range=203.0.113.0/24", &[]),
        ("range=203.0.113.0/24&contains=false", &["203.0.113.7"]),
        ("scope=Range", &["198.51.100.0/24"]),
        ("scopes=ip", &["203.0.113.7"]),
        ("scopes=ip,range", &["198.51.100.0/24", "203.0.113.7"]),
        ("scopes=username", &[]),
        ("value=203.0.113.7&scope=ip", &["203.0.113.7"]),
        ("type=captcha", &[]),
        ("origins=crowdsec", &[]),
        ("origins=CAPI,cscli", &["198.51.100.0/24", "203.0.113.7"]),
        ("scenarios_containing=ssh,MANUAL", &["198.51.100.0/24", "203.0.113.7"]),
        ("scenarios_not_containing=manual", &[]),
        ("dedup=false&additional_pull=true", &["198.51.100.0/24", "203.0.113.7"]),
    ] {
        let answer = bench.get(&format!("/v1/decisions?{query}"), &bouncer).await;
        assert_eq!(answer.status, 200, "{query}");
        let list = if found.is_empty() { Value::Null } else { answer.body.clone() };
        assert_eq!(list, answer.body, "{query}: null where there is none");
        assert!(found.is_empty() || values(&list) == found, "{query}: {list}");
    }
    for query in ["ip=x", "ip=1.2.3.4%00", "contains=maybe", "range=10.0.0.0/99"] {
        let answer = bench.get(&format!("/v1/decisions?{query}"), &bouncer).await;
        assert_eq!((answer.status, answer.body["message"].is_string()), (400, true), "{query}");
    }
    assert_eq!(bench.get("/v1/decisions/stream?startup=perhaps", &bouncer).await.status, 400);
}

#[tokio::test]
async fn a_bouncers_numbers_are_taken_and_its_key_does_nothing_else() {
    let bench = Bench::new();
    let bouncer = key(&bench.token("bouncer").await);
    let numbers = json!({"remediation_components": [{"type": "cs-firewall-bouncer", "metrics": []}], "log_processors": null});
    assert_eq!(bench.put("POST", "/v1/usage-metrics", &bouncer, numbers).await.status, 201);
    for path in ["/api/v1/blocks", "/api/v1/me", "/api/v1/health", "/api/v1/openapi.json"] {
        assert_eq!(bench.get(path, &bouncer).await.status, 403, "{path}");
    }
    let nobody = bench.get("/v1/decisions", &key("sfw_wrong")).await;
    assert_eq!((nobody.status, nobody.body["message"].is_string()), (403, true));
}
