//! The fixture of the model's tests, which checks after every step that jobs and runners are
//! consistent, and a property test with random steps.

use std::time::Duration;

use proptest::prelude::*;
use shared::{clock::Timestamp, secret::Secret, values::RunId};

use super::{jobs::JobState, runner::Work, *};

/// A model with its time, and the scope in which its runners are registered.
pub(super) struct TestModel {
    pub(super) model: Model,
    pub(super) now: Timestamp,
    pub(super) scope: Scope,
}

/// A runner with a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listener {
    pub(super) id: RunnerId,
    pub(super) session: SessionId,
}

impl TestModel {
    pub(super) fn new() -> Self {
        Self::with(ModelSettings::default())
    }

    pub(super) fn with(settings: ModelSettings) -> Self {
        let now = Timestamp::from_seconds(1_000);
        let scope = "/orgs/acme".parse().unwrap();
        Self {
            model: Model::new(settings, now),
            now,
            scope,
        }
    }

    pub(super) fn try_register(
        &mut self,
        scope: &str,
        name: &str,
        labels: &[&str],
    ) -> Result<RunnerView, ModelError> {
        let runner = NewRunner {
            name: name.into(),
            labels: labels.iter().map(ToString::to_string).collect(),
            runner_group_id: 1,
        };
        let secret = Secret::new(format!("secret of {name}"));
        let result = self
            .model
            .register(self.now, &scope.parse().unwrap(), runner, secret);
        self.assert_consistent();
        result
    }

    pub(super) fn register(&mut self, name: &str, labels: &[&str]) -> RunnerView {
        self.try_register(&self.scope.to_string(), name, labels)
            .unwrap()
    }

    pub(super) fn online_runner(&mut self, name: &str, labels: &[&str]) -> Listener {
        let id = self.register(name, labels).id;
        let secret = format!("secret of {name}");
        let session = self.model.open_session(self.now, id, &secret).unwrap();
        self.assert_consistent();
        Listener { id, session }
    }

    /// The runner's entry in the list.
    pub(super) fn runner(&mut self, name: &str) -> Option<RunnerView> {
        let page = PageRequest::new(None, None);
        let mut page = self.model.runners(self.now, &self.scope, Some(name), page);
        page.items.pop()
    }

    /// The state that a request with its id returns.
    pub(super) fn shown(&mut self, runner: Listener) -> Result<RunnerView, ModelError> {
        self.model.runner(self.now, &self.scope, runner.id)
    }

    pub(super) fn delete(&mut self, runner: Listener) -> Result<(), ModelError> {
        let result = self.model.delete_runner(self.now, &self.scope, runner.id);
        self.assert_consistent();
        result
    }

    pub(super) fn misreport(&mut self, name: &str, misreport: Misreport) {
        self.model.misreport(self.now, name, misreport);
    }

    pub(super) fn new_job(&self, labels: &[&str]) -> NewJob {
        NewJob {
            repo: "acme/widgets".parse().unwrap(),
            run_id: RunId(7),
            labels: labels.iter().map(ToString::to_string).collect(),
            command: "true".into(),
        }
    }

    pub(super) fn queue(&mut self, labels: &[&str]) -> JobId {
        let job = self.new_job(labels);
        let id = self.model.queue_job(self.now, job).unwrap();
        self.assert_consistent();
        id
    }

    pub(super) fn job(&mut self, id: JobId) -> JobView {
        self.model.job(self.now, id).unwrap()
    }

    pub(super) fn phase(&mut self, id: JobId) -> JobPhase {
        self.job(id).phase
    }

    pub(super) fn conclusion(&mut self, id: JobId) -> Option<Conclusion> {
        self.job(id).conclusion
    }

    pub(super) fn poll(&mut self, runner: Listener) -> Option<Offer> {
        let offer = self
            .model
            .poll_job(self.now, runner.id, runner.session)
            .unwrap();
        self.assert_consistent();
        offer
    }

    pub(super) fn try_start(&mut self, runner: Listener, job: JobId) -> Result<(), ModelError> {
        let result = self
            .model
            .start_job(self.now, runner.id, runner.session, job);
        self.assert_consistent();
        result
    }

    pub(super) fn start(&mut self, runner: Listener, job: JobId) {
        self.try_start(runner, job).unwrap();
    }

    pub(super) fn renew(&mut self, runner: Listener, job: JobId) -> JobSignal {
        let (id, session) = (runner.id, runner.session);
        self.model
            .renew_job(self.now, id, session, job, "working".into())
            .unwrap()
    }

    pub(super) fn complete(
        &mut self,
        runner: Listener,
        job: JobId,
        exit_code: Option<i32>,
    ) -> Result<(), ModelError> {
        let completion = Completion {
            exit_code,
            output_tail: "bye".into(),
        };
        let (id, session) = (runner.id, runner.session);
        let result = self
            .model
            .complete_job(self.now, id, session, job, completion);
        self.assert_consistent();
        result
    }

