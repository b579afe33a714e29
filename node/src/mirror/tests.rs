use smartfw_core::EventKind;
use smartfw_mirror_fake::Fake;

use super::*;
use crate::{inbox::inbox, uplink::Happened};

fn config(folder: &Path, url: &str) -> NodeConfig {
    let secret = Some(folder.join("secret"));
    let mirror = MirrorSettings { url: url.into(), secret, ..MirrorSettings::default() };
    NodeConfig { state_dir: folder.join("state"), mirror, ..NodeConfig::default() }
}

fn uplink(folder: &Path) -> Uplink {
    Uplink::new(folder, Arc::default(), Arc::default())
}

#[test]
fn what_the_configuration_alone_shows_to_be_wrong_is_refused() {
    let (folder, health) = (tempfile::tempdir().unwrap(), Arc::<Health>::default());
    let good = config(folder.path(), "https://east.firebaseio.com");
    let (bad, uplink) = (config(folder.path(), "http://east.firebaseio.com"), uplink(folder.path()));
    assert!(prepare(&bad, &uplink, &health).is_err());
    let both = MirrorSettings { account: good.mirror.secret.clone(), ..good.mirror.clone() };
    assert!(prepare(&NodeConfig { mirror: both, ..good }, &uplink, &health).is_err());
}

#[test]
fn what_is_sent_stays_in_the_database_as_long_as_a_block_here_may_last_and_ninety_days_at_least() {
    let day = Duration::from_secs(86_400);
    let mut policy = PolicyConfig::default();
    assert_eq!(kept(&policy), 90 * day);
    policy.jitter_percent = 10;
    *policy.ladder.last_mut().unwrap() = 100 * day;
    assert_eq!(kept(&policy), 110 * day);
}

#[tokio::test]
async fn a_node_starts_without_its_mirror_s_secret_and_mirrors_once_it_is_there() {
    let (folder, health) = (tempfile::tempdir().unwrap(), Arc::<Health>::default());
    let config = config(folder.path(), "https://east.firebaseio.com");
    let (mirror, _, begun) = prepare(&config, &uplink(folder.path()), &health).unwrap();
    let begun = begun.unwrap();
    let beginning = tokio::spawn(async move { begun.means("prod", Duration::from_millis(10)).await });
    while health.list().is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    let told = health.list().remove(0);
    assert!(told.level == Level::Error && told.what.contains("secret cannot be read"), "{told:?}");
    assert!(mirror.view().state.contains("secret cannot be read"));
    std::fs::write(folder.path().join("secret"), "its-secret\n").unwrap();
    beginning.await.unwrap();
}

#[tokio::test]
async fn a_node_in_no_cluster_mirrors_what_happens_on_it_under_the_name_that_it_is_given() {
    let (folder, fake) = (tempfile::tempdir().unwrap(), Fake::start().await);
    let mut config = config(folder.path(), &fake.url());
    std::fs::write(folder.path().join("secret"), "its-secret\n").unwrap();
    config.policy.node = "web-1".into();
    let uplink = uplink(folder.path());
    let begin = |config: &NodeConfig| prepare(config, &uplink, &Arc::default()).unwrap().2.unwrap();
    assert!(begin(&config).lone().is_none(), "it has no name");
    config.mirror.cluster = "alone".into();
    let mut begun = begin(&config);
    let means = begun.means("prod", AGAIN).await;
    begun.tail.as_ref().unwrap().begin();
    let (time, body) = (Time::from_secs(1_800_000_000), r#"{"target":"203.0.113.7/32"}"#.to_owned());
    uplink.tell(Happened { time, kind: EventKind::Block, address: None, class: None, body });
    let (place, (inbox, _inputs)) = (begun.lone().unwrap(), inbox(Arc::default()));
    let written = async {
        while fake.lock().written.is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = begun.season(&means, &place, &inbox) => unreachable!("it never ends"),
        () = written => {}
    }
    uplink.end();
    let path = fake.lock().written[0].clone();
    assert!(path.starts_with("clusters/alone/blocks/001800000000000-") && path.ends_with("-web-1"), "{path}");
    assert_eq!(fake.at(&path)["target"], "203.0.113.7/32");
}
