//! The features of a window: one list, shared by rules, logs, models and training.

use serde::{Deserialize, Serialize};

/// The version of [`NAMES`]: a model carries the version that it was trained on, and another is refused.
pub const SCHEMA: u32 = 2;

/// Declares the features, each with its unit (empty where the name says it) and its formula.
macro_rules! features {
    ($($(#[$meta:meta])* $name:ident [$unit:literal]),+ $(,)?) => {
        /// How many features a window has.
        pub const COUNT: usize = [$($unit),+].len();

        /// The names of the features, in the order of [`Features::to_array`].
        pub const NAMES: [&str; COUNT] = [$(stringify!($name)),+];

        /// The units of the features, in the order of [`NAMES`]; empty where the name says it.
        pub const UNITS: [&str; COUNT] = [$($unit),+];

        /// What a remote address did to us within the last ten seconds, if the feature does not say otherwise. Only
        /// packets that it sent count, but for what compares them with our answers.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct Features {
            $($(#[$meta])* pub $name: f32),+
        }

        impl Features {
            /// The values, in the order of [`NAMES`].
            pub const fn to_array(&self) -> [f32; COUNT] {
                let Self { $($name),+ } = *self;
                [$($name),+]
            }

            /// The features whose values are `values`, in the order of [`NAMES`].
            pub const fn from_array(values: [f32; COUNT]) -> Self {
                let [$($name),+] = values;
                Self { $($name),+ }
            }
        }
    };
}

features! {
    /// Wire segments received / 10 s.
    packets_per_second [""],
    /// IP bytes received / 10 s.
    bytes_per_second [""],
    /// Mean IP length of the segments, bytes.
    mean_packet_length ["bytes"],
    /// Standard deviation of the IP length, bytes (population).
    std_packet_length ["bytes"],
    /// Mean time between segments, seconds.
    mean_interarrival ["s"],
    /// Standard deviation of the time between segments, seconds (population).
    std_interarrival ["s"],
    /// Different local ports touched (linear counting, Whang et al. 1990).
    distinct_ports [""],
    /// Different local addresses touched (linear counting).
    distinct_hosts [""],
    /// SYNs without ACK / TCP segments received.
    syn_share [""],
    /// RSTs that we answered / TCP segments received, at most 1.
    reset_share [""],
    /// SYNs received that completed no handshake, at least 0.
    half_open [""],
    /// The most connections begun to one local service.
    attempts_per_service [""],
    /// TCP and UDP ports asked that gave nothing (linear counting).
    silent_ports [""],
    /// Failed logins, fading with a half-life of ten minutes.
    failed_logins [""],
    /// Connections whose request has been unfinished for 5 s, and those that the server gave up on, fading with a
    /// half-life of a minute.
    unfinished_requests [""],
    /// Complete requests received / 10 s.
    requests_per_second [""],
    /// Connections open now whose handshake was completed.
    open_connections [""],
}
