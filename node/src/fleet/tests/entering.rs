//! Entering and leaving, where something goes wrong or takes long.

use super::*;

#[test]
fn who_gave_up_entering_takes_part_in_nothing_and_may_try_again() {
    let (authority, node) = (Authority::found(), Node::start());
    node.equip(&authority.member("one"));
    let opening = node.control.open(Some(&Reach::default())).unwrap();
    let (reply, answer) = oneshot::channel();
    drop(answer);
    node.inbox.send(Input::Fleet(super::super::Input::Enter(Box::new(opening), reply)));
    node.control.close(false).unwrap();
    assert_eq!(node.status(), None);
    node.runtime.block_on(node.handle.enter(Reach::default())).unwrap();
    assert_eq!(node.status().unwrap().cluster, "prod");
}

#[test]
fn a_driver_that_has_no_time_is_no_lack_of_a_cluster() {
    let (authority, node) = (Authority::found(), Node::start());
    node.enter(&authority.member("one"), Vec::new()).unwrap();
    let (_go_on, wait) = channel::<()>();
    let busy = move |_: &Agent, _: Time| {
        let _ = wait.recv_timeout(Duration::from_secs(7));
    };
    node.inbox.send(Input::Ask(Box::new(busy)));
    let status = node.runtime.block_on(node.handle.status());
    assert!(matches!(status, Err(FleetRefused::Slow(_))), "{status:?}");
    assert_eq!(node.handle.cluster(), Some("prod".into()));
}

#[test]
fn of_identities_given_up_only_the_last_is_kept() {
    let (authority, node) = (Authority::found(), Node::start());
    let earlier = node.folder.path().join("identity.left-1600000000");
    std::fs::create_dir(&earlier).unwrap();
    std::fs::write(earlier.join("key.pem"), "secret").unwrap();
    node.enter(&authority.member("one"), Vec::new()).unwrap();
    node.runtime.block_on(node.handle.leave()).unwrap();
    let left = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("identity.left-");
    let kept: Vec<_> = std::fs::read_dir(node.folder.path()).unwrap().flatten().filter(left).collect();
    assert!(kept.len() == 1 && !earlier.exists(), "{kept:?}");
    assert_eq!((node.handle.cluster(), node.status()), (None, None));
}

#[test]
fn expulsions_that_cannot_be_read_are_shown() {
    let (authority, node) = (Authority::found(), Node::start());
    node.equip(&authority.member("one"));
    std::fs::write(node.handle.folder().join("revocations"), "rubbish").unwrap();
    node.runtime.block_on(node.handle.enter(Reach::default())).unwrap();
    let shown = node.control.health.list();
    assert!(
        shown.iter().any(|entry| entry.level == Level::Error && entry.what.contains("expelled")),
        "{shown:?}"
    );
}
