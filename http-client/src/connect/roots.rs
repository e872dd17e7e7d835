//! The certificates of the certification authorities that this host trusts.
//!
//! Responsible for using all that can be read. One unreadable file must not keep the others from
//! being used.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};
use rustls_native_certs::{CertificateResult, load_native_certs};

/// The most errors that are kept; the others are only counted.
const ERRORS_MAX: usize = 20;

/// The usable root certificates, and what could not be used.
#[derive(Debug)]
pub struct RootCertificates {
    store: Arc<RootCertStore>,
    /// Files that could not be read, and certificates that could not be parsed; at most 20.
    pub errors: Vec<String>,
}

impl RootCertificates {
    /// The number of usable certificates.
    pub fn usable_count(&self) -> usize {
        self.store.len()
    }

    /// What an operator has to know, in one sentence for each cause.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self
            .errors
            .iter()
            .map(|error| format!("root certificates: {error}; it is left out"))
            .collect();
        if self.usable_count() == 0 {
            warnings.push(
                "root certificates: none can be used, so that every https request fails; install \
                 ca-certificates, or set SSL_CERT_FILE to a file with certificates"
                    .to_owned(),
            );
        }
        warnings
    }

    fn of(found: CertificateResult) -> Self {
        let mut errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let mut store = RootCertStore::empty();
        let (_, unusable_count) = store.add_parsable_certificates(found.certs);
        if unusable_count > 0 {
            errors.push(format!("{unusable_count} cannot be parsed"));
        }
        errors.truncate(ERRORS_MAX);
        Self {
            store: Arc::new(store),
            errors,
        }
    }

    /// Those in a file and in a directory, for tests.
    #[cfg(any(test, feature = "testing"))]
    pub fn of_paths(file: Option<&std::path::Path>, directory: Option<&std::path::Path>) -> Self {
        Self::of(rustls_native_certs::load_certs_from_paths(file, directory))
    }
}

/// The root certificates of this host, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`. They are read
/// once per process.
pub fn root_certificates() -> &'static RootCertificates {
    static ROOTS: OnceLock<RootCertificates> = OnceLock::new();
    ROOTS.get_or_init(|| RootCertificates::of(load_native_certs()))
}

/// TLS 1.2 and 1.3 with these certificates, for HTTP/1.1.
pub(crate) fn tls_config(roots: &RootCertificates) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder()
        .with_root_certificates(Arc::clone(&roots.store))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}
