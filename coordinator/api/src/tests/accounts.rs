//! Users and tokens.

use serde_json::json;

use super::bench::{Bench, nobody, session, token};

const WORDS: &str = "four random words";

#[tokio::test]
async fn a_user_is_added_changed_and_removed_and_their_sessions_follow() {
    let bench = Bench::new();
    let admin = session(&bench.admin().await);
    let ada = json!({"name": "ada", "role": "viewer", "password": WORDS});
    assert_eq!(bench.put("POST", "/api/v1/users", &admin, ada.clone()).await.status, 201);
    assert_eq!(bench.put("POST", "/api/v1/users", &admin, ada).await.status, 409);
    let user = session(&bench.login("ada", WORDS, &nobody()).await.cookie());
    let block = json!({"target": "203.0.113.7"});
    assert_eq!(bench.put("POST", "/api/v1/blocks", &user, block.clone()).await.status, 403);
    let path = "/api/v1/users/ada";
    let changed = bench.put("PATCH", path, &admin, json!({"role": "operator"})).await;
    assert_eq!((changed.status, &changed.body["role"]), (200, &json!("operator")));
    assert_eq!(
        bench.put("POST", "/api/v1/blocks", &user, block).await.status,
        202,
        "the session has the new role"
    );
    assert_eq!(bench.put("PATCH", path, &admin, json!({"password": "other random words"})).await.status, 200);
    assert_eq!(bench.get("/api/v1/me", &user).await.status, 401, "a new password ends it");
    assert_eq!(bench.delete(path, &admin).await.status, 204);
    assert_eq!(bench.delete(path, &admin).await.status, 404);
    assert_eq!(bench.login("ada", "other random words", &nobody()).await.status, 401);
    let names = bench.get("/api/v1/users", &admin).await;
    assert_eq!(names.body["users"].as_array().unwrap().len(), 1);
    assert!(!names.text.contains("hash") && !names.text.contains("salt"));
}

#[tokio::test]
async fn users_that_make_no_sense_are_refused() {
    let bench = Bench::new();
    let admin = session(&bench.admin().await);
    for (name, role, password) in [
        ("", "viewer", WORDS),
        ("a b", "viewer", WORDS),
        ("\u{1b}[2J", "viewer", WORDS),
        ("ada", "bouncer", WORDS),
        ("ada", "root", WORDS),
        ("ada", "viewer", "short"),
    ] {
        let body = json!({"name": name, "role": role, "password": password});
        assert_eq!(
            bench.put("POST", "/api/v1/users", &admin, body).await.status,
            422,
            "{name:?} {role} {password}"
        );
    }
    assert_eq!(bench.put("PATCH", "/api/v1/users/admin", &admin, json!({})).await.status, 422);
    assert_eq!(
        bench.put("PATCH", "/api/v1/users/admin", &admin, json!({"role": "viewer"})).await.status,
        409
    );
    assert_eq!(bench.delete("/api/v1/users/admin", &admin).await.status, 409);
}

#[tokio::test]
async fn a_token_is_shown_once_and_ends() {
    let bench = Bench::new();
    let admin = session(&bench.admin().await);
    let body = json!({"name": "grafana", "role": "viewer", "duration": 60});
    let made = bench.put("POST", "/api/v1/tokens", &admin, body).await;
    let secret = made.body["token"].as_str().unwrap().to_owned();
    let (id, expires) = (made.body["id"].as_str().unwrap(), &made.body["expires"]);
    assert_eq!(expires, "2026-01-01T00:01:00Z");
    let listed = bench.get("/api/v1/tokens", &admin).await;
    assert!(listed.text.contains(id) && !listed.text.contains(&secret));
    let me = bench.get("/api/v1/me", &token(&secret)).await;
    assert_eq!(me.body, json!({"name": "grafana", "role": "viewer", "session": false}));
    assert_eq!(bench.send("POST", "/api/v1/logout", &token(&secret), "").await.status, 409);
    let old_and_new = json!({"old": WORDS, "new": WORDS});
    assert_eq!(bench.put("POST", "/api/v1/me/password", &token(&secret), old_and_new).await.status, 409);
    bench.pass(60);
    assert_eq!(bench.get("/api/v1/me", &token(&secret)).await.status, 401);
    let secret = bench.token("viewer").await;
    let ids = bench.get("/api/v1/tokens", &admin).await;
    let id =
        ids.body["tokens"].as_array().unwrap().iter().find(|token| token["name"] == "viewer").unwrap()["id"]
            .clone();
    assert_eq!(bench.delete(&format!("/api/v1/tokens/{}", id.as_str().unwrap()), &admin).await.status, 204);
    assert_eq!(bench.get("/api/v1/me", &token(&secret)).await.status, 401);
}

#[tokio::test]
async fn a_wrong_token_is_not_made_good_by_a_cookie() {
    let bench = Bench::new();
    let both = session(&bench.admin().await).with("authorization", "Bearer sfw_wrong");
    assert_eq!(bench.get("/api/v1/me", &both).await.status, 401);
}

#[tokio::test]
async fn accounts_outlive_a_restart_and_sessions_do_not() {
    let bench = Bench::new();
    let secret = bench.token("viewer").await;
    let file = bench.folder.path().join("state/accounts.json");
    assert!(!std::fs::read_to_string(file).unwrap().contains(&secret[4..]));
    let log = bench.folder.path().join("log");
    let settings =
        crate::Settings { state: bench.folder.path().join("state"), log, clock: crate::Clock::system() };
    let (again, first) = crate::Api::open(settings, bench.fleet.clone()).unwrap();
    assert!(first.is_none() && again.0.accounts.token(time::OffsetDateTime::now_utc(), &secret).is_some());
}
