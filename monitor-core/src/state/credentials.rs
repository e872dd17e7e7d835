//! The secrets of guests: the one that proves which runner a guest is, and the one that starts it.
//!
//! Owns that each runner's credential is handed out once, and only to its guest. All of it is in
//! memory only: a guest that has not fetched its credential when the monitor ends never comes
//! online, and is replaced.

use std::collections::BTreeMap;

use shared::secret::Secret;

use crate::RunnerId;

/// What is kept for each runner.
#[derive(Default)]
pub struct Credentials(BTreeMap<RunnerId, Credential>);

struct Credential {
    guest_secret: Secret,
    jit_config: JitConfig,
}

enum JitConfig {
    NotYet,
    Ready(Secret),
    Handed,
}

/// What a guest that asks for its credential gets.
#[derive(Debug)]
pub enum CredentialHandover {
    /// The credential, this once.
    Granted(RunnerId, Secret),
    /// Nothing yet: the runner is still being registered.
    NotYet(RunnerId),
    /// Nothing: it was handed out before. Somebody may have stolen it.
    AlreadyHandedOver(RunnerId),
    /// Nothing: no guest has that secret.
    Unknown,
}

impl Credentials {
    /// A guest is about to be made, and will prove itself by `guest_secret`.
    pub fn expect(&mut self, id: RunnerId, guest_secret: Secret) {
        let jit_config = JitConfig::NotYet;
        self.0.insert(
            id,
            Credential {
                guest_secret,
                jit_config,
            },
        );
    }

    /// The runner is registered.
    pub fn provide(&mut self, id: RunnerId, jit_config: Secret) {
        if let Some(credential) = self.0.get_mut(&id) {
            credential.jit_config = JitConfig::Ready(jit_config);
        }
    }

    /// Whether the runner's guest may have its credential: of one that an earlier monitor made,
    /// nobody knows.
    pub fn may_be_fetched(&self, id: RunnerId) -> bool {
        let credential = self.0.get(&id);
        credential.is_none_or(|it| matches!(it.jit_config, JitConfig::Handed))
    }

    /// Nothing is left of the runner.
    pub fn forget(&mut self, id: RunnerId) {
        self.0.remove(&id);
    }

    /// Which runner's guest has this secret.
    pub fn guest_with_secret(&self, guest_secret: &str) -> Option<RunnerId> {
        // Every secret is compared, so that time tells nothing about which one was close.
        self.0.iter().fold(None, |found, (id, credential)| {
            let is_it = credential.guest_secret.matches(guest_secret);
            if is_it { Some(*id) } else { found }
        })
    }

    /// Hands the credential to the guest with this secret, where that alone is proof enough.
    pub fn hand_over(&mut self, guest_secret: &str) -> CredentialHandover {
        match self.guest_with_secret(guest_secret) {
            Some(id) => self.hand_over_to(id),
            None => CredentialHandover::Unknown,
        }
    }

    /// Hands the credential to the guest of this runner, which has proven that it is that.
    pub fn hand_over_to(&mut self, id: RunnerId) -> CredentialHandover {
        let Some(credential) = self.0.get_mut(&id) else {
            return CredentialHandover::Unknown;
        };
        match std::mem::replace(&mut credential.jit_config, JitConfig::Handed) {
            JitConfig::Ready(jit_config) => CredentialHandover::Granted(id, jit_config),
            JitConfig::Handed => CredentialHandover::AlreadyHandedOver(id),
            JitConfig::NotYet => {
                credential.jit_config = JitConfig::NotYet;
                CredentialHandover::NotYet(id)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed(credentials: &mut Credentials, guest_secret: &str) -> String {
        match credentials.hand_over(guest_secret) {
            CredentialHandover::Granted(id, jit_config) => format!("{id}: {}", jit_config.expose()),
            CredentialHandover::NotYet(id) => format!("{id}: not yet"),
            CredentialHandover::AlreadyHandedOver(id) => format!("{id}: again"),
            CredentialHandover::Unknown => "stranger".into(),
        }
    }

    #[test]
    fn a_credential_is_handed_once_and_only_to_its_guest() {
        let mut credentials = Credentials::default();
        credentials.expect(RunnerId(1), Secret::new("one"));
        credentials.expect(RunnerId(2), Secret::new("two"));
        assert_eq!(handed(&mut credentials, "one"), "1: not yet");
        credentials.provide(RunnerId(1), Secret::new("jit one"));
        credentials.provide(RunnerId(2), Secret::new("jit two"));
        for (guest_secret, expected) in [
            ("", "stranger"),
            ("one two", "stranger"),
            ("one", "1: jit one"),
            ("one", "1: again"),
            ("two", "2: jit two"),
        ] {
            assert_eq!(
                handed(&mut credentials, guest_secret),
                expected,
                "{guest_secret}"
            );
        }
    }

    #[test]
    fn a_runner_that_is_gone_has_no_credential() {
        let mut credentials = Credentials::default();
        credentials.expect(RunnerId(1), Secret::new("one"));
        credentials.provide(RunnerId(1), Secret::new("jit one"));
        credentials.forget(RunnerId(1));
        assert_eq!(handed(&mut credentials, "one"), "stranger");
        credentials.provide(RunnerId(1), Secret::new("jit one"));
        assert_eq!(handed(&mut credentials, "one"), "stranger");
    }
}
