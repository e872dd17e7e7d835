//! The GitHub Apps that an emulated GitHub knows, and the tokens that it gives their installations.
//!
//! Owns what makes a ticket good, and when a token ends. Reads no clock and makes up no secret.
//! Source: GitHub's documentation, "Generating a JSON Web Token (JWT) for a GitHub App" and
//! "Authenticating as a GitHub App installation".

use std::{collections::VecDeque, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde::{Deserialize, de::DeserializeOwned};
use shared::{clock::Timestamp, secret::Secret};

/// How far ahead the end of a ticket may lie.
const TICKET_MAX: Duration = Duration::from_mins(10);
/// How long a token is good for.
const TOKEN_TIMEOUT: Duration = Duration::from_hours(1);
/// The most tokens that are known at once; above it the oldest is forgotten.
const TOKEN_COUNT_MAX: usize = 1_000;

/// An App, and where it is installed.
#[derive(Clone, Debug)]
pub struct App {
    /// Its number, which its tickets name as their issuer.
    pub id: u64,
    /// The number of its one installation.
    pub installation_id: u64,
    /// What its tickets are checked with: an RSA public key, DER, as in PKCS#1.
    pub public_key: Vec<u8>,
}

/// Why there is no token for a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTicket {
    /// It is not a signed JSON Web Token, or not signed by this App.
    #[error("A JSON web token could not be decoded")]
    Undecodable,
    /// Its `iat` lies ahead.
    #[error("The claim 'iat' of the JSON web token lies in the future")]
    IssuedAhead,
    /// Its `exp` has passed.
    #[error("The claim 'exp' of the JSON web token has passed")]
    Expired,
    /// Its `exp` is more than ten minutes ahead.
    #[error("The claim 'exp' of the JSON web token is too far in the future")]
    TooLong,
    /// No App of this number is known, or it is not installed there.
    #[error("Integration not found")]
    UnknownApp,
}

/// A token that was given out.
#[derive(Debug)]
struct Granted {
    /// The place of its App.
    app: usize,
    token: Secret,
    expires_at: Timestamp,
}

/// All Apps of one emulator.
#[derive(Debug)]
pub(crate) struct Apps {
    apps: Vec<App>,
    /// Oldest first, which is also the order in which they end.
    granted: Mutex<VecDeque<Granted>>,
}

impl Apps {
    pub(crate) fn new(apps: Vec<App>) -> Self {
        Self {
            apps,
            granted: Mutex::default(),
        }
    }

    /// Checks `ticket` at `now`, the time that answers show.
    pub(crate) fn check(
        &self,
        installation_id: u64,
        ticket: &str,
        now: Timestamp,
    ) -> Result<AppPlace, BadTicket> {
        let (signed, signature) = ticket.rsplit_once('.').ok_or(BadTicket::Undecodable)?;
        let (head, payload) = signed.split_once('.').ok_or(BadTicket::Undecodable)?;
        let head: Head = decode(head)?;
        let claims: Claims = decode(payload)?;
        let signature = URL_SAFE_NO_PAD.decode(signature);
        let signature = signature.map_err(|_| BadTicket::Undecodable)?;
        let is_issuer = |app: &App| claims.iss.names(app.id);
        let place = self.apps.iter().position(is_issuer);
        let place = place.ok_or(BadTicket::UnknownApp)?;
        let app = &self.apps[place];
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &app.public_key);
        if head.alg != "RS256" || key.verify(signed.as_bytes(), &signature).is_err() {
            return Err(BadTicket::Undecodable);
        }
        claims.check(now)?;
        if app.installation_id != installation_id {
            return Err(BadTicket::UnknownApp);
        }
        Ok(AppPlace(place))
    }

    /// Makes `token` one of that App's until the moment that is returned.
    pub(crate) fn grant(&self, app: AppPlace, token: Secret, now: Timestamp) -> Timestamp {
        let expires_at = now + TOKEN_TIMEOUT;
        let mut granted = self.granted.lock();
        while granted.len() >= TOKEN_COUNT_MAX || has_ended(granted.front(), now) {
            granted.pop_front();
        }
        granted.push_back(Granted {
            app: app.0,
            token,
            expires_at,
        });
        expires_at
    }

    /// The place of the App that `candidate` is a token of, if it has not ended.
    pub(crate) fn holder(&self, candidate: &str, now: Timestamp) -> Option<usize> {
        let granted = self.granted.lock();
        let mut granted = granted.iter();
        let is_meant = |one: &&Granted| now < one.expires_at && one.token.matches(candidate);
        granted.find(is_meant).map(|one| one.app)
    }
}

fn has_ended(oldest: Option<&Granted>, now: Timestamp) -> bool {
    oldest.is_some_and(|one| one.expires_at <= now)
}

/// Proof that a ticket of this App was good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AppPlace(usize);

/// The first part of a ticket.
#[derive(Deserialize)]
struct Head {
    alg: String,
}

/// What a ticket says.
#[derive(Deserialize)]
struct Claims {
    iss: Issuer,
    iat: u64,
    exp: u64,
}

/// GitHub takes the App's number either way.
#[derive(Deserialize)]
#[serde(untagged)]
enum Issuer {
    Number(u64),
    Text(String),
}

