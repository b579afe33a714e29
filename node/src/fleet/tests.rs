//! Members with everything but kernel and disk, over the loopback interface.

mod abroad;
mod announcing;
mod entering;
mod hostile;
mod large;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use smartfw_core::{
    Agent, Class, Detector, Evidence, IpNet, Reason, Subject, Time, Verdict,
    config::PolicyConfig,
    fleet::{OperatorOrder, OrderKind},
    protect::{Protected, Why},
    verdict::Standing,
};
use smartfw_identity::{Identity, Revocation, Revocations, Role, sign_order};
use tokio::{runtime::Runtime, sync::broadcast};

use super::{beside::Nothing, *};
use crate::{
    clock,
    counters::Counters,
    detector::Feed,
    driver::Driver,
    enforcement::{BootSnapshot, Queue, Task},
    inbox::{Inbox, Input, inbox},
    logs::{Limits, LogPaths, Logs},
    store::Backlog,
    testing::Authority,
    uplink::Uplink,
    vital::Vital,
};

mod kernel;

const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A member at work. Whatever it wants to keep is on its disk at once, and whatever it wants to drop dropped.
struct Node {
    inbox: Inbox,
    handle: FleetHandle,
    control: Arc<Control>,
    counters: Arc<Counters>,
    uplink: Uplink,
    runtime: Runtime,
    driver: Option<JoinHandle<()>>,
    _failures: Receiver<String>,
    folder: tempfile::TempDir,
}

impl Node {
    fn start() -> Self {
        Self::listening(LOOPBACK)
    }

    /// One whose kernel may be changed or not, and refuses some targets.
    fn start_with(may_change_kernel: bool, refused: &'static [&str]) -> Self {
        Self::begin(LOOPBACK, may_change_kernel, refused)
    }

    fn listening(listen: SocketAddr) -> Self {
        Self::begin(listen, true, &[])
    }

    fn begin(listen: SocketAddr, may_change_kernel: bool, refused: &'static [&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (vital, failures) = Vital::new();
        let (counters, health) = (Arc::<Counters>::default(), Arc::<Health>::default());
        let (inbox, inputs) = inbox(counters.clone());
        let paths = LogPaths::new(folder.path(), folder.path());
        let limits = Limits { max_size: 1 << 20, keep: 1 };
        let (logs, _) = Logs::start(&paths, limits, counters.clone(), health.clone(), &vital).unwrap();
        let (boot, _) =
            BootSnapshot::start(folder.path(), Arc::new(|| None), health.clone(), &vital).unwrap();
        let (queue, backlog) = (Arc::<Queue>::default(), Arc::new(Backlog::new(100_000)));
        let uplink = Uplink::new(folder.path(), counters.clone(), health.clone());
        let config = PolicyConfig { node: "self".into(), ..PolicyConfig::default() };
        let driver = Driver {
            agent: Agent::new(config, 1, clock::now()),
            brain: None,
            protected: Default::default(),
            inputs,
            queue: queue.clone(),
            backlog: backlog.clone(),
            feed: Arc::new(Feed::new(counters.clone())),
            followers: broadcast::Sender::new(1),
            logs,
            boot,
            recent: Arc::default(),
            may_change_kernel,
            uplink: uplink.clone(),
            counters: counters.clone(),
        };
        obey(&inbox, queue, backlog, refused);
        let control = Arc::new(Control {
            state_dir: folder.path().to_owned(),
            listen: Some(listen),
            inbox: inbox.clone(),
            counters: counters.clone(),
            health,
            uplink: uplink.clone(),
            mouth: Default::default(),
            beside: Box::new(|_| Arc::new(Nothing)),
            state: Mutex::default(),
        });
        Self {
            handle: FleetHandle::new(inbox.clone(), control.clone()),
            driver: Some(driver.start(&vital).unwrap()),
            runtime: Runtime::new().unwrap(),
            _failures: failures,
            inbox,
            control,
            counters,
            uplink,
            folder,
        }
    }

    fn enter(&self, identity: &Identity, seeds: Vec<SocketAddr>) -> Result<(), FleetRefused> {
        self.equip(identity);
        self.runtime.block_on(self.handle.enter(Reach { advertise: None, seeds }))
    }

    /// Puts an identity where a start finds it.
    fn equip(&self, identity: &Identity) {
        let folder = self.folder.path().join(FOLDER);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        identity.save(&folder, None).unwrap();
        Revocations::create(&folder.join("revocations"), identity.trust().clone()).unwrap();
    }

    fn address(&self) -> SocketAddr {
        self.status().unwrap().address
    }

    fn status(&self) -> Option<FleetStatus> {
        self.runtime.block_on(self.handle.status()).unwrap()
    }

