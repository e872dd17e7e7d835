//! JSON Web Tokens (RFC 7519): the crate `jsonwebtoken` with `ring` as its cryptography.
//!
//! Responsible for the two algorithms in use: HS256 for the queue's tickets, RS256 for the JWTs of
//! GitHub Apps. Not responsible for what a token contains, nor for when it expires.
//!
//! The backends that `jsonwebtoken` ships would add a second cryptographic library to the one that
//! TLS uses.

#![warn(missing_docs)]

mod ring_provider;

use std::sync::Once;

use serde::{Serialize, de::DeserializeOwned};

pub use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::Error};

/// A token with `claims`, signed with `key`.
///
/// # Errors
/// When `key` is no key of the algorithm that `header` names, or `claims` cannot be written as JSON.
pub fn encode<T: Serialize>(
    header: &Header,
    claims: &T,
    key: &EncodingKey,
) -> Result<String, Error> {
    install();
    jsonwebtoken::encode(header, claims, key)
}

/// The claims of `token`, if `key` signed it with one of the algorithms of `validation`. The
/// signature is checked, in constant time for HS256, before the claims are read.
///
/// # Errors
/// When the token is malformed, has another algorithm or signature, fails `validation`, or has
/// other claims than `T`.
pub fn decode<T: DeserializeOwned>(
    token: &str,
    key: &DecodingKey,
    validation: &Validation,
) -> Result<T, Error> {
    install();
    jsonwebtoken::decode(token, key, validation).map(|token| token.claims)
}

/// Accepts exactly one algorithm, so that a token cannot choose how it is checked, and leaves all
/// claims, the times among them, to the caller.
pub fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

/// `jsonwebtoken` takes its cryptography from a global of the process and panics without one.
fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        ring_provider::PROVIDER
            .install_default()
            .expect("nothing else in this process installs a provider");
    });
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use ring::signature::KeyPair;
    use serde_json::{Value, json};

    use super::*;

    /// The key of RFC 7515, appendix A.1.
    const RFC_KEY: &str =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    /// The token of RFC 7515, appendix A.1.
    const RFC_TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
        dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    fn hs256(secret: &[u8]) -> (EncodingKey, DecodingKey) {
        (
            EncodingKey::from_secret(secret).unwrap(),
            DecodingKey::from_secret(secret).unwrap(),
        )
    }

    /// An RSA key that was made for tests, in both forms of DER, and its public half.
    fn rs256() -> (Vec<EncodingKey>, DecodingKey) {
        let der = |pem: &str| {
            let lines = pem.lines().filter(|line| !line.starts_with('-'));
            let text: String = lines.collect();
            base64::engine::general_purpose::STANDARD
                .decode(text)
                .unwrap()
        };
        let pkcs1 = der(include_str!("../../github/src/tests/keys/pkcs1.pem"));
        let pkcs8 = der(include_str!("../../github/src/tests/keys/pkcs8.pem"));
        let pair = ring::rsa::KeyPair::from_der(&pkcs1).unwrap();
        let public = DecodingKey::from_rsa_der(pair.public_key().as_ref());
        let private = [pkcs1, pkcs8].map(|der| EncodingKey::from_rsa_der(&der));
        (private.into(), public)
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let key = DecodingKey::from_secret(&URL_SAFE_NO_PAD.decode(RFC_KEY).unwrap()).unwrap();
        let claims: Value = decode(RFC_TOKEN, &key, &signature_only(Algorithm::HS256)).unwrap();
        assert_eq!(claims["iss"], "joe");
        let expired = decode::<Value>(RFC_TOKEN, &key, &Validation::new(Algorithm::HS256));
        assert!(expired.is_err());
    }

    #[test]
    fn what_was_signed_is_read_with_either_algorithm() {
        let claims = json!({"sub": "a", "count": 3});
        let (sign, verify) = hs256(b"secret");
        let token = encode(&Header::new(Algorithm::HS256), &claims, &sign).unwrap();
        let header = URL_SAFE_NO_PAD.decode(token.split_once('.').unwrap().0);
        assert_eq!(header.unwrap(), br#"{"typ":"JWT","alg":"HS256"}"#);
        let read: Value = decode(&token, &verify, &signature_only(Algorithm::HS256)).unwrap();
        assert_eq!(read, claims);

        let (private, public) = rs256();
        for sign in private {
            let token = encode(&Header::new(Algorithm::RS256), &claims, &sign).unwrap();
            let read: Value = decode(&token, &public, &signature_only(Algorithm::RS256)).unwrap();
            assert_eq!(read, claims);
        }
    }

    #[test]
    fn a_token_cannot_choose_its_algorithm_or_key() {
        let claims = json!({});
        let (sign, verify) = hs256(b"secret");
        let (private, public) = rs256();
        let hmac = encode(&Header::new(Algorithm::HS256), &claims, &sign).unwrap();
        let rsa = encode(&Header::new(Algorithm::RS256), &claims, &private[0]).unwrap();
        let none = format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
            URL_SAFE_NO_PAD.encode("{}")
        );
        let (_, other) = hs256(b"other");
        let mut changed = hmac.clone().into_bytes();
        changed[hmac.len() - 2] ^= 1;
        let changed = String::from_utf8(changed).unwrap();
        for (token, key, algorithm) in [
            (&*rsa, &verify, Algorithm::HS256),
            (&*hmac, &public, Algorithm::RS256),
            (&*hmac, &public, Algorithm::HS256),
            (&*hmac, &other, Algorithm::HS256),
            (&*none, &verify, Algorithm::HS256),
            (&*changed, &verify, Algorithm::HS256),
            ("", &verify, Algorithm::HS256),
            ("..", &verify, Algorithm::HS256),
        ] {
            assert!(
                decode::<Value>(token, key, &signature_only(algorithm)).is_err(),
                "{token}"
            );
        }
    }

    #[test]
    fn other_algorithms_and_broken_keys_are_errors() {
        let (sign, _) = hs256(b"secret");
        assert!(encode(&Header::new(Algorithm::HS512), &json!({}), &sign).is_err());
        assert!(encode(&Header::new(Algorithm::RS256), &json!({}), &sign).is_err());
        let broken = EncodingKey::from_rsa_der(b"broken");
        assert!(encode(&Header::new(Algorithm::RS256), &json!({}), &broken).is_err());
    }
}
