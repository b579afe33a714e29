mod samples;

use std::{fmt::Debug, net::IpAddr, time::Duration};

use proptest::prelude::*;
use prost::Message;
use smartfw_core::{
    Alert, Block, BlockId, BlockState, Class, Detector, Features, IpNet, Origin, Reason, Service, Subject,
    Time, Withheld,
    order::{Allowed, EnforcementState, Mode, Order, Refusal},
    protect::{Protected, Why},
    verdict::Protocol,
};

use super::*;
use crate::{
    limits,
    view::{
        AlertEvent, AlertFilter, Answer, BlockFilter, BlockRow, Changes, Explanation, NodeStatus, Pending,
        Reloaded, TopFrame,
    },
    wire,
};
use samples::*;

/// The value after it went over the wire.
fn round_trip<D, W>(value: D) -> D
where
    W: From<D> + Message + Default,
    D: TryFrom<W>,
    D::Error: Debug,
{
    D::try_from(W::decode(W::from(value).encode_to_vec().as_slice()).unwrap()).unwrap()
}

macro_rules! survives {
    ($wire:ident, $value:expr) => {{
        let value = $value;
        assert_eq!(round_trip::<_, wire::$wire>(value.clone()), value);
    }};
}

mod cluster;
mod coordinator;
mod models;

#[test]
fn every_message_survives_the_wire() {
    survives!(Block, block("203.0.113.7/32"));
    survives!(BlockRow, row());
    let suspended = BlockState::Suspended(protected(Why::Gateway));
    for state in [suspended, BlockState::Shadowed, BlockState::Off] {
        survives!(BlockRow, BlockRow { state, ..row() });
    }
    for why in Withheld::ALL {
        survives!(BlockRow, BlockRow { state: BlockState::Withheld(*why), ..row() });
    }
    survives!(Alert, alert(source()));
    let service = Service { address: "2001:db8::1".parse().unwrap(), port: 443, protocol: Protocol::Udp };
    survives!(Alert, alert(Subject::Destination { service, sources_seen: 9 }));
    survives!(Pending, pending());
    survives!(Allowed, allowed());
    survives!(Explanation, explanation());
    survives!(NodeStatus, status());
    survives!(TopFrame, frame());
    survives!(AlertEvent, AlertEvent::Alert(alert(source())));
    survives!(AlertEvent, AlertEvent::Missed(3));
    survives!(BlockChunk, vec![row(), row()]);
    survives!(AlertChunk, vec![alert(source())]);
    survives!(PendingChunk, vec![pending()]);
    survives!(AllowedChunk, vec![allowed()]);
    survives!(CheckAllowedAnswer, vec![protected(Why::Own)]);
    survives!(CheckAllowedRequest, "10.0.0.0/8".parse::<IpNet>().unwrap());
    survives!(ExplainRequest, "::1".parse::<IpAddr>().unwrap());
    let origin = Some("web-1".to_owned());
    survives!(ListBlocksRequest, BlockFilter { all: true, origin, class: Some(Class::Feed) });
    survives!(ListBlocksRequest, BlockFilter::default());
    survives!(ListAlertsRequest, AlertFilter { since: Some(Time::from_secs(1)), class: None });
}

#[test]
fn every_reason_for_protection_survives_the_wire() {
    for why in Why::ALL {
        survives!(Protected, protected(*why));
    }
}

#[test]
fn every_class_and_detector_survives_the_wire() {
    for class in Class::ALL {
        survives!(Block, Block { class: *class, ..block("203.0.113.7/32") });
    }
    for detector in Detector::ALL {
        survives!(Block, Block { detector: *detector, ..block("203.0.113.7/32") });
    }
}

