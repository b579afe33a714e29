//! What the fleet does, seen and changed.

use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Bench, token};
use crate::{Order, Role};

#[tokio::test]
async fn an_order_reaches_the_fleet_with_who_gave_it() {
    let bench = Bench::new();
    let operator = token(&bench.token("operator").await);
    let body = json!({"target": "203.0.113.7", "duration": 3600, "reason": "seen in the logs"});
    let answer = bench.put("POST", "/api/v1/blocks", &operator, body).await;
    assert_eq!((answer.status, answer.body), (202, json!({"id": null, "node": null, "members": 1})));
    let (order, who) = bench.fleet.orders().remove(0);
    let target = "203.0.113.7/32".parse().unwrap();
    let reason = "seen in the logs".to_owned();
    assert_eq!(
        order,
        Order::Block { target, duration: Some(Duration::from_secs(3_600)), reason, force: false }
    );
    assert_eq!(
        (who.name.as_str(), who.role, who.from.to_string().as_str()),
        ("operator", Role::Operator, "192.0.2.1")
    );
    let entry = serde_json::to_value(&bench.api.0.audit.read(u64::MAX, 1, |_| true).entries[0]).unwrap();
    assert_eq!((&entry["action"], &entry["who"]), (&json!("block"), &json!("operator")));
    assert_eq!(
        (&entry["terms"], &entry["outcome"]),
        (&json!("for 3600 s: seen in the logs"), &json!("done"))
    );
    let blocks = bench.get("/api/v1/blocks", &operator).await;
    assert_eq!(blocks.body["blocks"][0]["target"], "203.0.113.7/32");
    assert_eq!(blocks.body["blocks"][0]["expires"], "2026-01-01T01:00:00Z");
    assert_eq!(
        bench.delete("/api/v1/blocks/203.0.113.7/32?reason=false-positive", &operator).await.status,
        202
    );
    assert_eq!(bench.fleet.orders()[1].0, Order::Unblock { target, false_positive: true });
    assert_eq!(bench.delete("/api/v1/blocks/203.0.113.0%2F24", &operator).await.status, 202, "encoded, too");
    assert_eq!(bench.delete("/api/v1/blocks/203.0.113.7?reason=whim", &operator).await.status, 400);
}

#[tokio::test]
async fn one_block_is_told_with_where_it_is_enforced() {
    let bench = Bench::new();
    let operator = token(&bench.token("operator").await);
    for target in ["203.0.113.7", "203.0.113.0/24"] {
        bench.put("POST", "/api/v1/blocks", &operator, json!({"target": target})).await;
    }
    for target in ["203.0.113.7", "203.0.113.0/24", "203.0.113.0%2F24"] {
        let one = bench.get(&format!("/api/v1/blocks/{target}"), &operator).await.body;
        assert!(one["block"]["target"].as_str().unwrap().starts_with(&target[..9]), "{one}");
        assert_eq!((&one["enforced_on"], &one["propagation_ms"]["web-1"]), (&json!(["web-1"]), &json!(7.5)));
    }
    for (target, status) in [("203.0.113.8", 404), ("203.0.113.0/25", 404), ("everybody", 422)] {
        assert_eq!(bench.get(&format!("/api/v1/blocks/{target}"), &operator).await.status, status);
    }
}

#[tokio::test]
async fn the_allow_list_is_read_and_changed() {
    let bench = Bench::new();
    let operator = token(&bench.token("operator").await);
    let body = json!({"target": "10.1.2.3/8", "comment": "the office"});
    assert_eq!(bench.put("POST", "/api/v1/allow", &operator, body).await.status, 202);
    let list = bench.get("/api/v1/allow", &operator).await;
    let entry = json!({
        "target": "10.0.0.0/8", "since": "2026-01-01T00:00:00Z", "expires": null, "comment": "the office", "nodes": null,
        "site": null,
    });
    assert_eq!(list.body, json!({"allowed": [entry]}));
    assert_eq!(bench.delete("/api/v1/allow/10.0.0.0/8", &operator).await.status, 202);
    assert_eq!(bench.get("/api/v1/allow", &operator).await.body, json!({"allowed": []}));
}

#[tokio::test]
async fn what_the_fleet_refuses_is_told_with_the_reason_and_written_down() {
    let bench = Bench::new();
    let admin = token(&bench.token("admin").await);
    bench.fleet.refuse(true);
    let answer = bench.put("POST", "/api/v1/blocks", &admin, json!({"target": "203.0.113.7"})).await;
    assert_eq!(answer.status, 409);
    assert_eq!(answer.body["error"]["why"], "the coordinator has no operator's certificate");
    let log = bench.get("/api/v1/audit?action=block", &admin).await;
    let entry = &log.body["entries"][0];
    assert_eq!((&entry["target"], &entry["outcome"]), (&json!("203.0.113.7/32"), &json!("refused")));
    assert_eq!(entry["why"], "409 the coordinator has no operator's certificate");
}

