//! The twelve features of a window: one list, shared by rules, logs, models and training.

use serde::{Deserialize, Serialize};

/// The version of [`NAMES`]: a model carries the version that it was trained on, and another is refused.
pub const SCHEMA: u32 = 1;

/// The names of the features, in the order of [`Features::to_array`].
pub const NAMES: [&str; 12] = [
    "packets_per_second",
    "bytes_per_second",
    "mean_packet_length",
    "std_packet_length",
    "mean_interarrival",
    "std_interarrival",
    "distinct_ports",
    "distinct_hosts",
    "syn_share",
    "reset_share",
    "half_open",
    "attempts_per_service",
];

/// The units of the features, in the order of [`NAMES`]; empty where the name says it.
pub const UNITS: [&str; 12] = ["", "", "bytes", "bytes", "s", "s", "", "", "", "", "", ""];

/// What a remote address did to us within the last ten seconds. Only packets that it sent count, but for
/// `reset_share` and `half_open`, which compare them with our answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// Wire segments received / 10 s.
    pub packets_per_second: f32,
    /// IP bytes received / 10 s.
    pub bytes_per_second: f32,
    /// Mean IP length of the segments, bytes.
    pub mean_packet_length: f32,
    /// Standard deviation of the IP length, bytes (population).
    pub std_packet_length: f32,
    /// Mean time between segments, seconds.
    pub mean_interarrival: f32,
    /// Standard deviation of the time between segments, seconds (population).
    pub std_interarrival: f32,
    /// Different local ports touched (linear counting, Whang et al. 1990).
    pub distinct_ports: f32,
    /// Different local addresses touched (linear counting).
    pub distinct_hosts: f32,
    /// SYNs without ACK / TCP segments received.
    pub syn_share: f32,
    /// RSTs that we answered / TCP segments received, at most 1.
    pub reset_share: f32,
    /// SYNs received that completed no handshake, at least 0.
    pub half_open: f32,
    /// The most connections begun to one local service.
    pub attempts_per_service: f32,
}

impl Features {
    /// The values, in the order of [`NAMES`].
    pub const fn to_array(&self) -> [f32; 12] {
        let Self {
            packets_per_second,
            bytes_per_second,
            mean_packet_length,
            std_packet_length,
            mean_interarrival,
            std_interarrival,
            distinct_ports,
            distinct_hosts,
            syn_share,
            reset_share,
            half_open,
            attempts_per_service,
        } = *self;
        [
            packets_per_second,
            bytes_per_second,
            mean_packet_length,
            std_packet_length,
            mean_interarrival,
            std_interarrival,
            distinct_ports,
            distinct_hosts,
            syn_share,
            reset_share,
            half_open,
            attempts_per_service,
        ]
    }

    /// The features whose values are `values`, in the order of [`NAMES`].
    pub const fn from_array(values: [f32; 12]) -> Self {
        let [
            packets_per_second,
            bytes_per_second,
            mean_packet_length,
            std_packet_length,
            mean_interarrival,
            std_interarrival,
            distinct_ports,
            distinct_hosts,
            syn_share,
            reset_share,
            half_open,
            attempts_per_service,
        ] = values;
        Self {
            packets_per_second,
            bytes_per_second,
            mean_packet_length,
            std_packet_length,
            mean_interarrival,
            std_interarrival,
            distinct_ports,
            distinct_hosts,
            syn_share,
            reset_share,
            half_open,
            attempts_per_service,
        }
    }
}
