//! A real queue in this process, which can be restarted at the same address.

use std::{fs, net::TcpListener, path::Path};

use cli::testing::{queue_dashboard, waiting_jobs};
use shared::settings::{Environment, Settings};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

use super::{API_TOKEN, FakeMonitor, wait_until};

/// A queue in front of one monitor.
pub struct TestQueue {
    /// Its base URL, without a slash at the end.
    pub url: String,
    port: u16,
    settings: Settings,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    folder: TempDir,
}

impl TestQueue {
    /// Starts a queue in front of `monitor`, and waits until it has the monitor's report.
    pub async fn start(monitor: &FakeMonitor) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), &monitor.url);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut queue = Self {
            url: format!("http://127.0.0.1:{port}"),
            port,
            settings,
            running: None,
            folder,
        };
        queue.run(listener).await;
        queue
    }

    /// Stops it gracefully: held requests are answered, then the port is closed.
    pub async fn stop(&mut self) {
        let (stop, task) = self.running.take().expect("it runs");
        stop.send(()).unwrap();
        task.await.unwrap();
    }

    /// Starts it again with the same data directory.
    pub async fn start_again(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        self.run(listener).await;
    }

    /// Deletes the key that signs tickets. Takes effect at the next start.
    pub fn lose_key(&self) {
        fs::remove_file(self.folder.path().join("queue/ticket-key")).unwrap();
    }

    /// Replaces a part of the settings file.
    pub fn edit_settings(&self, former: &str, new: &str) {
        let file = self.folder.path().join("monitor.toml");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(former), "{text}");
        fs::write(file, text.replace(former, new)).unwrap();
    }

    /// The public ids of the waiting jobs.
    pub async fn waiting_jobs(&self) -> Vec<String> {
        waiting_jobs(&queue_dashboard(&self.url).await)
    }

    async fn run(&mut self, listener: TcpListener) {
        let app = queue::app::build(&self.settings, vec![listener]).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = actix_web::rt::spawn(async move {
            let stop = async { drop(stopped.await) };
            app.run_until(stop).await.unwrap();
        });
        self.running = Some((stop, task));
        wait_until("the queue has the monitor's report", async || {
            queue_dashboard(&self.url).await["servers"][0]["age_seconds"].is_u64()
        })
        .await;
    }
}

fn settings(folder: &Path, monitor_url: &str) -> Settings {
    let file = folder.join("monitor.toml");
    let text = format!(
        r#"
        listen_on = ["127.0.0.1"]
        external_base_url = "{monitor_url}"
        github_api_scope = "/orgs/servo"
        github_api_suffix = "test"
        allowed_qualified_repo_prefix = "servo/"
        available_normal_memory = "1G"
        [queue]
        servers = ["{monitor_url}"]
        settle = 0
        "#
    );
    fs::write(&file, text).unwrap();
    let environment = Environment::from_iter([
        ("SERVO_CI_MONITOR_API_TOKEN", API_TOKEN.to_owned()),
        ("SERVO_CI_MONITOR_DATA_PATH", folder.display().to_string()),
    ]);
    Settings::load(&file, &environment).unwrap()
}

/// The name under which the dashboard shows a job.
pub fn public_id(unique_id: &str) -> String {
    let unique_id: shared::values::UniqueId = unique_id.parse().unwrap();
    unique_id.public_id().to_string()
}
