//! `model lessons`: what people corrected, as a list and as rows to learn from.

use smartfw_core::{
    features::{NAMES, SCHEMA},
    model::BENIGN,
    record::Lesson,
};
use smartfw_proto::{json, wire};

use crate::{
    args::{Format, Global},
    client::{self, Daemon},
    duration::date,
    failure::Failure,
    output::{Grid, Output},
};

pub(super) fn run(global: &Global, output: &mut Output, csv: bool) -> Result<(), Failure> {
    let lessons = client::block_on(fetch(global))?;
    if csv {
        return table(output, &lessons);
    }
    match output.format {
        Format::Json => output.json(&lessons.iter().map(json::lesson).collect()),
        Format::Raw => lessons.iter().try_for_each(|lesson| {
            let Lesson { id, at, target, class, detector, .. } = lesson;
            let (id, at) = (id.to_string(), json::rfc3339(*at));
            output.raw(&[at, id, target.to_string(), class.to_string(), detector.to_string()])
        }),
        Format::Human if lessons.is_empty() => output.line("Nobody has corrected anything."),
        Format::Human => {
            let mut grid = Grid::new(&["TIME (UTC)", "TARGET", "WAS CALLED", "BY", "WINDOW"]);
            for Lesson { at, target, class, detector, features, .. } in &lessons {
                let window = if features.is_some() { "known" } else { "-" };
                let texts = [target.to_string(), class.to_string(), detector.to_string(), window.to_owned()];
                grid.row([date(*at)].into_iter().chain(texts));
            }
            output.table(grid, 0)
        }
    }
}

async fn fetch(global: &Global) -> Result<Vec<Lesson>, Failure> {
    let mut daemon = Daemon::connect(&global.socket).await?;
    let stream =
        daemon.ask_models(async |mut client| client.list_lessons(wire::ListLessonsRequest {}).await).await?;
    let mut lessons = Vec::new(); // the daemon keeps a thousand
    let collected = daemon.each(stream, |lesson| {
        lessons.push(lesson);
        Ok(())
    });
    collected.await.map(|()| lessons)
}

/// Lessons whose window is known, in the form of a window table: what was called an attack is benign.
fn table(output: &mut Output, lessons: &[Lesson]) -> Result<(), Failure> {
    output.line(&format!("# schema {SCHEMA}"))?;
    output.line(&format!("{},class,capture,tool,family", NAMES.join(",")))?;
    lessons.iter().try_for_each(|lesson| {
        let Some(features) = &lesson.features else { return Ok(()) };
        let values = features.to_array().map(|value| value.to_string()).join(",");
        let family = if lesson.target.addr().is_ipv4() { "ipv4" } else { "ipv6" };
        output.line(&format!("{values},{BENIGN},lessons,operator,{family}"))
    })
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use smartfw_core::{BlockId, Class, Detector, Features, Time};

    use super::*;

    #[test]
    fn a_lesson_becomes_a_benign_row_where_its_window_is_known() {
        let lesson = |target: &str, features| Lesson {
            id: BlockId(1),
            at: Time::from_secs(1),
            target: target.parse().unwrap(),
            class: Class::PortScan,
            detector: Detector::Forest,
            features,
        };
        let window = Features::from_array(std::array::from_fn(|index| index as f32 + 0.5));
        let lessons = [lesson("192.0.2.1/32", None), lesson("2001:db8::/64", Some(window))];
        let bytes = Rc::new(RefCell::new(Vec::new()));
        table(&mut Output::to(Format::Human, bytes.clone()), &lessons).unwrap();
        let text = String::from_utf8(bytes.borrow().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("# schema {SCHEMA}"));
        assert!(
            lines[1].starts_with("packets_per_second,") && lines[1].ends_with(",class,capture,tool,family")
        );
        let values: Vec<String> = (0..NAMES.len()).map(|index| format!("{index}.5")).collect();
        assert_eq!(lines[2..], [format!("{},benign,lessons,operator,ipv6", values.join(","))]);
    }
}
