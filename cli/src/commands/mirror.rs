//! `mirror`: how it is, whom it follows, and what it heard and does not follow.

use smartfw_proto::{
    json,
    view::{FollowedCluster, MirrorView},
    wire,
};

use crate::{
    args::{Format, Global},
    client::{self, Daemon},
    duration::{now, relative},
    failure::Failure,
    output::{Grid, Output, Tone, grouped},
};

pub(super) fn run(global: &Global, output: &mut Output) -> Result<(), Failure> {
    show(output, &view(global)?)
}

/// The mirror as the daemon shows it.
pub(super) fn view(global: &Global) -> Result<MirrorView, Failure> {
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        daemon.ask_mirror(async |mut client| client.show_mirror(wire::ShowMirrorRequest {}).await).await
    })?;
    Ok(answer.try_into()?)
}

fn show(output: &mut Output, view: &MirrorView) -> Result<(), Failure> {
    match output.format {
        Format::Json => output.json(&json::mirror(view)),
        Format::Raw => view.refused.iter().try_for_each(|row| {
            output.raw(&[json::rfc3339(row.time), row.cluster.clone(), row.key.clone(), row.why.clone()])
        }),
        Format::Human if !view.configured => {
            output.line("There is no mirror: mirror.url of the configuration names a database")
        }
        Format::Human => human(output, view),
    }
}

fn human(output: &mut Output, view: &MirrorView) -> Result<(), Failure> {
    let (sent, waiting) = (grouped(view.sent), grouped(view.waiting));
    let since = view.since.map_or_else(String::new, |since| format!(", since {}", json::rfc3339(since)));
    output.line(&format!("The mirror: {}{since}; {sent} sent, {waiting} waiting", view.state))?;
    if !view.remedy.is_empty() {
        output.line(&format!("What to do: {}", view.remedy))?;
    }
    if !view.followed.is_empty() {
        output.table(followed(&view.followed), 0)?;
    }
    let unwell = view.followed.iter().filter(|cluster| !cluster.remedy.is_empty());
    for FollowedCluster { cluster, remedy, .. } in unwell {
        output.line(&format!("{cluster}: {remedy}"))?;
    }
    if !view.refused.is_empty() {
        output.line("Heard and not followed:")?;
        output.table(refused(view), 0)?;
    }
    Ok(())
}

fn followed(clusters: &[FollowedCluster]) -> Grid {
    let mut grid = Grid::new(&["FOLLOWED", "RUNS", "NOT FOLLOWED", "STATE"]).numbers(&[1, 2]);
    for FollowedCluster { cluster, state, remedy, runs, refused } in clusters {
        let tone = if remedy.is_empty() { Tone::Good } else { Tone::Warn };
        let plain = |text: String| (text, Tone::Plain);
        let (runs, refused) = (plain(grouped(*runs)), plain(grouped(*refused)));
        grid.toned([plain(cluster.clone()), runs, refused, (state.clone(), tone)]);
    }
    grid
}

fn refused(view: &MirrorView) -> Grid {
    let mut grid = Grid::new(&["WHEN", "CLUSTER", "KEY", "WHY"]);
    for row in &view.refused {
        let plain = |text: String| (text, Tone::Plain);
        let when = plain(relative(row.time, now()));
        grid.toned([when, plain(row.cluster.clone()), plain(row.key.clone()), plain(row.why.clone())]);
    }
    grid
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use smartfw_proto::view::NotFollowed;

    use super::*;

    fn shown(format: Format) -> String {
        let bytes = Rc::new(RefCell::new(Vec::new()));
        let mut output = Output::to(format, bytes.clone());
        show(&mut output, &sample()).unwrap();
        output.flush().unwrap();
        let bytes = bytes.borrow().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn sample() -> MirrorView {
        let followed = FollowedCluster {
            cluster: "other".into(),
            state: "the root of that cluster is not believed here".into(),
            remedy: "smartfw-cli trust add --root FILE".into(),
            runs: 12,
            refused: 1,
        };
        let (cluster, key, why) = ("other".into(), "0017".into(), "nobody signed it".into());
        MirrorView {
            configured: true,
            state: "behind by 3: the database answers 503".into(),
            remedy: "wait".into(),
            sent: 1234,
            waiting: 3,
            followed: vec![followed],
            refused: vec![NotFollowed { time: now(), cluster, key, why }],
            ..MirrorView::default()
        }
    }

    #[test]
    fn the_mirror_is_shown_with_what_is_wrong_and_what_is_not_followed() {
        let human = shown(Format::Human);
        assert!(human.contains("behind by 3: the database answers 503; 1,234 sent, 3 waiting"), "{human}");
        assert!(human.contains("What to do: wait") && human.contains("nobody signed it"), "{human}");
        assert!(human.contains("other: smartfw-cli trust add --root FILE"), "{human}");
        let json = shown(Format::Json);
        assert!(json.contains("\"not_followed\":[{\"time\":"), "{json}");
        assert_eq!(shown(Format::Raw).trim_end_matches('\n').split('\t').count(), 4);
    }
}
