//! The key of a GitHub App, and the short-lived JWTs that it signs. GitHub exchanges a JWT for an
//! installation token, with which all other requests are authenticated.
//!
//! Responsible for the claims of the JWT. Sends nothing.
//! Source: GitHub's documentation, "Generating a JSON Web Token (JWT) for a GitHub App".

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use jwt::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use ring::{rsa::KeyPair, signature::KeyPair as _};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde::Serialize;

use shared::{clock::Timestamp, secret::Secret};

/// How far a JWT is dated back, because clocks differ.
const BACKDATED: Duration = Duration::from_secs(60);
/// How long a JWT is valid. GitHub accepts at most ten minutes, by its own clock.
const VALID: Duration = Duration::from_secs(8 * 60);
/// The largest key file that is read, in bytes; one of a 4096-bit key has 3,300.
const FILE_MAX: u64 = 64 * 1024;

/// The private key of a GitHub App, for one of its installations. `Debug` does not show it.
pub struct AppKey {
    app_id: u64,
    installation_id: u64,
    file: PathBuf,
    key: Mutex<Key>,
}

struct Key {
    private: EncodingKey,
    public: Vec<u8>,
}

impl AppKey {
    /// Reads the key file that GitHub generates, a PEM with a PKCS#1 key, or one converted to
    /// PKCS#8.
    ///
    /// # Errors
    /// When the file cannot be read, or does not contain an RSA key.
    pub fn load(app_id: u64, installation_id: u64, file: &Path) -> Result<Self, AppKeyError> {
        Ok(Self {
            app_id,
            installation_id,
            file: file.to_owned(),
            key: Mutex::new(Key::load(file)?),
        })
    }

    /// Reads the file again: the key may have been replaced. On an error the key stays as it is.
    ///
    /// # Errors
    /// Like [`load`](Self::load).
    pub(super) fn reload(&self) -> Result<(), AppKeyError> {
        let key = Key::load(&self.file)?;
        *self.key.lock() = key;
        Ok(())
    }

    /// The id of the App.
    pub fn app_id(&self) -> u64 {
        self.app_id
    }

    /// The id of the installation.
    pub fn installation_id(&self) -> u64 {
        self.installation_id
    }

    /// The public key, with which JWTs are verified: DER in the form of PKCS#1.
    pub fn public_key(&self) -> Vec<u8> {
        self.key.lock().public.clone()
    }

    /// A JWT for the next minutes. `now` is by GitHub's clock, as far as it is known.
    pub(super) fn sign(&self, now: Timestamp) -> Secret {
        let claims = Claims {
            iat: (now - BACKDATED).as_seconds(),
            exp: (now + VALID).as_seconds(),
            iss: self.app_id.to_string(),
        };
        let key = self.key.lock();
        let jwt = jwt::encode(&Header::new(Algorithm::RS256), &claims, &key.private);
        Secret::new(jwt.expect("the key was accepted when it was loaded"))
    }
}

impl Key {
    fn load(file: &Path) -> Result<Self, AppKeyError> {
        let error = |problem| AppKeyError {
            file: file.to_owned(),
            problem,
        };
        let length = fs::metadata(file).map_err(|cause| error(Problem::Unreadable(cause)))?;
        if length.len() > FILE_MAX {
            return Err(error(Problem::NoKey));
        }
        let pem = fs::read(file).map_err(|cause| error(Problem::Unreadable(cause)))?;
        let der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| error(Problem::NoKey))?;
        let pair = match &der {
            PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => return Err(error(Problem::NoKey)),
        };
        let pair = pair.map_err(|cause| error(Problem::Rejected(cause.to_string())))?;
        Ok(Self {
            private: EncodingKey::from_rsa_der(der.secret_der()),
            public: pair.public_key().as_ref().to_vec(),
        })
    }
}

/// The claims that GitHub requires.
#[derive(Serialize)]
struct Claims {
    /// When the JWT was issued, in seconds since the Unix epoch.
    iat: u64,
    /// When it expires.
    exp: u64,
    /// The issuer: the id of the App.
    iss: String,
}

impl std::fmt::Debug for AppKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "AppKey(app {})", self.app_id)
    }
}

/// Why the key of an App cannot be used. The text is a fragment that follows "failed to".
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
        "it is not a PEM file with a private key; use the .pem file that GitHub generated for the App"
    )]
    NoKey,
    #[error("the key cannot be used ({0}); use the .pem file that GitHub generated for the App")]
    Rejected(String),
}

#[cfg(test)]
mod tests {
    use jwt::DecodingKey;
    use serde_json::{Value, json};

    use super::*;

    /// A key that was generated for these tests.
    fn key_file(name: &str) -> PathBuf {
        let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/keys");
        keys.join(name)
    }

    #[test]
    fn a_jwt_is_signed_by_a_key_of_either_form() {
        let now = Timestamp::from_seconds(1_000_000);
        for file in ["pkcs1.pem", "pkcs8.pem"] {
            let key = AppKey::load(7, 9, &key_file(file)).unwrap();
            let public = DecodingKey::from_rsa_der(&key.public_key());
            let validation = jwt::signature_only(Algorithm::RS256);
            let claims: Value = jwt::decode(key.sign(now).expose(), &public, &validation).unwrap();
            assert_eq!(
                claims,
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
