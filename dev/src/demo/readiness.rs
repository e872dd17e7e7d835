//! Whether all runners of all servers are idle and the queue assigns them, by the queue's dashboard.

use std::{collections::BTreeMap, time::Duration};

use cli::client::dashboard;
use http_client::Client;
use serde::Deserialize;
use shared::settings::BaseUrl;

use super::{jobs::target, servers::SERVERS};

const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The part of the queue's dashboard that is read.
#[derive(Debug, Deserialize)]
struct Dashboard {
    is_dispatching: bool,
    profiles: Vec<Profile>,
}

#[derive(Debug, Deserialize)]
struct Profile {
    profile_key: String,
    idle: usize,
}

/// Resolves when every runner is idle and the queue assigns runners. Has no deadline.
pub async fn until_ready(client: &Client, queue: &BaseUrl) {
    loop {
        // Errors are ignored: those that persist make the caller's deadline pass.
        if let Ok(response) = dashboard(client, queue).await
            && response
                .json::<Dashboard>()
                .is_ok_and(|dashboard| is_ready(&dashboard))
        {
            return;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn is_ready(dashboard: &Dashboard) -> bool {
    let idle: BTreeMap<&str, usize> = dashboard
        .profiles
        .iter()
        .map(|profile| (profile.profile_key.as_str(), profile.idle))
        .collect();
    let mut keys = SERVERS.iter().flat_map(|(_, profiles)| *profiles);
    dashboard.is_dispatching && keys.all(|(key, _)| idle.get(key) == Some(&target(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dashboard(is_dispatching: bool, idle: &[(&str, usize)]) -> Dashboard {
        Dashboard {
            is_dispatching,
            profiles: idle
                .iter()
                .map(|(key, idle)| Profile {
                    profile_key: (*key).into(),
                    idle: *idle,
                })
                .collect(),
        }
    }

    #[test]
    fn the_demo_is_ready_when_every_runner_of_every_server_is_idle() {
        let all = [("linux", target("linux")), ("macos", target("macos"))];
        assert!(is_ready(&dashboard(true, &all)));
        assert!(!is_ready(&dashboard(false, &all)), "startup grace period");
        assert!(
            !is_ready(&dashboard(true, &all[..1])),
            "a profile is missing"
        );
        let too_few = [all[0], ("macos", 0)];
        assert!(!is_ready(&dashboard(true, &too_few)));
    }
}
