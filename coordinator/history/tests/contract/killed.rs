//! A coordinator that is killed while it appends.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use smartfw_history::{Embedded, History as _, Query};

use crate::{
    cases::all,
    events::{NOW, event},
};

/// Tells the second process where to append.
const FOLDER: &str = "SMARTFW_HISTORY_KILLED";

#[tokio::test]
async fn nothing_acknowledged_is_lost_or_doubled_when_the_coordinator_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for acknowledgements in [1, 7, 25, 60] {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "killed::appends_until_it_is_killed", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let told = lines.filter_map(|line| line.strip_prefix("kept ")?.parse::<u64>().ok());
        acknowledged = told.take(acknowledgements).last().unwrap().max(acknowledged);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let history = Embedded::open_in_segments_of(folder.path(), 100).unwrap();
    let rows = all(&history, Query { limit: 1_000, ..Query::default() }).await;
    let sequences: Vec<u64> = rows.iter().rev().map(|row| row.event.sequence).collect();
    assert!(acknowledged >= 900, "{acknowledged}");
    assert!(sequences.len() as u64 >= acknowledged, "{} of {acknowledged}", sequences.len());
    assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
#[ignore = "the other process of the test above"]
async fn appends_until_it_is_killed() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    let history = Embedded::open_in_segments_of(&folder, 100).unwrap();
    let rows = history.size().await.unwrap().events;
    for from in (rows..rows + 10_000).step_by(10) {
        history.append(NOW, (from + 1..=from + 10).map(event).collect()).await.unwrap();
        println!("kept {}", from + 10);
    }
}
