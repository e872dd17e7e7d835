//! What to compare with: a handler that does nothing, in a server set up like ours.

use std::net::{SocketAddr, TcpListener};

use actix_web::{App, HttpResponse, HttpServer, web};

/// A running server.
pub struct Bare {
    /// Where it listens.
    pub address: SocketAddr,
}

/// Starts it; it lives as long as the benchmark.
pub fn start() -> Bare {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a listener has an address");
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let app = || {
                let nothing = || async {
                    HttpResponse::ServiceUnavailable()
                        .insert_header(("retry-after", 1))
                        .finish()
                };
                App::new().route("/take/{unique_id}", web::post().to(nothing))
            };
            HttpServer::new(app)
                .workers(2)
                .listen(listener)
                .expect("it listens")
                .run()
                .await
        })
    });
    Bare { address }
}
