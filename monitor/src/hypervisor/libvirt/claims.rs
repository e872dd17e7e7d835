//! Who may touch which guest's folder.
//!
//! Owns that two calls never meet in one folder.

use std::{collections::BTreeSet, sync::Arc};

use parking_lot::Mutex;

/// All claims. Cheap to clone.
#[derive(Clone, Default)]
pub struct Claims(Arc<Mutex<BTreeSet<String>>>);

/// The sole right to touch a guest's folder. Given back when dropped.
pub struct Claim {
    claims: Claims,
    name: String,
}

impl Claims {
    /// Claims a guest. None if somebody has it.
    pub fn claim(&self, name: &str) -> Option<Claim> {
        let is_free = self.0.lock().insert(name.to_owned());
        is_free.then(|| Claim {
            claims: self.clone(),
            name: name.to_owned(),
        })
    }

    /// The guests that are claimed at this moment.
    pub fn claimed(&self) -> BTreeSet<String> {
        self.0.lock().clone()
    }
}

impl Claim {
    /// The guest.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.0.lock().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_exclusive_until_it_is_dropped() {
        let claims = Claims::default();
        let claim = claims.claim("a").unwrap();
        assert_eq!(claim.name(), "a");
        assert!(claims.claim("a").is_none());
        assert!(claims.claim("b").is_some());
        assert_eq!(claims.claimed(), ["a".to_owned()].into());
        drop(claim);
        assert!(claims.claim("a").is_some());
    }
}
