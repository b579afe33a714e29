//! Who we are to the database, and where our credentials go.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use smartfw_mirror::{Auth, BadAccount, Database, Got, Limits, List, Receiver, Sender, Step, Trouble};
use smartfw_mirror_fake::{ACCOUNT_KEY, Door, Fake, Fault};

use super::support::*;

#[tokio::test]
async fn a_service_account_gets_a_token_keeps_it_and_renews_it_before_it_expires() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    fake.lock().door = Door::Token;
    let (mut sender, outbox) = with(&fake, Auth::account(&fake.account()).unwrap(), folder.path());
    for (after, tokens) in [(0, 1), (10, 1), (3299, 1), (3300, 2), (3400, 2), (6600, 3)] {
        outbox.push(&events(after..after + 1)).unwrap();
        assert_eq!(sender.step(BEGIN + Duration::from_secs(after), CHANCE).await, Step::Sent(1));
        assert_eq!(fake.lock().tokens, tokens, "after {after} s");
    }
    assert_eq!(fake.lock().seen[0].authorization.as_deref(), Some("Bearer token-1"));
}

#[tokio::test]
async fn a_token_that_is_withdrawn_is_replaced_and_the_request_repeated() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    fake.lock().door = Door::Token;
    let (mut sender, outbox) = with(&fake, Auth::account(&fake.account()).unwrap(), folder.path());
    outbox.push(&events(0..1)).unwrap();
    assert_eq!(sender.step(BEGIN, CHANCE).await, Step::Sent(1));
    // From here on only a newer one is good.
    fake.lock().tokens += 1;
    outbox.push(&events(1..2)).unwrap();
    assert_eq!(sender.step(BEGIN, CHANCE).await, Step::Sent(1), "within one step");
    assert_eq!(fake.lock().written, places(0..2));
}

#[tokio::test]
async fn a_revoked_stream_comes_back_with_a_new_token_and_tells_only_what_is_new() {
    let fake = Fake::start().await;
    fake.lock().door = Door::Token;
    let account = Auth::account(&fake.account()).unwrap();
    let mut receiver = Receiver::new(database(&fake, account), cluster(), List::Blocks);
    fake.put("clusters/prod,eu/blocks", json!({ id(1).to_key().unwrap(): {"n": 1} }));
    assert_eq!(receiver.step(BEGIN, CHANCE).await, Got::Connected);
    assert!(matches!(receiver.step(BEGIN, CHANCE).await, Got::Heard(heard) if heard.len() == 1));
    fake.lock().tokens += 1;
    fake.lock().listeners.say("event: auth_revoked\ndata: \"credential is no longer valid\"\n\n");
    assert!(matches!(receiver.step(BEGIN, CHANCE).await, Got::Wait(wait) if wait.as_secs() == 1));
    assert_eq!(receiver.step(BEGIN, CHANCE).await, Got::Connected);
    assert_eq!(receiver.step(BEGIN, CHANCE).await, Got::Heard(vec![]));
    assert_eq!(fake.lock().tokens, 3);
}

#[tokio::test]
async fn credentials_that_are_not_taken_are_waited_with_and_told() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    fake.lock().door = Door::Secret("right".into());
    let (mut sender, outbox) = with(&fake, Auth::secret("wrong").unwrap(), folder.path());
    outbox.push(&events(0..1)).unwrap();
    assert!(matches!(sender.step(BEGIN, CHANCE).await, Step::Wait(_)));
    let state = sender.watch().state();
    assert!(matches!(&state.trouble, Some((Trouble::Unauthorised(said), _)) if said.starts_with("401 ")));
    assert!(state.remedy().unwrap().contains("secret") && outbox.counts().waiting == 1);
}

#[tokio::test]
async fn a_token_endpoint_that_refuses_or_is_away_is_waited_for() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    fake.lock().outage = Some(Fault::status(500));
    let (mut sender, outbox) = with(&fake, Auth::account(&fake.account()).unwrap(), folder.path());
    outbox.push(&events(0..1)).unwrap();
    assert!(matches!(sender.step(BEGIN, CHANCE).await, Step::Wait(_)));
    let trouble = sender.watch().state().trouble.unwrap().0;
    assert_eq!(trouble.to_string(), "no access token: the token endpoint answers 500 ");
    fake.lock().outage = None;
    assert_eq!(sender.step(BEGIN, CHANCE).await, Step::Sent(1));
}

#[tokio::test]
async fn a_secret_is_a_parameter_and_stays_one_across_a_redirect() {
    let (fake, other, folder) = (Fake::start().await, Fake::start().await, tempfile::tempdir().unwrap());
    other.lock().door = Door::Secret("s3cret".into());
    let (mut sender, outbox) = with(&fake, Auth::secret("s3cret\n").unwrap(), folder.path());
    outbox.push(&events(0..2)).unwrap();
    fake.lock().faults.push_back(Fault::Redirect(other.url()));
    assert_eq!(sender.step(BEGIN, CHANCE).await, Step::Sent(2));
    assert_eq!(other.lock().written, places(0..2));
    assert_eq!(other.lock().seen[0].target, "/clusters/prod,eu.json?print=silent&auth=s3cret");
}

