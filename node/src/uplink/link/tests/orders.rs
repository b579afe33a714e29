//! What coordinators pass on and ask.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_passed_on_is_given_and_answered() {
    let (authority, coordinator, node, fake) = pair(Mood::default()).await;
    until("it is connected", || fake.heard().lists == 1).await;
    fake.heard().mood.orders = vec![signed(&authority, 7); 3];
    fake.hang_up();
    until("all three are answered", || fake.heard().outcomes.len() == 3).await;
    assert!(fake.heard().outcomes.iter().all(|outcome| *outcome == (7_u128.to_be_bytes(), None)));
    assert_eq!(fake.heard().from.len(), 2);
    assert_ne!(fake.heard().from[0], coordinator.id());
    assert_eq!(node.uplink.connected(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_of_an_order_is_told_before_an_old_stream_is_opened_again_and_none_is_given_behind_that()
{
    let (authority, _, node, fake) = pair(Mood::default()).await;
    until("it is connected", || fake.heard().lists == 1).await;
    fake.heard().mood.parting = vec![signed(&authority, 9)];
    sleep(speaking::ANEW + Duration::from_millis(200)).await;
    for id in 1..=3_u128 {
        fake.say(Answer::Order(signed(&authority, id))).await;
    }
    until("it is opened again", || fake.heard().lists == 2).await;
    let told: Vec<_> = fake.heard().outcomes.iter().map(|(id, _)| u128::from_be_bytes(*id)).collect();
    assert_eq!((told, node.given.load(Ordering::Relaxed)), (vec![1, 2, 3], 3));
    assert_eq!(node.uplink.connected(), 1);
}

/// While the driver is held: one order more than may be under way is refused at once, and by then all that was said before
/// has been heard.
async fn all_is_heard(authority: &Authority, fake: &Fake) {
    for id in 0..=UNDER_WAY as u128 {
        fake.say(Answer::Order(signed(authority, id))).await;
    }
    until("one is refused", || fake.heard().outcomes.len() == 1).await;
}

fn signed(authority: &Authority, id: u128) -> SignedOrder {
    let kind = OrderKind::Panic { duration: Duration::from_secs(60) };
    let (operator, issued) = ("operator".into(), clock::now());
    let order = OperatorOrder { id, operator, issued, lasts: None, site: None, kind };
    sign_order(&authority.founded.operator, &order, &PeerCodec).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_is_looked_up_and_said_with_its_number_and_what_is_allowed_is_told_whole() {
    let target = smartfw_core::prefix::parse_target("198.51.100.7").unwrap();
    let questions = vec![
        Question::Covers(target),
        Question::Check("127.0.0.1/32".parse().unwrap(), false),
        Question::Check(target, false),
        Question::Block(target),
    ];
    let authority = Authority::found();
    let (node, coordinator) = (authority.member("web-1"), authority.admit("view", Role::Coordinator));
    let fake = Fake::new(Mood { questions, ..Mood::default() });
    let (address, node) = (fake.serve(&coordinator).await, Node::start(&node));
    for n in 0..limits::CHUNK as u32 + 5 {
        let target = smartfw_core::prefix::host(std::net::Ipv4Addr::from(0xc633_6400 + n).into());
        let order = Order::Allow { target, duration: None, comment: "a partner".into() };
        node.inbox.send(Input::Order(order, Box::new(|_| ())));
    }
    node.named(&[(&coordinator, address)]);
    let all = |heard: &Heard| heard.replies.len() == 4 && heard.allowed.len() == 1;
    until("all is answered", || all(&fake.heard())).await;
    let replies = fake.heard().replies.clone();
    let allowed = fake.heard().allowed.remove(0);
    let numbers: Vec<u64> = replies.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
    let nothing = Covers { lasts: Some(Duration::ZERO), ..Covers::default() };
    assert_eq!(replies[0].1, Reply::Covers(nothing));
    let refused = |at: usize| matches!(&replies[at].1, Reply::Check(Some((_, Refusal::Protected { .. }))));
    assert!(refused(1) && refused(2), "loopback, and what is allowed");
    assert_eq!(replies[3].1, Reply::Block(None));
    assert_eq!((allowed.0.len(), allowed.1), (limits::CHUNK + 5, 2));
    assert!(allowed.0.iter().all(|entry| entry.order.is_none() && entry.allowed.comment == "a partner"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_more_than_is_seen_to_at_once_is_answered_the_first_and_who_is_older_is_told_no_new_list() {
    let target = "203.0.113.7/32".parse().unwrap();
    let (authority, _, node, fake) = pair(Mood::default()).await;
    until("it is connected", || fake.heard().lists == 1).await;
    node.happens(0..1);
    until("it goes on", || fake.heard().events.len() == 1).await;
    assert!(fake.heard().allowed.is_empty(), "it speaks the first protocol");
    let (held, hold) = std::sync::mpsc::channel::<()>();
    node.is_busy(hold);
    for number in 0..40 {
        fake.say(Answer::Question(number, Question::Covers(target))).await;
    }
    all_is_heard(&authority, &fake).await;
    drop(held);
    until("all others are given", || fake.heard().outcomes.len() == UNDER_WAY + 1).await;
    until("those that fit are answered", || fake.heard().replies.len() == 32).await;
    fake.say(Answer::Question(99, Question::Covers(target))).await;
    until("another is answered behind them", || fake.heard().replies.len() > 32).await;
    let numbers: Vec<u64> = fake.heard().replies.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (0..32).chain([99]).collect::<Vec<u64>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_on_a_stream_that_has_ended_is_not_looked_up() {
    let target = "203.0.113.7/32".parse().unwrap();
    let (authority, _, node, fake) = pair(Mood::default()).await;
    until("it is connected", || fake.heard().lists == 1).await;
    let (held, hold) = std::sync::mpsc::channel::<()>();
    node.is_busy(hold);
    let before = node.asked.load(Ordering::Relaxed);
    for number in 0..30 {
        fake.say(Answer::Question(number, Question::Covers(target))).await;
    }
    all_is_heard(&authority, &fake).await;
    fake.hang_up();
    until("it is opened again", || fake.heard().openings.len() == 2).await;
    drop(held);
    fake.say(Answer::Question(99, Question::Covers(target))).await;
    until("who is there is answered", || fake.heard().replies.len() == 1).await;
    assert_eq!(fake.heard().replies[0].0, 99);
    assert!(node.asked.load(Ordering::Relaxed) < before + 30, "nobody is there to hear the others");
}
