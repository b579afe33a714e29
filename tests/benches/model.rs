//! One window judged: microseconds a row, alone and in batches, for the random forest and the isolation forest, beside
//! scikit-learn's forest of the same size on the same rows where python3 has it.
//!
//! `SMARTFW_BENCH_TABLE` names a table of windows; without one a table is made up whose classes overlap, so that the
//! trees become as large as those of real windows, or larger.
#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

use std::{
    env,
    fmt::Write as _,
    fs,
    hint::black_box,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use smartfw_core::model::Model;
use smartfw_learn::{
    table::{ReadOptions, Row, Table, read_files},
    train::{TrainOptions, train},
};

const ROUNDS: usize = 7;
/// Enough that a batch does not fit the cache together with a tree.
const ROWS: usize = 20_000;

fn main() -> anyhow::Result<()> {
    let table = match env::var_os("SMARTFW_BENCH_TABLE") {
        Some(path) => read_files(&[path], &ReadOptions::default())?,
        None => made_up(ROWS)?,
    };
    let begun = Instant::now();
    let model = train(&table, &TrainOptions { folds: 0, ..TrainOptions::default() }, &mut |_| ())?.model;
    let taken = begun.elapsed();
    let parts = model.forest().parts();
    println!(
        "{} rows, {} classes; {} trees of {} nodes in {:.2} s; {} kB encoded",
        table.len(),
        parts.classes.len(),
        parts.roots.len(),
        parts.nodes.len(),
        taken.as_secs_f64(),
        model.encode().len() / 1000
    );
    println!("processor time\tµs a row\tin batches");
    let alone = median(|| forest_alone(&model, &table));
    let batch = median(|| forest_batch(&model, &table));
    println!("forest\t{alone:.2}\t{batch:.2}");
    println!("isolation\t{:.2}\t", median(|| isolation(&model, &table)));
    match scikit_learn(&table) {
        Some(line) => println!("scikit-learn forest\t{line}"),
        None => println!("scikit-learn forest\tnot installed\t"),
    }
    Ok(())
}

/// The median of the rounds, in microseconds a row.
fn median(mut round: impl FnMut() -> (Duration, usize)) -> f64 {
    let mut taken: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (time, rows) = round();
            time.as_secs_f64() * 1e6 / rows as f64
        })
        .collect();
    taken.sort_by(f64::total_cmp);
    taken[ROUNDS / 2]
}

/// What this thread took of the processor so far: others may be at work on the machine.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live, writable value of the type that clock_gettime fills in.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn forest_alone(model: &Model, table: &Table) -> (Duration, usize) {
    let mut out = vec![0.0; model.classes().len()];
    let begun = processor_time();
    for row in 0..table.len() {
        model.forest().probabilities(table.values_of(row), &mut out);
        black_box(&out);
    }
    (processor_time() - begun, table.len())
}

fn forest_batch(model: &Model, table: &Table) -> (Duration, usize) {
    let mut out = vec![0.0; table.len() * model.classes().len()];
    let begun = processor_time();
    model.forest().batch(table.values(), &mut out);
    black_box(&out);
    (processor_time() - begun, table.len())
}

fn isolation(model: &Model, table: &Table) -> (Duration, usize) {
    let begun = processor_time();
    (0..table.len()).for_each(|row| {
        black_box(model.isolation().score(table.values_of(row)));
    });
    (processor_time() - begun, table.len())
}

const PYTHON: &str = "
import sys, time, numpy
from sklearn.ensemble import RandomForestClassifier
rows = numpy.loadtxt(sys.argv[1], delimiter=',', dtype='float32')
x, y = rows[:, :-1].copy(), rows[:, -1].astype(int)
forest = RandomForestClassifier(100, max_depth=16, class_weight='balanced', n_jobs=-1, random_state=1).fit(x, y)
forest.n_jobs = 1
def timed(work, rows):
    begun = time.process_time(); work(); return (time.process_time() - begun) * 1e6 / rows
alone = sorted(timed(lambda: forest.predict_proba(x[n:n + 1]), 1) for n in range(100))[50]
batch = sorted(timed(lambda: forest.predict_proba(x), len(x)) for n in range(3))[1]
print(f'{alone:.2f}\\t{batch:.2f}')
";

fn scikit_learn(table: &Table) -> Option<String> {
    let dir = tempfile::tempdir().ok()?;
    let path = dir.path().join("rows.csv");
    write_rows(&path, table).ok()?;
    let out = Command::new("python3").arg("-c").arg(PYTHON).arg(&path).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

fn write_rows(path: &Path, table: &Table) -> anyhow::Result<()> {
    let mut text = String::new();
    for row in 0..table.len() {
        for value in table.values_of(row) {
            write!(text, "{value},")?;
        }
        writeln!(text, "{}", table.class().of()[row])?;
    }
    Ok(fs::write(path, text)?)
}

/// Windows of four classes around different places, with noise.
fn made_up(rows: usize) -> anyhow::Result<Table> {
    let mut table = Table::windows();
    let mut state = 1_u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    for row in 0..rows {
        let class = row % 4;
        let mut values = [0.0; smartfw_core::features::COUNT];
        for (feature, value) in values.iter_mut().enumerate() {
            let noise = draw() + draw() + draw() - 1.5;
            let place = if feature % 4 == class { 1.0 } else { 0.0 };
            *value = ((place + 1.2 * noise) * 2.0).exp();
        }
        let name = ["benign", "port_scan", "slow_dos", "brute_force"][class];
        table.push(Row { values: &values, class: name, capture: "", tool: "", family: "", weight: 1.0 })?;
    }
    Ok(table)
}