#[tokio::test]
async fn blocks_are_filtered_and_come_in_pages() {
    let bench = Bench::new();
    let operator = token(&bench.token("operator").await);
    for host in 1..=5 {
        let body = json!({"target": format!("203.0.113.{host}")});
        bench.put("POST", "/api/v1/blocks", &operator, body).await;
    }
    let targets = |body: &Value| {
        let blocks = body["blocks"].as_array().unwrap().iter();
        blocks
            .map(|block| block["target"].as_str().unwrap().trim_start_matches("203.0.113.").to_owned())
            .collect::<String>()
    };
    let first = bench.get("/api/v1/blocks?limit=3", &operator).await.body;
    assert_eq!((targets(&first).as_str(), &first["total"]), ("1/322/323/32", &json!(5)));
    let path = format!("/api/v1/blocks?limit=3&cursor={}", first["cursor"].as_str().unwrap());
    let second = bench.get(&path, &operator).await.body;
    assert_eq!((targets(&second).as_str(), &second["cursor"]), ("4/325/32", &Value::Null));
    for (query, found) in [
        ("overlaps=203.0.113.0/30", "1/322/323/32"),
        ("overlaps=203.0.113.5", "5/32"),
        ("class=port_scan", ""),
        ("origin=operator&class=manual&overlaps=203.0.113.4", "4/32"),
    ] {
        let answer = bench.get(&format!("/api/v1/blocks?{query}"), &operator).await;
        assert_eq!(targets(&answer.body), found, "{query}");
    }
}

#[tokio::test]
async fn events_are_filtered_and_come_newest_first() {
    let bench = Bench::new();
    let viewer = token(&bench.token("viewer").await);
    for (seconds, node, class, source) in [
        (0, "web-1", "port_scan", "203.0.113.1"),
        (60, "web-2", "port_scan", "203.0.113.2"),
        (60, "web-1", "botnet", "2001:db8::1"),
    ] {
        bench.pass(seconds);
        bench.fleet.alert(node, class, source);
    }
    let sources = |body: &Value| {
        let events = body["events"].as_array().unwrap().iter();
        events.map(|event| event["source"].as_str().unwrap().chars().last().unwrap()).collect::<String>()
    };
    for (query, found) in [
        ("", "121"),
        ("node=web-1", "11"),
        ("class=port_scan", "21"),
        ("source=203.0.113.0/24", "21"),
        ("source=203.0.113.2", "2"),
        ("text=db8", "1"),
        ("from=2026-01-01T00:01:00Z", "12"),
        ("to=2026-01-01T00:01:00Z", "1"),
        ("kind=block", ""),
    ] {
        let answer = bench.get(&format!("/api/v1/events?{query}"), &viewer).await;
        assert_eq!(sources(&answer.body), found, "{query}");
    }
    let page = bench.get("/api/v1/alerts?limit=2", &viewer).await;
    assert_eq!(sources(&page.body), "12");
    let path = format!("/api/v1/alerts?limit=2&cursor={}", page.body["cursor"].as_str().unwrap());
    let page = bench.get(&path, &viewer).await;
    assert_eq!((sources(&page.body).as_str(), &page.body["cursor"]), ("1", &Value::Null));
}

#[tokio::test]
async fn a_log_that_cannot_be_written_is_seen_in_the_health_and_stops_nobody() {
    let bench = Bench::new();
    let operator = token(&bench.token("operator").await);
    let log = bench.folder.path().join("log");
    std::fs::rename(&log, bench.folder.path().join("gone")).unwrap();
    std::fs::write(&log, "a file is in the way").unwrap();
    let refused = bench.put("POST", "/api/v1/blocks", &operator, json!({"target": "x"})).await;
    assert_eq!(refused.status, 422);
    assert_eq!(bench.api.0.audit.lost(), 1);
    let health = bench.get("/api/v1/health", &operator).await;
    assert_eq!(health.body["health"][0]["level"], "error");
}

#[tokio::test]
async fn one_member_is_found_by_its_name() {
    let bench = Bench::new();
    let viewer = token(&bench.token("viewer").await);
    let node = bench.get("/api/v1/nodes/web-1", &viewer).await.body;
    assert_eq!(node["state"], "alive");
    assert_eq!((&node["events_waiting"], &node["lag_seconds"]), (&json!(2), &json!(0.5)));
    assert_eq!(node["per_second"]["packets"], 7.5);
    assert_eq!(bench.get("/api/v1/nodes/web-9", &viewer).await.status, 404);
    assert_eq!(bench.get("/api/v1/statistics?over=60", &viewer).await.body["over"], 60);
}
