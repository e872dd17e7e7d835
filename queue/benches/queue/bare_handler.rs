//! What the queue is compared with: handlers that return a constant response, in a process of its
//! own like the queue.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
};

use actix_web::{
    App, HttpResponse, HttpServer,
    http::StatusCode,
    web::{self, Bytes, Data},
};

use crate::http::Response;

/// The first argument with which this executable is the server.
pub const ARGUMENT: &str = "bare-handler";
/// Headers that the server writes by itself.
const OWN_HEADERS: [&str; 3] = ["content-length", "date", "connection"];

/// A response that the bare handler returns: the same status, headers and size as one of the queue.
#[derive(Clone, Debug)]
pub struct Template {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Template {
    /// A template of this response.
    pub fn of(response: Response<'_>) -> Self {
        let headers = response
            .headers()
            .filter(|(name, _)| !OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()));
        Self {
            status: response.status(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: Bytes::from(response.body().to_owned()),
        }
    }

    fn to_argument(&self) -> String {
        let body = str::from_utf8(&self.body).expect("a template's body is text");
        serde_json::json!([self.status, self.headers, body]).to_string()
    }

    fn from_argument(argument: &str) -> Self {
        let (status, headers, body): (u16, Vec<(String, String)>, String) =
            serde_json::from_str(argument).expect("the argument is a template");
        Self {
            status,
            headers,
            body: Bytes::from(body),
        }
    }

    fn response(&self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).expect("a template has a status");
        let mut response = HttpResponse::build(status);
        for (name, value) in &self.headers {
            response.insert_header((name.as_str(), value.as_str()));
        }
        response.body(self.body.clone())
    }
}

/// A running server; killed when dropped.
pub struct BareHandler {
    pub address: SocketAddr,
    process: Child,
}

impl BareHandler {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Starts the server with what it answers to polls and to enqueues.
    pub fn start(poll: &Template, enqueue: &Template) -> Self {
        let executable = std::env::current_exe().expect("a process has an executable");
        let mut process = Command::new(executable)
            .args([ARGUMENT, &poll.to_argument(), &enqueue.to_argument()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the bare handler can be started");
        let stdout = process.stdout.take().expect("it is piped");
        let mut address = String::new();
        BufReader::new(stdout)
            .read_line(&mut address)
            .expect("the bare handler prints its address");
        let address = address.trim().parse().expect("that is an address");
        Self { address, process }
    }
}

/// Serves until this process is killed.
pub fn serve(templates: &[String]) {
    let [poll, enqueue] = templates else {
        panic!("the bare handler needs two templates");
    };
    let (poll, enqueue) = (
        Data::new(Template::from_argument(poll)),
        Data::new(Template::from_argument(enqueue)),
    );
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    println!("{}", listener.local_addr().expect("it has an address"));
    let app = move || {
        let answer = |template: Data<Template>| async move { template.response() };
        App::new()
            .service(
                web::resource("/take/{unique_id}")
                    .app_data(poll.clone())
                    .route(web::post().to(answer)),
            )
            .service(
                web::resource("/profile/{profile_key}/enqueue")
                    .app_data(enqueue.clone())
                    .route(web::post().to(answer)),
            )
    };
    actix_web::rt::System::new()
        .block_on(async move {
            HttpServer::new(app)
                .workers(2)
                .listen(listener)?
                .run()
                .await
        })
        .expect("the bare handler serves");
}

impl Drop for BareHandler {
    fn drop(&mut self) {
        // It may have ended by itself, which has been reported by then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
