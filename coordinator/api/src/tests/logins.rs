//! Logins, sessions and forged requests.

use std::time::{Duration, Instant};

use serde_json::json;

use super::bench::{Bench, nobody, session};

#[tokio::test]
async fn the_first_admin_logs_in_and_out() {
    let bench = Bench::new();
    let login = bench.login("admin", &bench.password, &nobody()).await;
    assert_eq!(
        (login.status, &login.body),
        (200, &json!({"name": "admin", "role": "admin", "session": true}))
    );
    let cookie = login.headers["set-cookie"].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-smartfw=")
            && cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict")
    );
    let admin = session(&login.cookie());
    assert_eq!(bench.get("/api/v1/me", &admin).await.body["name"], "admin");
    assert_eq!(bench.send("POST", "/api/v1/logout", &admin, "").await.status, 204);
    assert_eq!(bench.get("/api/v1/me", &admin).await.status, 401);
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_are_answered_alike() {
    let bench = Bench::new();
    let answers = [
        bench.login("admin", "wrong", &nobody()).await,
        bench.login("nobody", "wrong", &nobody()).await,
        bench.login("\u{1b}[2J", "wrong", &nobody()).await,
        bench.login("admin", &"x".repeat(10_000), &nobody()).await,
    ];
    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (401, &answers[0].text));
    }
}

#[tokio::test]
async fn a_name_that_there_is_not_takes_as_long_as_one_that_there_is() {
    let bench = Bench::new();
    let mut quickest = [Duration::MAX; 2];
    for attempt in 0..8 {
        for (quickest, name) in quickest.iter_mut().zip(["admin", "nobody"]) {
            let address = format!("198.51.100.{attempt}");
            let begun = Instant::now();
            assert_eq!(bench.login(name, "wrong", &nobody().at(&address)).await.status, 401);
            *quickest = begun.elapsed().min(*quickest);
        }
    }
    let [known, unknown] = quickest;
    // Without a hash it would be a hundred times quicker; other work on the machine makes it a little slower.
    assert!(unknown * 5 > known && known * 5 > unknown, "{known:?} and {unknown:?}");
}

#[tokio::test]
async fn an_address_that_guesses_is_stopped_and_its_guesses_are_in_the_log() {
    let bench = Bench::new();
    let admin = session(&bench.admin().await);
    let guesser = nobody().at("198.51.100.7");
    for _ in 0..10 {
        assert_eq!(bench.login("admin", "wrong", &guesser).await.status, 401);
    }
    for _ in 0..3 {
        let stopped = bench.login("admin", &bench.password, &guesser).await;
        assert_eq!((stopped.status, stopped.headers.contains_key("retry-after")), (429, true));
    }
    let log = bench.get("/api/v1/audit?action=login", &admin).await;
    let entries = log.body["entries"].as_array().unwrap();
    let refused: Vec<_> = entries.iter().filter(|entry| entry["outcome"] == "refused").collect();
    assert_eq!(refused.len(), 11, "ten guesses, and once that there were too many");
    assert!(refused.iter().all(|entry| entry["from"] == "198.51.100.7" && entry["who"].is_null()));
    bench.pass(5 * 60);
    assert_eq!(bench.login("admin", &bench.password, &guesser).await.status, 200);
}

#[tokio::test]
async fn guessing_from_everywhere_stops_at_the_user_and_does_not_lock_the_user_out() {
    let bench = Bench::new();
    bench.admin().await;
    for host in 0..10 {
        let address = format!("198.51.100.{host}");
        assert_eq!(bench.login("admin", "wrong", &nobody().at(&address)).await.status, 401);
    }
    assert_eq!(bench.login("admin", "wrong", &nobody().at("198.51.100.99")).await.status, 429);
    assert_eq!(
        bench.login("admin", &bench.password, &nobody()).await.status,
        200,
        "from where they came before"
    );
}

#[tokio::test]
async fn many_guesses_at_once_are_no_more_than_one_after_another() {
    let bench = Bench::new();
    let guesser = nobody().at("198.51.100.7");
    let guesses = (0..16).map(|_| bench.login("admin", "wrong", &guesser));
    let mut statuses: Vec<u16> = Vec::new();
    for answer in futures(guesses).await {
        statuses.push(answer.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 10, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 6, "{statuses:?}");
}

#[tokio::test]
async fn a_session_ends_when_it_rests_and_when_it_is_old() {
    let bench = Bench::new();
    let admin = session(&bench.admin().await);
    bench.pass(29 * 60);
    assert_eq!(bench.get("/api/v1/me", &admin).await.status, 200);
    bench.pass(30 * 60);
    assert_eq!(bench.get("/api/v1/me", &admin).await.status, 401, "it rested");
    let admin = session(&bench.admin().await);
    for _ in 0..47 {
        bench.pass(15 * 60);
        assert_eq!(bench.get("/api/v1/me", &admin).await.status, 200);
    }
    bench.pass(15 * 60);
    assert_eq!(bench.get("/api/v1/me", &admin).await.status, 401, "it is twelve hours old");
}

#[tokio::test]
async fn another_sites_page_changes_nothing_with_a_persons_cookie() {
    let bench = Bench::new();
    let admin = session(&bench.admin().await);
    let body = json!({"target": "203.0.113.7"});
    let forged = [
        admin.clone().without("x-smartfw"),
        admin.clone().without("origin").with("origin", "https://evil.example"),
        admin.clone().without("origin").with("origin", "http://fw.example"),
        admin.clone().without("origin").with("origin", "null"),
    ];
    for from in forged {
        assert_eq!(bench.put("POST", "/api/v1/blocks", &from, body.clone()).await.status, 403, "{from:?}");
    }
    let evil = nobody().with("origin", "https://evil.example");
    assert_eq!(bench.login("admin", &bench.password, &evil).await.status, 403, "nor does it log anybody in");
    assert!(bench.fleet.orders().is_empty());
    assert_eq!(bench.put("POST", "/api/v1/blocks", &admin, body.clone()).await.status, 202);
    assert_eq!(bench.put("POST", "/api/v1/blocks", &admin.without("origin"), body).await.status, 202);
}

#[tokio::test]
async fn a_new_password_ends_the_users_other_sessions() {
    let bench = Bench::new();
    let (one, other) = (session(&bench.admin().await), session(&bench.admin().await));
    let change = |old: &str, new: &str| json!({"old": old, "new": new});
    let path = "/api/v1/me/password";
    assert_eq!(bench.put("POST", path, &one, change("wrong", "four random words")).await.status, 403);
    assert_eq!(bench.put("POST", path, &one, change(&bench.password, "short")).await.status, 422);
    assert_eq!(bench.put("POST", path, &one, change(&bench.password, "four random words")).await.status, 204);
    assert_eq!(bench.get("/api/v1/me", &one).await.status, 200);
    assert_eq!(bench.get("/api/v1/me", &other).await.status, 401);
    assert_eq!(bench.login("admin", &bench.password, &nobody()).await.status, 401);
    assert_eq!(bench.login("admin", "four random words", &nobody()).await.status, 200);
}

/// All at once, in one task.
async fn futures<T>(many: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = many.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(move |context| {
        for (future, result) in waiting.iter_mut().filter(|(_, result)| result.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(context) {
                *result = Some(value);
            }
        }
        if waiting.iter().any(|(_, result)| result.is_none()) {
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(waiting.iter_mut().filter_map(|(_, result)| result.take()).collect())
    })
    .await
}
