//! `top`: the live view.

mod view;

use std::{io::IsTerminal as _, thread, time::Duration};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use smartfw_proto::{view::TopFrame, wire};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;

use crate::{
    args::Global,
    client::{self, Daemon},
    failure::Failure,
};

/// How long a key may wait to be seen after the view has ended.
const PATIENCE: Duration = Duration::from_millis(200);

pub(super) fn run(global: &Global) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::failed("top needs a terminal; for a script: smartfw-cli status -o json"));
    }
    client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        // Asked before the screen changes: a refusal is told on a screen that can be read.
        let mut frames = daemon.ask(async |mut client| client.top(wire::TopRequest {}).await).await?;
        let mut keys = keys();
        let mut terminal = ratatui::try_init().map_err(Failure::from)?;
        let result = show(&daemon, &mut frames, &mut keys, &mut terminal).await;
        ratatui::restore();
        result
    })
}

/// Draws each frame until the person or the daemon has enough.
async fn show(
    daemon: &Daemon,
    frames: &mut tonic::Streaming<wire::TopFrame>,
    keys: &mut mpsc::Receiver<Event>,
    terminal: &mut ratatui::DefaultTerminal,
) -> Result<(), Failure> {
    let mut last: Option<TopFrame> = None;
    loop {
        if let Some(frame) = &last {
            terminal.draw(|screen| view::draw(screen, frame))?;
        }
        tokio::select! {
            event = keys.recv() => match event {
                None => return Ok(()),
                Some(Event::Key(key)) if quits(&key) => return Ok(()),
                Some(_) => {} // a new size: drawn anew
            },
            frame = frames.next() => match frame {
                Some(Ok(frame)) => last = Some(frame.try_into()?),
                Some(Err(status)) => return Err(daemon.said(&status)),
                None => return Err(daemon.gone()),
            },
        }
    }
}

fn quits(key: &KeyEvent) -> bool {
    let interrupt = key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
    key.kind == KeyEventKind::Press && (interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}

/// Keys as they are pressed, read by a thread that ends with the view.
fn keys() -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel(8);
    thread::spawn(move || {
        while !sender.is_closed() {
            match event::poll(PATIENCE) {
                Ok(false) => {}
                Ok(true) => match event::read() {
                    Ok(event) => drop(sender.blocking_send(event)), // a closed one is seen above
                    Err(_) => return,
                },
                Err(_) => return,
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_escape_and_control_c_end_the_view() {
        for key in [
            KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE),
            KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE),
            KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL),
        ] {
            assert!(quits(&key), "{key:?}");
        }
        assert!(!quits(&KeyEvent::new(KeyCode::Char('c'), KeyModifiers::NONE)));
    }
}
