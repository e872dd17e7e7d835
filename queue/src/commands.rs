//! Executes the commands of the core for one server.

use std::{rc::Rc, time::Duration};

use tokio::sync::{Semaphore, mpsc};

use queue_core::{ForwardOutcome, Input, ServerFailure};

use crate::{
    event_loop::{Command, EventLoop},
    monitor_client::{MonitorClient, ReleaseOutcome, Unreachable},
};

/// The most commands at once for one server: one that hangs must not take the connections of others.
const COMMANDS_MAX: usize = 32;

/// Executes commands as they arrive, each in a task of its own, so that a take that hangs delays no
/// other. Returns when no more can arrive.
pub async fn execute_commands(
    client: MonitorClient,
    event_loop: EventLoop,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    let permits = Rc::new(Semaphore::new(COMMANDS_MAX));
    while let Some(command) = commands.recv().await {
        let (client, event_loop) = (client.clone(), event_loop.clone());
        let permits = Rc::clone(&permits);
        actix_web::rt::spawn(async move {
            let _permit = permits.acquire().await;
            execute(&client, &event_loop, command).await;
        });
    }
}

async fn execute(client: &MonitorClient, event_loop: &EventLoop, command: Command) {
    let server = client.server;
    match command {
        Command::Take(forward) => {
            let timeout = forward.deadline_at.since(event_loop.now());
            // It has waited for the commands before it until its time was over.
            if timeout == Duration::ZERO {
                return;
            }
            let outcome = client.take(&forward, timeout).await;
            let outcome = outcome.unwrap_or_else(|Unreachable| {
                let failure = ServerFailure::NoResponse(String::new());
                event_loop.handle(Input::Unreachable { server, failure });
                ForwardOutcome::Refused("it was not reached".to_owned())
            });
            event_loop.handle(Input::Forwarded {
                server,
                unique_id: forward.request.spec.unique_id,
                token: forward.token,
                outcome,
            });
        }
        Command::Release(release) => {
            let outcome = client.release(&release).await;
            if outcome == ReleaseOutcome::TokenRefused {
                let by_poll = false;
                event_loop.handle(Input::TokenRefused { server, by_poll });
            }
            let is_confirmed = outcome == ReleaseOutcome::Confirmed;
            event_loop.handle(Input::Released {
                server,
                unique_id: release.unique_id,
                token: release.token,
                is_confirmed,
            });
        }
    }
}
