//! `feed`: lists of addresses that are fetched and blocked.

use std::time::Duration;

use smartfw_proto::{
    json,
    view::{FeedRow, NewFeed},
    wire,
};

use crate::{
    args::{AddFeed, Feed, Format, Global},
    client::{self, Daemon},
    duration::{now, relative},
    failure::Failure,
    output::{Grid, Output, Tone, grouped},
};

/// A fetch takes a minute at most, and another may be under way.
const PATIENCE: Duration = Duration::from_secs(150);

pub(super) fn run(global: &Global, output: &mut Output, command: Feed) -> Result<(), Failure> {
    match command {
        Feed::Add(feed) => add(global, output, feed),
        Feed::List => list(global, output),
        Feed::Remove { feed } => remove(global, output, feed),
        Feed::Refresh { feed, force } => refresh(global, output, feed.unwrap_or_default(), force),
    }
}

fn add(global: &Global, output: &mut Output, feed: AddFeed) -> Result<(), Failure> {
    let AddFeed { url, name, written: format, every, max_change } = feed;
    let new = NewFeed { url, name: name.unwrap_or_default(), format, every, max_change };
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?.within(PATIENCE);
        daemon.ask_feeds(async |mut client| client.add_feed(wire::AddFeedRequest::from(new)).await).await
    })?;
    let row = FeedRow::try_from(answer)?;
    match output.format {
        Format::Json => output.json(&json::feed(&row))?,
        Format::Raw => output.raw(&fields(&row))?,
        Format::Human => output.line(&came(&row))?,
    }
    well(&[row])
}

fn list(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        daemon.ask_feeds(async |mut client| client.list_feeds(wire::ListFeedsRequest {}).await).await
    })?;
    let feeds: Vec<FeedRow> = answer.try_into()?;
    show(output, &feeds)
}

fn remove(global: &Global, output: &mut Output, feed: String) -> Result<(), Failure> {
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?.within(PATIENCE);
        let request = wire::RemoveFeedRequest { feed };
        daemon.ask_feeds(async |mut client| client.remove_feed(request).await).await
    })?;
    let row = FeedRow::try_from(answer)?;
    match output.format {
        Format::Json => output.json(&json::feed(&row)),
        Format::Raw => output.raw(&fields(&row)),
        Format::Human => output.line(&format!("The feed {} is followed no more", row.name)),
    }
}

fn refresh(global: &Global, output: &mut Output, feed: String, force: bool) -> Result<(), Failure> {
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?.within(PATIENCE);
        let request = wire::RefreshFeedsRequest { feed, force };
        daemon.ask_feeds(async |mut client| client.refresh_feeds(request).await).await
    })?;
    let feeds: Vec<FeedRow> = answer.try_into()?;
    show(output, &feeds)?;
    well(&feeds)
}

/// A script learns that something is wrong by the exit code.
fn well(feeds: &[FeedRow]) -> Result<(), Failure> {
    let Some(bad) = feeds.iter().find(|row| !row.trouble.is_empty()) else { return Ok(()) };
    Err(Failure::failed(format!("the feed {}: {}; {}", bad.name, bad.trouble, bad.remedy)))
}

fn show(output: &mut Output, feeds: &[FeedRow]) -> Result<(), Failure> {
    match output.format {
        Format::Json => output.json(&feeds.iter().map(json::feed).collect()),
        Format::Raw => feeds.iter().try_for_each(|row| output.raw(&fields(row))),
        Format::Human if feeds.is_empty() => output.line("No feed is followed: smartfw-cli feed add URL"),
        Format::Human => human(output, feeds),
    }
}

fn human(output: &mut Output, feeds: &[FeedRow]) -> Result<(), Failure> {
    let headings = ["NAME", "ENTRIES", "BLOCKED", "RESTING", "LEFT OUT", "UPDATED", "NEXT", "URL", "STATE"];
    let mut grid = Grid::new(&headings).numbers(&[1, 2, 3, 4]);
    feeds.iter().for_each(|row| grid.toned(cells(row)));
    output.table(grid, 0)?;
    for row in feeds.iter().filter(|row| !row.trouble.is_empty()) {
        output.line(&format!("{}: {}; {}", row.name, row.trouble, row.remedy))?;
    }
    Ok(())
}

fn cells(row: &FeedRow) -> [(String, Tone); 9] {
    let (now, plain) = (now(), |text: String| (text, Tone::Plain));
    let state = if row.trouble.is_empty() { ("well", Tone::Good) } else { ("see below", Tone::Warn) };
    [
        plain(row.name.clone()),
        plain(grouped(row.entries)),
        plain(grouped(row.held - row.resting.min(row.held))),
        plain(grouped(row.resting)),
        plain(grouped(left_out(row))),
        plain(row.updated.map_or_else(|| "never".to_owned(), |at| relative(at, now))),
        plain(relative(row.next, now)),
        plain(row.url.clone()),
        (state.0.to_owned(), state.1),
    ]
}

fn came(row: &FeedRow) -> String {
    let (name, entries, held) = (&row.name, grouped(row.entries), grouped(row.held));
    let left = match left_out(row) {
        0 => String::new(),
        left => format!(
            "; left out: {left} ({} unreadable, {} private or reserved, {} too wide, {} refused)",
            row.unreadable, row.special, row.wide, row.refused
        ),
    };
    format!(
        "The feed {name} is followed: {entries} entries, {held} of them held, {} resting{left}",
        row.resting
    )
}

const fn left_out(row: &FeedRow) -> u64 {
    row.unreadable.saturating_add(row.special).saturating_add(row.wide).saturating_add(row.refused)
}

/// One value a field, as it is; empty where nothing is known.
fn fields(row: &FeedRow) -> [String; 17] {
    [
        row.name.clone(),
        row.url.clone(),
        row.format.clone(),
        row.every.as_secs().to_string(),
        row.max_change.to_string(),
        if row.configured { "configured" } else { "added" }.to_owned(),
        row.entries.to_string(),
        row.held.to_string(),
        row.resting.to_string(),
        row.unreadable.to_string(),
        row.special.to_string(),
        row.wide.to_string(),
        row.refused.to_string(),
        row.updated.map_or_else(String::new, json::rfc3339),
        json::rfc3339(row.next),
        row.trouble.clone(),
        row.remedy.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;

    fn shown(format: Format, row: FeedRow) -> String {
        let bytes = Rc::new(RefCell::new(Vec::new()));
        let mut output = Output::to(format, bytes.clone());
        show(&mut output, &[row]).unwrap();
        output.flush().unwrap();
        let bytes = bytes.borrow().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn row() -> FeedRow {
        let (held, resting, special) = (1200, 1, 3);
        let (trouble, remedy) = ("the server answers 503".into(), "wait".into());
        FeedRow {
            name: "drop".into(),
            entries: 1234,
            held,
            resting,
            special,
            trouble,
            remedy,
            ..FeedRow::default()
        }
    }

    #[test]
    fn a_feed_is_shown_with_what_is_wrong_and_a_script_is_told_too() {
        let human = shown(Format::Human, row());
        assert!(human.contains("1,234") && human.contains("1,199") && human.contains("never"), "{human}");
        assert!(human.contains("drop: the server answers 503; wait"), "{human}");
        assert!(
            shown(Format::Json, row()).contains("\"trouble\":\"the server answers 503\",\"do\":\"wait\"")
        );
        assert_eq!(shown(Format::Raw, row()).trim_end_matches('\n').split('\t').count(), 17);
        assert!(well(&[row()]).is_err() && well(&[FeedRow::default()]).is_ok());
    }
}
