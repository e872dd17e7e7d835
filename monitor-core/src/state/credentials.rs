//! The secrets of guests: the one that a guest authenticates by, and the JIT configuration that
//! starts its runner.
//!
//! Responsible for handing out each runner's JIT configuration once, and only to its guest. Kept in
//! memory only: a guest that has not fetched its JIT configuration before the monitor restarts never
//! comes online, and is replaced.

use std::collections::BTreeMap;

use shared::secret::Secret;

use crate::RunnerId;

/// The secrets of all guests.
#[derive(Default)]
pub struct Credentials(BTreeMap<RunnerId, Credential>);

struct Credential {
    guest_secret: Secret,
    jit_config: JitConfig,
}

enum JitConfig {
    NotYet,
    Ready(Secret),
    HandedOver,
}

/// The answer to a guest that asks for its JIT configuration.
#[derive(Debug)]
pub enum CredentialHandover {
    /// The JIT configuration. It is handed over only once.
    Granted(RunnerId, Secret),
    /// The runner is still being registered.
    NotYet(RunnerId),
    /// It was handed over before, perhaps to a thief.
    AlreadyHandedOver(RunnerId),
    /// There is no such guest.
    Unknown,
}

impl Credentials {
    /// A guest is about to be created that will authenticate by `guest_secret`.
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

    /// The runner is registered, so its JIT configuration can be handed over.
    pub fn provide(&mut self, id: RunnerId, jit_config: Secret) {
        if let Some(credential) = self.0.get_mut(&id) {
            credential.jit_config = JitConfig::Ready(jit_config);
        }
    }

    /// Whether the guest may have fetched its JIT configuration. Unknown, and so possible, for a
    /// guest that was created before the monitor was restarted.
    pub fn may_be_fetched(&self, id: RunnerId) -> bool {
        let credential = self.0.get(&id);
        credential.is_none_or(|it| matches!(it.jit_config, JitConfig::HandedOver))
    }

    /// Nothing is left of the runner.
    pub fn forget(&mut self, id: RunnerId) {
        self.0.remove(&id);
    }

    /// The runner whose guest has this secret.
    pub fn guest_with_secret(&self, guest_secret: &str) -> Option<RunnerId> {
        // Compares all secrets, so that the time taken does not depend on which one matches.
        self.0.iter().fold(None, |found, (id, credential)| {
            let is_it = credential.guest_secret.matches(guest_secret);
            if is_it { Some(*id) } else { found }
        })
    }

    /// Hands the JIT configuration to the guest of this runner, which has authenticated.
    pub(crate) fn hand_over_to(&mut self, id: RunnerId) -> CredentialHandover {
        let Some(credential) = self.0.get_mut(&id) else {
            return CredentialHandover::Unknown;
        };
        match std::mem::replace(&mut credential.jit_config, JitConfig::HandedOver) {
            JitConfig::Ready(jit_config) => CredentialHandover::Granted(id, jit_config),
            JitConfig::HandedOver => CredentialHandover::AlreadyHandedOver(id),
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

    fn hand_over(credentials: &mut Credentials, guest_secret: &str) -> String {
        let Some(id) = credentials.guest_with_secret(guest_secret) else {
            return "unknown".into();
        };
        match credentials.hand_over_to(id) {
            CredentialHandover::Granted(id, jit_config) => format!("{id}: {}", jit_config.expose()),
            CredentialHandover::NotYet(id) => format!("{id}: not yet"),
            CredentialHandover::AlreadyHandedOver(id) => format!("{id}: again"),
            CredentialHandover::Unknown => "unknown".into(),
        }
    }

    #[test]
    fn a_jit_configuration_is_handed_over_once_and_only_to_its_guest() {
        let mut credentials = Credentials::default();
        credentials.expect(RunnerId(1), Secret::new("one"));
        credentials.expect(RunnerId(2), Secret::new("two"));
        assert_eq!(hand_over(&mut credentials, "one"), "1: not yet");
        credentials.provide(RunnerId(1), Secret::new("jit one"));
        credentials.provide(RunnerId(2), Secret::new("jit two"));
        for (guest_secret, expected) in [
            ("", "unknown"),
            ("one two", "unknown"),
            ("one", "1: jit one"),
            ("one", "1: again"),
            ("two", "2: jit two"),
        ] {
            assert_eq!(
                hand_over(&mut credentials, guest_secret),
                expected,
                "{guest_secret}"
            );
        }
    }

    #[test]
    fn the_secrets_of_a_runner_are_forgotten_with_it() {
        let mut credentials = Credentials::default();
        credentials.expect(RunnerId(1), Secret::new("one"));
        credentials.provide(RunnerId(1), Secret::new("jit one"));
        credentials.forget(RunnerId(1));
        assert_eq!(hand_over(&mut credentials, "one"), "unknown");
        credentials.provide(RunnerId(1), Secret::new("jit one"));
        assert_eq!(hand_over(&mut credentials, "one"), "unknown");
    }
}
