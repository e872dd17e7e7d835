//! Many clients at once, each a shell script with curl, and what they have told so far.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use tokio::process::{Child, Command};

use super::API_TOKEN;

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dev/client.sh");

/// Clients of one queue. They end with this value.
pub struct Clients {
    queue_url: String,
    file: PathBuf,
    running: Vec<Child>,
}

/// What a client has told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// When its job was enqueued, in microseconds, as its ticket says.
    pub enqueued_at: Option<u64>,
    /// The runners that it was given.
    pub runners: Option<Vec<Value>>,
}

impl Clients {
    /// None yet. What they will tell goes to a file in `folder`.
    pub fn of(queue_url: &str, folder: &Path) -> Self {
        let file = folder.join("clients");
        fs::write(&file, "").unwrap();
        Self {
            queue_url: queue_url.to_owned(),
            file,
            running: Vec::new(),
        }
    }

    /// Starts one. `profile` may have a `/count`; `curl_options` are for its takes.
    pub fn start(&mut self, unique_id: &str, profile: &str, curl_options: &[&str]) {
        let client = Command::new(CLIENT)
            .args([&self.queue_url, profile])
            .arg(&self.file)
            .arg(unique_id)
            .args(curl_options)
            .env("SERVO_CI_MONITOR_API_TOKEN", API_TOKEN)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.running.push(client);
    }

    /// What everybody has told so far.
    ///
    /// # Panics
    /// When somebody was refused, or told the same thing twice.
    pub fn told(&self) -> BTreeMap<String, Told> {
        let mut told: BTreeMap<String, Told> = BTreeMap::new();
        let text = fs::read_to_string(&self.file).unwrap();
        for line in text.split_inclusive('\n').filter(|l| l.ends_with('\n')) {
            let mut words = line.trim_end().splitn(3, ' ');
            let [unique_id, what, answer] = [(); 3].map(|()| words.next().unwrap());
            let told = told.entry(unique_id.to_owned()).or_default();
            let before = match what {
                "enqueued" => told.enqueued_at.replace(enqueued_at(answer)).is_some(),
                "served" => told.runners.replace(runners(answer)).is_some(),
                _ => panic!("{line}"),
            };
            assert!(!before, "twice: {line}");
        }
        told
    }

    /// How many have been enqueued, and how many served.
    pub fn counts(&self) -> (usize, usize) {
        let told = self.told();
        (
            told.values().filter(|t| t.enqueued_at.is_some()).count(),
            told.values().filter(|t| t.runners.is_some()).count(),
        )
    }

    /// Kills every client that still runs, with its curl: their sockets close, and nobody says why.
    pub async fn kill(&mut self) {
        for client in &mut self.running {
            let Some(pid) = client.id() else { continue };
            let group = format!("-{pid}");
            let mut kill = Command::new("kill");
            // Those that have ended by themselves cannot be killed, and need not.
            let _ = kill
                .args(["-KILL", "--", &group])
                .stderr(Stdio::null())
                .status()
                .await;
            client.wait().await.unwrap();
        }
        self.running.clear();
    }
}

/// What a ticket says about when its job was enqueued.
fn enqueued_at(ticket: &str) -> u64 {
    let payload = ticket.split('.').nth(1).expect("a ticket has three parts");
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    payload["enqueued_at_micros"].as_u64().unwrap()
}

fn runners(answer: &str) -> Vec<Value> {
    match serde_json::from_str(answer).unwrap() {
        Value::Array(runners) => runners,
        runner => vec![runner],
    }
}
