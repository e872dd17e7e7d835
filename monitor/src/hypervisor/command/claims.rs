//! Who may touch which guest's folder, and which guests are watched.
//!
//! Owns the one list of guests in memory. A guest is touched only by whoever holds its claim, so
//! that a list, a creation and an end of the same guest never meet in its folder.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{process::Process, watch::Stage};
use crate::hypervisor::{GUEST_COUNT_MAX, error::HypervisorError};

/// All claims. Cheap to clone.
#[derive(Clone, Default)]
pub struct Claims {
    entries: Arc<Mutex<BTreeMap<String, Entry>>>,
}

/// How far whoever holds the claim has come.
#[derive(Clone)]
pub enum Entry {
    /// Being started, or looked at.
    Claimed,
    /// Watched, until nothing of it is left.
    Watched(Watched),
}

/// A guest that is watched.
#[derive(Clone)]
pub struct Watched {
    /// None for what is left of a guest whose leader was gone already.
    pub leader: Option<Arc<Process>>,
    /// What the watch last saw.
    pub stage: watch::Receiver<Stage>,
}

/// The sole right to touch a guest's folder. Given back when dropped.
pub struct Claim {
    claims: Claims,
    name: String,
}

impl Claim {
    /// The guest.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Shows the guest to those who have no claim.
    pub fn show(&self, guest: Watched) {
        let entry = Entry::Watched(guest);
        self.claims.entries.lock().insert(self.name.clone(), entry);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.entries.lock().remove(&self.name);
    }
}

impl Claims {
    /// Claims a guest that may be there. None if somebody has it.
    pub fn claim(&self, name: &str) -> Option<Claim> {
        self.insert(&mut self.entries.lock(), name)
    }

    /// Claims a guest that is to be made, unless there are too many.
    pub fn claim_new(&self, name: &str) -> Result<Claim, HypervisorError> {
        let mut entries = self.entries.lock();
        let count = entries.len();
        if count >= GUEST_COUNT_MAX {
            return Err(HypervisorError::TooManyGuests {
                name: name.to_owned(),
                count,
            });
        }
        self.insert(&mut entries, name)
            .ok_or_else(|| HypervisorError::AlreadyExists {
                name: name.to_owned(),
            })
    }

    fn insert(&self, entries: &mut BTreeMap<String, Entry>, name: &str) -> Option<Claim> {
        if entries.contains_key(name) {
            return None;
        }
        entries.insert(name.to_owned(), Entry::Claimed);
        Some(Claim {
            claims: self.clone(),
            name: name.to_owned(),
        })
    }

    /// How far a guest has come. None if nobody has claimed it.
    pub fn entry(&self, name: &str) -> Option<Entry> {
        self.entries.lock().get(name).cloned()
    }

    /// The names of the guests that are there.
    pub fn present(&self) -> Vec<String> {
        let entries = self.entries.lock();
        let is_present = |entry: &Entry| match entry {
            Entry::Claimed => false,
            Entry::Watched(guest) => matches!(*guest.stage.borrow(), Stage::Present),
        };
        entries
            .iter()
            .filter(|(_, entry)| is_present(entry))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_exclusive_until_it_is_dropped() {
        let claims = Claims::default();
        let claim = claims.claim("a").unwrap();
        assert!(claims.claim("a").is_none());
        assert!(matches!(
            claims.claim_new("a").map(drop),
            Err(HypervisorError::AlreadyExists { .. })
        ));
        assert!(claims.claim("b").is_some());
        drop(claim);
        assert!(claims.claim("a").is_some());
    }

    #[test]
    fn a_guest_beyond_the_limit_is_refused_until_another_is_gone() {
        let claims = Claims::default();
        let mut held: Vec<_> = (0..GUEST_COUNT_MAX)
            .map(|number| claims.claim_new(&number.to_string()).unwrap())
            .collect();
        let refusal = claims.claim_new("one-more").map(drop).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "create guest one-more: there are 256 already, more than that are not allowed"
        );
        assert!(refusal.is_transient());
        held.pop();
        assert!(claims.claim_new("one-more").is_ok());
    }
}
