//! Jobs that a server would not have, whatever it has: their names mean another job there.

use super::{scene::Scene, word::linux};

#[test]
fn a_job_that_no_server_would_have_does_not_stop_those_behind_it() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(3, &[1, 2, 3]));
    scene.report("b", linux(2, &[4, 5]));
    let unwanted = scene.enqueue("unwanted", "linux", 1);
    let forward = scene.forwarded("unwanted", "a");
    scene.refuse_this_job(&forward);
    // The next server may want it.
    let forward = scene.forwarded("unwanted", "b");
    scene.refuse_this_job(&forward);
    for (runner, job) in (1..).zip(["first", "second", "third"]) {
        let ticket = scene.enqueue(job, "linux", 1);
        let forward = scene.forwarded(job, if runner == 3 { "b" } else { "a" });
        scene.grant(&forward, &[runner]);
        assert_eq!(scene.get(&ticket), [runner]);
    }
    assert_eq!(scene.wait(&unwanted).ahead, 0);
}

#[test]
fn a_server_that_would_not_have_a_job_is_asked_again_after_half_a_minute() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[1]));
    let ticket = scene.enqueue("job", "linux", 1);
    let mut forward = scene.forwarded("job", "a");
    let call = scene.take_held(&ticket, 600);
    for _ in 0..3 {
        scene.refuse_this_job(&forward);
        scene.report("a", linux(1, &[1]));
        scene.pass(29);
        scene.assert_quiet();
        scene.pass(1);
        forward = scene.forwarded("job", "a");
    }
    scene.grant(&forward, &[1]);
    assert_eq!(scene.got(call), [1]);
}

#[test]
fn a_job_that_is_refused_because_it_was_served_gets_no_second_set() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(1, &[1]));
    let ticket = scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.report("b", linux(1, &[2]));
    scene.report("a", linux(1, &[]).has_served("job", &[1], forward.attempt));
    scene.refuse_this_job(&forward);
    scene.be_unknown(&ticket);
}
