//! What happened in a run, counted.

/// Counts over one run, or over several.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statistics {
    /// Simulated time, in microseconds.
    pub micros: u64,
    /// Number of events.
    pub events: u64,
    /// Number of injected faults, including every lost, late, duplicated or cut message.
    pub faults: u64,
    /// Jobs that were enqueued.
    pub jobs: u64,
    /// Jobs whose client received all runners.
    pub assigned: u64,
    /// Jobs that were ended by their queue because their client had been silent for too long.
    pub abandoned: u64,
    /// Workflow jobs that ran to their end.
    pub workflow_jobs: u64,
    /// Takes that queues sent to monitors.
    pub forwards: u64,
    /// Releases that queues sent to monitors.
    pub releases: u64,
    /// Requests that count against GitHub's rate limit: changed lists, registrations, deletions.
    pub github_requests: u64,
    /// The highest number of them within an hour.
    pub github_requests_per_hour: u64,
}

impl Statistics {
    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        self.micros += other.micros;
        self.events += other.events;
        self.faults += other.faults;
        self.jobs += other.jobs;
        self.assigned += other.assigned;
        self.abandoned += other.abandoned;
        self.workflow_jobs += other.workflow_jobs;
        self.forwards += other.forwards;
        self.releases += other.releases;
        self.github_requests += other.github_requests;
        self.github_requests_per_hour = self
            .github_requests_per_hour
            .max(other.github_requests_per_hour);
    }
}
