use std::time::Duration;

use smartfw_core::{Class, Time, Withheld, fleet::NodeId, members::MemberState};

use super::*;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_member_begins_with_the_agreed_keys() {
    let node = ClusterNode {
        name: "web-2".into(),
        id: Some(NodeId([0xab; 32])),
        address: Some("10.0.0.12:7470".into()),
        state: MemberState::Alive,
        version: "0.1.0".into(),
        blocks: 12,
        withheld: 1,
        trust: 1.0,
        believed: true,
        round_trip: Some(Duration::from_micros(420)),
        certificate_expires: Some(Time::from_secs(1_769_860_800)),
        site: "default".into(),
        me: false,
        role: Some("signer".into()),
        signer: Some(NodeId([0xab; 32])),
    };
    let value = cluster_node(&node);
    let agreed = ["name", "address", "state", "version", "blocks", "trust", "rtt_ms", "certificate_expires"];
    assert_eq!(keys(&value)[..8], agreed);
    assert_eq!(
        crate::json::text(&value),
        format!(
            "{{\"name\":\"web-2\",\"address\":\"10.0.0.12:7470\",\"state\":\"alive\",\"version\":\"0.1.0\",\"blocks\":12,\
             \"trust\":1.0,\"rtt_ms\":0.4,\"certificate_expires\":\"2026-01-31T12:00:00.000000Z\",\"id\":\"{0}\",\
             \"site\":\"default\",\"role\":\"signer\",\"believed\":true,\"withheld\":1,\"self\":false,\"signer\":\"{0}\"}}",
            "ab".repeat(32)
        )
    );
    let alone = ClusterNode { id: None, address: None, round_trip: None, certificate_expires: None, ..node };
    let value = cluster_node(&alone);
    assert!(value["address"].is_null() && value["rtt_ms"].is_null() && value["id"].is_null());
}

#[test]
fn a_block_of_the_fleet_has_the_agreed_keys_and_whole_milliseconds_where_they_are_whole() {
    let row = FleetBlockRow {
        target: "203.0.113.7/32".parse().unwrap(),
        class: Class::PortScan,
        origin: "web-1".into(),
        confirmed_by: vec!["web-3".into()],
        enforced_on: vec!["web-1".into(), "web-2".into()],
        since: Time::from_secs(1_769_860_800),
        expires: None,
        propagation: vec![
            ("web-2".into(), Duration::from_millis(7)),
            ("web-3".into(), Duration::from_micros(9_460)),
        ],
        withheld: Some(Withheld::Quorum),
        origin_id: None,
    };
    assert_eq!(
        crate::json::text(&fleet_block(&row)),
        "{\"target\":\"203.0.113.7/32\",\"class\":\"port_scan\",\"origin\":\"web-1\",\"confirmed_by\":[\"web-3\"],\
         \"enforced_on\":[\"web-1\",\"web-2\"],\"since\":\"2026-01-31T12:00:00.000000Z\",\"expires\":null,\
         \"propagation_ms\":{\"web-2\":7,\"web-3\":9.5},\"withheld_because\":\"quorum\",\"origin_id\":null}"
    );
}
