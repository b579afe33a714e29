use smartfw_core::{
    BlockId, Class, Strength,
    enforcement::{Entry, Note},
};

use super::*;
use crate::{
    enforcement::Ticket,
    inbox::{Inputs, inbox},
    testing::Fragile,
};

struct Case {
    queue: Arc<Queue>,
    inputs: Inputs,
    agreement: Agreement,
    health: Arc<Health>,
    thread: JoinHandle<()>,
}

impl Case {
    fn start(kernel: Fragile) -> Self {
        let (inbox, inputs) = inbox(Arc::default());
        let (queue, agreement) = (Arc::<Queue>::default(), Agreement::default());
        let health = Arc::<Health>::default();
        let worker = Worker {
            enforcer: Box::new(kernel),
            queue: queue.clone(),
            inbox,
            read_before: None,
            surplus: Surplus::Remove,
            agreement: agreement.clone(),
            cutter: Cutter::idle(Arc::default()),
            desired: Arc::new(|| None),
            counters: Arc::default(),
            health: health.clone(),
        };
        let thread = worker.start(&Vital::new().0).unwrap();
        Self { queue, inputs, agreement, health, thread }
    }

    /// What the driver hears next: up to where, how many targets were refused, and why all failed.
    fn heard(&self) -> (Ticket, usize, Option<String>) {
        loop {
            if let Some(Input::Enforced { upto, results, trouble }) = self.inputs.wait(Time::NEVER) {
                let refused = results.iter().filter(|(_, result)| result.is_err()).count();
                return (upto, refused, trouble);
            }
        }
    }

    fn stop(self) {
        self.queue.stop(false);
        self.thread.join().unwrap();
    }
}

fn block() -> Task {
    let note = Note { id: BlockId(1), class: Class::PortScan, origin: "web-1".into() };
    let target = "192.0.2.1/32".parse().unwrap();
    Task::Change(Change::Block(Entry { target, strength: Strength::Hard, expires: None, note }), None)
}

#[test]
fn rules_that_could_not_be_removed_are_tried_again_until_they_are_gone() {
    let case = Case::start(Fragile { stubborn: 2, ..Fragile::default() });
    let ticket = case.queue.push(Task::Off);
    let (upto, _, trouble) = case.heard();
    assert!(upto == ticket && trouble.is_some(), "who waits is told at once");
    assert!(case.heard().2.is_some());
    assert!(!case.health.list().is_empty());
    assert_eq!(case.heard().2, None);
    assert!(case.health.list().is_empty());
    case.stop();
}

#[test]
fn rules_that_could_not_be_removed_stay_once_enforcement_is_on_again() {
    let case = Case::start(Fragile { stubborn: 1, ..Fragile::default() });
    case.queue.push(Task::Off);
    assert!(case.heard().2.is_some());
    case.queue.push(Task::On(Enforced::default()));
    assert_eq!(case.heard().2, None);
    assert!(*case.agreement.switch());
    std::thread::sleep(RETRY + RETRY / 4);
    assert!(*case.agreement.switch());
    case.stop();
}

#[test]
fn a_kernel_that_takes_nothing_is_told_of_and_looked_after() {
    let case = Case::start(Fragile { closed: 1, ..Fragile::default() });
    let ticket = case.queue.push(block());
    let (upto, refused, trouble) = case.heard();
    assert!((upto, refused) == (ticket, 1) && trouble.is_some());
    assert!(case.agreement.doubtful());
    case.stop();
}
