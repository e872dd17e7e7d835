//! Does what was planned, and tells the core how it went.
//!
//! Owns the order of the effects of one task: nothing happens before it is on disk, no guest is
//! made before its registration, and none destroyed before GitHub has let go of it. Has no choice
//! in anything else.

use std::{collections::BTreeMap, rc::Rc, sync::Arc, time::UNIX_EPOCH};

use futures_util::future::join_all;
use github::{Github, GithubError};
use shared::{
    clock::Timestamp,
    settings::{GuestDriver, ProfileSettings, Settings},
    values::ProfileKey,
};

use crate::{
    hypervisor::{BuildSpec, Guest, GuestKind, GuestSpec, HostMemory, Hypervisor, warn},
    pool::Pool,
    profiles::Images,
};
use monitor_core::{
    Creation, Destruction, Effect, HostCapacity, ObservedGuest, Poll, Rebuild, RunnerId,
};

/// The core and all that its tasks act upon. Cheap to clone; stays on its thread.
#[derive(Clone)]
pub struct Outside {
    /// Whom to tell how it went.
    pub pool: Arc<Pool>,
    /// Where guests are.
    pub hypervisor: Hypervisor,
    /// Where registrations are.
    pub github: Rc<Github>,
    /// What runners are made of.
    pub settings: Rc<Settings>,
    /// What virtual machines begin with.
    pub images: Rc<Images>,
}

/// Asks the world a question.
pub async fn look(outside: Outside, look: Poll) {
    let Outside {
        pool,
        hypervisor,
        github,
        images,
        ..
    } = outside;
    let asked_at = pool.now();
    match look {
        Poll::Guests => match hypervisor.list().await {
            Ok(guests) => {
                let guests = guests.into_iter().map(seen).collect();
                look_at_images(&pool, &hypervisor, &images).await;
                pool.change(|core, now| core.handle_guests(guests, asked_at, now));
            }
            Err(error) => {
                warn(&error);
                pool.change(|core, now| core.handle_poll_failed(look, None, now));
            }
        },
        Poll::Registrations => match github.list_runners().await {
            Ok(registrations) => pool.change(|core, now| {
                core.handle_registrations(registrations, asked_at, now);
            }),
            Err(error) => {
                log::warn!("failed to {error}");
                let retry_after = error.retry_after();
                pool.change(|core, now| core.handle_poll_failed(look, retry_after, now));
            }
        },
        Poll::Host => match hypervisor.host_memory().await {
            Ok(memory) => {
                let broken = pool.change(|core, _| core.handle_host(host(memory)));
                for broken in broken {
                    log::warn!("{broken}");
                }
            }
            Err(error) => {
                warn(&error);
                pool.change(|core, now| core.handle_poll_failed(look, None, now));
            }
        },
    }
}

/// Learns how old the images are. What cannot be learnt stays as it was.
async fn look_at_images(pool: &Pool, hypervisor: &Hypervisor, images: &Images) {
    let mut built_at = BTreeMap::new();
    for (profile_key, image) in images {
        match hypervisor.image_built_at(profile_key, image.disks).await {
            Ok(Some(moment)) => {
                let since_epoch = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
                let moment = Timestamp::default() + since_epoch;
                built_at.insert(profile_key.clone(), moment);
            }
            Ok(None) => {}
            Err(error) => return warn(&error),
        }
    }
    pool.change(|core, _| core.handle_images(built_at));
}

/// Asks GitHub until when a version of the runner software is supported.
pub async fn ask_about_software(outside: Outside, version: String) {
    let answer = outside.github.runner_support(&version).await;
    let answer = answer.map_err(|error| {
        log::warn!("failed to {error}");
        error.retry_after()
    });
    let warnings = outside
        .pool
        .change(|core, now| core.handle_software_support(&version, answer, now));
    for warning in warnings {
        log::warn!("{warning}");
    }
}

fn host(memory: HostMemory) -> HostCapacity {
    let HostMemory {
        hugepages_1g,
        normal,
    } = memory;
    HostCapacity {
        hugepages_1g,
        memory: normal,
    }
}

fn seen(guest: Guest) -> ObservedGuest {
    let Guest { name, ipv4_address } = guest;
    ObservedGuest { name, ipv4_address }
}

/// Carries out a task.
pub async fn perform(outside: Outside, task: Effect) {
    match task {
        Effect::Create(creation) => create(&outside, creation).await,
        Effect::Destroy(destruction) => destroy(&outside, destruction).await,
        Effect::Rebuild(order) => rebuild(&outside, order).await,
        Effect::AddLabels {
            unique_id,
            ids,
            registration_ids,
            labels,
            revision,
        } => {
            let is_done = outside.pool.saved(revision).await.is_ok()
                && add_labels(&outside.github, &registration_ids, &labels).await;
            outside
                .pool
                .change(|core, _| core.handle_labels_added(&unique_id, &ids, is_done));
        }
        Effect::RemoveLabels {
            id,
            registration_id,
            labels,
        } => {
            let is_done = match registration_id {
                Some(registration_id) => {
                    remove_labels(&outside.github, registration_id, &labels).await
                }
                None => true,
            };
            outside
                .pool
                .change(|core, _| core.handle_labels_removed(id, is_done));
        }
    }
}

