use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use smartfw_core::{
    config::PolicyConfig,
    fleet::{Entry, Signer as _, Version},
};
use smartfw_identity::{Current, RunSigner};
use smartfw_mirror::Limits;

use super::*;
use crate::{inbox::inbox, testing::Authority};

/// A run of a member, as it stands in its log.
fn run(issued: Time, first: u64, entries: Vec<Entry>) -> SignedRun {
    let identity = Authority::found().member("web-1");
    let header = RunHeader {
        cluster: "prod".into(),
        site: None,
        origin: identity.id(),
        epoch: 1,
        first,
        issued,
        floor: Version::default(),
    };
    let mut signer = RunSigner::new(Current::new(identity), PeerCodec);
    signer.seal(header, entries).unwrap().signed().clone()
}

fn withdrawn() -> Entry {
    Entry::Withdraw { target: "203.0.113.7/32".parse().unwrap(), lasts: None }
}

fn sessions() -> Entry {
    Entry::Sessions { addresses: Vec::new(), lasts: None }
}

/// Who puts runs into an outbox, and the time by which that is done: the driver's.
struct Bench {
    speaking: Speaking,
    outbox: Arc<Outbox>,
    health: Arc<Health>,
    time: Arc<Mutex<Time>>,
}

impl Bench {
    fn set_up(folder: &tempfile::TempDir) -> Self {
        let opened = Outbox::open(&folder.path().join("mirror"), Limits::default()).unwrap();
        let (outbox, health) = (Arc::new(opened.outbox), Arc::<Health>::default());
        let (inbox, inputs) = inbox(Arc::default());
        let time = Arc::new(Mutex::new(clock::now()));
        let (told, agent) = (time.clone(), Agent::new(PolicyConfig::default(), 1, clock::now()));
        std::thread::spawn(move || {
            loop {
                match inputs.wait(clock::now().after(Duration::from_secs(1))) {
                    Some(Input::Fleet(fleet::Input::Ask(ask))) => ask(&agent, None, *told.lock().unwrap()),
                    Some(Input::Stop) => return,
                    _ => {}
                }
            }
        });
        let speaking = Speaking::new("prod".into(), outbox.clone(), health.clone(), inbox);
        Self { speaking, outbox, health, time }
    }
}

fn pass(time: &Mutex<Time>, seconds: u64) {
    let mut time = time.lock().unwrap();
    *time = time.after(Duration::from_secs(seconds));
}

#[tokio::test]
async fn a_run_that_is_dated_ahead_is_told_and_mirrored_once_its_time_has_come() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::set_up(&folder);
    // This node's own clock is an hour behind the others'.
    pass(&bench.time, 3600);
    let now = *bench.time.lock().unwrap();
    let ahead = run(now.after(TOLERANCE + Duration::from_secs(60)), 2, vec![withdrawn()]);
    let a_little = run(now.after(Duration::from_secs(60)), 1, vec![withdrawn()]);
    bench.speaking.push(&[ahead, a_little]).await;
    assert_eq!(bench.outbox.counts().waiting, 1);
    let told = bench.health.list();
    assert!(told[0].what.starts_with("signed runs are dated ahead"), "{told:?}");
    pass(&bench.time, 59);
    bench.speaking.again().await;
    assert_eq!((bench.outbox.counts().waiting, bench.health.list()), (1, told));
    pass(&bench.time, 1);
    bench.speaking.again().await;
    assert_eq!((bench.outbox.counts().waiting, bench.health.list()), (2, vec![]));
}

#[tokio::test]
async fn of_too_many_runs_that_are_dated_ahead_some_are_lost_counted_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::set_up(&folder);
    let ahead = run(clock::now().after(2 * TOLERANCE), 1, vec![withdrawn()]);
    let most = AHEAD / (ahead.bytes.len() + ahead.certificate.len());
    let signed = |n: usize| {
        let mut run = ahead.clone();
        run.signature[..8].copy_from_slice(&n.to_le_bytes());
        run
    };
    bench.speaking.push(&(0..most + 2).map(signed).collect::<Vec<_>>()).await;
    let told = bench.health.list();
    assert!(told[0].what.ends_with("2 more were too many"), "{told:?}");
    assert!(told[0].remedy.contains("restart the node"), "{told:?}");
}

#[tokio::test]
async fn while_nothing_is_said_it_is_looked_whether_their_time_has_come() {
    let folder = tempfile::tempdir().unwrap();
    let Bench { speaking, outbox, time, .. } = Bench::set_up(&folder);
    let ahead = run(clock::now().after(2 * TOLERANCE), 1, vec![withdrawn()]);
    let (_still_open, mut runs) = mpsc::channel(1);
    let keep = speaking.keep(vec![ahead], &mut runs, Duration::from_millis(5));
    let look = async {
        while outbox.counts().waiting == 0 {
            pass(&time, 60);
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = keep => unreachable!("nothing is closed"),
        () = look => {}
    }
}

#[tokio::test]
async fn a_run_of_which_some_stays_within_the_cluster_is_left_out_counted_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let Bench { mut speaking, outbox, health, .. } = Bench::set_up(&folder);
    let now = clock::now();
    speaking.push(&[run(now, 1, vec![sessions()])]).await;
    assert!(health.list().is_empty(), "that it stays is as it should be");
    let mixed = run(now, 2, vec![withdrawn(), sessions()]);
    speaking.push(&[mixed, run(now, 4, vec![withdrawn()])]).await;
    assert_eq!(outbox.counts().waiting, 1);
    assert!(health.list()[0].what.starts_with("1 signed runs hold blocks beside"), "{:?}", health.list());
}

#[tokio::test]
async fn what_the_outbox_s_disk_refuses_is_told_and_put_there_once_it_takes_it() {
    let (health, tried) = (Arc::<Health>::default(), Arc::new(AtomicUsize::new(0)));
    let (told, tries) = (health.clone(), tried.clone());
    let put = move || match tries.fetch_add(1, SeqCst) {
        0 => Err(OutboxError::Unavailable { path: "mirror".into(), why: "no room".into() }),
        _ => {
            assert!(told.list()[0].what.contains("no room"), "{:?}", told.list());
            Ok(())
        }
    };
    until_taken(&health, put).await;
    assert_eq!(tried.load(SeqCst), 2);
    assert!(health.list().is_empty());
}