#[test]
fn every_order_survives_the_wire() {
    let target: IpNet = "203.0.113.7/32".parse().unwrap();
    let minute = Some(Duration::from_secs(60));
    let orders = [
        Order::Block(order("203.0.113.7/32")),
        Order::Unblock { target, false_positive: true },
        Order::Allow { target, duration: minute, comment: "me".into() },
        Order::Disallow { target },
        Order::Approve(None),
        Order::Approve(Some(BlockId(7))),
        Order::Reject(BlockId(7)),
        Order::Enforcement { state: EnforcementState::Panic, confirm: None, resume: minute },
        Order::Mode { mode: Mode::Manual, confirm: minute },
        Order::Confirm,
    ];
    for order in orders {
        let bytes = wire::Order::try_from(order.clone()).unwrap().encode_to_vec();
        assert_eq!(Order::try_from(wire::Order::decode(bytes.as_slice()).unwrap()).unwrap(), order);
    }
}

#[test]
fn every_answer_survives_the_wire() {
    let target: IpNet = "203.0.113.7/32".parse().unwrap();
    let changes = Changes { blocks: vec![block("203.0.113.7/32")], total: 1 };
    let reverts = Some(Time::from_secs(60));
    let Protected { net, why, detail } = protected(Why::SshSession);
    let refusals = [
        Refusal::Protected { net, why, detail },
        Refusal::Everything,
        Refusal::TooWide { shortest: 16 },
        Refusal::NotFound,
        Refusal::Full { limit: 10 },
        Refusal::NothingToConfirm,
        Refusal::Within { wider: "2001:db8::/64".parse().unwrap() },
    ];
    let done = [
        Answer::Blocked { block: block("203.0.113.7/32"), reverts },
        Answer::Unblocked(changes.clone()),
        Answer::Allowed(changes.clone()),
        Answer::Disallowed,
        Answer::Approved(changes),
        Answer::Rejected,
        Answer::Imported { accepted: 1, refused: vec![(target, Refusal::Everything)], refused_count: 1 },
        Answer::Changed { reverts },
        Answer::Confirmed,
    ];
    for answer in done.into_iter().map(Ok).chain(refusals.into_iter().map(Err)) {
        let bytes = wire::OrderAnswer::from(answer.clone()).encode_to_vec();
        let decoded = wire::OrderAnswer::decode(bytes.as_slice()).unwrap();
        assert_eq!(answer_from_wire(decoded).unwrap(), answer);
    }
}

#[test]
fn a_reload_survives_the_wire() {
    let reloaded = Reloaded { applied: vec!["a".into()], restart: vec!["b".into()] };
    for answer in [Ok(reloaded), Err("line 3: unknown key".to_owned())] {
        assert_eq!(reloaded_from_wire(wire::ReloadAnswer::from(answer.clone())).unwrap(), answer);
    }
}

#[test]
fn imports_are_cut_into_chunks_that_come_in() {
    let orders: Vec<_> = (0..2500).map(|_| order("203.0.113.7/32")).collect();
    let chunks: Vec<_> = import_chunks(orders).collect();
    assert_eq!(chunks.iter().map(|chunk| chunk.orders.len()).collect::<Vec<_>>(), [1000, 1000, 500]);
    assert!(chunks.into_iter().all(|chunk| chunk_from_wire(chunk).is_ok()));
    assert_eq!(import_chunks(Vec::new()).count(), 0);
}

#[test]
fn a_longer_import_chunk_is_refused() {
    let orders = vec![order("203.0.113.7/32").into(); limits::CHUNK + 1];
    let error = chunk_from_wire(wire::ImportChunk { orders }).unwrap_err();
    assert_eq!(error.problem, Problem::TooLong { length: limits::CHUNK + 1, limit: limits::CHUNK });
}

#[test]
fn a_longer_chunk_of_blocks_is_refused() {
    let rows = vec![row().into(); limits::CHUNK + 1];
    let error = Vec::<BlockRow>::try_from(wire::BlockChunk { rows }).unwrap_err();
    assert!(matches!(error.problem, Problem::TooLong { limit: limits::CHUNK, .. }));
}

