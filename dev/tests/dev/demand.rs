//! Pools that follow demand: a real queue tells real monitors of the jobs that wait.

use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Child;

use crate::support::{
    Clients, daemon, free_ports, get, profile, settings_with, start_emulator, url, wait_until,
};

/// A server with room for three runners: one of `linux`, two of `windows`, and none of `rare`, which may all use
/// the room of the others.
const PROFILES: [(&str, usize, usize); 3] = [("linux", 1, 3), ("windows", 2, 2), ("rare", 0, 1)];

fn settings(github: &str, monitor_port: u16, queue_port: u16) -> String {
    let profiles = PROFILES.map(|(key, target, max)| {
        let counts = format!("target_count = {target}\nmin_count = 0\nmax_count = {max}");
        profile(key, &counts)
    });
    settings_with(github, monitor_port, queue_port, 3, &profiles.concat())
}

fn spawn(folder: &TempDir, name: &str, settings: &str) -> Child {
    let folder = folder.path().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = daemon(name, &folder, settings);
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// The counts of the monitor's runners of a profile.
async fn counts(monitor_url: &str, profile: &str) -> Value {
    let dashboard = get(&format!("{monitor_url}/dashboard.json")).await;
    dashboard.unwrap_or_default()["profile_runner_counts"][profile].clone()
}

#[tokio::test]
async fn idle_runners_make_room_for_those_that_jobs_wait_for_and_come_back_without_the_queue() {
    let folder = tempfile::tempdir().unwrap();
    let (_emulator, github) = start_emulator().await;
    let [monitor_port, queue_port] = free_ports();
    let settings = settings(&github, monitor_port, queue_port);
    let _monitor = spawn(&folder, "monitor", &settings);
    let monitor_url = url(monitor_port);
    wait_until("all runners are idle", async || {
        let linux = counts(&monitor_url, "linux").await;
        let windows = counts(&monitor_url, "windows").await;
        linux["idle"] == 1 && windows["idle"] == 2 && linux["max"] == 3
    })
    .await;
    let mut queue = spawn(&folder, "queue", &settings);
    let queue_url = url(queue_port);
    wait_until("the queue knows the runners", async || {
        let dashboard = get(&format!("{queue_url}/dashboard.json")).await;
        let profiles = dashboard.unwrap_or_default()["profiles"].clone();
        let profiles = profiles.as_array().cloned().unwrap_or_default();
        profiles
            .iter()
            .any(|it| it["profile_key"] == "windows" && it["idle"] == 2)
    })
    .await;
    let mut clients = Clients::new(&queue_url, folder.path());
    clients.start("linux-1", "linux", &[]);
    clients.start("linux-2", "linux", &[]);
    // There is none, and no job of it was ever seen.
    clients.start("rare", "rare", &[]);
    wait_until("all jobs have runners", async || {
        clients.assigned_count() == 3
    })
    .await;
    let windows = counts(&monitor_url, "windows").await;
    assert_eq!(windows["target_reason"], "yielded", "{windows}");
    clients.kill().await;
    queue.kill().await.unwrap();
    // The runners that are reserved are used by no job, and end.
    wait_until("the targets are those of the settings", async || {
        let windows = counts(&monitor_url, "windows").await;
        windows["target"] == 2 && windows["target_reason"].is_null()
    })
    .await;
}
