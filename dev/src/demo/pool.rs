//! Whether all runners that the hosts should keep are there and wait for jobs, as the queue sees
//! it.

use std::{collections::BTreeMap, time::Duration};

use http_client::Client;
use serde::Deserialize;
use shared::settings::BaseUrl;

use super::{cast::target, hosts::HOSTS};
use cli::client::dashboard;

/// How often to look.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// What is read of the queue's dashboard.
#[derive(Debug, Deserialize)]
struct Shown {
    is_settled: bool,
    profiles: Vec<Profile>,
}

#[derive(Debug, Deserialize)]
struct Profile {
    profile_key: String,
    idle: usize,
}

/// Resolves when every runner is idle and the queue gives them out. Has no deadline of its own.
pub async fn full(client: &Client, queue: &BaseUrl) {
    loop {
        // Whatever goes wrong meanwhile passes, or shows when the caller's patience is over.
        if let Ok(answer) = dashboard(client, queue).await
            && answer.json::<Shown>().is_ok_and(|shown| is_full(&shown))
        {
            return;
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

fn is_full(shown: &Shown) -> bool {
    let idle: BTreeMap<&str, usize> = shown
        .profiles
        .iter()
        .map(|profile| (profile.profile_key.as_str(), profile.idle))
        .collect();
    let mut keys = HOSTS.iter().flat_map(|(_, profiles)| *profiles);
    shown.is_settled && keys.all(|(key, _)| idle.get(key) == Some(&target(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(is_settled: bool, idle: &[(&str, usize)]) -> Shown {
        Shown {
            is_settled,
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
    fn the_pool_is_full_when_every_runner_of_every_host_is_idle() {
        let all = [("linux", target("linux")), ("macos", target("macos"))];
        assert!(is_full(&shown(true, &all)));
        assert!(!is_full(&shown(false, &all)), "nothing is given out yet");
        assert!(!is_full(&shown(true, &all[..1])), "one profile is unknown");
        let too_few = [all[0], ("macos", 0)];
        assert!(!is_full(&shown(true, &too_few)));
    }
}
