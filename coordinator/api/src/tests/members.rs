//! Who is believed, who belongs to the fleet, and whether it enforces: changed by admins alone.

use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Answer, Bench, token};
use crate::Order;

/// What the last entry of the audit log says.
async fn noted(bench: &Bench) -> [Value; 4] {
    let entry = serde_json::to_value(&bench.api.0.audit.read(u64::MAX, 1, |_| true).entries[0]).unwrap();
    ["action", "target", "terms", "outcome"].map(|key| entry[key].clone())
}

fn error(answer: &Answer) -> String {
    let error = |key: &str| answer.body["error"][key].as_str().unwrap().to_owned();
    format!("{} {}", error("why"), error("do"))
}

#[tokio::test]
async fn each_change_is_an_order_and_is_written_down_under_its_name() {
    let bench = Bench::new();
    let admin = token(&bench.token("admin").await);
    let (id, target) = ("01".repeat(32), "192.0.2.1/32".parse().unwrap());
    let node = || id.clone();
    let hour = Duration::from_secs(3_600);
    let cases = [
        (
            "PATCH",
            "nodes/web-1",
            json!({"believed": false}),
            Order::Trust { node: node(), believed: false },
            "trust",
        ),
        (
            "PATCH",
            "nodes/web-1",
            json!({"believed": true}),
            Order::Trust { node: node(), believed: true },
            "trust",
        ),
        (
            "POST",
            "canaries",
            json!({"target": "192.0.2.1"}),
            Order::AddCanary { target, wide: false, yes: false },
            "add_canary",
        ),
        (
            "POST",
            "canaries",
            json!({"target": "192.0.2.1", "wide": true, "yes": true}),
            Order::AddCanary { target, wide: true, yes: true },
            "add_canary",
        ),
        ("DELETE", "canaries/192.0.2.1", json!(null), Order::RemoveCanary { target }, "remove_canary"),
        ("POST", "panic", json!({"duration": 3600}), Order::Panic { duration: hour }, "panic"),
        ("POST", "panic", json!({}), Order::Panic { duration: hour / 4 }, "panic"),
        ("POST", "resume", json!(null), Order::Resume, "resume"),
        // The last: afterwards it is no member.
        (
            "DELETE",
            "nodes/web-1?with_its_members=true",
            json!(null),
            Order::Revoke { node: node(), with_its_members: true },
            "revoke",
        ),
    ];
    for (method, path, body, order, action) in cases {
        let answer = bench.put(method, &format!("/api/v1/{path}"), &admin, body).await;
        assert_eq!((answer.status, &answer.body["members"]), (202, &json!(1)), "{path}: {}", answer.text);
        assert_eq!(bench.fleet.orders().pop().unwrap().0, order, "{method} {path}");
        let [noted_as, .., outcome] = noted(&bench).await;
        assert_eq!((noted_as, outcome), (json!(action), json!("done")), "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_an_admins_no_operator_does_although_it_blocks_and_allows() {
    let bench = Bench::new();
    let operator = token(&bench.token("operator").await);
    for (method, path, body) in [
        ("PATCH", "nodes/web-1", json!({"believed": false})),
        ("DELETE", "nodes/web-1", json!(null)),
        ("POST", "canaries", json!({"target": "192.0.2.1"})),
        ("DELETE", "canaries/192.0.2.1", json!(null)),
        ("POST", "panic", json!({})),
        ("POST", "resume", json!(null)),
    ] {
        let answer = bench.put(method, &format!("/api/v1/{path}"), &operator, body).await;
        assert_eq!(answer.status, 403, "{method} {path}");
        assert_eq!(noted(&bench).await[3], json!("refused"), "{method} {path}");
    }
    assert!(bench.fleet.orders().is_empty());
}

#[tokio::test]
async fn a_member_is_named_by_its_name_or_by_enough_of_its_id() {
    let bench = Bench::new();
    let admin = token(&bench.token("admin").await);
    bench.fleet.admit("web-2", 0x22);
    for name in ["web-2", &"22".repeat(8), &"22".repeat(32)] {
        let path = format!("/api/v1/nodes/{name}");
        assert_eq!(bench.get(&path, &admin).await.body["name"], "web-2", "{name}");
        assert_eq!(bench.put("PATCH", &path, &admin, json!({"believed": false})).await.status, 202, "{name}");
        let (Order::Trust { node, .. }, _) = bench.fleet.orders().pop().unwrap() else { panic!() };
        assert_eq!(node, "22".repeat(32));
        let terms = json!(format!("not believed, id {node}"));
        assert_eq!(noted(&bench).await, [json!("trust"), json!(name), terms, json!("done")]);
    }
    assert_eq!(bench.get("/api/v1/nodes/web-2", &admin).await.body["trust"], 0.0);
    let given = bench.fleet.orders().len();
    for wrong in ["web", "WEB-2", "2222", &"33".repeat(32), &"22".repeat(33)] {
        for (method, body) in
            [("PATCH", json!({"believed": false})), ("DELETE", json!(null)), ("GET", json!(null))]
        {
            let answer = bench.put(method, &format!("/api/v1/nodes/{wrong}"), &admin, body).await;
            assert_eq!(answer.status, 404, "{method} {wrong}");
        }
    }
    assert_eq!(bench.fleet.orders().len(), given);
}

#[tokio::test]
async fn where_two_members_have_one_name_neither_is_meant_and_their_ids_are_told() {
    let bench = Bench::new();
    let admin = token(&bench.token("admin").await);
    bench.fleet.admit("web-1", 0x22);
    for (method, body) in
        [("GET", json!(null)), ("PATCH", json!({"believed": false})), ("DELETE", json!(null))]
    {
        let answer = bench.put(method, "/api/v1/nodes/web-1", &admin, body).await;
        assert_eq!(answer.status, 409, "{method}");
        let told = error(&answer);
        for part in ["2 members are called \"web-1\"", &"01".repeat(32), &"22".repeat(32), "by its id"] {
            assert!(told.contains(part), "{method}: {told}");
        }
    }
    assert!(bench.fleet.orders().is_empty());
    assert_eq!(bench.delete(&format!("/api/v1/nodes/{}", "22".repeat(32)), &admin).await.status, 202);
    assert_eq!(bench.get("/api/v1/nodes/web-1", &admin).await.body["id"], json!("01".repeat(32)));
    for many in 0x30..0x36 {
        bench.fleet.admit("db-1", many);
    }
    let told = error(&bench.get("/api/v1/nodes/db-1", &admin).await);
    assert!(told.contains("6 members") && told.contains(", …") && !told.contains("3535"), "{told}");
}

#[tokio::test]
async fn orders_take_a_name_that_only_others_tell_for_nobodys() {
    let bench = Bench::new();
    let admin = token(&bench.token("admin").await);
    // Of some the id begins with the name.
    bench.fleet.hear_of("far-1", 0x22);
    bench.fleet.hear_of("db", 0xdb);
    assert_eq!(bench.get("/api/v1/nodes/far-1", &admin).await.body["name_proven"], false);
    for (name, id) in [("far-1", "22"), ("db", "db")] {
        for (method, body) in [("PATCH", json!({"believed": false})), ("DELETE", json!(null))] {
            let refused = bench.put(method, &format!("/api/v1/nodes/{name}"), &admin, body).await;
            assert_eq!(refused.status, 409, "{method}");
            assert!(error(&refused).contains(&id.repeat(32)), "{method}: {}", error(&refused));
            assert!(bench.fleet.orders().is_empty(), "{method}");
        }
    }
    for text in ["22".repeat(8), "22".repeat(32)] {
        let path = format!("/api/v1/nodes/{text}");
        let given = bench.put("PATCH", &path, &admin, json!({"believed": false})).await;
        assert_eq!(given.status, 202);
        assert_eq!(given.body["node"], "22".repeat(32));
    }
}

#[tokio::test]
async fn nobody_takes_the_name_or_the_id_of_another_by_what_is_told_of_him() {
    let bench = Bench::new();
    let admin = token(&bench.token("admin").await);
    // That web-1 reports.
    let owner = "01".repeat(32);
    bench.fleet.hear_of("web-1", 0x22);
    bench.fleet.hear_of(&owner, 0x33);
    bench.fleet.hear_of(&owner[..16], 0x44);
    for text in ["web-1", &owner, &owner[..16]] {
        let path = format!("/api/v1/nodes/{text}");
        assert_eq!(bench.get(&path, &admin).await.body["id"], owner, "{text}");
        let given = bench.put("PATCH", &path, &admin, json!({"believed": false})).await;
        assert_eq!((given.status, &given.body["node"]), (202, &json!(owner)), "{text}");
    }
}

#[tokio::test]
async fn a_canary_and_a_panic_come_and_go() {
    let bench = Bench::new();
    let (admin, viewer) = (token(&bench.token("admin").await), token(&bench.token("viewer").await));
    bench.put("POST", "/api/v1/canaries", &admin, json!({"target": "2001:db8::1"})).await;
    assert_eq!(bench.fleet.canaries(), ["2001:db8::1/128".parse().unwrap()]);
    assert_eq!(bench.delete("/api/v1/canaries/2001:db8::1", &admin).await.status, 202);
    assert!(bench.fleet.canaries().is_empty());
    let stopped = async || bench.get("/api/v1/panic", &viewer).await.body;
    let nowhere = json!({"nodes": [], "nodes_reporting": 1});
    assert_eq!(stopped().await, nowhere);
    bench.put("POST", "/api/v1/panic", &admin, json!({"duration": 60})).await;
    assert_eq!(stopped().await, json!({"nodes": ["web-1"], "nodes_reporting": 1}));
    bench.pass(60);
    assert_eq!(stopped().await, nowhere, "it ends by itself");
    bench.put("POST", "/api/v1/panic", &admin, json!({})).await;
    bench.put("POST", "/api/v1/resume", &admin, json!(null)).await;
    assert_eq!(stopped().await, nowhere, "or by an order");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_nothing_is_ordered() {
    let bench = Bench::new();
    let admin = token(&bench.token("admin").await);
    let cases = [
        ("POST", "panic", json!({"duration": 86_401}), 422, "prolong it in time"),
        ("POST", "panic", json!({"duration": null}), 422, "86400 seconds"),
        ("POST", "panic", json!({"cluster": true}), 422, "openapi.json"),
        ("POST", "canaries", json!({}), 422, "openapi.json"),
        ("POST", "canaries", json!({"target": "everybody"}), 422, "openapi.json"),
        ("POST", "canaries", json!({"target": "192.0.2.1", "yes": 1}), 422, "openapi.json"),
        ("DELETE", "canaries/everybody", json!(null), 422, "neither an address nor a CIDR"),
        ("PATCH", "nodes/web-1", json!({}), 422, "openapi.json"),
        ("PATCH", "nodes/web-1", json!({"believed": null}), 422, "openapi.json"),
        ("DELETE", "nodes/web-1?with_its_members=1", json!(null), 400, "true or false"),
        ("DELETE", "nodes/web-1?force=true", json!(null), 400, "with_its_members"),
    ];
    for (method, path, body, status, part) in cases {
        let answer = bench.put(method, &format!("/api/v1/{path}"), &admin, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        assert!(error(&answer).contains(part), "{method} {path}: {}", answer.text);
    }
    assert!(bench.fleet.orders().is_empty());
    bench.fleet.refuse(true);
    assert_eq!(bench.put("POST", "/api/v1/panic", &admin, json!({})).await.status, 409);
    assert_eq!(
        noted(&bench).await,
        [json!("panic"), json!("the fleet"), json!("for 900 s"), json!("refused")]
    );
}
