//! The key of a GitHub App, and the tickets of a few minutes that it signs: with one of them GitHub
//! gives out an installation token, which everything else is asked with.
//!
//! Owns the form of that ticket, a JSON Web Token (RFC 7519) with RS256. Sends nothing.
//! Source: GitHub's documentation, "Generating a JSON Web Token (JWT) for a GitHub App".

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    rsa::KeyPair,
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::json;

use shared::{clock::Timestamp, secret::Secret};

/// How long before now a ticket says it was made: clocks differ.
const BACKDATED: Duration = Duration::from_secs(60);
/// How long after now it is valid. GitHub takes ten minutes at most, by its own clock.
const VALID: Duration = Duration::from_secs(8 * 60);
/// The largest key file that is read, in bytes; a key of 4096 bits has 3,300.
const FILE_MAX: u64 = 64 * 1024;

/// The key of one App, for one of its installations. Never shown.
pub struct AppKey {
    app_id: u64,
    installation_id: u64,
    key: KeyPair,
}

impl AppKey {
    /// Reads the file that GitHub lets one download, a PEM with a PKCS#1 key, or one converted to
    /// PKCS#8.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no RSA key.
    pub fn load(app_id: u64, installation_id: u64, file: &Path) -> Result<Self, AppKeyError> {
        let error = |problem| AppKeyError {
            file: file.to_owned(),
            problem,
        };
        let length = fs::metadata(file).map_err(|cause| error(Problem::Unreadable(cause)))?;
        if length.len() > FILE_MAX {
            return Err(error(Problem::NoKey));
        }
        let pem = fs::read(file).map_err(|cause| error(Problem::Unreadable(cause)))?;
        let key = match PrivateKeyDer::from_pem_slice(&pem) {
            Ok(PrivateKeyDer::Pkcs1(der)) => KeyPair::from_der(der.secret_pkcs1_der()),
            Ok(PrivateKeyDer::Pkcs8(der)) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => return Err(error(Problem::NoKey)),
        };
        Ok(Self {
            app_id,
            installation_id,
            key: key.map_err(|cause| error(Problem::Rejected(cause.to_string())))?,
        })
    }

    /// Which App it is.
    pub fn app_id(&self) -> u64 {
        self.app_id
    }

    /// Which of its installations is meant.
    pub fn installation_id(&self) -> u64 {
        self.installation_id
    }

    /// What others check its signatures with: an RSA public key, DER, as in PKCS#1.
    pub fn public_key(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }

    /// A ticket for the next minutes. `now` is by GitHub's clock, as far as that is known.
    pub(super) fn sign(&self, now: Timestamp) -> Secret {
        let payload = json!({
            "iat": (now - BACKDATED).as_seconds(),
            "exp": (now + VALID).as_seconds(),
            "iss": self.app_id.to_string(),
        });
        let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
        let signed = format!(
            "{}.{}",
            encode(br#"{"alg":"RS256","typ":"JWT"}"#),
            encode(payload.to_string().as_bytes())
        );
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .expect("the buffer is as long as the modulus");
        Secret::new(format!("{signed}.{}", encode(&signature)))
    }
}

impl std::fmt::Debug for AppKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "AppKey(app {})", self.app_id)
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[error("use the key of the GitHub App in {}: {problem}", file.display())]
pub struct AppKeyError {
    file: PathBuf,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    Unreadable(io::Error),
    #[error(
        "it is not a PEM file with a private key; give the .pem file that GitHub made for the App"
    )]
    NoKey,
    #[error("its key cannot be used ({0}); give the .pem file that GitHub made for the App")]
    Rejected(String),
}

#[cfg(test)]
mod tests {
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;

    /// Where the keys of these tests are: made for them, and known to no GitHub.
    fn key_file(name: &str) -> PathBuf {
        let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/keys");
        keys.join(name)
    }

    #[test]
    fn a_ticket_is_signed_by_a_key_of_either_form() {
        let now = Timestamp::from_seconds(1_000_000);
        for file in ["pkcs1.pem", "pkcs8.pem"] {
            let key = AppKey::load(7, 9, &key_file(file)).unwrap();
            let ticket = key.sign(now);
            let (signed, signature) = ticket.expose().rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key())
                .verify(signed.as_bytes(), &signature)
                .unwrap();
            let parts: Vec<Value> = signed
                .split('.')
                .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
                .collect();
            assert_eq!(parts[0], json!({"alg": "RS256", "typ": "JWT"}));
            assert_eq!(
                parts[1],
                json!({"iat": 999_940, "exp": 1_000_480, "iss": "7"})
            );
            assert_eq!(format!("{key:?}"), "AppKey(app 7)");
        }
    }

    #[test]
    fn a_file_without_a_key_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let long = "x".repeat(FILE_MAX as usize + 1);
        for (content, expected) in [
            ("", "not a PEM file"),
            ("hunter2", "not a PEM file"),
            (certificate, "not a PEM file"),
            (&long, "not a PEM file"),
            (broken, "cannot be used"),
        ] {
            let file = folder.path().join("key.pem");
            fs::write(&file, content).unwrap();
            let error = AppKey::load(1, 1, &file).unwrap_err().to_string();
            assert!(
                error.contains(expected) && error.contains("key.pem"),
                "{error}"
            );
            assert!(!error.contains("hunter2"));
        }
        let missing = AppKey::load(1, 1, &folder.path().join("none")).unwrap_err();
        assert!(missing.to_string().contains("No such file"), "{missing}");
    }
}
