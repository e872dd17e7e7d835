//! GitHub Apps: checks their JWTs, and issues tokens for their installations.
//!
//! Pure: the time and the tokens are arguments.
//! Source: GitHub's documentation, "Generating a JSON Web Token (JWT) for a GitHub App" and
//! "Authenticating as a GitHub App installation".

use std::{collections::VecDeque, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde::{Deserialize, de::DeserializeOwned};
use shared::{clock::Timestamp, secret::Secret};

/// How far in the future a JWT may expire.
const JWT_LIFETIME_MAX: Duration = Duration::from_mins(10);
/// How long an installation token is valid.
const TOKEN_LIFETIME: Duration = Duration::from_hours(1);
/// Maximum number of valid tokens. Beyond it the oldest is dropped.
const TOKEN_COUNT_MAX: usize = 1_000;

/// A GitHub App with one installation.
#[derive(Clone, Debug)]
pub struct App {
    /// The issuer of its JWTs.
    pub id: u64,
    pub installation_id: u64,
    /// The RSA public key that its JWTs are verified with, as PKCS#1 DER.
    pub public_key: Vec<u8>,
}

/// Why a JWT is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJwt {
    /// It is not a JWT, or not signed by this App.
    #[error("A JSON web token could not be decoded")]
    Undecodable,
    #[error("The claim 'iat' of the JSON web token lies in the future")]
    IssuedInFuture,
    #[error("The claim 'exp' of the JSON web token has passed")]
    Expired,
    #[error("The claim 'exp' of the JSON web token is too far in the future")]
    LifetimeTooLong,
    /// The App does not exist, or does not have that installation.
    #[error("Integration not found")]
    UnknownApp,
}

/// An issued installation token.
#[derive(Debug)]
struct Token {
    /// The index of its App.
    app: usize,
    token: Secret,
    expires_at: Timestamp,
}

/// All Apps of one emulator.
#[derive(Debug)]
pub(crate) struct Apps {
    apps: Vec<App>,
    /// Oldest first, which is also the order in which they expire.
    tokens: Mutex<VecDeque<Token>>,
}

impl Apps {
    pub(crate) fn new(apps: Vec<App>) -> Self {
        Self {
            apps,
            tokens: Mutex::default(),
        }
    }

    /// Checks a JWT at `now`, which is GitHub's time and may differ from ours.
    pub(crate) fn check(
        &self,
        installation_id: u64,
        jwt: &str,
        now: Timestamp,
    ) -> Result<AppIndex, InvalidJwt> {
        let (signed, signature) = jwt.rsplit_once('.').ok_or(InvalidJwt::Undecodable)?;
        let (header, payload) = signed.split_once('.').ok_or(InvalidJwt::Undecodable)?;
        let header: Header = decode(header)?;
        let claims: Claims = decode(payload)?;
        let signature = URL_SAFE_NO_PAD.decode(signature);
        let signature = signature.map_err(|_| InvalidJwt::Undecodable)?;
        let is_issuer = |app: &App| claims.iss.matches(app.id);
        let index = self.apps.iter().position(is_issuer);
        let index = index.ok_or(InvalidJwt::UnknownApp)?;
        let app = &self.apps[index];
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &app.public_key);
        if header.alg != "RS256" || key.verify(signed.as_bytes(), &signature).is_err() {
            return Err(InvalidJwt::Undecodable);
        }
        claims.check(now)?;
        if app.installation_id != installation_id {
            return Err(InvalidJwt::UnknownApp);
        }
        Ok(AppIndex(index))
    }

    /// Makes `token` a valid token of the App; returns when it expires.
    pub(crate) fn issue(&self, app: AppIndex, token: Secret, now: Timestamp) -> Timestamp {
        let expires_at = now + TOKEN_LIFETIME;
        let mut tokens = self.tokens.lock();
        while tokens.len() >= TOKEN_COUNT_MAX || has_expired(tokens.front(), now) {
            tokens.pop_front();
        }
        tokens.push_back(Token {
            app: app.0,
            token,
            expires_at,
        });
        expires_at
    }

    /// The index of the App that `candidate` is a valid token of.
    pub(crate) fn owner(&self, candidate: &str, now: Timestamp) -> Option<usize> {
        let tokens = self.tokens.lock();
        let is_valid = |it: &&Token| now < it.expires_at && it.token.matches(candidate);
        tokens.iter().find(is_valid).map(|it| it.app)
    }
}

fn has_expired(oldest: Option<&Token>, now: Timestamp) -> bool {
    oldest.is_some_and(|it| it.expires_at <= now)
}

/// The index of an App whose JWT was valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AppIndex(usize);

/// The header of a JWT.
#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// The payload of a JWT.
#[derive(Deserialize)]
struct Claims {
    iss: Issuer,
    iat: u64,
    exp: u64,
}

/// GitHub accepts the App's id as a number and as a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Issuer {
    Number(u64),
    Text(String),
}

impl Issuer {
    fn matches(&self, id: u64) -> bool {
        match self {
            Self::Number(number) => *number == id,
            Self::Text(text) => *text == id.to_string(),
        }
    }
}

impl Claims {
    fn check(&self, now: Timestamp) -> Result<(), InvalidJwt> {
        let (issued_at, expires_at) = (
            Timestamp::from_seconds(self.iat),
            Timestamp::from_seconds(self.exp),
        );
        if now < issued_at {
            return Err(InvalidJwt::IssuedInFuture);
        }
        if expires_at <= now {
            return Err(InvalidJwt::Expired);
        }
        if now + JWT_LIFETIME_MAX < expires_at {
            return Err(InvalidJwt::LifetimeTooLong);
        }
        Ok(())
    }
}

