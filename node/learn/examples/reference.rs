//! Makes the reference set that ships with the program, out of the laboratory's windows:
//! `cargo run --release -p smartfw-learn --example reference -- tests/lab/windows.csv.gz node/learn/data/reference.csv.gz`

use std::{fs::File, io::Write, path::Path};

use flate2::{Compression, write::GzEncoder};
use smartfw_core::features::{NAMES, SCHEMA};
use smartfw_learn::{
    online::{REFERENCE_ROWS, sample},
    table::{ReadOptions, read_file},
};

/// The seed of the set that ships; another gives another, equally good.
const SEED: u64 = 1;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(from), Some(to)) = (args.next(), args.next()) else {
        return Err("usage: reference WINDOWS.csv.gz REFERENCE.csv.gz".into());
    };
    let table = sample(&read_file(Path::new(&from), &ReadOptions::default())?, REFERENCE_ROWS, SEED);
    let mut out = GzEncoder::new(File::create(to)?, Compression::best());
    writeln!(out, "# schema {SCHEMA}\n{},class,capture,tool,family", NAMES.join(","))?;
    for row in (0..table.len()).map(|at| table.row(at)) {
        let values: Vec<String> = row.values.iter().map(f32::to_string).collect();
        writeln!(out, "{},{},{},{},{}", values.join(","), row.class, row.capture, row.tool, row.family)?;
    }
    out.finish()?.sync_all()?;
    Ok(())
}
