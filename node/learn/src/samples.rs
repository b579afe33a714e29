//! Tables for tests.

use smartfw_core::features::NAMES;

use crate::{
    chance::Chance,
    table::{Row, Table},
};

/// About normal, from the sum of twelve even draws.
pub(crate) fn normal(chance: &mut Chance) -> f32 {
    ((0..12).map(|_| chance.share()).sum::<f64>() - 6.0) as f32
}

/// Windows of three classes in captures and tools of their own, which overlap: `noise` is how far rows spread.
pub(crate) fn windows(rows: usize, noise: f32, seed: u64) -> Table {
    let mut chance = Chance::new(seed);
    let mut table = Table::windows();
    let kinds = [
        ("benign", "browser", 2.0, 1.0),
        ("benign", "backup", 3.0, 1.5),
        ("port_scan", "nmap", 2.0, 4.0),
        ("port_scan", "masscan", 2.5, 4.2),
        ("slow_dos", "slowhttptest", 1.0, 2.5),
    ];
    for row in 0..rows {
        let (class, tool, rate, ports) = kinds[row % kinds.len()];
        let mut values = [0.0; NAMES.len()];
        values.iter_mut().for_each(|value| *value = (normal(&mut chance) * 4.0).round());
        values[0] = (rate + noise * normal(&mut chance)).exp();
        values[6] = (ports + noise * normal(&mut chance)).exp().round();
        let capture = format!("{tool}-{}", row / kinds.len() % 6);
        table
            .push(Row { values: &values, class, capture: &capture, tool, family: "ipv4", weight: 1.0 })
            .unwrap();
    }
    table
}

/// Rows of features that no test asks the name of.
pub(crate) fn rows<'a>(width: usize, rows: impl IntoIterator<Item = (Vec<f32>, &'a str)>) -> Table {
    let mut table = Table::new((0..width).map(|n| format!("x{n}")).collect()).unwrap();
    for (values, class) in rows {
        table.push(Row { values: &values, class, capture: "", tool: "", family: "", weight: 1.0 }).unwrap();
    }
    table
}
