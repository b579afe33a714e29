//! A plot of what was said against what came true.

use std::fmt::{self, Write as _};

use crate::calibrate::Reliability;

const SIDE: f64 = 320.0;
const EDGE: f64 = 40.0;

/// A reliability diagram: on the diagonal, what is said comes true as often as said. The first is drawn as a line, the
/// second, without calibration, as a dashed one.
pub fn reliability_svg(calibrated: &Reliability, uncalibrated: &Reliability) -> String {
    let mut svg = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut svg, calibrated, uncalibrated);
    svg
}

fn write(svg: &mut String, calibrated: &Reliability, uncalibrated: &Reliability) -> fmt::Result {
    let all = SIDE + 2.0 * EDGE;
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {all} {all}" font-family="sans-serif" font-size="11">"#
    )?;
    writeln!(svg, r#"<rect width="{all}" height="{all}" fill="white"/>"#)?;
    for tenth in 0..=5 {
        let share = f64::from(tenth) / 5.0;
        let (x, y) = place(share, share);
        let (left, bottom) = place(0.0, 0.0);
        writeln!(svg, r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{share}</text>"#, bottom + 15.0)?;
        writeln!(svg, r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{share}</text>"#, left - 6.0, y + 4.0)?;
    }
    let middle = all / 2.0;
    writeln!(svg, r#"<text x="{middle}" y="{:.1}" text-anchor="middle">said</text>"#, all - 8.0)?;
    let turn = format!("rotate(-90 12 {middle})");
    writeln!(svg, r#"<text x="12" y="{middle}" text-anchor="middle" transform="{turn}">came true</text>"#)?;
    writeln!(svg, r##"<path d="{}" stroke="#999" fill="none"/>"##, path([(0.0, 0.0), (1.0, 1.0)]))?;
    let frame = [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)];
    writeln!(svg, r##"<path d="{}" stroke="#999" fill="none"/>"##, path(frame))?;
    let line = |reliability: &Reliability| {
        let bins = reliability.bins.iter().filter(|bin| bin.rows > 0);
        path(bins.map(|bin| (bin.said, bin.right)))
    };
    let dashed = line(uncalibrated);
    writeln!(svg, r##"<path d="{dashed}" stroke="#c60" stroke-dasharray="4 3" fill="none"/>"##)?;
    writeln!(svg, r##"<path d="{}" stroke="#06c" stroke-width="2" fill="none"/>"##, line(calibrated))?;
    for bin in calibrated.bins.iter().filter(|bin| bin.rows > 0) {
        let (x, y) = place(bin.said, bin.right);
        let title = format!("{} rows: said {:.3}, came true {:.3}", bin.rows, bin.said, bin.right);
        let dot = format!(r##"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="#06c">"##);
        writeln!(svg, "{dot}<title>{title}</title></circle>")?;
    }
    writeln!(svg, "</svg>")
}

fn place(said: f64, right: f64) -> (f64, f64) {
    (EDGE + said * SIDE, EDGE + (1.0 - right) * SIDE)
}

fn path(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let places = points.into_iter().map(|(said, right)| place(said, right));
    let points: Vec<String> = places.map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    if points.is_empty() { String::new() } else { format!("M {}", points.join(" L ")) }
}
