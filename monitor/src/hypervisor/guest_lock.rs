//! Locks on guests, by name: at most one call at a time touches a guest and its folder.
//!
//! Responsible for the table of locked guests, and for the state that the owner of a lock publishes
//! to those without it (the `command` driver publishes the watch over a running guest).

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use super::{error::HypervisorError, guest::GUEST_COUNT_MAX};

/// The locks of all guests of a driver. Cheap to clone.
#[derive(Debug)]
pub struct GuestLocks<S = ()> {
    /// What each owner of a lock has published, by the guest's name.
    table: Arc<Mutex<BTreeMap<String, Option<S>>>>,
}

/// Exclusive access to a guest and its folder. Released when dropped.
#[derive(Debug)]
pub struct GuestLock<S = ()> {
    locks: GuestLocks<S>,
    name: String,
}

impl<S> Clone for GuestLocks<S> {
    fn clone(&self) -> Self {
        Self {
            table: Arc::clone(&self.table),
        }
    }
}

impl<S> Default for GuestLocks<S> {
    fn default() -> Self {
        Self {
            table: Arc::default(),
        }
    }
}

impl<S> GuestLock<S> {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes a state visible to callers without the lock, until the lock is released.
    pub fn publish(&self, state: S) {
        let mut table = self.locks.table.lock();
        table.insert(self.name.clone(), Some(state));
    }
}

impl<S> Drop for GuestLock<S> {
    fn drop(&mut self) {
        self.locks.table.lock().remove(&self.name);
    }
}

impl<S: Clone> GuestLocks<S> {
    /// Locks a guest, whether it exists or not. None if it is locked already.
    pub fn lock(&self, name: &str) -> Option<GuestLock<S>> {
        self.insert(&mut self.table.lock(), name)
    }

    /// Locks a guest that is to be created.
    ///
    /// # Errors
    /// [`HypervisorError::TooManyGuests`] if [`GUEST_COUNT_MAX`] guests are locked,
    /// [`HypervisorError::AlreadyExists`] if this one is.
    pub fn lock_new(&self, name: &str) -> Result<GuestLock<S>, HypervisorError> {
        let mut table = self.table.lock();
        let count = table.len();
        if count >= GUEST_COUNT_MAX {
            return Err(HypervisorError::TooManyGuests {
                name: name.to_owned(),
                count,
            });
        }
        self.insert(&mut table, name)
            .ok_or_else(|| HypervisorError::AlreadyExists {
                name: name.to_owned(),
            })
    }

    fn insert(&self, table: &mut BTreeMap<String, Option<S>>, name: &str) -> Option<GuestLock<S>> {
        if table.contains_key(name) {
            return None;
        }
        table.insert(name.to_owned(), None);
        Some(GuestLock {
            locks: self.clone(),
            name: name.to_owned(),
        })
    }

    /// None if the guest is not locked; otherwise the state that was published for it.
    pub fn state(&self, name: &str) -> Option<Option<S>> {
        self.table.lock().get(name).cloned()
    }

    /// The locked guests, each with the state that was published for it.
    pub fn snapshot(&self) -> BTreeMap<String, Option<S>> {
        self.table.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_locked_once_until_the_lock_is_dropped() {
        let locks = GuestLocks::<()>::default();
        let lock = locks.lock("a").unwrap();
        assert_eq!(lock.name(), "a");
        assert!(locks.lock("a").is_none());
        assert!(matches!(
            locks.lock_new("a"),
            Err(HypervisorError::AlreadyExists { .. })
        ));
        assert!(locks.lock("b").is_some());
        assert_eq!(locks.snapshot(), [("a".to_owned(), None)].into());
        drop(lock);
        assert!(locks.lock("a").is_some());
    }

    #[test]
    fn a_published_state_is_visible_until_the_lock_is_dropped() {
        let locks = GuestLocks::default();
        let lock = locks.lock("a").unwrap();
        assert_eq!(locks.state("a"), Some(None));
        lock.publish("running");
        assert_eq!(locks.state("a"), Some(Some("running")));
        assert_eq!(locks.snapshot(), [("a".to_owned(), Some("running"))].into());
        drop(lock);
        assert_eq!(locks.state("a"), None);
        assert_eq!(locks.snapshot(), [].into());
    }

    #[test]
    fn a_guest_beyond_the_limit_is_refused_until_another_is_gone() {
        let locks = GuestLocks::<()>::default();
        let mut held: Vec<_> = (0..GUEST_COUNT_MAX)
            .map(|number| locks.lock_new(&number.to_string()).unwrap())
            .collect();
        let refusal = locks.lock_new("one-more").unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "create guest one-more: there are 256 guests already, which is the limit"
        );
        assert!(refusal.is_transient());
        held.pop();
        assert!(locks.lock_new("one-more").is_ok());
    }
}
