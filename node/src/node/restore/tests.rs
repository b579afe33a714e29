use std::collections::BTreeMap;

use smartfw_core::{
    BlockId, Class, IpNet, Strength,
    config::PolicyConfig,
    enforcement::{Change, Entry, Note},
};

use super::*;
use crate::{testing::Fragile, vital::Vital};

const NOW: Time = Time::from_secs(1_000_000);

fn entry(n: u8) -> Entry {
    let note = Note { id: BlockId(u64::from(n)), class: Class::PortScan, origin: "web-1".into() };
    let target = IpNet::from(std::net::IpAddr::from([203, 0, 113, n]));
    Entry { target, strength: Strength::Hard, expires: None, note }
}

fn reading() -> Reading {
    let agent = Agent::new(PolicyConfig::default(), 1, NOW);
    Reading { agent, now: NOW, known: 0, unknown: 0, fleet: Vec::new() }
}

#[test]
fn without_a_record_the_note_for_the_next_boot_says_what_enforcement_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut fresh = reading();
    fresh.suspended(folder.path()).unwrap();
    assert_eq!(fresh.agent.enforcement(), EnforcementState::On);
    for (suspension, state) in [
        (Suspension::Off, EnforcementState::Off),
        (Suspension::Panic(Time::from_secs(2_000_000)), EnforcementState::Panic),
    ] {
        let folder = tempfile::tempdir().unwrap();
        snapshot::suspend(folder.path(), suspension).unwrap();
        let mut reading = reading();
        reading.suspended(folder.path()).unwrap();
        assert_eq!(reading.agent.enforcement(), state);
    }
}

#[test]
fn a_disk_that_refuses_while_it_is_read_is_no_empty_disk() {
    struct Refusing;
    impl Store for Refusing {
        fn load(&mut self, _: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
            Err(StoreError::Unavailable("EIO".to_owned()))
        }
        fn commit(&mut self, _: &[(crate::store::Key, crate::store::Value)]) -> Result<(), StoreError> {
            Ok(())
        }
        fn tidy(&mut self) -> Result<(), StoreError> {
            Ok(())
        }
    }
    let mut open: OpenStore = Box::new(|_| Ok((Box::new(Refusing), None)));
    let loaded = reading().load(&mut open, &shared());
    assert!(matches!(loaded, Err(StoreError::Unavailable(_))));
}

#[test]
fn what_does_not_fit_into_the_list_shows_and_stays() {
    let mut agent = Agent::new(PolicyConfig::default(), 1, NOW);
    let mut config = PolicyConfig::default();
    config.limits.blocks = 1;
    agent.set_config(NOW, config);
    let blocks: BTreeMap<_, _> =
        [entry(1), entry(2)].into_iter().map(|entry| (entry.target, entry)).collect();
    let shared = shared();
    assert!(!adopt(&mut agent, NOW, &Enforced { blocks, protected: Vec::new() }, None, &shared));
    assert!(shared.health.list()[0].what.contains("1 entries of the kernel"));
}

#[test]
fn what_an_older_snapshot_brought_back_is_not_adopted_where_every_record_was_read() {
    let mut agent = Agent::new(PolicyConfig::default(), 1, NOW);
    let mut foreign = entry(2);
    foreign.note.origin = "kernel".into();
    let blocks = [entry(1), foreign].into_iter().map(|entry| (entry.target, entry)).collect();
    adopt(&mut agent, NOW, &Enforced { blocks, protected: Vec::new() }, Some("web-1"), &shared());
    let adopted: Vec<_> = agent.desired().blocks.into_keys().collect();
    assert_eq!(adopted, [entry(2).target]);
}

#[test]
fn a_kernel_that_cannot_be_read_at_first_is_asked_again_and_then_the_start_fails() {
    let mut kernel = Fragile { deaf: ATTEMPTS - 1, ..Fragile::default() };
    kernel.kernel.apply(NOW, &[Change::Block(entry(1))]).unwrap();
    assert_eq!(read_kernel(&mut kernel, NOW).unwrap().blocks.len(), 1);
    kernel.deaf = ATTEMPTS;
    assert!(read_kernel(&mut kernel, NOW).is_err());
}

fn shared() -> Shared {
    Shared { vital: Vital::new().0, counters: std::sync::Arc::default(), health: std::sync::Arc::default() }
}