fn decode<T: DeserializeOwned>(part: &str) -> Result<T, InvalidJwt> {
    let json = URL_SAFE_NO_PAD.decode(part).ok();
    let read = json.and_then(|json| serde_json::from_slice(&json).ok());
    read.ok_or(InvalidJwt::Undecodable)
}

#[cfg(test)]
mod tests {
    use ring::{
        rand::SystemRandom,
        rsa::KeyPair,
        signature::{KeyPair as _, RSA_PKCS1_SHA256},
    };
    use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    /// A key that is only used in tests.
    fn key() -> KeyPair {
        let pem = include_bytes!("../../github/src/tests/keys/pkcs8.pem");
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).unwrap();
        KeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap()
    }

    fn apps() -> Apps {
        Apps::new(vec![App {
            id: 7,
            installation_id: 9,
            public_key: key().public_key().as_ref().to_vec(),
        }])
    }

    fn jwt(alg: &str, claims: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&json!({ "alg": alg })), encode(claims));
        let key = key();
        let mut signature = vec![0; key.public().modulus_len()];
        let random = SystemRandom::new();
        key.sign(
            &RSA_PKCS1_SHA256,
            &random,
            signed.as_bytes(),
            &mut signature,
        )
        .unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn check(claims: Value) -> Result<AppIndex, InvalidJwt> {
        apps().check(9, &jwt("RS256", &claims), NOW)
    }

    #[test]
    fn a_jwt_is_valid_for_at_most_ten_minutes_of_githubs_clock() {
        let now = NOW.as_seconds();
        for (iat, exp, expected) in [
            (now, now + 600, Ok(AppIndex(0))),
            (now - 60, now + 480, Ok(AppIndex(0))),
            (now - 9_000, now + 1, Ok(AppIndex(0))),
            (now + 1, now + 600, Err(InvalidJwt::IssuedInFuture)),
            (now, now + 601, Err(InvalidJwt::LifetimeTooLong)),
            (now - 60, now, Err(InvalidJwt::Expired)),
        ] {
            let result = check(json!({"iss": "7", "iat": iat, "exp": exp}));
            assert_eq!(result, expected, "{iat} {exp}");
        }
    }

    #[test]
    fn the_issuer_of_a_jwt_is_a_string_or_a_number() {
        let (iat, exp) = (NOW.as_seconds(), NOW.as_seconds() + 60);
        for (iss, expected) in [
            (json!("7"), Ok(AppIndex(0))),
            (json!(7), Ok(AppIndex(0))),
            (json!("8"), Err(InvalidJwt::UnknownApp)),
            (json!(""), Err(InvalidJwt::UnknownApp)),
            (json!(null), Err(InvalidJwt::Undecodable)),
        ] {
            let result = check(json!({"iss": iss, "iat": iat, "exp": exp}));
            assert_eq!(result, expected, "{iss}");
        }
        let claims = json!({"iss": "7", "iat": iat, "exp": exp});
        let elsewhere = apps().check(8, &jwt("RS256", &claims), NOW);
        assert_eq!(elsewhere, Err(InvalidJwt::UnknownApp));
    }

    #[test]
    fn a_jwt_without_a_valid_signature_is_rejected() {
        let claims = json!({"iss": "7", "iat": 1_000_000, "exp": 1_000_060});
        let good = jwt("RS256", &claims);
        assert_eq!(apps().check(9, &good, NOW), Ok(AppIndex(0)));
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let longer = json!({"iss": "7", "iat": 1_000_000, "exp": 1_000_600});
        let longer = jwt("RS256", &longer);
        let (other, _) = longer.rsplit_once('.').unwrap();
        for bad in [
            String::new(),
            "a.b.c".into(),
            signed.to_owned(),
            format!("{signed}."),
            format!("{other}.{signature}"),
            jwt("none", &claims),
            jwt("HS256", &claims),
        ] {
            let result = apps().check(9, &bad, NOW);
            assert_eq!(result, Err(InvalidJwt::Undecodable), "{bad}");
        }
    }

    #[test]
    fn a_token_is_valid_for_an_hour() {
        let apps = apps();
        let ends_at = apps.issue(AppIndex(0), Secret::new("first"), NOW);
        assert_eq!(ends_at, NOW + Duration::from_secs(3_600));
        let just_before = Timestamp::from_micros(ends_at.as_micros() - 1);
        assert_eq!(apps.owner("first", just_before), Some(0));
        assert_eq!(apps.owner("other", NOW), None);
        apps.issue(AppIndex(0), Secret::new("second"), just_before);
        assert_eq!(apps.owner("first", ends_at), None);
        assert_eq!(apps.owner("second", ends_at), Some(0));
        apps.issue(AppIndex(0), Secret::new("third"), ends_at);
        assert_eq!(apps.tokens.lock().len(), 2, "expired tokens are dropped");
    }

    #[test]
    fn the_number_of_tokens_is_limited() {
        let apps = apps();
        for number in 0..=TOKEN_COUNT_MAX {
            apps.issue(AppIndex(0), Secret::new(number.to_string()), NOW);
        }
        assert_eq!(apps.tokens.lock().len(), TOKEN_COUNT_MAX);
        assert_eq!(
            (apps.owner("0", NOW), apps.owner("1", NOW)),
            (None, Some(0))
        );
    }
}