    fn targets(&self) -> Vec<IpNet> {
        self.blocks().into_iter().map(|block| block.target).collect()
    }

    fn blocks(&self) -> Vec<FleetBlockView> {
        self.runtime.block_on(self.handle.blocks(None, 1000)).unwrap().blocks
    }

    /// Its detection is sure.
    fn detects(&self, address: &str) {
        self.inbox.verdict(Verdict {
            at: clock::now(),
            subject: Subject::Source(address.parse::<IpAddr>().unwrap()),
            class: Class::BruteForce,
            confidence: 1.0,
            detector: Detector::Rules,
            evidence: Some(Evidence::Handshake),
            reason: Reason { rule: "failures".into(), measured: 9.0, limit: 8.0, text: "9 failures".into() },
            features: Default::default(),
            standing: Standing::default(),
        });
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.control.close(false);
        self.inbox.send(Input::Stop);
        self.driver.take().unwrap().join().unwrap();
        self.uplink.end();
    }
}

/// A disk and a kernel that do at once what they are told. They end with the process: their queues have no other end
/// without a store and an enforcer.
fn obey(inbox: &Inbox, queue: Arc<Queue>, backlog: Arc<Backlog>, refused: &'static [&str]) {
    let (disk, kernel) = (inbox.clone(), inbox.clone());
    std::thread::spawn(move || {
        loop {
            disk.send(Input::Persisted(backlog.take().upto));
        }
    });
    std::thread::spawn(move || {
        loop {
            let taken = queue.take(Duration::from_secs(1));
            let target =
                |task: &Task| if let Task::Change(change, _) = task { Some(change.target()) } else { None };
            let changed = taken.tasks.iter().filter_map(target);
            let refuses = |target: &IpNet| refused.contains(&target.to_string().as_str());
            let result = |target| (target, if refuses(&target) { Err("full".to_owned()) } else { Ok(()) });
            let (upto, results) = (taken.upto, changed.map(result).collect());
            kernel.send(Input::Enforced { upto, results, trouble: None });
        }
    });
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Two members that know each other.
fn pair() -> (Authority, Node, Node) {
    let authority = Authority::found();
    let (one, other) = (Node::start(), Node::start());
    one.enter(&authority.member("one"), Vec::new()).unwrap();
    other.enter(&authority.member("other"), vec![one.address()]).unwrap();
    let connected = |node: &Node| node.status().is_some_and(|s| (s.peers_alive, s.peers_connected) == (1, 1));
    until("they are connected", || connected(&one) && connected(&other));
    (authority, one, other)
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

#[test]
fn what_one_detects_the_other_drops_and_says_so() {
    let (_authority, one, other) = pair();
    one.detects("203.0.113.7");
    until("the other drops it", || other.targets() == [net("203.0.113.7/32")]);
    assert_eq!(other.blocks()[0].origin, "one");
    until("it knows where it is dropped", || other.blocks()[0].enforced_on == ["other", "one"]);
    until("its origin knows", || one.blocks()[0].propagation_ms.contains_key("other"));
    assert_eq!(one.blocks()[0].enforced_on, ["one", "other"]);
    let members = one.runtime.block_on(one.handle.members()).unwrap();
    let seen: Vec<_> =
        members.iter().map(|member| (member.name.as_str(), member.blocks, member.role)).collect();
    assert_eq!(seen, [("one", 1, Some(Role::Node)), ("other", 0, Some(Role::Node))]);
}

#[test]
fn an_order_is_answered_when_it_is_stored_and_reaches_everybody_and_a_forged_one_nobody() {
    let (authority, one, other) = pair();
    let kind = OrderKind::Block {
        targets: vec![net("203.0.113.8/32")],
        duration: Some(Duration::from_secs(600)),
        class: Class::Manual,
        reason: "seen elsewhere".into(),
        force: false,
    };
    let (operator, issued) = ("operator".into(), clock::now());
    let order = OperatorOrder { id: 7, operator, issued, lasts: None, site: None, kind };
    let signed = sign_order(&authority.founded.operator, &order, &PeerCodec).unwrap();
    let forged = SignedOrder { signature: [0; 64], ..signed.clone() };
    let refused = one.runtime.block_on(one.handle.order(forged));
    assert!(matches!(refused, Err(FleetRefused::Order(_))), "{refused:?}");
    one.runtime.block_on(one.handle.order(signed)).unwrap();
    assert_eq!(one.targets(), [net("203.0.113.8/32")]);
    until("the other drops it", || other.targets() == [net("203.0.113.8/32")]);
    until("all know where", || {
        one.blocks()[0].enforced_on == ["one", "other"] && other.blocks()[0].enforced_on == ["other", "one"]
    });
    assert!(one.blocks()[0].propagation_ms.contains_key("other"), "whoever carries it measures it");
}

#[test]
fn an_order_that_is_passed_on_again_is_said_once_and_answered_each_time() {
    let (authority, one, other) = pair();
    let order = |id: u128| {
        let kind = OrderKind::Allow {
            target: net(&format!("203.0.113.{id}/32")),
            duration: Some(Duration::from_secs(600)),
            comment: String::new(),
        };
        let (operator, issued) = ("operator".into(), clock::now());
        let order = OperatorOrder { id, operator, issued, lasts: None, site: None, kind };
        sign_order(&authority.founded.operator, &order, &PeerCodec).unwrap()
    };
    let (first, last) = (order(7), order(8));
    let give = |order: &SignedOrder| one.runtime.block_on(one.handle.order(order.clone())).unwrap();
    let before = other.counters.fleet.applied.get();
    (0..20).for_each(|_| give(&first));
    give(&last);
    let obeys = || other.inbox.ask(|agent, _| agent.obeys(8)).unwrap();
    until("the other obeys what came last", obeys);
    assert_eq!(other.counters.fleet.applied.get() - before, 2, "it heard of each once");
}

#[test]
fn whoever_leaves_is_gone_and_what_it_said_stands() {
    let (authority, one, other) = pair();
    one.detects("203.0.113.7");
    until("the other drops it", || other.targets().len() == 1);
    one.runtime.block_on(one.handle.leave()).unwrap();
    assert_eq!((one.status(), is_identity(&one.handle.folder())), (None, false));
    until("the other knows", || other.status().unwrap().peers_known == 0);
    assert_eq!(other.targets().len(), 1);
    let again = one.runtime.block_on(one.handle.leave());
    assert_eq!(again, Err(FleetRefused::NoCluster));
    // And comes back with a new key.
    one.enter(&authority.member("one-again"), vec![other.address()]).unwrap();
    until("it is back", || other.status().unwrap().peers_alive == 1);
    let twice = one.enter(&authority.member("one-more"), Vec::new());
    assert_eq!(twice, Err(FleetRefused::InCluster("prod".into())));
}

#[test]
fn whoever_is_revoked_is_cut_off_and_its_word_void() {
    let (authority, one, other) = pair();
    one.detects("203.0.113.7");
    until("the other drops it", || other.targets().len() == 1);
    let id = one.status().unwrap().id;
    let operator = &authority.founded.operator;
    let statement = Revocation::by_operator(operator, id, Role::Node, clock::now()).unwrap();
    let expelled = other.runtime.block_on(other.handle.revoke(vec![statement])).unwrap();
    assert_eq!(expelled, [id]);
    until("its word is void", || other.targets().is_empty());
    until("its stream is closed", || other.status().unwrap().peers_connected == 0);
    one.detects("203.0.113.9");
    std::thread::sleep(Duration::from_millis(500));
    assert!(other.targets().is_empty());
    assert_eq!(other.status().unwrap().peers_alive, 0);
}

fn session(address: &str) -> Protected {
    Protected { net: net(address), why: Why::SshSession, detail: "root".into() }
}

/// Why a node blocks nobody there.
fn why(node: &Node) -> Option<String> {
    node.inbox.ask(|agent, _| agent.why_protected(&net("198.51.100.7/32"))).unwrap().map(|it| it.detail)
}

#[test]
fn whoever_is_logged_in_at_one_is_protected_at_the_other() {
    let (_authority, one, other) = pair();
    one.inbox.send(Input::Protected(ProtectedSet::new(vec![session("198.51.100.7/32")])));
    until("the other protects it", || why(&other) == Some("on one".into()));
    // What the other's own host says does not end that.
    other.inbox.send(Input::Protected(ProtectedSet::default()));
    assert_eq!(why(&other), Some("on one".into()));
    other.detects("198.51.100.7");
    std::thread::sleep(Duration::from_millis(200));
    assert!(other.targets().is_empty() && one.targets().is_empty());
}

#[test]
fn nothing_is_asked_of_a_node_without_a_fleet() {
    let node = Node::start();
    assert_eq!(node.status(), None);
    assert!(node.blocks().is_empty() && !node.counters.fleet.takes_part.is_on());
    let refused = node.runtime.block_on(node.handle.enter(Reach::default()));
    assert!(matches!(refused, Err(FleetRefused::Identity(_))), "{refused:?}");
    let (answer, answers) = channel();
    node.inbox.send(Input::Ask(Box::new(move |agent, now| {
        answer.send((agent.block_count(), now > Time::ZERO)).unwrap_or_default();
    })));
    assert_eq!(answers.recv().unwrap(), (0, true), "it decides as it did");
}