    /// Lets time pass without a request.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.model.advance(self.now);
        self.assert_consistent();
    }

    /// Lets time pass while these runners poll.
    pub(super) fn pass_listening(&mut self, time: Duration, runners: &[Listener]) {
        let end = self.now + time;
        while self.now < end {
            self.pass(Duration::from_secs(1).min(end.since(self.now)));
            for &runner in runners {
                let _ = self.model.poll_job(self.now, runner.id, runner.session);
            }
        }
        self.assert_consistent();
    }

    /// Checks that jobs and runners refer to each other, that open jobs are not completed, that no
    /// deadline has passed, and that no job waits for which there is an idle runner.
    fn assert_consistent(&self) {
        let model = &self.model;
        for (id, job) in &model.jobs {
            let is_completed = matches!(job.state, JobState::Completed { .. });
            assert_eq!(model.open_jobs.contains(id), !is_completed, "{job:?}");
            match job.state {
                JobState::Assigned { runner, .. } => {
                    assert_eq!(model.runners[&runner].work, Work::Assigned(*id));
                }
                JobState::Running { runner } => {
                    assert_eq!(model.runners[&runner].work, Work::Running(*id));
                }
                JobState::Queued => assert!(
                    model.is_assignment_blocked
                        || !model.runners.values().any(|runner| runner.is_online()
                            && runner.work == Work::Idle
                            && runner.scope.serves(&job.repo)
                            && runner.labels.has_all(&job.labels)),
                    "{job:?} waits beside an idle runner"
                ),
                JobState::Completed { .. } => {}
            }
        }
        for runner in model.runners.values() {
            let state = |job: &JobId| model.jobs[job].state;
            match &runner.work {
                Work::Idle => {}
                Work::Assigned(job) => {
                    let holder = match state(job) {
                        JobState::Assigned { runner, .. } => Some(runner),
                        _ => None,
                    };
                    assert_eq!(holder, Some(runner.id));
                }
                Work::Running(job) => {
                    assert_eq!(state(job), JobState::Running { runner: runner.id });
                }
            }
        }
        assert!(model.next_deadline().is_none_or(|at| at > self.now));
    }

    fn step(&mut self, step: Step, listeners: &mut Vec<Listener>) {
        let now = self.now;
        let scope = self.scope.clone();
        let pick = |n: usize, of: usize| if of == 0 { 0 } else { n % of };
        let listener = |n: usize| listeners.get(pick(n, listeners.len())).copied();
        let newest = self.model.open_jobs.iter().next_back().copied();
        let model = &mut self.model;
        match step {
            Step::Join(label) => {
                let name = format!("runner-{}", listeners.len());
                listeners.push(self.online_runner(&name, &["x", LABELS[label]]));
            }
            Step::Queue(label) => drop(self.queue(&[LABELS[label]])),
            Step::Work(n) => {
                let Some(runner) = listener(n) else { return };
                let Ok(Some(offer)) = model.poll_job(now, runner.id, runner.session) else {
                    return;
                };
                self.start(runner, offer.job_id);
            }
            Step::Finish(n) => {
                let Some(runner) = listener(n) else { return };
                let Some(Work::Running(job)) = model.runners.get(&runner.id).map(|it| it.work)
                else {
                    return;
                };
                let _ = self.complete(runner, job, Some(0));
            }
            Step::Delete(n) => drop(listener(n).map(|it| model.delete_runner(now, &scope, it.id))),
            Step::Vanish(n) => drop(model.vanish(now, &format!("runner-{n}"))),
            Step::Cancel => drop(newest.map(|job| model.cancel_job(now, job))),
            Step::Close(n) => {
                drop(listener(n).map(|it| model.close_session(now, it.id, it.session)));
            }
            Step::Block(is_blocked) => model.block_assignment(now, is_blocked),
            Step::Pass(seconds) => self.pass(Duration::from_secs(seconds)),
        }
        self.assert_consistent();
    }
}

const LABELS: [&str; 3] = ["x", "y", "z"];

#[derive(Clone, Debug)]
enum Step {
    Join(usize),
    Queue(usize),
    Work(usize),
    Finish(usize),
    Delete(usize),
    Vanish(usize),
    Cancel,
    Close(usize),
    Block(bool),
    Pass(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..LABELS.len()).prop_map(Step::Join),
        4 => (0..LABELS.len()).prop_map(Step::Queue),
        4 => (0..8_usize).prop_map(Step::Work),
        2 => (0..8_usize).prop_map(Step::Finish),
        1 => (0..8_usize).prop_map(Step::Delete),
        1 => (0..8_usize).prop_map(Step::Vanish),
        1 => Just(Step::Cancel),
        1 => (0..8_usize).prop_map(Step::Close),
        1 => any::<bool>().prop_map(Step::Block),
        2 => prop_oneof![Just(1), Just(4), Just(61), Just(700), Just(90_000)].prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn jobs_and_runners_are_consistent_after_random_steps(steps in prop::collection::vec(any_step(), 1..60)) {
        let mut github = TestModel::new();
        let mut listeners = Vec::new();
        for step in steps {
            github.step(step, &mut listeners);
        }
    }
}
