//! `ci-runners top`: the state of a queue on a full screen, live, with actions.
//!
//! - `state`: what is shown and what keys do; pure
//! - `view`: draws the state; pure
//! - `sources`: polls the daemons and reads events
//! - `changes`: carries out what was confirmed
//!
//! Responsible for the terminal, and for passing events to the state until it wants to end.

mod changes;
mod sources;
mod state;
mod view;

use std::{io, thread};

use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, KeyEventKind},
};
use shared::{clock::Clock, settings::Environment};
use tokio::sync::mpsc::{self, Sender};

use self::state::{Effect, Event, State};
use crate::{addresses::Daemon, exit::Exit, failure::Failure, signal::next_signal, terminal::Look};

/// How many events may wait to be handled. More hold their sources back.
const EVENTS_MAX: usize = 1024;

/// Runs the command.
///
/// # Errors
/// When standard output is no terminal, or the terminal fails. That the queue does not answer is shown.
pub async fn top(daemon: &Daemon, environment: &Environment) -> Result<Exit, Failure> {
    let look = Look::of_stdout(environment);
    if look.width.is_none() {
        return Err(Failure::Usage(
            "fill the screen: standard output is no terminal; use `ci-runners status`".to_owned(),
        ));
    }
    let clock = Clock::start();
    let token = daemon.api_token().ok();
    let state = State::new(daemon.url.to_string(), look, token.is_some(), clock.now());
    let (sender, mut receiver) = mpsc::channel(EVENTS_MAX);
    let sources = sources::start(daemon, token, &sender);
    let mut terminal = ratatui::try_init().map_err(failed)?;
    read_keys(sender.clone());
    let shown = Screen {
        daemon,
        sender,
        server_names: sources.server_names.clone(),
    };
    let ended = tokio::select! {
        ended = shown.run(state, &mut receiver, &mut terminal) => ended.map(|()| Exit::Done),
        signal = next_signal() => signal.map(Exit::from).map_err(Failure::Signals),
    };
    ratatui::restore();
    sources.stop();
    ended
}

fn failed(error: io::Error) -> Failure {
    Failure::Other(format!("use the terminal: {error}"))
}

/// What events are shown on.
struct Screen<'a> {
    daemon: &'a Daemon,
    sender: Sender<Event>,
    server_names: sources::ServerNames,
}

impl Screen<'_> {
    /// Handles events and draws until the state wants to end.
    async fn run(
        &self,
        mut state: State,
        events: &mut mpsc::Receiver<Event>,
        terminal: &mut DefaultTerminal,
    ) -> Result<(), Failure> {
        loop {
            terminal
                .draw(|frame| view::draw(&state, frame))
                .map_err(failed)?;
            let Some(first) = events.recv().await else {
                return Ok(());
            };
            // All that are there: many events make one picture.
            let mut next = Some(first);
            for _ in 0..EVENTS_MAX {
                let Some(event) = next else { break };
                let is_dashboard = matches!(event, Event::Dashboard(..));
                match state.handle(event) {
                    Some(Effect::Quit) => return Ok(()),
                    Some(effect) => {
                        let work = changes::perform(effect, self.daemon.clone());
                        let sender = self.sender.clone();
                        actix_web::rt::spawn(async move {
                            if let Some(event) = work.await {
                                // Fails only when everything ends.
                                let _ = sender.send(event).await;
                            }
                        });
                    }
                    None => {}
                }
                if is_dashboard && let Some(dashboard) = state.queue.get() {
                    let names = dashboard.servers.iter().map(|it| it.name.clone());
                    self.server_names.send_replace(names.collect());
                }
                next = events.try_recv().ok();
            }
        }
    }
}

/// Reads keys on a thread of its own, which ends with the process: reading cannot be interrupted.
fn read_keys(sender: Sender<Event>) {
    thread::spawn(move || {
        while let Ok(read) = event::read() {
            let event = match read {
                event::Event::Key(key) if key.kind != KeyEventKind::Release => Event::Key(key),
                event::Event::Resize(..) => Event::Resized,
                _ => continue,
            };
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
}
