//! Over https, as in earnest: what the system trusts is believed, and nothing else.

use std::{env, fs, process::Command, sync::Arc};

use smartfw_mirror::{Auth, Database, Limits, Outbox, Sender, Step, Trouble};
use smartfw_mirror_fake::Fake;

use super::support::{BEGIN, CHANCE, PATIENCE, cluster, events, outbox, places};

/// The address of the fake, for the test that runs in a process of its own.
const ADDRESS: &str = "SMARTFW_TLS_FAKE";

#[tokio::test]
async fn a_certificate_of_nobody_that_the_system_knows_is_refused() {
    let (fake, _authority) = Fake::start_tls().await;
    let folder = tempfile::tempdir().unwrap();
    let outbox = outbox(folder.path(), Limits::default());
    outbox.push(&events(0..1)).unwrap();
    let mut sender = sender(&fake.url(), &outbox);
    assert!(matches!(sender.step(BEGIN, CHANCE).await, Step::Wait(_)));
    let trouble = sender.watch().state().trouble.unwrap().0;
    assert!(matches!(&trouble, Trouble::Unreachable(why) if why.contains("certificate")), "{trouble}");
    assert_eq!(fake.lock().seen, []);
}

#[tokio::test]
async fn items_arrive_over_tls_when_the_system_knows_the_authority() {
    let (fake, authority) = Fake::start_tls().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    fs::write(&file, authority).unwrap();
    let url = fake.url();
    // What the system trusts is read from the environment, once for a process.
    let run = move || {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "tls::one_item_is_sent", "--ignored"])
            .env("SSL_CERT_FILE", file)
            .env(ADDRESS, url)
            .output()
            .unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(fake.lock().written, places(0..1));
}

#[tokio::test]
#[ignore = "the test before runs it, in a process that trusts the fake's authority"]
async fn one_item_is_sent() {
    let url = env::var(ADDRESS).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let outbox = outbox(folder.path(), Limits::default());
    outbox.push(&events(0..1)).unwrap();
    let step = sender(&url, &outbox).step(BEGIN, CHANCE).await;
    assert_eq!(step, Step::Sent(1));
}

fn sender(url: &str, outbox: &Arc<Outbox>) -> Sender {
    let database = Database::new(url, Auth::secret("s3cret").unwrap(), PATIENCE).unwrap();
    Sender::new(Arc::new(database), Arc::clone(outbox), cluster())
}
