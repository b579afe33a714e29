//! `alerts`: what was detected, and what is being detected.

use smartfw_core::{Alert, Detector, Time};
use smartfw_proto::{
    json,
    view::{AlertEvent, AlertFilter},
    wire,
};

use crate::{
    args::{Alerts, Format, Global, Since},
    client::{self, Daemon},
    duration::{date, now},
    failure::Failure,
    output::{Grid, Output, complain},
    render,
};

pub(super) fn run(global: &Global, output: &mut Output, args: &Alerts) -> Result<(), Failure> {
    let since = args.since.map(|since| match since {
        Since::At(time) => time,
        Since::Ago(duration) => earlier(now(), duration),
    });
    let filter = AlertFilter { since, class: args.class };
    client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        if args.follow {
            follow(&mut daemon, output, filter).await
        } else {
            list(&mut daemon, output, filter).await
        }
    })
}

fn earlier(now: Time, ago: std::time::Duration) -> Time {
    Time::ZERO.after(now.since(Time::ZERO).saturating_sub(ago))
}

async fn list(daemon: &mut Daemon, output: &mut Output, filter: AlertFilter) -> Result<(), Failure> {
    let request = wire::ListAlertsRequest::from(filter);
    let stream = daemon.ask(async |mut client| client.list_alerts(request).await).await?;
    let mut alerts: Vec<Alert> = Vec::new(); // the daemon keeps ten thousand
    daemon
        .each(stream, |alert| {
            alerts.push(alert);
            Ok(())
        })
        .await?;
    match output.format {
        Format::Json => output.json(&alerts.iter().map(json::alert).collect()),
        Format::Raw => alerts.iter().try_for_each(|alert| output.raw(&render::raw_alert(alert))),
        Format::Human if alerts.is_empty() => output.line("Nothing was detected."),
        Format::Human => {
            let mut grid = Grid::new(&render::ALERT_HEADINGS).numbers(&[3, 5]);
            alerts.iter().for_each(|alert| grid.toned(render::alert_cells(alert)));
            output.table(grid, 0)
        }
    }
}

/// Until the daemon or the reader goes away.
async fn follow(daemon: &mut Daemon, output: &mut Output, filter: AlertFilter) -> Result<(), Failure> {
    let request = wire::ListAlertsRequest::from(filter);
    let mut stream = daemon.ask(async |mut client| client.follow_alerts(request).await).await?;
    while let Some(event) = daemon.next_ever(&mut stream).await? {
        match AlertEvent::try_from(event)? {
            AlertEvent::Alert(alert) => one(output, &alert)?,
            AlertEvent::Missed(count) => {
                complain(&format!("{count} alerts were left out: they came faster than they were read"));
            }
        }
        output.flush()?;
    }
    Err(daemon.gone())
}

fn one(output: &mut Output, alert: &Alert) -> Result<(), Failure> {
    match output.format {
        Format::Json => output.json(&json::alert(alert)),
        Format::Raw => output.raw(&render::raw_alert(alert)),
        Format::Human => {
            let cells = render::alert_cells(alert);
            let [_, who, class, sure, action, count, reason] = &cells[..] else { return Ok(()) };
            let (time, text) = (date(alert.time), &reason.0);
            let by = by(alert.detector);
            output.line(&format!(
                "{time}  {}  {} ({}{by})  {} x{}  {text}",
                who.0, class.0, sure.0, action.0, count.0
            ))
        }
    }
}

/// Rules speak for themselves; whose word it is otherwise decides how it is read.
fn by(detector: Detector) -> String {
    if detector == Detector::Rules { String::new() } else { format!(", by {detector}") }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;
    use crate::commands::samples;

    #[test]
    fn a_model_s_word_says_whose_it_is_how_sure_and_why() {
        let said = |detector| {
            let bytes = Rc::new(RefCell::new(Vec::new()));
            let alert = Alert { detector, ..samples::alert() };
            one(&mut Output::to(Format::Human, bytes.clone()), &alert).unwrap();
            String::from_utf8(bytes.borrow().clone()).unwrap()
        };
        let (model, rule) = (said(Detector::Forest), said(Detector::Rules));
        let alert = samples::alert();
        let sure = format!("{:.0}%", alert.confidence * 100.0);
        assert!(
            model.contains(&format!("({sure}, by forest)")) && model.contains(&alert.reason.text),
            "{model}"
        );
        assert!(rule.contains(&format!("({sure})")), "{rule}");
    }
}
