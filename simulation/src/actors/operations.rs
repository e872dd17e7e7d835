//! The operations of monitors outside of their processes: lists, registrations, guests and files.
//!
//! An operation runs to its end even if the monitor has been killed meanwhile, because its request
//! is already under way.

use emulator::model::{
    JobPhase, Model, ModelError, NewRunner, PageRequest, RunnerId as RegistrationId,
};
use monitor_core::{
    Creation, Destruction, JobProgress, JobQuery, ObservedGuest, Poll, RegistrationRef,
};
use shared::{clock::Timestamp, registration::Deletion, secret::Secret};

use super::{
    guest::{Guest, Guests, Phase},
    monitor::MonitorNode,
};
use crate::{
    environment::Environment,
    events::{Event, GuestId, Incarnation, MonitorEvent, Operation, OperationResult},
    github::{Outcome, scope},
};

/// Runs an operation, and schedules the moment at which the monitor receives its result.
pub fn run(
    environment: &mut Environment,
    guests: &mut Guests,
    monitor: &mut MonitorNode,
    incarnation: Incarnation,
    operation: Operation,
) {
    let index = monitor.index;
    // Lists and files are too long and too many for a trace.
    if !matches!(operation, Operation::List(..) | Operation::Save(..)) {
        let context = &environment.context;
        context.trace(format_args!("server {index}: {operation:?}"));
    }
    let result = match operation {
        Operation::List(poll, begun_at) => list(environment, guests, index, poll, begun_at),
        Operation::Register(creation) => register(environment, index, creation),
        Operation::CreateGuest(creation) => create_guest(environment, guests, monitor, &creation),
        Operation::Unregister(destruction) => unregister(environment, index, destruction),
        Operation::DestroyGuest(destruction) => {
            destroy_guest(environment, guests, monitor, &destruction)
        }
        Operation::AddLabels(unique_id, ids, registrations, labels) => {
            let added = registrations.iter().map(|registration| {
                change_labels(environment, index, registration, |model, now, id| {
                    let added = model.add_labels(now, &scope(), id, labels.clone());
                    added.is_ok()
                })
            });
            // Every call is made, even if another one has failed.
            let failed = added.filter(|is_added| !is_added).count();
            OperationResult::LabelsAdded(unique_id, ids, failed == 0)
        }
        Operation::RemoveLabels(id, registration, labels) => {
            let is_removed = registration.is_none_or(|registration| {
                change_labels(environment, index, &registration, |model, now, id| {
                    for label in &labels {
                        // A label or a runner that is not there is no error.
                        let _ = model.remove_label(now, &scope(), id, label);
                    }
                    true
                })
            });
            OperationResult::LabelsRemoved(id, is_removed)
        }
        Operation::QueryJob(query) => query_job(environment, &query),
        Operation::Save(revision, snapshot) => {
            // A process that dies while it writes leaves the old file in place.
            let is_saved = monitor.incarnation == incarnation
                && environment.context.now >= monitor.disk_full_until
                && !environment.context.fault_occurs(|rates| rates.disk_error);
            if is_saved {
                monitor.disk = Some(snapshot);
            }
            OperationResult::Saved(revision, is_saved)
        }
    };
    let context = &mut environment.context;
    if let OperationResult::Unregistered(..) | OperationResult::JobProgress(..) = result {
        context.trace(format_args!("server {index}: {result:?}"));
    }
    let delay = context.rng.millis((1, 50));
    let event = MonitorEvent::OperationEnds(Box::new(result));
    context.schedule_after(delay, Event::Monitor(index, incarnation, event));
}

fn list(
    environment: &mut Environment,
    guests: &Guests,
    index: usize,
    poll: Poll,
    begun_at: Timestamp,
) -> OperationResult {
    let Environment {
        context, github, ..
    } = environment;
    match poll {
        Poll::Guests => {
            let seen = |((_, name), guest): (&GuestId, &Guest)| ObservedGuest {
                name: name.clone(),
                ipv4_address: guest.address,
            };
            let mut seen: Vec<_> = guests.on_server(index).map(seen).collect();
            if context.fault_occurs(|rates| rates.odd_guest_list) {
                seen.retain(|_| context.rng.chance(0.5));
            }
            OperationResult::Guests(seen, begun_at)
        }
        Poll::Registrations if github.next_outcome(context) == Outcome::Success => {
            let registrations = github.list_registrations(context, index);
            OperationResult::Registrations(registrations, begun_at)
        }
        Poll::Host => OperationResult::Host,
        Poll::Registrations => OperationResult::ListFailed(poll),
    }
}

fn register(environment: &mut Environment, index: usize, creation: Creation) -> OperationResult {
    let Environment {
        context, github, ..
    } = environment;
    let outcome = github.next_outcome(context);
    if outcome == Outcome::Failure {
        return OperationResult::NotRegistered(creation.id);
    }
    github.count_request(context);
    let secret = format!("{:016x}", context.rng.number(0, u64::MAX));
    let new = NewRunner {
        name: creation.runner_name.clone(),
        labels: creation.labels.clone(),
        runner_group_id: 1,
    };
    let registered = github
        .model
        .register(context.now, &scope(), new, Secret::new(secret.clone()));
    if let Ok(view) = &registered {
        context.invariants.observe_registration(view.id, index);
    }
    match (registered, outcome) {
        (Ok(view), Outcome::Success) => {
            let jit_config = Secret::new(format!("{} {secret}", view.id));
            OperationResult::Registered(creation, view.id, jit_config)
        }
        // The name is taken, for example.
        (Err(_), Outcome::Success) => OperationResult::NotRegistered(creation.id),
        _ => OperationResult::CreationFailed(creation.id),
    }
}

