//! From a take to its answer: reserved, on disk, labelled, shown; only then told.
//!
//! Owns that order, and how the core's refusals look on the wire.

use actix_web::HttpResponse;
use daemon::error::{ApiError, Code};
use shared::{
    job_spec::JobSpec,
    values::{Count, ProfileKey, UniqueId},
    wire::TakenRunner,
};

use super::{Desk, not_looked, not_saved};
use monitor_core::{Take, TakeOutcome, TakeRefusal};

/// When it is worth asking again for a runner, in seconds.
const NO_CAPACITY_RETRY_SECONDS: u64 = 5;

/// Runners that may be told.
pub struct Granted(Vec<TakenRunner>);

impl Granted {
    /// The answer to those who asked without a count: one object.
    pub fn single(&self) -> HttpResponse {
        HttpResponse::Ok().json(self.0.first())
    }

    /// The answer to those who asked with a count: an array.
    pub fn several(&self) -> HttpResponse {
        HttpResponse::Ok().json(&self.0)
    }
}

/// Takes runners. When this returns they are on disk and on the dashboard as reserved; if the
/// client is gone by then, asking again gives the same.
///
/// # Errors
/// See the refusals below; except for `not_ready`, nothing is held for the job after one.
pub async fn grant(desk: &Desk, take: Take) -> Result<Granted, ApiError> {
    let JobSpec {
        unique_id,
        profile_key,
        count,
        ..
    } = take.job.clone();
    let revision = desk.pool.change(|core, now| core.take(take, now));
    let revision = revision.map_err(|refusal| refused(refusal, &profile_key, count))?;
    desk.pool.saved(revision).await.map_err(not_saved)?;
    let taken = tokio::select! {
        taken = prepared(desk, &unique_id) => taken,
        () = desk.draining.begins() => return Err(still_held("the monitor is being restarted")),
        () = tokio::time::sleep(desk.answer_timeout) => {
            return Err(still_held("GitHub has not answered yet"));
        }
    };
    taken.ok_or_else(|| {
        ApiError::new(
            Code::NoCapacity,
            "the runner could not be made ready for the job; ask again",
        )
        .retry_after(NO_CAPACITY_RETRY_SECONDS)
    })
}

/// Waits until the reservation's labels are at GitHub, or it has come to nothing.
async fn prepared(desk: &Desk, unique_id: &UniqueId) -> Option<Granted> {
    let mut changes = desk.pool.listen();
    loop {
        changes.borrow_and_update();
        match desk.pool.read(|core| core.take_outcome(unique_id)) {
            TakeOutcome::Runners(runners) => return Some(Granted(runners)),
            TakeOutcome::Ended => return None,
            TakeOutcome::AwaitingLabels => changes.changed().await.ok()?,
        }
    }
}

/// What was reserved stays so, and is found again by asking again.
fn still_held(why: &str) -> ApiError {
    ApiError::new(Code::NotReady, format!("{why}; ask again")).retry_after(1)
}

fn refused(refusal: TakeRefusal, profile_key: &ProfileKey, count: Count) -> ApiError {
    match refusal {
        TakeRefusal::NotReady => not_looked(),
        TakeRefusal::NoCapacity => ApiError::new(
            Code::NoCapacity,
            format!("there are no {count} idle runners of profile {profile_key}; ask again"),
        )
        .retry_after(NO_CAPACITY_RETRY_SECONDS),
        TakeRefusal::UnknownProfile => ApiError::new(
            Code::UnknownProfile,
            format!("this server has no profile {profile_key}; its dashboard shows which it has"),
        ),
        TakeRefusal::StaleAttempt => ApiError::new(
            Code::StaleAttempt,
            "this job was given up in this attempt or a later one",
        ),
        TakeRefusal::OtherParameters => ApiError::new(
            Code::AlreadyReserved,
            "that unique_id holds runners of another profile or count; choose another, best a UUID",
        ),
        TakeRefusal::Served => ApiError::new(
            Code::AlreadyReserved,
            "that unique_id has had its runners, and they are gone; choose another, best a UUID",
        ),
    }
}
