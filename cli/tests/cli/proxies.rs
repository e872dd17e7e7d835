//! The proxies of the environment. The proxy is the queue itself: it answers a request for another host as its own.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    sync::mpsc,
    thread,
};

use cli::testing::TIMEOUT;

use super::support::*;

#[actix_web::test]
async fn requests_go_through_the_proxy_of_the_environment_and_exceptions_do_not() {
    let (_monitor, queue) = one_server().await;
    let status = |url: &str, variables: &[(&str, &str)]| {
        let mut command = ci_runners(&format!("status --queue {url}"));
        command.envs(variables.iter().copied());
        finish(command)
    };
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy"] {
        let shown = status("http://queue.invalid/", &[(name, &queue.url)]).await;
        shown.assert_status(0);
        shown.assert_stdout_has("0 jobs wait");
    }
    let exceptions = [("http_proxy", queue.url.as_str()), ("no_proxy", ".invalid")];
    let shown = status("http://queue.invalid/", &exceptions).await;
    shown.assert_exit(5, "");

    // This machine is reached without it.
    let nowhere = [("http_proxy", "http://127.0.0.1:1")];
    status(&queue.url, &nowhere).await.assert_status(0);
}

#[actix_web::test]
async fn encrypted_requests_ask_the_proxy_for_a_tunnel() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap();
    let (sender, first_line) = mpsc::channel();
    thread::spawn(move || {
        let (stream, _) = proxy.accept().unwrap();
        let line = BufReader::new(stream).lines().next().unwrap();
        sender.send(line.unwrap()).unwrap();
    });
    let mut command = ci_runners("take --queue https://queue.invalid --unique-id a --ticket t");
    command.env("https_proxy", format!("http://{address}"));
    finish(command).await.assert_exit(5, "");
    let expected = "CONNECT queue.invalid:443 HTTP/1.1";
    assert_eq!(first_line.recv_timeout(TIMEOUT).unwrap(), expected);
}

#[actix_web::test]
async fn a_proxy_of_another_kind_is_refused_with_the_remedy_and_without_its_password() {
    let mut command = ci_runners("status --queue http://queue.invalid");
    command.env("http_proxy", "socks5://user:hunter2@127.0.0.1:1080");
    let refused = finish(command).await;
    refused.assert_exit(2, "");
    refused.assert_stderr_has("failed to use the proxy: http_proxy: ");
    refused.assert_stderr_has("http://proxy.example:3128");
    assert!(!refused.stderr.contains("hunter2"));
}
