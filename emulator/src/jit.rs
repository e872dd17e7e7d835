//! The JIT configuration: the one secret a runner is started with.
//!
//! To everybody but GitHub and its runner software it is an opaque text. Here it is the base64 of a
//! JSON object that says where the emulator is and which runner this is.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use shared::secret::Secret;

use crate::model::RunnerId;

/// Longest encoded configuration, in bytes.
const ENCODED_LENGTH_MAX: usize = 16 * 1024;

/// What a runner has to know to listen for its job.
#[derive(Clone, Debug, Deserialize)]
pub struct JitConfig {
    /// The emulator's base address, without a slash at the end.
    pub url: String,
    /// Which runner it is.
    pub runner_id: RunnerId,
    /// What shows that it is this runner.
    pub secret: Secret,
}

/// A text that is no JIT configuration. Does not repeat it, because it is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("decode the jit configuration: it is not one of this emulator's")]
pub struct NotJitConfig;

impl JitConfig {
    /// The text that GitHub hands out.
    pub fn encode(&self) -> Secret {
        let json = serde_json::json!({
            "url": self.url, "runner_id": self.runner_id, "secret": self.secret.expose(),
        });
        Secret::new(STANDARD.encode(json.to_string()))
    }

    /// Reads such a text.
    pub fn decode(encoded: &Secret) -> Result<Self, NotJitConfig> {
        let encoded = encoded.expose().trim();
        if encoded.len() > ENCODED_LENGTH_MAX {
            return Err(NotJitConfig);
        }
        let json = STANDARD.decode(encoded).map_err(|_| NotJitConfig)?;
        serde_json::from_slice(&json).map_err(|_| NotJitConfig)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let config = JitConfig {
            url: "http://127.0.0.1:1".into(),
            runner_id: RunnerId(7),
            secret: Secret::new("hunter2"),
        };
        let decoded = JitConfig::decode(&config.encode()).unwrap();
        assert_eq!(
            (decoded.url, decoded.runner_id),
            (config.url, config.runner_id)
        );
        assert!(decoded.secret.matches("hunter2"));
    }

    #[test]
    fn anything_else_is_refused_without_being_repeated() {
        let long = STANDARD.encode("x".repeat(ENCODED_LENGTH_MAX));
        for text in ["", "hunter2", "aHVudGVyMg==", &STANDARD.encode("{}"), &long] {
            let error = JitConfig::decode(&Secret::new(text)).unwrap_err();
            assert_eq!(error, NotJitConfig);
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