async fn create(outside: &Outside, creation: Creation) {
    let Outside {
        pool,
        github,
        hypervisor,
        settings,
        images,
    } = outside;
    let id = creation.id;
    // The error is in the log already.
    if pool.saved(creation.revision).await.is_err() {
        return pool.change(|core, now| core.handle_creation_failed(id, None, now));
    }
    // The plan knows the profiles of the settings only.
    let Some(profile) = settings.profiles.get(&creation.profile_key) else {
        return pool.change(|core, now| core.handle_creation_failed(id, None, now));
    };
    let registered = github.generate_jitconfig(
        &creation.runner_name,
        profile.runner_group_id,
        &creation.labels,
        &profile.work_folder,
    );
    match registered.await {
        Ok(runner) => pool.change(|core, _| {
            core.handle_registered(id, runner.registration.id, runner.jit_config);
        }),
        Err(error) => {
            log::warn!("failed to {error}");
            let retry_after = error.retry_after();
            return pool.change(|core, now| core.handle_creation_failed(id, retry_after, now));
        }
    }
    let created = match kind_of(&creation.profile_key, profile, images) {
        Some(kind) => {
            let spec = GuestSpec {
                name: creation.guest_name,
                runner_id: id.0,
                profile_key: creation.profile_key,
                kind,
                monitor_url: settings.network.guest_base_url.to_string(),
                secret: creation.guest_secret,
                memory_max: profile.memory(),
            };
            hypervisor.create(&spec).await.map_err(|error| warn(&error))
        }
        // Every profile of virtual machines has an image.
        None => Err(()),
    };
    pool.change(|core, now| match created {
        Ok(()) => core.handle_created(id, now),
        Err(()) => core.handle_creation_failed(id, None, now),
    });
}

/// What kind of guests a profile has. None if it has virtual machines without an image.
fn kind_of(
    profile_key: &ProfileKey,
    profile: &ProfileSettings,
    images: &Images,
) -> Option<GuestKind> {
    match &profile.guest {
        GuestDriver::Command(command) => Some(GuestKind::Process(command.clone())),
        GuestDriver::Libvirt => images
            .get(profile_key)
            .cloned()
            .map(GuestKind::VirtualMachine),
    }
}

async fn rebuild(outside: &Outside, order: Rebuild) {
    let Outside {
        pool,
        hypervisor,
        settings,
        images,
        ..
    } = outside;
    let profile_key = order.profile_key.clone();
    let outcome = match build_spec(order, settings, images) {
        Some(spec) => hypervisor.rebuild(&spec).await.map_err(|error| {
            warn(&error);
            error.to_string()
        }),
        // The plan knows the profiles of the settings only.
        None => Err("the profile has no image settings".to_owned()),
    };
    pool.change(|core, now| {
        core.handle_rebuilt(&profile_key, outcome.map(|()| now), now);
    });
}

fn build_spec(order: Rebuild, settings: &Settings, images: &Images) -> Option<BuildSpec> {
    let profile = settings.profiles.get(&order.profile_key)?;
    let image = images.get(&order.profile_key)?;
    Some(BuildSpec {
        guest_name: order.guest_name,
        profile_key: order.profile_key,
        proof: image.proof,
        disks: image.disks,
        build: image.build.clone()?,
        memory_max: profile.memory(),
        image_deps_dir: settings.image_deps_dir.clone(),
        monitor_url: settings.network.guest_base_url.to_string(),
        secret: order.guest_secret,
    })
}

async fn destroy(outside: &Outside, destruction: Destruction) {
    let Outside {
        pool,
        github,
        hypervisor,
        ..
    } = outside;
    let Destruction {
        id,
        guest_name,
        registration_id,
    } = destruction;
    if let Some(registration_id) = registration_id {
        match github.delete_runner(registration_id).await {
            Ok(deletion) => {
                let goes_on = pool.change(|core, now| core.handle_unregistered(id, deletion, now));
                if !goes_on {
                    return log::info!("runner {id} is busy, so it stays");
                }
            }
            Err(error) => return destruction_failed(pool, id, &error),
        }
    }
    match hypervisor.destroy(&guest_name).await {
        Ok(()) => pool.change(|core, now| core.handle_destroyed(id, now)),
        Err(error) => {
            warn(&error);
            pool.change(|core, now| core.handle_destruction_failed(id, None, now));
        }
    }
}

fn destruction_failed(pool: &Pool, id: RunnerId, error: &GithubError) {
    log::warn!("failed to {error}");
    let retry_after = error.retry_after();
    pool.change(|core, now| core.handle_destruction_failed(id, retry_after, now));
}

/// To all runners at the same time, because a job waits for the last of them. It is over when the
/// last call is, also when another one has failed: a label that arrives after its reservation has been
/// given up would never be removed.
async fn add_labels(github: &Github, registration_ids: &[u64], labels: &[String]) -> bool {
    let registration_ids = registration_ids.iter();
    let added = registration_ids.map(|id| github.add_labels(*id, labels));
    let mut failures = join_all(added).await.into_iter().filter_map(Result::err);
    let failure = failures.next();
    if let Some(error) = &failure {
        log::warn!("failed to {error}");
    }
    failure.is_none()
}

async fn remove_labels(github: &Github, registration_id: u64, labels: &[String]) -> bool {
    for label in labels {
        if let Err(error) = github.remove_label(registration_id, label).await {
            log::warn!("failed to {error}");
            return false;
        }
    }
    true
}
