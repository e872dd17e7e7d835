//! Performs polls and effects, and reports their outcome to the core.
//!
//! Responsible for the order of the steps of an effect: nothing happens before it is on disk, no guest
//! is created before its registration, and none is destroyed before GitHub has removed its registration.
//! Has no choice in anything else.

use std::{collections::BTreeMap, rc::Rc, sync::Arc, time::UNIX_EPOCH};

use daemon::problems::ProblemBoard;
use futures_util::future::join_all;
use github::{GithubError, WorkflowJob};
use http_client::StatusCode;
use shared::{
    clock::Timestamp,
    format::with_causes,
    problem::catalogue::{GUESTS_NOT_LISTED, RUNNERS_NOT_LISTED},
    settings::{GuestDriver, ProfileSettings, Settings},
    values::ProfileKey,
};

use crate::{
    github_clients::GithubClients,
    hypervisor::{
        BuildSpec, Guest, GuestKind, GuestSpec, HostMemory, Hypervisor, HypervisorError, Listed,
        warn,
    },
    mirrors::MainRepo,
    profiles::Images,
    runner_metrics,
    shared_core::SharedCore,
};
use monitor_core::{
    Creation, Destruction, Effect, Failure, HostCapacity, JobProgress, JobQuery, Monitor,
    ObservedGuest, Poll, Rebuild, RegistrationLists, RegistrationRef, RunnerId,
};

/// The core, and the adapters by which its effects are performed. Cheap to clone; stays on its thread.
#[derive(Clone)]
pub struct Adapters {
    pub core: Arc<SharedCore>,
    pub hypervisor: Hypervisor,
    pub github: GithubClients,
    pub main_repo: Rc<MainRepo>,
    pub settings: Rc<Settings>,
    pub images: Rc<Images>,
}

/// Polls the host or GitHub.
pub async fn poll(adapters: Adapters, poll: Poll) {
    let Adapters {
        core,
        hypervisor,
        github,
        images,
        ..
    } = adapters;
    let started_at = core.now();
    let problem_board = core.problem_board();
    match poll {
        Poll::Guests => {
            let Listed {
                processes,
                machines,
            } = hypervisor.list().await;
            let processes = listed(problem_board, PROCESSES, processes);
            let machines = listed(problem_board, MACHINES, machines);
            let Some(processes) = processes else {
                return core.change(|core, now| core.handle_poll_failed(poll, None, now));
            };
            poll_images(&core, &hypervisor, &images).await;
            core.change(|core, now| core.handle_guest_lists(processes, machines, started_at, now));
        }
        Poll::Registrations => match list_registrations(&core, &github).await {
            Ok(lists) => {
                problem_board.resolve(&RUNNERS_NOT_LISTED, "GitHub");
                core.change(|core, now| core.handle_registration_lists(lists, started_at, now));
            }
            Err(error) => {
                log::warn!("failed to {error}");
                report_not_listed(problem_board, &error);
                let retry_after = error.retry_after();
                core.change(|core, now| core.handle_poll_failed(poll, retry_after, now));
            }
        },
        Poll::Host => match hypervisor.host_memory().await {
            Ok(memory) => {
                let warnings = core.change(|core, now| core.handle_host(host(memory), now));
                for warning in warnings {
                    log::warn!("{warning}");
                }
            }
            Err(error) => {
                warn(&error);
                core.change(|core, now| core.handle_poll_failed(poll, None, now));
            }
        },
    }
}

