//! State machine of the job queue: handles one input at a time.
//!
//! Contract: after every [`Queue::handle`] drain [`Queue::poll_effect`], then sleep until
//! [`Queue::poll_timeout`] and hand in [`Input::Tick`]. Time is an argument and never runs
//! backwards. Equal inputs at equal times give equal effects.

use shared::{
    clock::Timestamp,
    demand::Demand,
    operator::Intervention,
    problem::Problem,
    values::{ProfileKey, UniqueId},
};

use crate::{
    config::Config,
    demand,
    effect::Effect,
    estimate::PastRun,
    input::Input,
    problems, scheduling,
    state::{
        State,
        fleet::{Fleet, ServerId},
        job::Job,
        repo_use::{LazyRepoUse, repo_use},
    },
    transitions, view,
    view::{JobView, View},
    wait_reason::{self, WaitReason},
};

/// State machine of the job queue: jobs, servers, timers and pending effects. Performs no I/O.
#[derive(Debug)]
pub struct Queue {
    pub(crate) state: State,
    last_handled_at: Timestamp,
}

impl Queue {
    /// An empty queue in front of `servers` (base URLs, sorted), started `now`. `instance` is a
    /// random number that distinguishes this process from every other queue.
    pub fn new(config: Config, servers: &[String], instance: u64, now: Timestamp) -> Self {
        debug_assert!(servers.is_sorted(), "ties between servers go by name");
        Self {
            state: State::new(config, servers, instance, now),
            last_handled_at: now,
        }
    }

    /// The same queue with these profiles paused, as they were when it last ran. Those beyond the limit are
    /// left out.
    #[must_use]
    pub fn with_pauses(
        mut self,
        pauses: impl IntoIterator<Item = (ProfileKey, Intervention)>,
    ) -> Self {
        for (profile_key, pause) in pauses {
            self.state.pauses.insert(profile_key, pause);
        }
        self
    }

    /// Learns what is known from before the queue was restarted, oldest first. It makes estimates better, and with a
    /// policy it counts for the shares of repositories; it has no other effect. To be called before the first
    /// input.
    pub fn restore(&mut self, past: impl IntoIterator<Item = PastRun>) {
        for run in past {
            if let PastRun::Finished {
                qualified_repo,
                took,
                share: Some(share),
                ..
            } = &run
            {
                let policy = self.state.config.limits.policy.as_deref();
                let runners = u32::try_from(share.count.get()).unwrap_or(u32::MAX);
                let runner_time = took.saturating_mul(runners);
                let (ended_at, lane) = (share.ended_at, &share.lane);
                let accounts = &mut self.state.accounts;
                accounts.restore(policy, ended_at, lane, qualified_repo, runner_time);
            }
            self.state.estimates.history.restore(run);
        }
    }

    /// Handles one input, then every timer that is due, and then schedules once.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        let now = now.max(self.last_handled_at);
        transitions::presence::observe_own_pause(&mut self.state, self.last_handled_at, now);
        self.last_handled_at = now;
        transitions::apply(&mut self.state, now, input);
        while let Some(timer) = self.state.timers.pop_due(now) {
            transitions::apply_timer(&mut self.state, now, timer);
        }
        self.state.jobs.forget_expired(now);
        scheduling::run(&mut self.state, now);
        // Last, because a forward makes an older release to the same server for the same job
        // pointless.
        while let Some(release) = self.state.pending_releases.pop_due(now) {
            self.state.effects.push_back(Effect::Release(release));
        }
    }

    /// Removes and returns the next effect.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.state.effects.pop_front()
    }

    /// When `Input::Tick` is due, if there is no other input before.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let timer = self.state.timers.next_at();
        let release = self.state.pending_releases.next_at();
        timer.into_iter().chain(release).min()
    }

    /// Whether the startup grace period is over, so that runners are assigned.
    pub fn is_dispatching(&self, now: Timestamp) -> bool {
        self.state.is_dispatching(now)
    }

    /// What is known about the servers.
    pub fn fleet(&self) -> &Fleet {
        &self.state.fleet
    }

    /// Every job that is not retired.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.state.jobs.iter()
    }

    /// The demand that is stated to a server: for each profile how many of its runners, besides those in
    /// use, could have a job at once. `None` if its targets do not follow demand.
    pub fn demand(&self, now: Timestamp, server: ServerId) -> Option<Demand> {
        demand::demand(&self.state, now, server)
    }

    /// Whether there is a job of this name that is not retired.
    pub fn has_job(&self, unique_id: &UniqueId) -> bool {
        self.state.jobs.get(unique_id).is_some()
    }

    /// Whether `server` may be asked for runners for this job now.
    pub fn can_forward(&self, now: Timestamp, server: ServerId, unique_id: &UniqueId) -> bool {
        self.state.can_forward(now, server, unique_id)
    }

    /// Whether a rule of the policy looks at the run of a job, for which GitHub has to be asked.
    pub fn needs_run_facts(&self) -> bool {
        let policy = self.state.config.limits.policy.as_ref();
        policy.is_some_and(|policy| policy.needs_run())
    }

    /// Whether the limit of its repository keeps a waiting job from runners, or an earlier one of the repository that
    /// it must not pass. Its cost grows with the number of jobs.
    pub fn is_held_back(&self, now: Timestamp, unique_id: &UniqueId) -> bool {
        let Some(job) = self.state.jobs.get(unique_id) else {
            return false;
        };
        let spec = &job.request().spec;
        let Some(repo_use) = repo_use(&self.state, now, &spec.profile_key) else {
            return false;
        };
        let reach = self.state.fleet.reach(&spec.profile_key, now);
        let mut others = self.state.jobs.iter().filter(|other| {
            let theirs = &other.request().spec;
            other.is_waiting()
                && theirs.profile_key == spec.profile_key
                && theirs.qualified_repo == spec.qualified_repo
                && theirs.count.get() <= reach
                && other.ticket.position() <= job.ticket.position()
        });
        others.any(|other| !repo_use.allows(&spec.qualified_repo, other.request().spec.count))
    }

    /// The profiles that operators have paused.
    pub fn pauses(&self) -> impl Iterator<Item = (&ProfileKey, &Intervention)> {
        self.state.pauses.iter()
    }

    /// Why a job waits.
    pub fn wait_reason(&self, now: Timestamp, job: &Job) -> WaitReason {
        let profile_key = &job.request().spec.profile_key;
        let repo_use = LazyRepoUse::new(&self.state, now, profile_key);
        wait_reason::wait_reason(&self.state, now, job, &repo_use)
    }

    /// What is wrong, for the operator. Its cost grows with the number of servers.
    pub fn problems(&self, now: Timestamp) -> Vec<Problem> {
        problems::problems(&self.state, now)
    }

    /// Snapshot of everything that the dashboard and the metrics show. Its cost grows with the
    /// number of profiles and servers, not with the number of waiting jobs.
    pub fn view(&self, now: Timestamp) -> View {
        view::view(&self.state, now)
    }

    /// The jobs of these names that wait, with their positions, counted from 1, and profiles. Its cost
    /// grows with the number of names.
    pub fn job_views(
        &self,
        now: Timestamp,
        unique_ids: &[UniqueId],
    ) -> Vec<(u64, ProfileKey, JobView)> {
        view::job_views(&self.state, now, unique_ids.iter())
    }
}