#[test]
fn a_longer_text_is_refused_and_never_sent() {
    let long = Block { reason: "ü".repeat(limits::TEXT), ..block("203.0.113.7/32") };
    let sent = wire::Block::from(long);
    assert!(sent.reason.len() <= limits::TEXT && sent.reason.chars().all(|letter| letter == 'ü'));
    let hostile = wire::Block { reason: "x".repeat(limits::TEXT + 1), ..sent };
    assert!(matches!(Block::try_from(hostile).unwrap_err().problem, Problem::TooLong { .. }));
}

#[test]
fn a_longer_name_is_refused_and_never_sent() {
    let long = Block { origin: Origin("n".repeat(limits::NAME + 1)), ..block("203.0.113.7/32") };
    let sent = wire::Block::from(long);
    assert_eq!(sent.origin.len(), limits::NAME);
    let hostile = wire::Block { origin: "n".repeat(limits::NAME + 1), ..sent };
    assert_eq!(Block::try_from(hostile).unwrap_err().field, "block.origin");
}

#[test]
fn the_fullest_messages_stay_below_the_message_limit() {
    let (text, name) = ("t".repeat(limits::TEXT), "n".repeat(limits::NAME));
    let block = Block { reason: text.clone(), origin: Origin(name.clone()), ..block("2001:db8::/64") };
    let suspended = BlockState::Suspended(Protected { detail: text.clone(), ..protected(Why::Own) });
    let (forced, reverts) = (true, Some(Time::NEVER));
    let row = BlockRow { block, packets: u64::MAX, bytes: u64::MAX, state: suspended, forced, reverts };
    assert!(wire::BlockChunk::from(vec![row.clone(); limits::CHUNK]).encoded_len() < limits::MESSAGE);
    let reason = Reason { rule: name.clone(), text: text.clone(), ..alert(source()).reason };
    let alert = Alert { node: name, note: text.clone(), reason, ..alert(source()) };
    assert!(wire::AlertChunk::from(vec![alert.clone(); limits::ALERTS]).encoded_len() < limits::MESSAGE);
    let pending = Pending { reason: text.clone(), ..pending() };
    let full = Explanation {
        blocks: vec![row; limits::EXPLAINED],
        pending: vec![pending; limits::EXPLAINED],
        protected: vec![Protected { detail: text.clone(), ..protected(Why::Own) }; limits::EXPLAINED],
        allowed: vec![Allowed { comment: text.clone(), ..allowed() }; limits::EXPLAINED],
        alerts: vec![alert; limits::EXPLAINED],
        ..explanation()
    };
    assert!(wire::Explanation::from(full).encoded_len() < limits::MESSAGE);
    let refusal = Refusal::Protected { net: "::/0".parse().unwrap(), why: Why::Own, detail: text };
    let refused = vec![("2001:db8::/64".parse().unwrap(), refusal); limits::REFUSED];
    let answer = Answer::Imported { accepted: 0, refused, refused_count: u64::MAX };
    assert!(wire::OrderAnswer::from(Ok::<_, Refusal>(answer)).encoded_len() < limits::MESSAGE);
}

#[test]
fn an_explanation_that_is_too_long_keeps_the_newest_alerts() {
    let alerts = (0..300).map(|count| Alert { count, ..alert(source()) }).collect();
    let sent = wire::Explanation::from(Explanation { alerts, ..explanation() });
    assert_eq!(sent.alerts.len(), limits::EXPLAINED);
    assert_eq!(sent.alerts.last().unwrap().count, 299);
}

#[test]
fn a_long_list_of_ended_blocks_is_cut_and_counted() {
    let changes = Changes::from(vec![block("203.0.113.7/32"); limits::ENDED + 5]);
    assert_eq!((changes.blocks.len(), changes.total), (limits::ENDED, limits::ENDED as u64 + 5));
}

#[test]
fn addresses_come_in_canonical() {
    let mapped = "::ffff:10.1.2.3".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec();
    let request = wire::ExplainRequest { address: mapped.clone() };
    assert_eq!(IpAddr::try_from(request).unwrap(), "10.1.2.3".parse::<IpAddr>().unwrap());
    let prefix = Some(wire::Prefix { address: mapped, length: 120 });
    let target = IpNet::try_from(wire::CheckAllowedRequest { target: prefix }).unwrap();
    assert_eq!(target, "10.1.2.0/24".parse::<IpNet>().unwrap());
}