fn create_guest(
    environment: &mut Environment,
    guests: &mut Guests,
    monitor: &mut MonitorNode,
    creation: &Creation,
) -> OperationResult {
    let context = &mut environment.context;
    let id = (monitor.index, creation.guest_name.clone());
    if !guests.may_start(&id) {
        return OperationResult::CreationFailed(creation.id);
    }
    let guest = Guest {
        secret: creation.guest_secret.expose().to_owned(),
        runner_name: creation.runner_name.clone(),
        phase: Phase::Booting,
        never_boots: context.fault_occurs(|rates| rates.guest_boot_failure),
        address: None,
    };
    guests.insert(id.clone(), guest);
    monitor.stories.facts.has_guest.insert(creation.id);
    monitor.stories.facts.was_started.insert(creation.id);
    let count = guests.on_server(monitor.index).count();
    context
        .invariants
        .check_capacity(context.now, monitor.index, count, monitor.capacity());
    let boots_after = context.rng.millis(context.scenario.pace.guest_boot);
    context.schedule_after(boots_after, Event::GuestActs(id));
    OperationResult::Created(creation.id)
}

fn unregister(
    environment: &mut Environment,
    index: usize,
    destruction: Destruction,
) -> OperationResult {
    let registration = destruction.registration.clone();
    let Some(registration_id) = registration.map(|registration| registration.id) else {
        return OperationResult::Unregistered(destruction, Deletion::NotThere);
    };
    let Environment {
        context, github, ..
    } = environment;
    let outcome = github.next_outcome(context);
    if outcome == Outcome::Failure {
        return OperationResult::DestructionFailed(destruction.id);
    }
    github.count_request(context);
    let id = RegistrationId(registration_id);
    let invariants = &mut context.invariants;
    invariants.check_registration_change(context.now, index, id);
    if context.fault_occurs(|rates| rates.ghost) {
        return OperationResult::Unregistered(destruction, Deletion::Busy);
    }
    if context.fault_occurs(|rates| rates.hidden) {
        return OperationResult::Unregistered(destruction, Deletion::NotThere);
    }
    let deletion = match github.model.delete_runner(context.now, &scope(), id) {
        Ok(()) => Deletion::Deleted,
        Err(ModelError::RunnerBusy { .. }) => Deletion::Busy,
        Err(_) => Deletion::NotThere,
    };
    match outcome {
        Outcome::Success => OperationResult::Unregistered(destruction, deletion),
        _ => OperationResult::DestructionFailed(destruction.id),
    }
}

/// Changes the labels of a registration. Returns whether that has succeeded, as far as the monitor knows.
fn change_labels(
    environment: &mut Environment,
    index: usize,
    registration: &RegistrationRef,
    change: impl FnOnce(&mut Model, Timestamp, RegistrationId) -> bool,
) -> bool {
    let Environment {
        context, github, ..
    } = environment;
    let outcome = github.next_outcome(context);
    github.count_request(context);
    let id = RegistrationId(registration.id);
    let invariants = &mut context.invariants;
    invariants.check_registration_change(context.now, index, id);
    outcome != Outcome::Failure
        && change(&mut github.model, context.now, id)
        && outcome == Outcome::Success
}

fn query_job(environment: &mut Environment, query: &JobQuery) -> OperationResult {
    let Environment {
        context, github, ..
    } = environment;
    github.count_request(context);
    if github.next_outcome(context) != Outcome::Success
        || context.fault_occurs(|rates| rates.lost_evidence)
    {
        return OperationResult::JobProgress(query.id, None);
    }
    let page = PageRequest::new(Some(1), Some(100));
    let repo = &query.qualified_repo;
    let jobs = github
        .model
        .jobs_of_run(context.now, repo, query.run_id, page);
    let own = jobs
        .items
        .iter()
        .find(|job| job.runner_id.map(|id| id.0) == query.registration_id);
    let progress = match own.map(|job| job.phase) {
        None => JobProgress::Unknown,
        Some(JobPhase::Completed) => JobProgress::Completed,
        Some(_) => JobProgress::Running,
    };
    OperationResult::JobProgress(query.id, Some(progress))
}

fn destroy_guest(
    environment: &mut Environment,
    guests: &mut Guests,
    monitor: &mut MonitorNode,
    destruction: &Destruction,
) -> OperationResult {
    let index = monitor.index;
    let Environment {
        context, github, ..
    } = environment;
    let id = (index, destruction.guest_name.clone());
    if let Some(guest) = guests.get(&id) {
        // What the guest does, and not what GitHub shows of it.
        let is_busy = match guest.phase {
            Phase::Running(_, _, job, _) => github.is_running(context.now, job),
            Phase::Booting | Phase::Listening(..) | Phase::Lingering => false,
        };
        context
            .invariants
            .check_destruction(context.now, &guest.runner_name, is_busy);
        guests.remove(&id);
        monitor.stories.facts.has_guest.remove(&destruction.id);
    } else {
        guests.prevent_start(id);
    }
    OperationResult::Destroyed(destruction.id)
}