impl Issuer {
    fn names(&self, id: u64) -> bool {
        match self {
            Self::Number(number) => *number == id,
            Self::Text(text) => *text == id.to_string(),
        }
    }
}

impl Claims {
    fn check(&self, now: Timestamp) -> Result<(), BadTicket> {
        let (issued_at, ends_at) = (
            Timestamp::from_seconds(self.iat),
            Timestamp::from_seconds(self.exp),
        );
        if now < issued_at {
            return Err(BadTicket::IssuedAhead);
        }
        if ends_at <= now {
            return Err(BadTicket::Expired);
        }
        if now + TICKET_MAX < ends_at {
            return Err(BadTicket::TooLong);
        }
        Ok(())
    }
}

fn decode<T: DeserializeOwned>(part: &str) -> Result<T, BadTicket> {
    let json = URL_SAFE_NO_PAD.decode(part).ok();
    let read = json.and_then(|json| serde_json::from_slice(&json).ok());
    read.ok_or(BadTicket::Undecodable)
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

    /// Made for the tests, and known to no GitHub.
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

    fn ticket(alg: &str, claims: &Value) -> String {
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

    fn checked(claims: Value) -> Result<AppPlace, BadTicket> {
        apps().check(9, &ticket("RS256", &claims), NOW)
    }

    #[test]
    fn a_ticket_is_good_for_ten_minutes_at_most_by_githubs_clock() {
        let now = NOW.as_seconds();
        for (iat, exp, expected) in [
            (now, now + 600, Ok(AppPlace(0))),
            (now - 60, now + 480, Ok(AppPlace(0))),
            (now - 9_000, now + 1, Ok(AppPlace(0))),
            (now + 1, now + 600, Err(BadTicket::IssuedAhead)),
            (now, now + 601, Err(BadTicket::TooLong)),
            (now - 60, now, Err(BadTicket::Expired)),
        ] {
            let result = checked(json!({"iss": "7", "iat": iat, "exp": exp}));
            assert_eq!(result, expected, "{iat} {exp}");
        }
    }

    #[test]
    fn a_ticket_names_its_app_as_text_or_number() {
        let (iat, exp) = (NOW.as_seconds(), NOW.as_seconds() + 60);
        for (iss, expected) in [
            (json!("7"), Ok(AppPlace(0))),
            (json!(7), Ok(AppPlace(0))),
            (json!("8"), Err(BadTicket::UnknownApp)),
            (json!(""), Err(BadTicket::UnknownApp)),
            (json!(null), Err(BadTicket::Undecodable)),
        ] {
            let result = checked(json!({"iss": iss, "iat": iat, "exp": exp}));
            assert_eq!(result, expected, "{iss}");
        }
        let claims = json!({"iss": "7", "iat": iat, "exp": exp});
        let elsewhere = apps().check(8, &ticket("RS256", &claims), NOW);
        assert_eq!(elsewhere, Err(BadTicket::UnknownApp));
    }

    #[test]
    fn what_the_app_did_not_sign_is_no_ticket() {
        let claims = json!({"iss": "7", "iat": 1_000_000, "exp": 1_000_060});
        let good = ticket("RS256", &claims);
        assert_eq!(apps().check(9, &good, NOW), Ok(AppPlace(0)));
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let longer = json!({"iss": "7", "iat": 1_000_000, "exp": 1_000_600});
        let longer = ticket("RS256", &longer);
        let (other, _) = longer.rsplit_once('.').unwrap();
        for bad in [
            String::new(),
            "a.b.c".into(),
            signed.to_owned(),
            format!("{signed}."),
            format!("{other}.{signature}"),
            ticket("none", &claims),
            ticket("HS256", &claims),
        ] {
            let result = apps().check(9, &bad, NOW);
            assert_eq!(result, Err(BadTicket::Undecodable), "{bad}");
        }
    }

    #[test]
    fn a_token_is_known_for_an_hour() {
        let apps = apps();
        let ends_at = apps.grant(AppPlace(0), Secret::new("first"), NOW);
        assert_eq!(ends_at, NOW + Duration::from_secs(3_600));
        let just_before = Timestamp::from_micros(ends_at.as_micros() - 1);
        assert_eq!(apps.holder("first", just_before), Some(0));
        assert_eq!(apps.holder("other", NOW), None);
        apps.grant(AppPlace(0), Secret::new("second"), just_before);
        assert_eq!(apps.holder("first", ends_at), None);
        assert_eq!(apps.holder("second", ends_at), Some(0));
        apps.grant(AppPlace(0), Secret::new("third"), ends_at);
        assert_eq!(apps.granted.lock().len(), 2, "what has ended is forgotten");
    }

    #[test]
    fn tokens_are_bounded_in_number() {
        let apps = apps();
        for number in 0..=TOKEN_COUNT_MAX {
            apps.grant(AppPlace(0), Secret::new(number.to_string()), NOW);
        }
        assert_eq!(apps.granted.lock().len(), TOKEN_COUNT_MAX);
        assert_eq!(
            (apps.holder("0", NOW), apps.holder("1", NOW)),
            (None, Some(0))
        );
    }
}
