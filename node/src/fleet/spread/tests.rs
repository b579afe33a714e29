use super::*;

const ME: NodeId = NodeId([9; 32]);
const ONE: NodeId = NodeId([1; 32]);

fn net(n: usize) -> IpNet {
    let address = std::net::Ipv4Addr::from(u32::try_from(n).unwrap());
    IpNet::new(address.into(), 32).unwrap()
}

fn version(sequence: usize) -> Version {
    Version { epoch: 1, sequence: sequence as u64 }
}

fn span(from: u64, to: u64) -> Span {
    Span { epoch: 1, from, to }
}

fn took(spread: &Spread, site: bool, n: usize) -> Vec<u64> {
    spread.of(site, version(n)).map(|(_, took)| took.as_secs()).collect()
}

#[test]
fn a_members_word_counts_for_what_it_names_and_once() {
    let mut spread = Spread::default();
    spread.decided(net(1), Time::from_secs(10));
    for n in 1..=3 {
        spread.said(false, version(n), net(n), Time::from_secs(11));
    }
    spread.said(true, version(1), net(9), Time::from_secs(11));
    let heard = std::cell::RefCell::new(Vec::new());
    for at in [12, 20] {
        let each = |took: Duration| heard.borrow_mut().push(took.as_secs());
        spread.took(ONE, false, span(1, 2), Time::from_secs(at), each);
    }
    assert_eq!(heard.into_inner(), [2, 1]);
    let all: Vec<_> = (1..=3).map(|n| took(&spread, false, n)).collect();
    assert_eq!(all, [vec![2], vec![1], vec![]]);
    assert!(took(&spread, true, 1).is_empty());
}

#[test]
fn an_order_is_measured_where_it_is_carried_and_known_by_who_carried_it_first() {
    let mut spread = Spread::default();
    spread.carried(7, (ME, false), version(3), Some(Time::from_secs(1)));
    spread.carried(7, (ONE, false), version(8), None);
    spread.carried(8, (ONE, false), version(9), None);
    spread.took(ONE, false, span(3, 3), Time::from_secs(5), |_| ());
    assert_eq!(spread.carrier(7), Some(((ME, false), version(3))));
    assert_eq!(spread.carrier(8), Some(((ONE, false), version(9))));
    assert_eq!(took(&spread, false, 3), [4]);
}

#[test]
fn what_a_member_says_it_drops_it_may_take_back() {
    let mut spread = Spread::default();
    spread.heard(ONE, (ME, false), span(1, 4));
    spread.heard(ONE, (ME, false), span(6, 9));
    let drops = |spread: &Spread| (1..=10).filter(|n| spread.drops(ONE, (ME, false), version(*n))).count();
    assert_eq!(drops(&spread), 8);
    assert!(!spread.drops(ONE, (ME, true), version(1)) && !spread.drops(ME, (ME, false), version(1)));
    spread.heard(ONE, (ME, false), span(0, 0));
    assert_eq!(drops(&spread), 0);
}

#[test]
fn ranges_that_touch_are_one_and_no_more_are_kept_than_may() {
    let mut spans = Spans::default();
    for (from, to) in [(5, 6), (1, 2), (8, 9), (3, 3), (7, 7), (2, 8)] {
        spans.add(span(from, to));
    }
    assert_eq!(spans.iter().collect::<Vec<_>>(), [span(1, 9)]);
    (0..1000).for_each(|n| spans.add(span(20 + 2 * n, 20 + 2 * n)));
    assert_eq!(spans.iter().count(), SPANS);
    assert!(spans.contains(version(20 + 2 * 999)) && !spans.contains(version(1)));
}

#[test]
fn what_changed_of_a_word_is_told_and_what_did_not_is_not() {
    let mut spread = Spread::default();
    let of = |from, to| {
        let mut spans = Spans::default();
        spans.add(span(from, to));
        spans
    };
    let first = BTreeMap::from([((ONE, false), of(1, 5)), ((ME, false), of(1, 2))]);
    assert_eq!(spread.replace(ME, first).len(), 2);
    let second = BTreeMap::from([((ME, false), of(1, 2))]);
    assert_eq!(spread.replace(ME, second.clone()), [((ONE, false), Spans::default())]);
    assert_eq!(spread.replace(ME, second), []);
    assert_eq!(spread.words_of(ME).collect::<Vec<_>>(), [((ME, false), span(1, 2))]);
}

#[test]
fn everything_that_is_remembered_is_bounded() {
    let mut spread = Spread::default();
    for n in 0..3 * MEASURED {
        spread.decided(net(n), Time::from_secs(1));
        if n % 2 == 0 {
            spread.said(false, version(n + 1), net(n), Time::from_secs(1));
        }
    }
    assert!(spread.said.len() <= MEASURED && spread.order.len() <= MEASURED);
    assert!(spread.decided.len() <= MEASURED && spread.decided.len() == spread.oldest.len());
    for n in 0..ORDERS as u128 + 10 {
        spread.carried(n, (ONE, false), version(1), None);
    }
    assert_eq!((spread.orders.len(), spread.carrier(0)), (ORDERS, None));
    for n in 0..WORDS as u32 + 10 {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&n.to_be_bytes());
        spread.heard(ONE, (NodeId(id), false), span(1, 1));
    }
    assert_eq!(spread.words.len(), WORDS);
}

#[test]
fn what_was_decided_and_said_is_waited_for_no_longer() {
    let mut spread = Spread::default();
    spread.decided(net(1), Time::from_secs(1));
    spread.decided(net(1), Time::from_secs(2));
    spread.said(false, version(1), net(1), Time::from_secs(3));
    assert!(spread.decided.is_empty() && spread.oldest.is_empty());
}