/// What a list of guests is a problem of if it fails: the subject, what follows, and what to do.
type GuestList = (&'static str, &'static str, &'static str);

const PROCESSES: GuestList = (
    "guests of the driver command",
    "so it creates and destroys no runners",
    "make the folder `guests` in the data folder readable for the user of the monitor",
);
const MACHINES: GuestList = (
    "hypervisor",
    "so it creates and destroys no virtual machines",
    "check that libvirt runs and that the user of the monitor may use it",
);

/// The guests of a list; none if it failed, which is a problem then.
fn listed(
    board: &ProblemBoard,
    (subject, effect, remedy): GuestList,
    list: Result<Vec<Guest>, HypervisorError>,
) -> Option<Vec<ObservedGuest>> {
    match list {
        Ok(guests) => {
            board.resolve(&GUESTS_NOT_LISTED, subject);
            Some(guests.into_iter().map(observed).collect())
        }
        Err(error) => {
            warn(&error);
            let cause = format!("the monitor failed to {}, {effect}", with_causes(&error));
            board.report(&GUESTS_NOT_LISTED, subject, cause, remedy);
            None
        }
    }
}

/// Shows that GitHub's list of runners cannot be used, unless that only follows from a problem of access to
/// GitHub, which names its consequences.
fn report_not_listed(board: &ProblemBoard, error: &GithubError) {
    let (kind, subject) = (&RUNNERS_NOT_LISTED, "GitHub");
    if error.is_of_access() || error.status() == Some(StatusCode::NOT_FOUND) {
        return board.withdraw(kind, subject);
    }
    board.report(
        kind,
        subject,
        format!("the monitor failed to {error}, so it destroys no runners"),
        "see https://www.githubstatus.com, and check that no proxy changes GitHub's responses and that \
         github_api_url is the address of its API",
    );
}

/// Lists the registrations in the scope of the settings and wherever else there are runners. Only the
/// former has to succeed.
async fn list_registrations(
    core: &SharedCore,
    github: &GithubClients,
) -> Result<RegistrationLists, GithubError> {
    let mut lists = RegistrationLists::new();
    let mut scopes = core.read(Monitor::registration_scopes).into_iter();
    if let Some(current) = scopes.next() {
        let registrations = github.in_scope(&current).list_runners().await?;
        lists.insert(current, Some(registrations));
    }
    for scope in scopes {
        let listed = github.in_scope(&scope).list_runners().await;
        let subject = format!("GitHub's {scope}");
        let board = core.problem_board();
        match &listed {
            Ok(_) => board.resolve(&RUNNERS_NOT_LISTED, &subject),
            // GitHub answers, but these credentials may not see or manage what was registered there.
            Err(error) if error.is_of_access() && error.status() != Some(StatusCode::FORBIDDEN) => {
                board.withdraw(&RUNNERS_NOT_LISTED, &subject);
            }
            Err(error) => board.report(
                &RUNNERS_NOT_LISTED,
                &subject,
                format!(
                    "runners are registered there since before github_api_scope was changed, and the \
                     monitor failed to {error}"
                ),
                "let the GitHub credentials manage the runners there until these are gone",
            ),
        }
        lists.insert(scope, listed.ok());
    }
    Ok(lists)
}

/// Reads when the images were built. After an error the former time of that image stays.
async fn poll_images(core: &SharedCore, hypervisor: &Hypervisor, images: &Images) {
    let mut built_at = BTreeMap::new();
    for (profile_key, image) in images {
        match hypervisor.image_built_at(profile_key, image.disks).await {
            Ok(Some(time)) => {
                let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
                built_at.insert(profile_key.clone(), Timestamp::default() + since_epoch);
            }
            Ok(None) => {}
            Err(error) => {
                warn(&error);
                let former = core.read(|core| core.image_built_at(profile_key));
                built_at.extend(former.map(|former| (profile_key.clone(), former)));
            }
        }
    }
    core.change(|core, _| core.handle_images(built_at));
}

/// Queries from GitHub how long a version of the runner software is supported.
pub async fn query_software_support(adapters: Adapters, version: String) {
    let answer = adapters.github.current().runner_support(&version).await;
    let answer = answer.map_err(|error| {
        log::warn!("failed to {error}");
        error.retry_after()
    });
    let warnings = adapters
        .core
        .change(|core, now| core.handle_software_support(&version, answer, now));
    for warning in warnings {
        log::warn!("{warning}");
    }
}

/// Queries from GitHub whether the job of a runner has completed.
pub async fn query_job(adapters: Adapters, query: JobQuery) {
    let JobQuery {
        id,
        qualified_repo,
        run_id,
        registration_id,
        runner_name,
    } = query;
    let github = adapters.github.current();
    let jobs = github.jobs_of_run(&qualified_repo, run_id).await;
    let answer = match jobs {
        Ok(jobs) => {
            let mut own = jobs
                .iter()
                .filter(|job| job.is_on(registration_id, &runner_name));
            Ok(match own.next() {
                None => JobProgress::Unknown,
                Some(first) if first.has_completed() && own.all(WorkflowJob::has_completed) => {
                    JobProgress::Completed
                }
                Some(_) => JobProgress::Running,
            })
        }
        Err(error) => {
            log::info!("failed to {error}; it is unknown whether the job on runner {id} has ended");
            Err(error.retry_after())
        }
    };
    adapters
        .core
        .change(|core, now| core.handle_job_progress(id, answer, now));
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

fn observed(guest: Guest) -> ObservedGuest {
    let Guest { name, ipv4_address } = guest;
    ObservedGuest { name, ipv4_address }
}

/// Performs an effect.
pub async fn perform(adapters: Adapters, effect: Effect) {
    match effect {
        Effect::Create(creation) => create(&adapters, creation).await,
        Effect::Destroy(destruction) => destroy(&adapters, destruction).await,
        Effect::Rebuild(order) => rebuild(&adapters, order).await,
        Effect::AddLabels {
            unique_id,
            ids,
            registrations,
            labels,
            revision,
        } => {
            let is_done = adapters.core.saved(revision).await.is_ok()
                && add_labels(&adapters.github, &registrations, &labels).await;
            adapters
                .core
                .change(|core, _| core.handle_labels_added(&unique_id, &ids, is_done));
        }
        Effect::RemoveLabels {
            id,
            registration,
            labels,
        } => {
            let is_done = match registration {
                Some(registration) => remove_labels(&adapters.github, &registration, &labels).await,
                None => true,
            };
            adapters
                .core
                .change(|core, _| core.handle_labels_removed(id, is_done));
        }
    }
}

async fn create(adapters: &Adapters, creation: Creation) {
    let Adapters {
        core,
        github,
        hypervisor,
        settings,
        images,
        ..
    } = adapters;
    let id = creation.id;
    let failed =
        |failure: Failure| core.change(|core, now| core.handle_creation_failed(id, failure, now));
    // `saved` has logged the error.
    if let Err(error) = core.saved(creation.revision).await {
        return failed(with_causes(&error).as_str().into());
    }
    // Cannot happen: plans contain only profiles of the settings.
    let Some(profile) = settings.profiles.get(&creation.profile_key) else {
        return failed("find its profile in the settings".into());
    };
    let registered = github.current().generate_jitconfig(
        &creation.runner_name,
        profile.runner_group_id,
        &creation.labels,
        &profile.work_folder,
    );
    match registered.await {
        Ok(runner) => core.change(|core, _| {
            core.handle_registered(id, runner.registration.id, runner.jit_config);
        }),
        Err(error) => {
            log::warn!("failed to {error}");
            let failure = failure_of(&error);
            return core.change(|core, now| match error.is_ambiguous() {
                true => core.handle_creation_failed(id, failure, now),
                false => core.handle_not_registered(id, failure, now),
            });
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
                memory_max: profile.into(),
            };
            hypervisor.create(&spec).await.map_err(|error| {
                warn(&error);
                failure_on_host(&error)
            })
        }
        // Cannot happen: every profile of virtual machines has image settings.
        None => Err("find the settings of its image".into()),
    };
    match created {
        Ok(()) => core.change(|core, now| core.handle_created(id, now)),
        Err(failure) => failed(failure),
    }
}

fn failure_of(error: &GithubError) -> Failure {
    Failure {
        cause: error.to_string(),
        retry_after: error.retry_after(),
        is_of_access: error.is_of_access(),
    }
}

fn failure_on_host(error: &HypervisorError) -> Failure {
    Failure {
        cause: with_causes(error),
        ..Failure::default()
    }
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

async fn rebuild(adapters: &Adapters, order: Rebuild) {
    let Adapters {
        core,
        hypervisor,
        settings,
        images,
        ..
    } = adapters;
    let profile_key = order.profile_key.clone();
    let began_at = core.now();
    adapters.main_repo.update().await;
    let outcome = match build_spec(order, settings, images) {
        Some(spec) => hypervisor.rebuild(&spec).await.map_err(|error| {
            warn(&error);
            error.to_string()
        }),
        // Cannot happen: plans contain only profiles of the settings.
        None => Err("the profile has no image settings".to_owned()),
    };
    core.change(|core, now| {
        runner_metrics::observe_image_build(&profile_key, outcome.is_ok(), now.since(began_at));
        core.handle_rebuilt(&profile_key, outcome.map(|()| now), now);
    });
}

fn build_spec(rebuild: Rebuild, settings: &Settings, images: &Images) -> Option<BuildSpec> {
    let profile = settings.profiles.get(&rebuild.profile_key)?;
    let image = images.get(&rebuild.profile_key)?;
    Some(BuildSpec {
        guest_name: rebuild.guest_name,
        profile_key: rebuild.profile_key,
        proof: image.proof,
        disks: image.disks,
        build: image.build.clone()?,
        memory_max: profile.into(),
        image_deps_dir: settings.image_deps_dir.clone(),
        monitor_url: settings.network.guest_base_url.to_string(),
        secret: rebuild.guest_secret,
    })
}

async fn destroy(adapters: &Adapters, destruction: Destruction) {
    let Adapters {
        core,
        github,
        hypervisor,
        ..
    } = adapters;
    let Destruction {
        id,
        guest_name,
        is_virtual,
        registration,
    } = destruction;
    if let Some(RegistrationRef {
        scope,
        id: registration_id,
    }) = registration
    {
        match github.in_scope(&scope).delete_runner(registration_id).await {
            Ok(deletion) => {
                let is_removed =
                    core.change(|core, now| core.handle_unregistered(id, deletion, now));
                if !is_removed {
                    return;
                }
            }
            Err(error) => return destruction_failed(core, id, &error),
        }
    }
    match hypervisor.destroy(&guest_name, is_virtual).await {
        Ok(()) => core.change(|core, now| core.handle_destroyed(id, now)),
        Err(error) => {
            warn(&error);
            let failure = failure_on_host(&error);
            core.change(|core, now| core.handle_destruction_failed(id, failure, now));
        }
    }
}

fn destruction_failed(core: &SharedCore, id: RunnerId, error: &GithubError) {
    log::warn!("failed to {error}");
    let failure = failure_of(error);
    core.change(|core, now| core.handle_destruction_failed(id, failure, now));
}

/// Adds the labels to all runners concurrently, because a job waits for the last of them. Returns after
/// the last call, even if another one has failed: a label that arrives after the end of its reservation
/// would never be removed.
async fn add_labels(
    github: &GithubClients,
    registrations: &[RegistrationRef],
    labels: &[String],
) -> bool {
    let added = registrations.iter().map(|registration| async move {
        let github = github.in_scope(&registration.scope);
        github.add_labels(registration.id, labels).await
    });
    let mut failures = join_all(added).await.into_iter().filter_map(Result::err);
    let failure = failures.next();
    if let Some(error) = &failure {
        log::warn!("failed to {error}");
    }
    failure.is_none()
}

async fn remove_labels(
    github: &GithubClients,
    registration: &RegistrationRef,
    labels: &[String],
) -> bool {
    let github = github.in_scope(&registration.scope);
    for label in labels {
        if let Err(error) = github.remove_label(registration.id, label).await {
            log::warn!("failed to {error}");
            return false;
        }
    }
    true
}
