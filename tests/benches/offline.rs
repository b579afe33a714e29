//! Packets to verdicts, offline, one thread: `smartfw-cli replay` beside `tcpdump -r FILE -w /dev/null`, alternating in
//! the same run, and the same with a model of a hundred trees. Prints medians of processor time per packet, the ratio
//! without a model, and the largest resident memory.
//!
//! `SMARTFW_BENCH_CAPTURES` names further captures, separated by `:`. The release programs must have been built.
#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

use std::{
    env,
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use smartfw_capture::file::PcapWriter;
use smartfw_core::{
    Class, Time,
    features::NAMES,
    model::{BENIGN, Calibration, Forest, ForestParts, IsolationForest, IsolationParts, Model, Node, Split},
};
use smartfw_learn::{Card, ModelFile, ModelKey};

const ROUNDS: usize = 5;
/// The link type of captures that begin with an IP header.
const RAW: u32 = 101;

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mixed = dir.path().join("mixed.pcap");
    let flood = dir.path().join("flood.pcap");
    write_mixed(&mixed, 60_000)?;
    write_flood(&flood, 1_000_000)?;
    let mut captures = vec![mixed, flood];
    captures.extend(env::var_os("SMARTFW_BENCH_CAPTURES").iter().flat_map(env::split_paths));
    let model = dir.path().join("model");
    let card = Card { name: "bench".to_owned(), ..Card::default() };
    std::fs::write(&model, ModelFile::write(&a_model()?, &card, &ModelKey::generate()?)?.as_bytes())?;
    println!("capture\tpackets\ttcpdump ns\tsmartfw ns\twith a model ns\tratio\tsmartfw MB");
    for capture in captures {
        compare(&capture, &model)?;
    }
    Ok(())
}

fn compare(capture: &Path, model: &Path) -> anyhow::Result<()> {
    let packets = count_packets(capture)?;
    let (mut floor, mut own, mut judged, mut memory) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let tcpdump = Command::new("tcpdump").arg("-nr").arg(capture).args(["-w", "/dev/null"]).measure()?;
        let bare = replay(capture, Path::new("none"))?;
        let with_model = replay(capture, model)?;
        floor.push(tcpdump.nanos / packets);
        own.push(bare.nanos / packets);
        judged.push(with_model.nanos / packets);
        memory = memory.max(bare.resident_kb);
    }
    let (floor, own, judged) = (median(floor), median(own), median(judged));
    let name = capture.file_name().unwrap_or_default().to_string_lossy();
    let ratio = own as f64 / floor as f64;
    println!("{name}\t{packets}\t{floor}\t{own}\t{judged}\t{ratio:.2}\t{}", memory / 1024);
    Ok(())
}

fn replay(capture: &Path, model: &Path) -> anyhow::Result<Taken> {
    let mut command = Command::new(cli());
    command.args(["-o", "json", "replay", "--local", "192.0.2.0/24", "--model"]);
    command.arg(model).arg(capture).measure()
}

/// A hundred trees of ten levels each that ask about every feature, and find everything benign: what is measured is the
/// asking.
fn a_model() -> anyhow::Result<Model> {
    const TREES: u32 = 100;
    const INNER: u32 = (1 << 10) - 1;
    let features: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    let tree = |tree: u32| {
        let first = tree * (2 * INNER + 1);
        let split = move |at: u32| {
            let chance = (first + at).wrapping_mul(2_654_435_761) >> 8;
            let (feature, threshold) = ((chance % 12) as u8, (chance % 997) as f32);
            Node::split(Split { feature, threshold, missing_right: false, left: first + 2 * at + 1 })
        };
        (0..INNER).map(split).chain((0..=INNER).map(|_| Node::leaf(10.0)))
    };
    let nodes: Vec<Node> = (0..TREES).flat_map(tree).collect();
    let roots: Vec<u32> = (0..TREES).map(|tree| tree * (2 * INNER + 1)).collect();
    let classes = [BENIGN, Class::PortScan.as_str(), Class::BruteForce.as_str(), Class::SlowDos.as_str()];
    let forest = Forest::new(ForestParts {
        features: features.clone(),
        classes: classes.map(str::to_owned).to_vec(),
        roots: roots.clone(),
        shares: nodes.iter().flat_map(|_| [u16::MAX, 0, 0, 0]).collect(),
        nodes: nodes.clone(),
        calibration: Calibration::default(),
    })?;
    let (mean_path, threshold, typical) = (10.0, 0.9, vec![0.0; features.len()]);
    let isolation =
        IsolationForest::new(IsolationParts { features, roots, nodes, mean_path, threshold, typical })?;
    Ok(Model::new(forest, isolation)?)
}

/// What one run took.
struct Taken {
    /// User and system time, nanoseconds.
    nanos: u64,
    /// The largest resident set, KiB.
    resident_kb: u64,
}

trait Measure {
    fn measure(&mut self) -> anyhow::Result<Taken>;
}

impl Measure for Command {
    fn measure(&mut self) -> anyhow::Result<Taken> {
        let child = self.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
        let pid = i32::try_from(child.id())?;
        // SAFETY: both pointers are to live, writable values of the types that wait4 fills in.
        let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
        anyhow::ensure!(waited == pid && libc::WIFEXITED(status), "{self:?} did not end by itself");
        // SAFETY: wait4 succeeded, so that the structure is filled; all-zero is a valid value of it besides.
        let usage = unsafe { usage.assume_init() };
        let nanos = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000;
        Ok(Taken {
            nanos: nanos(usage.ru_utime) + nanos(usage.ru_stime),
            resident_kb: usage.ru_maxrss as u64,
        })
    }
}

