use smartfw_core::EventKind;
use smartfw_identity::{Identity, Revocations};
use smartfw_mirror_fake::Fake;

use super::*;
use crate::{
    fleet::{FOLDER, Reach, beside::Nothing},
    inbox::inbox,
    testing::Authority,
    uplink::Happened,
};

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
    assert!(begin(&config).lone(0).is_none(), "it has no name");
    config.mirror.cluster = "alone".into();
    let mut begun = begin(&config);
    let means = begun.means("prod", AGAIN).await;
    begun.tail.as_ref().unwrap().begin();
    let (time, body) = (Time::from_secs(1_800_000_000), r#"{"target":"203.0.113.7/32"}"#.to_owned());
    uplink.tell(Happened { time, kind: EventKind::Block, address: None, class: None, body });
    let (place, (inbox, _inputs)) = (begun.lone(0).unwrap(), inbox(Arc::default()));
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

/// Takes part with this identity, as far as can be without a driver.
fn enter(control: &Control, identity: &Identity) {
    let folder = control.state_dir.join(FOLDER);
    crate::files::private_dir(&folder).unwrap();
    identity.save(&folder, None).unwrap();
    Revocations::create(&folder.join("revocations"), identity.trust().clone()).unwrap();
    control.open(Some(&Reach::default())).unwrap();
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..4000 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain until {what}");
}

#[tokio::test]
async fn who_leaves_a_cluster_and_enters_it_again_at_once_is_mirrored_on() {
    let (folder, fake, authority) = (tempfile::tempdir().unwrap(), Fake::start().await, Authority::found());
    let config = config(folder.path(), &fake.url());
    std::fs::write(folder.path().join("secret"), "its-secret\n").unwrap();
    let (uplink, health, (inbox, _inputs)) =
        (uplink(folder.path()), Arc::<Health>::default(), inbox(Arc::default()));
    let (_mirror, mouth, begun) = prepare(&config, &uplink, &health).unwrap();
    let control = Arc::new(Control {
        state_dir: folder.path().to_owned(),
        listen: Some(([127, 0, 0, 1], 0).into()),
        inbox: inbox.clone(),
        counters: Arc::default(),
        health,
        uplink: uplink.clone(),
        mouth,
        beside: Box::new(|_| Arc::new(Nothing)),
        state: Mutex::default(),
    });
    enter(&control, &authority.member("web-1"));
    let mirroring = tokio::spawn(begun.unwrap().run(control.clone(), inbox));
    until("events are kept", || uplink.wants()).await;
    // Longer than it takes until the season has begun, and shorter than it takes until somebody looks.
    sleep(Duration::from_millis(300)).await;
    control.close(true).unwrap();
    // Of the same names, and another member all the same.
    enter(&control, &Authority::found().member("web-1"));
    until("events are kept again", || uplink.wants()).await;
    let (time, body) = (Time::from_secs(1_800_000_000), r#"{"target":"203.0.113.7/32"}"#.to_owned());
    uplink.tell(Happened { time, kind: EventKind::Block, address: None, class: None, body });
    until("it is mirrored", || !fake.lock().written.is_empty()).await;
    mirroring.abort();
    uplink.end();
    let path = fake.lock().written[0].clone();
    assert!(path.starts_with("clusters/prod/blocks/") && path.ends_with("-web-1"), "{path}");
}
