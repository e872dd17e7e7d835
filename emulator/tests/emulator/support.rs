//! The fixture of the tests: an emulator on a port and an HTTP client for it.

use std::{future::Future, io, net::TcpListener, time::Duration};

use actix_web::rt::net::TcpStream;
use emulator::{
    Emulator, EmulatorSettings, EmulatorThread,
    model::{JobId, ModelSettings, NewJob},
};
use github::{Credentials, Github, GithubConfig};
use http_client::{Client, HttpError, Method, Request, Response};
use serde_json::{Value, json};
use shared::{secret::Secret, values::RunId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub const TOKEN: &str = "test-token";
pub const RUNNERS: &str = "/orgs/acme/actions/runners";
pub const JIT_CONFIG: &str = "/orgs/acme/actions/runners/generate-jitconfig";

/// An emulator on a free port, and an HTTP client that has its token.
pub struct Fixture {
    thread: EmulatorThread,
    pub client: Client,
    pub token: Secret,
}

impl Fixture {
    pub fn new() -> Self {
        Self::with(ModelSettings::default())
    }

    pub fn with(model: ModelSettings) -> Self {
        Self::of(EmulatorSettings {
            model,
            ..EmulatorSettings::new(Secret::new(TOKEN))
        })
    }

    pub fn of(settings: EmulatorSettings) -> Self {
        let token = settings.tokens[0].clone();
        Self {
            thread: emulator::spawn(settings).unwrap(),
            client: Client::new(),
            token,
        }
    }

    pub fn emulator(&self) -> &Emulator {
        &self.thread.emulator
    }

    /// The client that the daemons use.
    pub fn daemon_client(&self, credentials: Credentials) -> Github {
        let settings = GithubConfig {
            api_url: self.thread.base_url.clone(),
            scope_path: "/orgs/acme".into(),
            credentials,
            retry_timeout: Duration::ZERO,
        };
        Github::new(Client::new(), settings)
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.thread.base_url)
    }

    /// Sends a request with the token.
    pub async fn try_call(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&'static str, &str)],
    ) -> Result<Response, HttpError> {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            self.url(path)
        };
        let mut call = Request::new(Method::from_bytes(method.as_bytes()).unwrap(), &url);
        call.bearer = Some(&self.token);
        if let Some(body) = &body {
            call = call.json(body);
        }
        for (name, value) in headers {
            call = call.header(name, *value);
        }
        within(self.client.send(call)).await
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Response {
        self.try_call(method, path, body, &[]).await.unwrap()
    }

    /// Sends a request; returns the status and the JSON body of the response.
    pub async fn json(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let answer = self.call(method, path, body).await;
        (answer.status.as_u16(), answer.json().unwrap())
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.json("GET", path, None).await
    }

    /// Registers a runner with the organisation; returns its id and its JIT configuration.
    pub async fn register(&self, name: &str, labels: &[&str]) -> (u64, Secret) {
        let (status, body) = self
            .json("POST", JIT_CONFIG, Some(registration(name, labels)))
            .await;
        assert_eq!(status, 201, "{body}");
        let config = body["encoded_jit_config"].as_str().unwrap();
        (body["runner"]["id"].as_u64().unwrap(), Secret::new(config))
    }

    /// The names in the organisation's list of runners.
    pub async fn listed(&self) -> Vec<String> {
        let (status, body) = self.get(RUNNERS).await;
        assert_eq!(status, 200);
        let runners = body["runners"].as_array().unwrap();
        runners
            .iter()
            .map(|runner| runner["name"].as_str().unwrap().to_owned())
            .collect()
    }

    pub fn queue(&self, command: &str) -> JobId {
        let job = NewJob {
            repo: "acme/widgets".parse().unwrap(),
            run_id: RunId(7),
            labels: vec!["x".into()],
            command: command.into(),
        };
        self.emulator()
            .model(|model, now| model.queue_job(now, job))
            .unwrap()
    }

    /// Sends a request over a new connection, and reads the response until the connection ends.
    pub async fn raw(&self, request: &str) -> Raw {
        let mut stream = self.connect(request).await;
        let mut received = Vec::new();
        within(stream.read_to_end(&mut received)).await.unwrap();
        Raw::new(&received)
    }

    pub async fn connect(&self, request: &str) -> TcpStream {
        let host = self.thread.base_url.trim_start_matches("http://");
        let mut stream = within(TcpStream::connect(host)).await.unwrap();
        let text = request.replace("HOST", host).replace('\n', "\r\n");
        within(stream.write_all(text.as_bytes())).await.unwrap();
        stream
    }

    /// Waits until `is_met`.
    pub async fn until(&self, is_met: impl FnMut(&Emulator) -> bool) {
        within(self.emulator().until(is_met)).await;
    }
}

/// A raw response, split into head and body.
pub struct Raw {
    pub head: String,
    pub body: Vec<u8>,
}

impl Raw {
    pub fn new(received: &[u8]) -> Self {
        let end = received.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.map_or(received.len(), |end| end + 4);
        Self {
            head: String::from_utf8(received[..end].to_vec())
                .unwrap()
                .to_ascii_lowercase(),
            body: received[end..].to_vec(),
        }
    }

    pub fn announced_length(&self) -> usize {
        let line = self
            .head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        line.unwrap().parse().unwrap()
    }
}

/// A raw request for the organisation's runners.
pub const RAW_LIST: &str = "GET /orgs/acme/actions/runners HTTP/1.1\nHost: HOST\n\
    User-Agent: test\nAuthorization: Bearer test-token\nConnection: close\n\n";

pub fn registration(name: &str, labels: &[&str]) -> Value {
    json!({ "name": name, "runner_group_id": 1, "labels": labels, "work_folder": "_work" })
}

/// Fails the test if the future takes longer than 30 s.
pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .expect("timeout of the test")
}

/// A URL on which no server listens.
pub fn closed_port() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    Ok(format!("http://{}", listener.local_addr()?))
}
