//! Profiles that an operator pauses and resumes.

use shared::{
    operator::{Intervention, Order},
    values::ProfileKey,
};

use super::harness::{MadeBy, TestQueue, linux, one_job_forwarded, one_server};
use crate::{Answer, Input, NoEstimate, PastRun, PauseOrder, Refusal, WaitReason};

impl TestQueue {
    fn try_pause(&mut self, profile_key: &str, note: &str) -> Result<Intervention, Refusal> {
        let order = PauseOrder {
            profile_key: profile_key.parse().unwrap(),
            order: Order {
                note: note.parse().unwrap(),
                author: "alice@laptop".parse().unwrap(),
                client_address: Some([192, 0, 2, 1].into()),
            },
        };
        let call = self.call(|call| Input::Pause { call, order });
        match self.answer_to(call) {
            Some(Answer::Paused(pause)) => Ok(pause),
            Some(Answer::Refused(refusal)) => Err(refusal),
            other => panic!("expected an answer to a pause, not {other:?}"),
        }
    }

    fn pause(&mut self, profile_key: &str, note: &str) -> Intervention {
        self.try_pause(profile_key, note).unwrap()
    }

    fn resume(&mut self, profile_key: &str) -> Option<Intervention> {
        let profile_key: ProfileKey = profile_key.parse().unwrap();
        let call = self.call(|call| Input::Resume { call, profile_key });
        match self.answer_to(call) {
            Some(Answer::Resumed(ended)) => ended,
            other => panic!("expected an answer to a resumption, not {other:?}"),
        }
    }
}

#[test]
fn jobs_of_a_paused_profile_keep_their_order_and_wait_until_it_is_resumed() {
    let mut queue = one_server(3, &[]);
    let first = queue.enqueue("first", "linux", 1);
    queue.pause("linux", "");
    let second = queue.enqueue("second", "linux", 1);
    queue.report("a", linux(3, &[1, 2]));
    queue.assert_waiting(&second);
    assert_eq!(queue.assert_waiting(&first).ahead, 0);
    assert!(queue.resume("linux").is_some());
    queue.expect_forward("first", "a");
    queue.expect_forward("second", "a");
    assert_eq!(queue.resume("linux"), None);
}

#[test]
fn other_profiles_go_on_while_one_is_paused() {
    let mut queue = TestQueue::with(&["a"]);
    queue.report("a", linux(1, &[1]).and("windows", 1, &[2]));
    queue.pause("linux", "");
    queue.enqueue("waits", "linux", 1);
    queue.enqueue("other", "windows", 1);
    queue.expect_forward("other", "a");
}

#[test]
fn what_was_decided_before_a_pause_is_carried_out_and_nothing_after_it() {
    let (mut queue, ticket, forward) = one_job_forwarded();
    queue.pause("linux", "");
    queue.grant(&forward, &[1]);
    assert_eq!(queue.take_runners(&ticket), [1]);

    let (mut queue, ticket, forward) = one_job_forwarded();
    queue.pause("linux", "");
    queue.refuse(&forward);
    queue.report("a", linux(2, &[1, 2]));
    queue.advance(20);
    queue.assert_waiting(&ticket);
}

#[test]
fn runners_that_a_server_holds_for_a_job_are_adopted_during_a_pause() {
    let mut queue = one_server(1, &[]);
    let ticket = queue.enqueue("job", "linux", 1);
    queue.pause("linux", "");
    let by = MadeBy::queue_at(ticket.enqueued_at);
    queue.report("a", linux(1, &[]).holds("job", &[1], by));
    queue.expect_forward("job", "a");
}

#[test]
fn a_pause_outlives_a_restart_and_keeps_its_time() {
    let mut queue = one_server(1, &[]);
    let ticket = queue.enqueue("job", "linux", 1);
    let begun = queue.pause("linux", "disks");
    queue.advance(5);
    let pause = queue.pause("linux", "other");
    assert_eq!((pause.since, &*pause.note), (begun.since, "other"));
    queue.restart();
    queue.end_startup_grace();
    queue.report("a", linux(1, &[1]));
    queue.assert_waiting(&ticket);
    assert_eq!(queue.resume("linux"), Some(pause));
    queue.expect_forward("job", "a");
}

#[test]
fn a_job_of_a_paused_profile_waits_for_its_operator_for_an_unknown_time() {
    let mut queue = one_server(1, &[]);
    queue.enqueue("first", "linux", 1);
    queue.enqueue("second", "linux", 1);
    queue.pause("linux", "new disks");
    let why = "its profile is paused by alice@laptop since 1970-01-12T13:46:45Z: new disks";
    let view = queue.core.view(queue.now);
    for job in &view.profiles[0].jobs {
        assert_eq!((&*job.why, job.estimate), (why, None));
    }
    let (_, pause) = queue.core.pauses().next().unwrap();
    assert!(pause.client_address.is_some());
    assert_eq!(view.profiles[0].paused, Some(pause.public()));
    let job = queue.core.jobs().next().unwrap();
    let reason = queue.core.wait_reason(queue.now, job);
    assert_eq!(reason, WaitReason::Paused(pause.clone()));
}

#[test]
fn the_wait_is_not_estimated_during_a_pause() {
    let mut queue = TestQueue::with(&["a"]);
    queue.core.restore([PastRun::Finished {
        profile_key: "linux".parse().unwrap(),
        qualified_repo: "servo/servo".parse().unwrap(),
        took: std::time::Duration::from_secs(100),
        share: None,
    }]);
    queue.report("a", linux(9, &[]));
    let ticket = queue.enqueue("job", "linux", 1);
    assert!(queue.assert_waiting(&ticket).prospect.is_ok());
    queue.pause("linux", "");
    let prospect = queue.assert_waiting(&ticket).prospect;
    assert!(
        matches!(prospect, Err(NoEstimate::Obstacle(WaitReason::Paused(_)))),
        "{prospect:?}"
    );
}

#[test]
fn a_profile_that_no_server_has_is_paused_only_while_one_may_have_it() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[]));
    queue.pause("windows", "");
    assert!(queue.resume("windows").is_some());
    queue.report("b", linux(1, &[]));
    assert_eq!(queue.try_pause("windows", ""), Err(Refusal::UnknownProfile));
    assert_eq!(queue.resume("windows"), None);
}

#[test]
fn the_number_of_paused_profiles_is_limited() {
    let mut queue = TestQueue::with(&["a"]);
    for number in 0..100 {
        queue.pause(&format!("profile-{number}"), "");
    }
    let refusal = Refusal::TooManyPauses { pauses_max: 100 };
    assert_eq!(queue.try_pause("linux", ""), Err(refusal));
    queue.pause("profile-7", "again");
    queue.resume("profile-7");
    queue.pause("linux", "");
    assert_eq!(queue.core.pauses().count(), 100);
}
