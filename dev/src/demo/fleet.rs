//! Starts the daemons of the demo in this process, watches over them, and ends them.
//!
//! Owns the order of both. Every daemon is built before any runs, so that what cannot be started
//! leaves no runner behind.

use std::{fmt::Display, path::Path, time::Duration};

use emulator::{
    Emulator, EmulatorSettings, Running,
    model::{ListMode, ModelSettings, PER_PAGE_MAX, PageRequest},
};
use shared::secret::Secret;
use tokio::{sync::watch, task::JoinSet};

use super::{
    children,
    hosts::{self, GITHUB_TOKEN, HOSTS, SCOPE},
    ports::Ports,
};
use cli::failure::Failure;

/// How long the daemons may take to answer what they hold.
const DAEMONS_END_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the runners may take to end by themselves.
const RUNNERS_END_TIMEOUT: Duration = Duration::from_secs(10);

/// The daemons, running.
pub struct Fleet {
    github: Emulator,
    serving_github: Running,
    daemons: JoinSet<Ending>,
    stop: watch::Sender<bool>,
}

/// How a daemon ended: its name, and what it failed to do if it was not asked to end.
type Ending = (String, Result<(), String>);

impl Fleet {
    /// Starts everything, with all its files in `folder`. `agent` is what runners are made of.
    ///
    /// # Errors
    /// When a port is taken, or a daemon does not like its settings.
    pub async fn start(folder: &Path, ports: Ports, agent: &Path) -> Result<Self, Failure> {
        let listeners = ports.listen()?;
        let [host_a, host_b] = hosts::make(folder, ports, agent)?;
        let failed = |what: &str, why: &dyn Display| {
            Failure::Other(format!("start {what}: failed to {why}"))
        };
        let queue = queue::app::build(&host_a, vec![listeners.queue])
            .map_err(|error| failed("the queue", &error))?;
        let mut monitors = Vec::new();
        for (settings, listener) in [(host_a, listeners.monitor_a), (host_b, listeners.monitor_b)] {
            let monitor = monitor::build(settings, vec![listener]).await;
            monitors.push(monitor.map_err(|error| failed("a monitor", &error))?);
        }
        let github = Emulator::new(github_settings());
        let serving_github = emulator::serve(github.clone(), listeners.github)
            .map_err(|error| failed("the made-up GitHub", &error))?;

        let (stop, stopped) = watch::channel(false);
        let mut daemons = JoinSet::new();
        daemons.spawn_local(named("the queue", queue.run_until(told(&stopped))));
        for (monitor, (host, _)) in monitors.into_iter().zip(HOSTS) {
            let name = format!("the monitor of host {host}");
            daemons.spawn_local(named(name, monitor.run_until(told(&stopped))));
        }
        Ok(Self {
            github,
            serving_github,
            daemons,
            stop,
        })
    }

    /// Resolves when a daemon has ended that should not have.
    pub async fn broken(&mut self) -> Failure {
        match self.daemons.join_next().await {
            Some(Ok((name, Ok(())))) => Failure::Other(format!("keep {name} up: it ended")),
            Some(Ok((name, Err(why)))) => {
                Failure::Other(format!("keep {name} up: it failed to {why}"))
            }
            Some(Err(panic)) => Failure::Other(format!("keep the daemons up: {panic}")),
            None => Failure::Other("keep the daemons up: all have ended".to_owned()),
        }
    }

    /// Ends everything: first the daemons, so that they make no new runners, then the runners,
    /// then GitHub, which has told them that it no longer knows them.
    pub async fn end(mut self) {
        let _ = self.stop.send(true);
        // How they end is nobody's concern any more.
        let all = async { while self.daemons.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DAEMONS_END_TIMEOUT, all).await;
        self.daemons.shutdown().await;
        forget_runners(&self.github);
        children::end_all(RUNNERS_END_TIMEOUT).await;
        self.serving_github.stop().await;
    }
}

/// Runs a daemon to its end.
async fn named<E: Display>(
    name: impl Into<String>,
    daemon: impl Future<Output = Result<(), E>>,
) -> Ending {
    let ended = daemon.await;
    (name.into(), ended.map_err(|error| error.to_string()))
}

/// Resolves when the daemons are told to end.
fn told(stopped: &watch::Receiver<bool>) -> impl Future<Output = ()> + use<> {
    let mut stopped = stopped.clone();
    async move {
        // A sender that has gone is an order too.
        let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
    }
}

fn github_settings() -> EmulatorSettings {
    EmulatorSettings {
        model: ModelSettings {
            // The monitors ask far more often than GitHub would let them.
            request_count_max: u64::MAX,
            // A busy machine may keep a runner from being heard for a while.
            silence_timeout: Duration::from_secs(20),
            ..ModelSettings::default()
        },
        ..EmulatorSettings::new(Secret::new(GITHUB_TOKEN))
    }
}

/// Removes all registrations, which is how runners learn that they are not wanted any more.
fn forget_runners(github: &Emulator) {
    let scope = SCOPE.parse().expect("that is an organisation");
    github.model(|model, now| {
        // Somebody may have tried what a list that lags does; that one would never be empty.
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
