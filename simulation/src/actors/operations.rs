//! The operations of monitors outside of their processes: lists, registrations, guests and files.
//!
//! An operation runs to its end even if the monitor has been killed meanwhile, because its request
//! is already under way.

use emulator::model::{ModelError, NewRunner, RunnerId as RegistrationId};
use monitor_core::{Creation, Destruction, ObservedGuest, Poll};
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
    let result = match operation {
        Operation::List(poll, begun_at) => list(environment, guests, index, poll, begun_at),
        Operation::Register(creation) => register(environment, creation),
        Operation::CreateGuest(creation) => create_guest(environment, guests, monitor, &creation),
        Operation::Unregister(destruction) => unregister(environment, destruction),
        Operation::DestroyGuest(destruction) => {
            destroy_guest(environment, guests, index, &destruction)
        }
        Operation::Save(revision, snapshot) => {
            // A process that dies while it writes leaves the old file in place.
            let is_saved = monitor.incarnation == incarnation
                && !environment.context.fault_occurs(|rates| rates.disk_error);
            if is_saved {
                monitor.disk = Some(snapshot);
            }
            OperationResult::Saved(revision, is_saved)
        }
    };
    let context = &mut environment.context;
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
            let seen = |(_, name): &GuestId| ObservedGuest {
                name: name.clone(),
                ipv4_address: None,
            };
            OperationResult::Guests(guests.on_server(index).map(seen).collect(), begun_at)
        }
        Poll::Registrations if github.next_outcome(context) == Outcome::Success => {
            let registrations = github.list_registrations(context, index);
            OperationResult::Registrations(registrations, begun_at)
        }
        // The guests are not virtual machines, so that no core asks for the host's resources.
        Poll::Registrations | Poll::Host => OperationResult::ListFailed(poll),
    }
}

fn register(environment: &mut Environment, creation: Creation) -> OperationResult {
    let Environment {
        context, github, ..
    } = environment;
    let outcome = github.next_outcome(context);
    if outcome == Outcome::Failure {
        return OperationResult::CreationFailed(creation.id);
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
    match (registered, outcome) {
        (Ok(view), Outcome::Success) => {
            let jit_config = Secret::new(format!("{} {secret}", view.id));
            OperationResult::Registered(creation, view.id, jit_config)
        }
        _ => OperationResult::CreationFailed(creation.id),
    }
}

fn create_guest(
    environment: &mut Environment,
    guests: &mut Guests,
    monitor: &MonitorNode,
    creation: &Creation,
) -> OperationResult {
    let context = &mut environment.context;
    let id = (monitor.index, creation.guest_name.clone());
    let guest = Guest {
        secret: creation.guest_secret.expose().to_owned(),
        runner_name: creation.runner_name.clone(),
        phase: Phase::Booting,
        never_boots: context.fault_occurs(|rates| rates.guest_boot_failure),
    };
    guests.insert(id.clone(), guest);
    let count = guests.on_server(monitor.index).count();
    context
        .invariants
        .check_capacity(context.now, monitor.index, count, monitor.capacity());
    let boots_after = context.rng.millis(context.scenario.pace.guest_boot);
    context.schedule_after(boots_after, Event::GuestActs(id));
    OperationResult::Created(creation.id)
}

fn unregister(environment: &mut Environment, destruction: Destruction) -> OperationResult {
    let Some(registration_id) = destruction.registration_id else {
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

fn destroy_guest(
    environment: &mut Environment,
    guests: &mut Guests,
    index: usize,
    destruction: &Destruction,
) -> OperationResult {
    let Environment {
        context, github, ..
    } = environment;
    let id = (index, destruction.guest_name.clone());
    if let Some(guest) = guests.get(&id) {
        let is_busy = github.is_busy(context.now, &guest.runner_name);
        context
            .invariants
            .check_destruction(context.now, &guest.runner_name, is_busy);
        guests.remove(&id);
    }
    OperationResult::Destroyed(destruction.id)
}
