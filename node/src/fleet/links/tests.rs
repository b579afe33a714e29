use super::*;
use crate::inbox::{Inputs, inbox};

struct Case {
    links: Links,
    inputs: Inputs,
    dials: mpsc::Receiver<Dial>,
}

fn node(n: u8) -> NodeId {
    NodeId([n; 32])
}

fn case(me: u8) -> Case {
    let counters = Arc::<Counters>::default();
    let (inbox, inputs) = inbox(counters.clone());
    let (wanted, dials) = mpsc::channel(4);
    Case { links: Links::new(node(me), inbox, counters, wanted), inputs, dials }
}

impl Case {
    fn open(&self, with: u8, ours: bool) -> (Option<u64>, Outgoing) {
        let (outbox, outgoing) = Outbox::new();
        let told = || super::super::Input::Disconnected(node(99));
        (self.links.open(node(with), outbox, ours, told), outgoing)
    }

    fn heard(&self) -> usize {
        std::iter::from_fn(|| self.inputs.wait(smartfw_core::Time::ZERO)).count()
    }
}

fn datagram(bytes: usize) -> Told {
    Told::Datagram(vec![0; bytes])
}

#[test]
fn what_is_for_a_member_without_a_stream_waits_for_one_that_is_dialled() {
    let mut case = case(1);
    case.links.addresses([(node(2), "192.0.2.2:7470".parse().unwrap())].into());
    case.links.send(node(2), datagram(10));
    assert_eq!(case.dials.try_recv().unwrap().node, node(2));
    let (number, mut outgoing) = case.open(2, true);
    assert!(number.is_some());
    assert_eq!(outgoing.receiver.try_recv().unwrap(), datagram(10));
}

#[test]
fn somebody_who_is_only_heard_of_is_dialled_where_others_say() {
    let mut case = case(1);
    let address = "192.0.2.3:7470".parse().unwrap();
    case.links.send(node(3), datagram(10));
    assert!(case.dials.try_recv().is_err(), "nobody knows where");
    case.links.send_at(node(3), Some(address), datagram(10));
    assert_eq!(case.dials.try_recv().unwrap(), Dial { node: node(3), address });
}

#[test]
fn hearsay_makes_nobody_dial_more_than_can_wait() {
    let mut case = case(1);
    let address = "192.0.2.3:7470".parse().unwrap();
    let mut dialled = 0;
    for n in 0..2 * WAITING as u8 {
        case.links.send_at(node(n + 2), Some(address), datagram(10));
        dialled += usize::from(case.dials.try_recv().is_ok());
    }
    assert_eq!(dialled, WAITING);
}

#[test]
fn a_stream_that_is_not_read_is_closed_and_counted() {
    let case = case(1);
    let (_, outgoing) = case.open(2, true);
    for _ in 0..=OUTBOX / (64 << 10) {
        case.links.send(node(2), datagram(64 << 10));
    }
    assert!(*outgoing.closed.borrow());
    assert_ne!(case.links.counters.fleet.outboxes_full.get(), 0);
}

#[test]
fn of_two_streams_of_the_same_moment_both_sides_keep_the_same() {
    for (me, other) in [(1, 2), (2, 1)] {
        for ours_first in [true, false] {
            let case = case(me);
            let (_, first) = case.open(other, ours_first);
            let (second, _outgoing) = case.open(other, !ours_first);
            // The one that the lesser of the two dialled.
            let second_stays = ours_first != (me < other);
            assert_eq!(second.is_some(), second_stays, "{me} {ours_first}");
            assert_eq!(*first.closed.borrow(), second_stays);
        }
    }
}

#[test]
fn a_stream_that_was_replaced_closes_nothing_when_it_ends() {
    let case = case(1);
    let (first, _one) = case.open(2, true);
    let (second, _two) = case.open(2, true);
    assert_eq!(case.heard(), 3, "open, closed, open");
    case.links.close(node(2), first.unwrap());
    assert!(case.links.is_open(&node(2)));
    case.links.close(node(2), second.unwrap());
    assert!(!case.links.is_open(&node(2)));
    assert_eq!(case.heard(), 1);
}

#[test]
fn too_many_streams_that_nobody_keeps_are_closed_but_not_those_that_are_kept() {
    let case = case(200);
    let all: Vec<Outgoing> = (0..IDLE as u8 + 5).map(|n| case.open(n, true).1).collect();
    let target = Target { address: "192.0.2.1:1".parse().unwrap(), keep: true };
    case.links.targets.send_replace([(node(0), target)].into());
    case.links.tidy();
    assert!(!*all[0].closed.borrow(), "the one that was idle the longest is kept");
    assert_eq!(all.iter().filter(|outgoing| *outgoing.closed.borrow()).count(), 4);
}

#[test]
fn what_waits_for_members_without_a_stream_is_bounded() {
    let case = case(1);
    for n in 2..=250 {
        case.links.send(node(n), datagram(OUTBOX / 8));
        case.links.send(node(n), datagram(OUTBOX / 4));
    }
    let table = case.links.table();
    assert_eq!(table.waiting.len(), WAITING);
    assert!(table.waiting.values().all(|waiting| waiting.told.len() == 1));
}

#[test]
fn a_digest_keeps_only_a_stream_that_the_other_dialled() {
    for ours in [true, false] {
        let case = case(1);
        let (_, outgoing) = case.open(2, ours);
        let long_ago = Instant::now().checked_sub(IDLE_FOR + Duration::from_secs(1)).unwrap();
        let age = || case.links.table().links.get_mut(&node(2)).unwrap().used = long_ago;
        age();
        case.links.used(&node(2), true);
        case.links.tidy();
        assert_eq!(*outgoing.closed.borrow(), ours);
        let (_, outgoing) = case.open(2, ours);
        age();
        case.links.used(&node(2), false);
        case.links.tidy();
        assert!(!*outgoing.closed.borrow());
    }
}

#[test]
fn nobody_has_a_stream_with_itself() {
    let case = case(1);
    assert_eq!((case.open(1, true).0, case.open(1, false).0), (None, None));
}

#[test]
fn a_member_has_one_room_in_the_queue_whatever_streams_it_opens() {
    let case = case(1);
    let room = case.links.room(node(2));
    let taken = room.clone().try_acquire_many_owned(permits(&datagram(UNREAD))).unwrap();
    drop(room);
    assert_eq!(case.links.room(node(2)).available_permits(), 0, "what waits outlives its stream");
    assert_ne!(case.links.room(node(3)).available_permits(), 0);
    drop(taken);
    for n in 0..100 {
        assert_ne!(case.links.room(node(n)).available_permits(), 0);
    }
    assert!(case.links.rooms.lock().unwrap().len() <= 2, "those of whom nothing waits are forgotten");
}

#[test]
fn room_is_taken_by_weight_and_what_is_small_takes_its_part() {
    assert_eq!(permits(&datagram(0)) as usize * UNIT, LEAST);
    assert_eq!(permits(&datagram(UNREAD / 4)) as usize, UNREAD / 4 / UNIT);
    assert_eq!(permits(&datagram(2 * UNREAD)) as usize, UNREAD / UNIT, "never more than there is");
}
