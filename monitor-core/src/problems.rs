//! What is wrong on this server, derived from the state: for dashboards, metrics and the log.
//!
//! Not responsible for problems outside of the core: adapters report those themselves.

use shared::{backoff::Failures, problem::Problem, values::ProfileKey};

use crate::{Monitor, RunnerId, state::runner::RunnerRecord};

impl Monitor {
    /// Everything that is wrong, in a fixed order.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let runners = self.durable.runners.iter();
        runners
            .filter_map(|(id, record)| not_destroyed(*id, record))
            .chain(self.images.failures().filter_map(not_built))
            .collect()
    }
}

/// A runner that cannot be destroyed: it counts against capacity until it is gone.
fn not_destroyed(id: RunnerId, record: &RunnerRecord) -> Option<Problem> {
    let failures = &record.destroy_failures;
    let since = failures.since().filter(|_| record.is_stuck())?;
    Some(Problem {
        code: "runner_not_destroyed".into(),
        subject: format!("runner {}.{id}", record.profile_key),
        cause: format!(
            "destroying it has failed {} times, and it still counts against capacity",
            failures.count()
        ),
        remedy:
            "find the reason in the log of the monitor and mend it; the monitor tries again by \
                 itself"
                .into(),
        since,
    })
}

/// An image whose builds fail.
fn not_built((profile_key, failures, cause): (&ProfileKey, &Failures, &str)) -> Option<Problem> {
    Some(Problem {
        code: "image_not_built".into(),
        subject: format!("image of {profile_key}"),
        cause: match failures.count() {
            1 => format!("its build failed: failed to {cause}"),
            count => format!("its build failed {count} times in a row: failed to {cause}"),
        },
        remedy:
            "read its console on the page of the monitor and mend its build; the monitor tries \
                 again by itself"
                .into(),
        since: failures.since()?,
    })
}

#[cfg(test)]
mod tests;
