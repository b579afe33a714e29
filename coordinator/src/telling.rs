//! What leaves to the outside world, as the file that the settings name says it.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use smartfw_core::Event;
use smartfw_history::Event as Kept;
use smartfw_outward::{NodeEvent, Outward, Settings};
use tokio::{
    sync::{
        broadcast::{Receiver, error::RecvError},
        watch,
    },
    task::JoinHandle,
    time::interval,
};

use crate::health::{Health, Level, Matter};

/// How often it is looked whether the ways out are free.
const LOOK: Duration = Duration::from_secs(5);
/// How long what waits may take to go out at the end.
const ENDING: Duration = Duration::from_secs(5);
/// Bytes of the file: hundreds of ways out.
const LONGEST: u64 = 1 << 20;

/// Reads the file and starts every way out.
///
/// # Errors
/// When it cannot be read, makes no sense, or a way out cannot be set up.
fn start(file: &Path) -> anyhow::Result<Outward> {
    let about = || format!("{}: it says what leaves to the outside world", file.display());
    anyhow::ensure!(
        std::fs::metadata(file).with_context(about)?.len() <= LONGEST,
        "{}: too long",
        file.display()
    );
    let text = std::fs::read_to_string(file).with_context(about)?;
    let settings: Settings =
        toml::from_str(&text).map_err(|error| anyhow::anyhow!(plain(&error, &text))).with_context(about)?;
    Outward::start(&settings).with_context(about)
}

/// What is wrong and where, without the line itself and without values: a secret may stand there.
fn plain(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
    let of_names = ["unknown field", "missing field", "duplicate"]
        .iter()
        .any(|known| error.message().starts_with(known));
    let what = if of_names { error.message() } else { "something else is expected there" };
    format!("line {line}: {what}")
}

/// Sends a test message by the way out of this name; what the other side says. Needs a runtime.
///
/// # Errors
/// When there is none of that name, or the other side does not take it.
pub async fn test(file: Option<&Path>, name: &str) -> anyhow::Result<String> {
    let file = file.context("nothing leaves to the outside world: `outward` names no file")?;
    let outward = start(file)?;
    let said = outward.test(name).await;
    let said =
        said.with_context(|| format!("{} has no webhook, Slack or mail named {name}", file.display()))?;
    Ok(said?)
}

/// What tells the outside world, at work.
pub struct Telling {
    task: JoinHandle<()>,
    ending: watch::Sender<bool>,
}

impl Telling {
    /// Starts it, as the file says. Needs a runtime.
    ///
    /// # Errors
    /// When the file cannot be read or makes no sense, or a way out cannot be set up.
    pub fn start(file: &Path, events: Receiver<Arc<Kept>>, health: Arc<Health>) -> anyhow::Result<Self> {
        let (outward, ending) = (start(file)?, watch::Sender::new(false));
        let task = tokio::spawn(run(outward, events, health, ending.subscribe()));
        Ok(Self { task, ending })
    }

    /// Ends it, when what waits is out, or has had its time.
    pub async fn end(self) {
        self.ending.send_replace(true);
        // It cannot fail otherwise than by a panic, which was told.
        let _ = self.task.await;
    }
}

/// Tells what is kept to everyone outside, until it is told to end: then what waits has some seconds to go out.
async fn run(
    outward: Outward,
    mut events: Receiver<Arc<Kept>>,
    health: Arc<Health>,
    mut end: watch::Receiver<bool>,
) {
    let (mut look, mut missed) = (interval(LOOK), 0);
    loop {
        tokio::select! {
            _ = look.tick() => {
                show(&outward, missed, &health);
                missed = 0;
            }
            told = events.recv() => match told {
                Ok(event) => outward.tell(&Arc::new(told_of(&event))),
                Err(RecvError::Lagged(more)) => missed += more,
                Err(RecvError::Closed) => return,
            },
            _ = end.changed() => return outward.finish(ENDING).await,
        }
    }
}

fn told_of(kept: &Kept) -> NodeEvent {
    let Kept { node, id: _, epoch: _, sequence, time, kind, address, class, body } = kept.clone();
    NodeEvent { node, event: Event { sequence, time, kind, address, class, body } }
}

/// One entry for all: which way out, and what to do, is in the words of the worst.
fn show(outward: &Outward, missed: u64, health: &Health) {
    let mut wrong = outward.health();
    wrong.sort_by_key(|entry| std::cmp::Reverse(entry.level));
    let others = wrong.len().saturating_sub(1);
    match wrong.into_iter().next() {
        Some(worst) if others > 0 => {
            health.set(
                Matter::Outward,
                worst.level,
                format!("{}; and {others} more", worst.what),
                worst.remedy,
            );
        }
        Some(worst) => health.set(Matter::Outward, worst.level, worst.what, worst.remedy),
        None if missed > 0 => health.set(
            Matter::Outward,
            Level::Warn,
            format!("{missed} events came too fast to be told to the outside"),
            "what was missed is in the history",
        ),
        None => health.clear(Matter::Outward),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_makes_no_sense_is_refused_and_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("outward.toml");
        assert!(start(&file).is_err());
        std::fs::write(&file, "[[exports]]\nname = \"siem\"\n").unwrap();
        let why = format!("{:#}", start(&file).err().unwrap());
        assert!(why.contains("outward.toml") && why.contains("exports"), "{why}");
        std::fs::write(
            &file,
            "\n[[webhook]]\nname = \"on-call\"\nurl = \"https://example.org\"\nsecret = \"hush hush\"\n",
        )
        .unwrap();
        let why = format!("{:#}", start(&file).err().unwrap());
        assert!(why.contains("line 5") && !why.contains("hush"), "{why}");
        let out = folder.path().join("events.json");
        std::fs::write(&file, format!("[[export]]\nname = \"siem\"\nto = \"file://{}\"\n", out.display()))
            .unwrap();
        let outward = start(&file).unwrap();
        assert_eq!(outward.states().len(), 1);
    }
}