fn cli() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    target.join("release/smartfw-cli")
}

fn count_packets(capture: &Path) -> anyhow::Result<u64> {
    let counted =
        Command::new("tcpdump").arg("--count").arg("-nr").arg(capture).stderr(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&counted.stdout);
    text.split_whitespace()
        .next()
        .and_then(|n| n.parse().ok())
        .ok_or_else(|| anyhow::anyhow!("tcpdump did not count"))
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

const SYN: u8 = 2;
const ACK: u8 = 16;
const PUSH: u8 = 24;
const FIN: u8 = 17;

/// `flows` web requests of 5,000 clients, interleaved: handshake, request, eight segments of answer, FIN: 16 packets each.
fn write_mixed(path: &Path, flows: u32) -> anyhow::Result<()> {
    let mut out = Capture::new(path)?;
    for batch in 0..flows / 100 {
        for step in 0..16 {
            for flow in batch * 100..(batch + 1) * 100 {
                out.step(flow, step)?;
            }
        }
    }
    out.finish()
}

/// SYNs from `sources` forged addresses.
fn write_flood(path: &Path, sources: u32) -> anyhow::Result<()> {
    let mut out = Capture::new(path)?;
    for n in 0..sources {
        out.tcp([n.wrapping_mul(2_654_435_761) | 1, SERVER], [n as u16 | 1024, 80], [n, 0], SYN, &[])?;
    }
    out.finish()
}

/// 192.0.2.1.
const SERVER: u32 = 0xc000_0201;
const REQUEST: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: bench\r\n\r\n";

struct Capture {
    out: PcapWriter<BufWriter<File>>,
    nanos: u64,
    answer: Vec<u8>,
}

impl Capture {
    fn new(path: &Path) -> anyhow::Result<Self> {
        let out = PcapWriter::new(BufWriter::new(File::create(path)?), RAW)?;
        let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 11584\r\n\r\n".to_vec();
        answer.resize(1448, b'x');
        Ok(Self { out, nanos: 1_700_000_000_000_000_000, answer })
    }

    /// The packet number `step` of a web request.
    fn step(&mut self, flow: u32, step: u32) -> anyhow::Result<()> {
        let client = 0x0a00_0000 | (flow % 5000) << 4;
        let (there, back) = ([client, SERVER], [SERVER, client]);
        let ports = [(flow / 5000) as u16 * 16 + 20_000, 80];
        let (mine, yours, sent) = (flow, flow ^ 0x5555_5555, REQUEST.len() as u32);
        let answer = std::mem::take(&mut self.answer);
        let result = match step {
            0 => self.tcp(there, ports, [mine, 0], SYN, &[]),
            1 => self.tcp(back, [80, ports[0]], [yours, mine + 1], SYN | ACK, &[]),
            2 => self.tcp(there, ports, [mine + 1, yours.wrapping_add(1)], ACK, &[]),
            3 => self.tcp(there, ports, [mine + 1, yours.wrapping_add(1)], PUSH, REQUEST),
            4..=11 => {
                let sequence = yours.wrapping_add(1 + (step - 4) * 1448);
                self.tcp(back, [80, ports[0]], [sequence, mine + 1 + sent], ACK, &answer)
            }
            12 | 13 => self.tcp(there, ports, [mine + 1 + sent, yours.wrapping_add(11_585)], ACK, &[]),
            14 => self.tcp(there, ports, [mine + 1 + sent, yours.wrapping_add(11_585)], FIN, &[]),
            _ => self.tcp(back, [80, ports[0]], [yours.wrapping_add(11_585), mine + 2 + sent], FIN, &[]),
        };
        self.answer = answer;
        result
    }

    fn tcp(
        &mut self,
        [from, to]: [u32; 2],
        ports: [u16; 2],
        numbers: [u32; 2],
        flags: u8,
        payload: &[u8],
    ) -> anyhow::Result<()> {
        let mut packet = vec![0; 40];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&u16::try_from(40 + payload.len())?.to_be_bytes());
        (packet[8], packet[9]) = (64, 6);
        packet[12..16].copy_from_slice(&from.to_be_bytes());
        packet[16..20].copy_from_slice(&to.to_be_bytes());
        packet[20..22].copy_from_slice(&ports[0].to_be_bytes());
        packet[22..24].copy_from_slice(&ports[1].to_be_bytes());
        packet[24..28].copy_from_slice(&numbers[0].to_be_bytes());
        packet[28..32].copy_from_slice(&numbers[1].to_be_bytes());
        (packet[32], packet[33]) = (0x50, flags);
        packet[34..36].copy_from_slice(&512u16.to_be_bytes());
        packet.extend_from_slice(payload);
        self.nanos += 1500;
        Ok(self.out.write(Time::from_nanos(self.nanos), &packet, packet.len() as u32)?)
    }

    fn finish(self) -> anyhow::Result<()> {
        self.out.finish()?.into_inner().map_err(|error| error.into_error())?;
        Ok(())
    }
}
