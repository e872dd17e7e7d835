//! Executes the commands of the core for one server.

use tokio::sync::mpsc;

use queue_core::{ForwardOutcome, Input};

use crate::{
    event_loop::{Command, EventLoop},
    monitor_client::{MonitorClient, Unreachable},
};

/// Executes commands as they arrive, each in a task of its own, so that a take that hangs delays no
/// other. Returns when no more can arrive.
pub async fn execute_commands(
    client: MonitorClient,
    event_loop: EventLoop,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    while let Some(command) = commands.recv().await {
        let (client, event_loop) = (client.clone(), event_loop.clone());
        actix_web::rt::spawn(async move { execute(&client, &event_loop, command).await });
    }
}

async fn execute(client: &MonitorClient, event_loop: &EventLoop, command: Command) {
    let server = client.server;
    match command {
        Command::Take(forward) => {
            let timeout = forward.deadline_at.since(event_loop.now());
            let outcome = client.take(&forward, timeout).await;
            let outcome = outcome.unwrap_or_else(|Unreachable| {
                event_loop.handle(Input::Unreachable { server });
                ForwardOutcome::Refused
            });
            event_loop.handle(Input::Forwarded {
                server,
                unique_id: forward.request.spec.unique_id,
                token: forward.token,
                outcome,
            });
        }
        Command::Release(release) => {
            let is_confirmed = client.release(&release).await;
            event_loop.handle(Input::Released {
                server,
                unique_id: release.unique_id,
                token: release.token,
                is_confirmed,
            });
        }
    }
}
