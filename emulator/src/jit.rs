//! The JIT configuration: the secret that a runner is started with.
//!
//! Monitors and guests treat it as opaque text. Here it is the base64 of a JSON object with the
//! emulator's URL and the runner's credentials.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use shared::secret::Secret;

use crate::model::RunnerId;

/// Maximum length of an encoded configuration, in bytes.
const ENCODED_LENGTH_MAX: usize = 16 * 1024;

/// What a runner needs to listen for its job.
#[derive(Clone, Debug, Deserialize)]
pub struct JitConfig {
    /// The emulator's base URL, without a slash at the end.
    pub url: String,
    pub runner_id: RunnerId,
    /// Authenticates the runner.
    pub secret: Secret,
    /// The folder in which the runner lets jobs work; this agent has none.
    pub work_folder: Option<String>,
}

/// The text is not a JIT configuration. It is not repeated here, because it is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("decode the JIT configuration: it is not one of this emulator's")]
pub struct NotJitConfig;

impl JitConfig {
    /// The text that GitHub returns.
    pub fn encode(&self) -> Secret {
        let json = serde_json::json!({
            "url": self.url, "runner_id": self.runner_id, "secret": self.secret.expose(),
            "work_folder": self.work_folder,
        });
        Secret::new(STANDARD.encode(json.to_string()))
    }

    /// The inverse of [`encode`](Self::encode).
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
    fn an_encoded_configuration_can_be_decoded() {
        let config = JitConfig {
            url: "http://127.0.0.1:1".into(),
            runner_id: RunnerId(7),
            secret: Secret::new("hunter2"),
            work_folder: Some("/a".into()),
        };
        let decoded = JitConfig::decode(&config.encode()).unwrap();
        assert_eq!(
            (decoded.url, decoded.runner_id),
            (config.url, config.runner_id)
        );
        assert!(decoded.secret.matches("hunter2"));
        assert_eq!(decoded.work_folder, config.work_folder);
    }

    #[test]
    fn an_invalid_text_is_rejected_and_not_repeated_in_the_error() {
        let long = STANDARD.encode("x".repeat(ENCODED_LENGTH_MAX));
        for text in ["", "hunter2", "aHVudGVyMg==", &STANDARD.encode("{}"), &long] {
            let error = JitConfig::decode(&Secret::new(text)).unwrap_err();
            assert_eq!(error, NotJitConfig);
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
