//! `selftest`: proves that detection and drop work, without touching anything that is in use. Detection judges a made-up
//! scan; the drop is a real one, in network namespaces that exist for a second.

use smartfw_core::{
    Agent, Class, Effect, Time,
    config::PolicyConfig,
    enforcement::Change,
    packet::{Frame, Link},
    sensor::{Sensor, View},
};
use smartfw_enforce::{Options, Proof, can_drop_in_scratch};

use crate::{
    args::Format,
    failure::Failure,
    output::{Output, Tone},
};

/// Both ends, out of the ranges for documentation.
const ATTACKER: [u8; 4] = [198, 51, 100, 7];
const HOST: [u8; 4] = [192, 0, 2, 1];
/// Ports that the made-up scan asks, each answered by a reset: four times what it takes.
const PORTS: u16 = 60;

pub(super) fn run(output: &mut Output) -> Result<(), Failure> {
    let detected = detection();
    let dropped = can_drop_in_scratch(Options::default());
    let steps = [
        (
            "detection: a scan of 60 ports is recognised and blocked",
            detected.map(|probes| format!("after {probes} probes")),
        ),
        (
            "drop: IPv4 packets of a blocked source, in a scratch namespace",
            drop_of(&dropped, "IPv4", |proof| proof.v4),
        ),
        (
            "drop: IPv6 packets of a blocked source, in a scratch namespace",
            drop_of(&dropped, "IPv6", |proof| proof.v6),
        ),
    ];
    let passed = steps.iter().all(|(_, result)| result.is_ok());
    for (what, result) in &steps {
        let (word, tone) = if result.is_ok() { ("ok", Tone::Good) } else { ("fail", Tone::Bad) };
        let detail = result.as_ref().unwrap_or_else(|why| why);
        match output.format {
            Format::Json => {
                output.json(&serde_json::json!({"what": what, "level": word, "detail": detail}))?;
            }
            Format::Raw => output.raw(&[word.to_owned(), (*what).to_owned(), detail.clone()])?,
            Format::Human => output.headline(&format!("{word:<5} {what}: {detail}"), tone)?,
        }
    }
    if passed {
        Ok(())
    } else {
        Err(Failure::failed(
            "this host cannot be shown to detect and drop; smartfw-cli doctor says what is missing",
        ))
    }
}

fn drop_of(
    proof: &Result<Proof, smartfw_enforce::EnforceError>,
    family: &str,
    dropped: impl Fn(&Proof) -> bool,
) -> Result<String, String> {
    match proof {
        Ok(proof) if dropped(proof) => {
            let hooks = proof.hooks.iter().filter(|hook| hook.contains(family));
            Ok(format!("by {}", hooks.cloned().collect::<Vec<_>>().join(" and ")))
        }
        Ok(_) => Err("a packet came through that should not have, or none came through at all".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// How many probes it took until the kernel would have been told to drop.
fn detection() -> Result<u16, String> {
    let mut sensor = Sensor::new(smartfw_core::config::SensorConfig::default(), view(), 1);
    let mut agent = Agent::new(PolicyConfig { node: "selftest".into(), ..PolicyConfig::default() }, 1, at(0));
    for probe in 0..PORTS {
        let now = at(u64::from(probe));
        for bytes in [
            segment(ATTACKER, 40_000, HOST, 1000 + probe, SYN),
            segment(HOST, 1000 + probe, ATTACKER, 40_000, RST_ACK),
        ] {
            sensor
                .observe(now, &frame(&bytes))
                .map_err(|why| format!("a probe could not be read: {}", why.as_str()))?;
        }
        while let Some(verdict) = sensor.poll_verdict() {
            if verdict.class == Class::PortScan {
                agent.handle_verdict(now, verdict);
            }
        }
        while let Some(effect) = agent.poll_effect() {
            if matches!(effect, Effect::Enforce(Change::Block(_))) {
                return Ok(probe + 1);
            }
        }
    }
    Err(format!("{PORTS} probes, and no block"))
}

fn view() -> View {
    View::Host(vec![smartfw_core::prefix::host(HOST.into())])
}

/// One probe in ten milliseconds, on 31 January 2026.
const fn at(probe: u64) -> Time {
    Time::from_nanos(1_769_860_800_000_000_000 + probe * 10_000_000)
}

const fn frame(bytes: &[u8]) -> Frame<'_> {
    Frame {
        bytes,
        link: Link::Raw,
        direction: None,
        wire_len: bytes.len() as u32,
        gso_size: 0,
        trusted: false,
    }
}

const SYN: u8 = 0x02;
const RST_ACK: u8 = 0x14;

/// An IPv4 packet with an empty TCP segment.
fn segment(source: [u8; 4], from: u16, destination: [u8; 4], to: u16, flags: u8) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
    bytes.extend(source);
    bytes.extend(destination);
    bytes.extend(from.to_be_bytes());
    bytes.extend(to.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0x04, 0, 0, 0, 0, 0]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_made_up_scan_is_recognised_well_before_its_end() {
        let probes = detection().unwrap();
        assert!((10..PORTS / 2).contains(&probes), "{probes}");
    }
}
