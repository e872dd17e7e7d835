//! Starts the daemons of the demo in this process, reports if one fails, and stops them.
//!
//! Every daemon is built before any runs, so that a failed start leaves no runner behind.

use std::{fmt::Display, path::Path, time::Duration};

use emulator::{
    Emulator, EmulatorSettings, Running,
    model::{ListMode, ModelSettings, PER_PAGE_MAX, PageRequest},
};
use shared::secret::Secret;
use tokio::{sync::watch, task::JoinSet};

use super::{
    children,
    ports::Ports,
    servers::{self, GITHUB_TOKEN, SCOPE, SERVERS},
};
use cli::failure::Failure;

/// How long the daemons may take to answer held requests and stop.
const DAEMONS_STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the runners may take to exit by themselves.
const RUNNERS_EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The running daemons.
pub struct Daemons {
    github: Emulator,
    serving_github: Running,
    running: JoinSet<Ended>,
    stop: watch::Sender<bool>,
}

/// The name of a daemon that ended, and its error as a fragment that follows "failed to".
type Ended = (String, Result<(), String>);

impl Daemons {
    /// Starts everything, with all files in `data_dir`. `agent` is the executable of the runners.
    ///
    /// # Errors
    /// When a port is taken, or a daemon refuses its settings.
    pub async fn start(data_dir: &Path, ports: Ports, agent: &Path) -> Result<Self, Failure> {
        let listeners = ports.listen()?;
        let [server_a, server_b] = servers::write_settings(data_dir, ports, agent)?;
        let failed = |what: &str, why: &dyn Display| {
            Failure::Other(format!("start {what}: failed to {why}"))
        };
        let queue = queue::app::build(&server_a, vec![listeners.queue])
            .map_err(|error| failed("the queue", &error))?;
        let mut monitors = Vec::new();
        for (settings, listener) in [
            (server_a, listeners.monitor_a),
            (server_b, listeners.monitor_b),
        ] {
            let monitor = monitor::build(settings, vec![listener]).await;
            monitors.push(monitor.map_err(|error| failed("a monitor", &error))?);
        }
        let github = Emulator::new(github_settings());
        let serving_github = emulator::serve(github.clone(), listeners.github)
            .map_err(|error| failed("the emulated GitHub", &error))?;

        let (stop, stopped) = watch::channel(false);
        let mut running = JoinSet::new();
        running.spawn_local(named("the queue", queue.run_until(is_stopped(&stopped))));
        for (monitor, (server, _)) in monitors.into_iter().zip(SERVERS) {
            let name = format!("the monitor of server {server}");
            running.spawn_local(named(name, monitor.run_until(is_stopped(&stopped))));
        }
        Ok(Self {
            github,
            serving_github,
            running,
            stop,
        })
    }

    /// Resolves when a daemon ends by itself.
    pub async fn next_failure(&mut self) -> Failure {
        match self.running.join_next().await {
            Some(Ok((name, Ok(())))) => Failure::Other(format!("keep {name} running: it exited")),
            Some(Ok((name, Err(why)))) => {
                Failure::Other(format!("keep {name} running: it failed to {why}"))
            }
            Some(Err(panic)) => Failure::Other(format!("keep the daemons running: {panic}")),
            None => Failure::Other("keep the daemons running: all exited".to_owned()),
        }
    }

    /// Stops everything: first the daemons, so that they create no new runners, then the runners,
    /// which exit when GitHub no longer has their registration, then GitHub.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        // Errors no longer matter: everything is stopped.
        let all = async { while self.running.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DAEMONS_STOP_TIMEOUT, all).await;
        self.running.shutdown().await;
        remove_registrations(&self.github);
        children::end_all(RUNNERS_EXIT_TIMEOUT).await;
        self.serving_github.stop().await;
    }
}

/// Runs a daemon to its end.
async fn named<E: Display>(
    name: impl Into<String>,
    daemon: impl Future<Output = Result<(), E>>,
) -> Ended {
    let ended = daemon.await;
    (name.into(), ended.map_err(|error| error.to_string()))
}

/// Resolves when the daemons have to stop.
fn is_stopped(stopped: &watch::Receiver<bool>) -> impl Future<Output = ()> + use<> {
    let mut stopped = stopped.clone();
    async move {
        // A dropped sender means the same.
        let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
    }
}

fn github_settings() -> EmulatorSettings {
    EmulatorSettings {
        model: ModelSettings {
            // The monitors send far more requests than the 5,000 an hour that GitHub allows.
            request_count_max: 1_000_000,
            // On a busy machine a runner may be slow to poll.
            silence_timeout: Duration::from_secs(20),
            ..ModelSettings::default()
        },
        ..EmulatorSettings::new(Secret::new(GITHUB_TOKEN))
    }
}

/// Removes the registrations of all runners, which makes them exit.
fn remove_registrations(github: &Emulator) {
    let scope = SCOPE.parse().expect("it is an organisation");
    github.model(|model, now| {
        // With the list mode that lags, which a user may have set, the list would never be empty.
        model.set_list_mode(now, ListMode::Live);
        loop {
            let page = PageRequest::new(None, Some(PER_PAGE_MAX));
            let page = model.runners(now, &scope, None, page);
            if page.items.is_empty() {
                return;
            }
            for runner in page.items {
                model.vanish(now, &runner.name);
            }
        }
    });
}
