//! Effects: what the executor is to do. Each contains all that is needed for it, and leaves the
//! executor no choice.

use shared::{
    secret::Secret,
    values::{ProfileKey, UniqueId},
};

use crate::{RunnerId, state::runner::RegistrationRef};

/// Something to be done outside the core.
#[derive(Clone, Debug)]
pub enum Effect {
    Create(Creation),
    Rebuild(Rebuild),
    Destroy(Destruction),
    /// Add labels to the runners of a reservation.
    AddLabels {
        /// The job that the reservation is for.
        unique_id: UniqueId,
        /// All runners of the reservation.
        ids: Vec<RunnerId>,
        /// The registrations of the runners that need the labels.
        registrations: Vec<RegistrationRef>,
        labels: Vec<String>,
        /// The revision that has to be on disk first.
        revision: u64,
    },
    /// Remove labels from a runner.
    RemoveLabels {
        id: RunnerId,
        /// None if the runner was never registered, and so has no labels.
        registration: Option<RegistrationRef>,
        labels: Vec<String>,
    },
}

/// Register a runner, then create its guest.
#[derive(Clone, Debug)]
pub struct Creation {
    pub id: RunnerId,
    pub profile_key: ProfileKey,
    /// Its name at GitHub.
    pub runner_name: String,
    /// Its guest's name at the hypervisor.
    pub guest_name: String,
    /// The labels to register it with.
    pub labels: Vec<String>,
    /// The secret by which the guest authenticates.
    pub guest_secret: Secret,
    /// The revision that has to be on disk first: until then the id could be given out again.
    pub revision: u64,
}

/// Build the image of a profile.
#[derive(Clone, Debug)]
pub struct Rebuild {
    pub profile_key: ProfileKey,
    /// The guest's name at the hypervisor.
    pub guest_name: String,
    /// The secret by which the guest authenticates.
    pub guest_secret: Secret,
}

/// Delete the registration of a runner; unless GitHub answers that the runner is busy, destroy its
/// guest.
#[derive(Clone, Debug)]
pub struct Destruction {
    pub id: RunnerId,
    /// The guest's name at the hypervisor.
    pub guest_name: String,
    /// Whether the guest is a virtual machine; none if that is not known.
    pub is_virtual: Option<bool>,
    /// None if it is already unregistered or never was registered.
    pub registration: Option<RegistrationRef>,
}

/// Random values for a new runner or rebuild.
pub struct Entropy {
    /// A UUID, for the runner's own label.
    pub uuid: String,
    /// The guest's secret.
    pub guest_secret: Secret,
}