#[test]
fn prefixes_that_are_none_are_refused() {
    for (address, length) in
        [(vec![], 0), (vec![1; 4], 33), (vec![1; 5], 8), (vec![1; 16], 129), (vec![1; 4], 256 + 8)]
    {
        let target = Some(wire::Prefix { address, length });
        let error = IpNet::try_from(wire::CheckAllowedRequest { target }).unwrap_err();
        assert_eq!(error.problem, Problem::NoAddress);
    }
}

#[test]
fn numbers_that_are_none_are_refused_and_never_sent() {
    let sent = wire::Alert::from(Alert { confidence: f32::NAN, ..alert(source()) });
    assert_eq!(sent.confidence, 0.0);
    for confidence in [f32::NAN, f32::INFINITY, -0.1, 1.1] {
        let error = Alert::try_from(wire::Alert { confidence, ..sent.clone() }).unwrap_err();
        assert_eq!(error, ConvertError { field: "alert.confidence", problem: Problem::OutOfRange });
    }
    let features =
        wire::Features { values: vec![f32::NAN; smartfw_core::features::COUNT], ..features().into() };
    assert_eq!(Features::try_from(features).unwrap_err().problem, Problem::OutOfRange);
}

#[test]
fn features_of_another_schema_are_refused() {
    let other = wire::Features { schema: 1, ..features().into() };
    assert_eq!(Features::try_from(other).unwrap_err().problem, Problem::Unknown(1));
    let short = wire::Features { values: vec![0.0; 11], ..features().into() };
    assert_eq!(Features::try_from(short).unwrap_err().field, "features.values");
}

#[test]
fn a_name_of_a_later_version_is_refused() {
    let sent = wire::Block { class: 99, ..block("203.0.113.7/32").into() };
    assert_eq!(Block::try_from(sent).unwrap_err().problem, Problem::Unknown(99));
}

/// Decodes and converts: the outcome does not matter, that there is one does.
macro_rules! digest {
    ($bytes:expr, $($wire:ident => $domain:ty),+ $(,)?) => {
        $(if let Ok(message) = wire::$wire::decode($bytes) {
            let _ = <$domain>::try_from(message);
        })+
    };
}

fn digest_all(bytes: &[u8]) {
    digest!(bytes,
        Block => Block, BlockRow => BlockRow, Alert => Alert, Pending => Pending, Allowed => Allowed,
        Protected => Protected, Explanation => Explanation, NodeStatus => NodeStatus, TopFrame => TopFrame,
        AlertEvent => AlertEvent, BlockChunk => Vec<BlockRow>, AlertChunk => Vec<Alert>,
        PendingChunk => Vec<Pending>, AllowedChunk => Vec<Allowed>, CheckAllowedAnswer => Vec<Protected>,
        CheckAllowedRequest => IpNet, ExplainRequest => IpAddr, ListBlocksRequest => BlockFilter,
        ListAlertsRequest => AlertFilter, Order => Order,
    );
    let _ = wire::OrderAnswer::decode(bytes).map(answer_from_wire);
    let _ = wire::ReloadAnswer::decode(bytes).map(reloaded_from_wire);
    let _ = wire::ImportChunk::decode(bytes).map(chunk_from_wire);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        digest_all(&bytes);
    }

    #[test]
    fn mutated_messages_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let valid = [
            wire::Explanation::from(explanation()).encode_to_vec(),
            wire::TopFrame::from(frame()).encode_to_vec(),
            wire::NodeStatus::from(status()).encode_to_vec(),
            wire::OrderAnswer::from(Ok::<_, Refusal>(Answer::Approved(vec![block("::1/128")].into()))).encode_to_vec(),
        ];
        for mut bytes in valid {
            for (index, value) in &changes {
                let at = index.index(bytes.len());
                bytes[at] = *value;
            }
            digest_all(&bytes);
        }
    }
}
