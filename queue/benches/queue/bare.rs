//! What to compare with: a handler that does nothing, in a process of its own like the queue.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
};

use actix_web::{App, HttpResponse, HttpServer, web};

/// What this executable is called with to be the server.
pub const ARGUMENT: &str = "bare-handler";

/// A running server; killed when dropped.
pub struct Bare {
    /// Where it listens.
    pub address: SocketAddr,
    process: Child,
}

/// Starts it.
pub fn start() -> Bare {
    let executable = std::env::current_exe().expect("a process has an executable");
    let mut process = Command::new(executable)
        .arg(ARGUMENT)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the bare handler can be started");
    let stdout = process.stdout.take().expect("it is piped");
    let mut address = String::new();
    BufReader::new(stdout)
        .read_line(&mut address)
        .expect("it says where it listens");
    let address = address.trim().parse().expect("that is an address");
    Bare { address, process }
}

/// Is the server, until it is killed.
pub fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    println!("{}", listener.local_addr().expect("it has an address"));
    let app = || {
        let nothing = || async {
            HttpResponse::ServiceUnavailable()
                .insert_header(("retry-after", 1))
                .finish()
        };
        App::new().route("/take/{unique_id}", web::post().to(nothing))
    };
    actix_web::rt::System::new()
        .block_on(async move { HttpServer::new(app).listen(listener)?.run().await })
        .expect("the bare handler serves");
}

impl Drop for Bare {
    fn drop(&mut self) {
        // It may have ended by itself, which has been reported by then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
