//! TLS: versions, and root certificates of which some cannot be used.
//!
//! `tls/` has a certification authority whose key was thrown away, and a certificate of it for
//! `localhost`, `api.github.test` and 127.0.0.1, valid until 2126.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use shared::settings::Proxies;

pub(super) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/tests/tls")
        .join(name)
}

/// A server that answers every request with "whole", over these versions of TLS.
pub(super) async fn serve(versions: &[&'static SupportedProtocolVersion]) -> SocketAddr {
    serve_answer(versions, WHOLE).await
}

async fn serve_answer(
    versions: &[&'static SupportedProtocolVersion],
    answer: &'static str,
) -> SocketAddr {
    install_tls();
    let certificate = CertificateDer::from_pem_file(file("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    let config = ServerConfig::builder_with_protocol_versions(versions)
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    actix_web::rt::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            actix_web::rt::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

pub(super) fn roots() -> RootCertificates {
    RootCertificates::of_paths(Some(&file("ca.pem")), None)
}

async fn text(client: &Client, address: SocketAddr) -> Result<String, HttpError> {
    let url = format!("https://localhost:{}/", address.port());
    let response = client.send(get(&url)).await?;
    Ok(response.text().unwrap().to_owned())
}

#[actix_web::test]
async fn tls_1_2_and_1_3_are_spoken() {
    let client = Client::with(Proxies::default(), &roots());
    for versions in [&[&TLS12][..], &[&TLS13], &[&TLS12, &TLS13]] {
        let address = serve(versions).await;
        assert_eq!(
            text(&client, address).await.unwrap(),
            "whole",
            "{versions:?}"
        );
    }
}

#[actix_web::test]
async fn informational_responses_are_left_out_below_tls_too() {
    let answer = format!("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n{WHOLE}");
    let address = serve_answer(&[&TLS13], answer.leak()).await;
    let client = Client::with(Proxies::default(), &roots());
    assert_eq!(text(&client, address).await.unwrap(), "whole");
}

#[actix_web::test]
async fn an_unknown_authority_is_refused() {
    let address = serve(&[&TLS13]).await;
    let nothing = RootCertificates::of_paths(None, None);
    let error = text(&Client::with(Proxies::default(), &nothing), address)
        .await
        .unwrap_err();
    assert!(matches!(error, HttpError::Unreachable { .. }), "{error}");
    let warnings = nothing.warnings();
    assert!(warnings[0].contains("none can be used"), "{warnings:?}");
}

#[actix_web::test]
async fn broken_files_do_not_keep_the_others_from_being_used() {
    let address = serve(&[&TLS12, &TLS13]).await;
    let good = fs::read_to_string(file("ca.pem")).unwrap();
    let block = |content: &str| {
        format!("-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n")
    };
    for (what, broken, is_named) in [
        ("not base64", block("hunter2!"), true),
        ("no certificate", block("aHVudGVyMg=="), true),
        (
            "no end",
            "-----BEGIN CERTIFICATE-----\naGVsbG8=\n".to_owned(),
            true,
        ),
        ("no PEM", "\u{0}\u{1}hunter2".to_owned(), false),
        ("empty", String::new(), false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.pem"), &broken).unwrap();
        fs::write(folder.path().join("b.pem"), &good).unwrap();
        fs::create_dir(folder.path().join("c.pem")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("d.pem")).unwrap();
        std::os::unix::fs::symlink("e.pem", folder.path().join("e.pem")).unwrap();
        let roots = RootCertificates::of_paths(None, Some(folder.path()));
        assert_eq!(roots.usable_count(), 1, "{what}: {:?}", roots.errors);
        // The link to itself is always one.
        assert_eq!(
            roots.errors.len(),
            1 + usize::from(is_named),
            "{:?}",
            roots.errors
        );
        let warnings = roots.warnings();
        assert!(
            warnings.iter().all(|it| it.ends_with("it is left out")),
            "{warnings:?}"
        );
        let client = Client::with(Proxies::default(), &roots);
        assert_eq!(text(&client, address).await.unwrap(), "whole", "{what}");
    }
    // Two in one file, of which the first is broken; and a file that does not exist.
    let folder = tempfile::tempdir().unwrap();
    let both = folder.path().join("both.pem");
    fs::write(&both, block("hunter2!") + &good).unwrap();
    let roots = RootCertificates::of_paths(Some(&both), None);
    assert_eq!((roots.usable_count(), roots.errors.len()), (1, 1));
    let missing = folder.path().join("missing.pem");
    let roots = RootCertificates::of_paths(Some(&missing), Some(folder.path()));
    assert_eq!(roots.usable_count(), 1);
    assert!(roots.errors.iter().any(|it| it.contains("missing.pem")));
    // A folder in place of a file, which is a common mistake.
    let roots = RootCertificates::of_paths(Some(folder.path()), None);
    assert_eq!(roots.usable_count(), 0);
    assert!(!roots.errors.is_empty());
}