#[tokio::test]
async fn a_token_goes_along_with_a_redirect_also_of_a_stream() {
    let (fake, other) = (Fake::start().await, Fake::start().await);
    fake.lock().faults.push_back(Fault::Redirect(other.url()));
    let mut receiver = receiver(&fake, List::Runs);
    assert_eq!(receiver.step(BEGIN, CHANCE).await, Got::Connected);
    let seen = other.lock().seen[0].clone();
    assert_eq!(seen.authorization.as_deref(), Some("Bearer owner"));
    assert_eq!(other.lock().listeners.count(), 1);
}

#[tokio::test]
async fn a_redirect_to_a_foreign_host_is_refused_and_told_and_nothing_goes_there() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let foreign = Fake::start_at("127.0.0.2:0").await;
    for auth in [Auth::secret("s3cret").unwrap(), Auth::emulator()] {
        let (mut sender, outbox) = with(&fake, auth, folder.path());
        outbox.push(&events(0..1)).unwrap();
        fake.lock().faults.push_back(Fault::Redirect(foreign.url()));
        assert!(matches!(sender.step(BEGIN, CHANCE).await, Step::Wait(_)));
        let trouble = sender.watch().state().trouble.unwrap().0;
        assert_eq!(trouble, Trouble::ForeignRedirect("127.0.0.2".into()));
        assert_eq!(foreign.lock().seen, []);
    }
}

#[tokio::test]
async fn going_round_in_circles_ends() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let (mut sender, outbox) = with(&fake, Auth::emulator(), folder.path());
    outbox.push(&events(0..1)).unwrap();
    fake.lock().outage = Some(Fault::Redirect(fake.url()));
    assert!(matches!(sender.step(BEGIN, CHANCE).await, Step::Wait(_)));
    assert!(matches!(sender.watch().state().trouble, Some((Trouble::Redirects, _))));
    assert_eq!(fake.lock().seen.len(), 5);
}

#[tokio::test]
async fn no_secret_is_ever_shown() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let (mut sender, outbox) = with(&fake, Auth::secret("s3cret").unwrap(), folder.path());
    outbox.push(&events(0..1)).unwrap();
    let account = Auth::account(&fake.account()).unwrap();
    let shown = format!("{account:?} {:?}", database(&fake, Auth::secret("s3cret").unwrap()));
    drop(fake);
    // Of a connection that is refused the error knows the address, and the secret in it.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(matches!(sender.step(BEGIN, CHANCE).await, Step::Wait(_)));
    let health = sender.watch().state();
    assert!(matches!(health.trouble, Some((Trouble::Unreachable(_), _))));
    assert!(!format!("{health} {health:?} {sender:?}").contains("s3cret"));
    assert!(
        shown.contains("mirror@example") && !shown.contains("s3cret") && !shown.contains("PRIVATE"),
        "{shown}"
    );
}

#[tokio::test]
async fn what_the_server_repeats_of_a_secret_is_neither_shown_nor_stored() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let (mut sender, outbox) = with(&fake, Auth::secret("s3cr/t+").unwrap(), folder.path());
    outbox.push(&events(0..1)).unwrap();
    fake.lock().faults.extend([401, 404, 400].map(Fault::Echo));
    let mut said = Vec::new();
    for _ in 0..2 {
        assert!(matches!(sender.step(BEGIN, CHANCE).await, Step::Wait(_)));
        said.push(sender.watch().state().trouble.unwrap().0.to_string());
    }
    assert_eq!(sender.step(BEGIN, CHANCE).await, Step::Narrowed);
    said.push(outbox.set_aside().unwrap()[0].1.clone());
    for said in said {
        assert!(said.contains("auth=…") && !said.contains("s3cr"), "{said}");
    }
}

#[test]
fn what_is_no_key_file_is_refused_without_showing_it() {
    let malformed = Auth::account(b"{\"private_key\": \"hidden\"}").unwrap_err();
    assert!(
        matches!(malformed, BadAccount::Malformed)
            && !format!("{malformed} {malformed:?}").contains("hidden")
    );
    assert!(matches!(Auth::account(&vec![b' '; 65 << 10]), Err(BadAccount::TooLong)));
    let file = |key: &str, uri: &str| {
        json!({"client_email": "a@b", "private_key": key, "token_uri": uri}).to_string().into_bytes()
    };
    assert!(matches!(Auth::account(&file("hidden", "https://x")), Err(BadAccount::Key)));
    let key = ACCOUNT_KEY;
    // Who copies a key out of JSON by hand takes the escapes for letters.
    let refused = Auth::account(&file(&key.replace('\n', "\\n"), "https://x")).unwrap_err();
    let inside = key.lines().nth(1).unwrap();
    assert!(matches!(refused, BadAccount::Key) && !format!("{refused} {refused:?}").contains(inside));
    assert!(matches!(Auth::account(&file(key, "http://oauth2.example/token")), Err(BadAccount::Endpoint)));
    assert!(Auth::account(&file(key, "https://oauth2.googleapis.com/token")).is_ok());
    assert!(Auth::secret("").is_err() && Auth::secret("two words").is_err());
}

fn with(fake: &Fake, auth: Auth, folder: &std::path::Path) -> (Sender, Arc<smartfw_mirror::Outbox>) {
    let outbox = outbox(folder, Limits::default());
    let database: Arc<Database> = database(fake, auth);
    (Sender::new(database, Arc::clone(&outbox), cluster()), outbox)
}
