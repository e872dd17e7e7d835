//! Many concurrent clients, each a shell script with curl, and their results.

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

/// Clients of one queue. Dropping this kills them.
pub struct Clients {
    queue_url: String,
    /// The file to which all clients append their results.
    file: PathBuf,
    running: Vec<Child>,
}

/// What a client has received so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientResult {
    /// The time of the enqueue in the ticket, in microseconds.
    pub enqueued_at: Option<u64>,
    /// The runners of its job.
    pub runners: Option<Vec<Value>>,
}

impl Clients {
    /// No clients yet. Their results will be in a file in `folder`.
    pub fn new(queue_url: &str, folder: &Path) -> Self {
        let file = folder.join("clients");
        fs::write(&file, "").unwrap();
        Self {
            queue_url: queue_url.to_owned(),
            file,
            running: Vec::new(),
        }
    }

    /// Starts a client. `profile` may end with `/<count>`; `curl_options` are for its takes.
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

    /// The results so far, by `unique_id`.
    ///
    /// # Panics
    /// When a client was refused, or reported the same result twice.
    pub fn results(&self) -> BTreeMap<String, ClientResult> {
        let mut results: BTreeMap<String, ClientResult> = BTreeMap::new();
        let text = fs::read_to_string(&self.file).unwrap();
        for line in text.split_inclusive('\n').filter(|l| l.ends_with('\n')) {
            let mut fields = line.trim_end().splitn(3, ' ');
            let [unique_id, what, response] = [(); 3].map(|()| fields.next().unwrap());
            let result = results.entry(unique_id.to_owned()).or_default();
            let is_repeated = match what {
                "enqueued" => result.enqueued_at.replace(enqueued_at(response)).is_some(),
                "assigned" => result.runners.replace(runners(response)).is_some(),
                _ => panic!("{line}"),
            };
            assert!(!is_repeated, "twice: {line}");
        }
        results
    }

    /// The number of clients whose job is enqueued.
    pub fn enqueued_count(&self) -> usize {
        let results = self.results();
        let enqueued = results.values().filter(|r| r.enqueued_at.is_some());
        enqueued.count()
    }

    /// The number of clients whose job has its runners.
    pub fn assigned_count(&self) -> usize {
        let results = self.results();
        results.values().filter(|r| r.runners.is_some()).count()
    }

    /// Kills every client with its curl, which closes their connections.
    pub async fn kill(&mut self) {
        for client in &mut self.running {
            let Some(pid) = client.id() else { continue };
            let group = format!("-{pid}");
            let mut kill = Command::new("kill");
            // Fails for clients that have exited already.
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

/// The time of the enqueue in a ticket.
fn enqueued_at(ticket: &str) -> u64 {
    let payload = ticket.split('.').nth(1).expect("a ticket has three parts");
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    payload["enqueued_at_micros"].as_u64().unwrap()
}

fn runners(response: &str) -> Vec<Value> {
    match serde_json::from_str(response).unwrap() {
        Value::Array(runners) => runners,
        runner => vec![runner],
    }
}
