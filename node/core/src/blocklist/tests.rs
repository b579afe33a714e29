use alloc::format;

use super::{words::TEXTS, *};

fn held(list: &mut BlockList, origin: &str, strength: Strength, expires: u64) -> Held {
    Held {
        id: BlockId(expires),
        since: Time::ZERO,
        expires: Time::from_secs(expires),
        words: list.words(origin, "why"),
        confidence: 1.0,
        class: Class::Manual,
        strength,
        detector: Detector::Operator,
        evidence: None,
        level: 1,
        forced: false,
        withheld: None,
    }
}

#[test]
fn a_block_takes_few_bytes() {
    assert!(size_of::<Held>() <= 48);
    assert!(size_of::<Slot>() <= 48, "{}", size_of::<Slot>());
}

#[test]
fn one_origin_has_one_entry_and_others_keep_theirs() {
    let (mut list, target) = (BlockList::new(), "192.0.2.1/32".parse().unwrap());
    for (origin, expires) in [("a", 10), ("b", 20), ("a", 30)] {
        let held = held(&mut list, origin, Strength::Hard, expires);
        list.insert(target, held);
    }
    assert_eq!(list.len(), 2);
    assert_eq!(list.strongest(&target, |_| true).unwrap().expires, Time::from_secs(30));
    assert_eq!(list.strongest(&target, |held| *held.words.origin == *"b").unwrap().id, BlockId(20));
    assert_eq!(list.next_due(), Time::from_secs(20));
    list.expire(&target, Time::from_secs(20));
    assert_eq!((list.len(), list.next_due()), (1, Time::from_secs(30)));
    list.remove_local(&target);
    assert_eq!((list.len(), list.next_due(), list.classes()[&Class::Manual]), (0, Time::NEVER, 0));
}

#[test]
fn texts_are_shared_and_bounded() {
    let mut list = BlockList::new();
    assert!(Arc::ptr_eq(&list.words("a", "x"), &list.words("a", "x")));
    for n in 0..3 * TEXTS {
        list.words("a", &format!("{n}"));
        assert!(list.texts.known.len() <= TEXTS);
    }
}
