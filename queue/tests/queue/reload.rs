//! Settings that change while the queue runs.

use serde_json::json;

use super::support::{Fixture, log};

#[test]
fn a_limit_is_in_force_after_a_reload_and_what_needs_a_restart_is_named() {
    let fixture = Fixture::<1>::start("settle = 0\njobs_max = 7");
    let daemon = &fixture.daemon;
    let reload = || {
        daemon
            .request_as_operator("POST", "/reload")
            .expect_json(200)
    };
    assert_eq!(reload(), json!({"applied": [], "needs_restart": []}));
    daemon.enqueue("first");
    daemon.edit_settings("jobs_max = 7", "jobs_max = 1\nstale_after = 20");
    let needs_restart = ["queue.stale_after"];
    assert_eq!(
        reload(),
        json!({"applied": ["queue.jobs_max"], "needs_restart": needs_restart})
    );
    let headers = [("accept", "application/json")];
    daemon
        .request("POST", "/reload", &headers)
        .assert_refused(401, "unauthorised");
    let refused = daemon.try_enqueue("second");
    assert_eq!(refused.status, 429, "{refused:?}");
    // Still needed, also if nothing has changed since.
    assert_eq!(
        reload(),
        json!({"applied": [], "needs_restart": needs_restart})
    );
    assert!(!log::lines_with("action=reload authorised_by=api_token").is_empty());
}

#[test]
fn a_mistake_in_the_settings_changes_nothing_and_is_a_problem_until_it_is_corrected() {
    let fixture = Fixture::<1>::start("settle = 0\njobs_max = 7");
    let daemon = &fixture.daemon;
    daemon.edit_settings("jobs_max = 7", "jobs_max = 1\nabandon_after = \"soon\"");
    let response = daemon.request_as_operator("POST", "/reload");
    let message = response.assert_refused(422, "invalid_settings");
    assert!(message.contains("abandon_after"), "{message}");
    let (subject, cause) = daemon.problems("settings_not_reloaded").pop().unwrap();
    assert_eq!(subject, "settings");
    assert!(cause.contains("abandon_after"), "{cause}");
    daemon.enqueue("first");
    daemon.enqueue("second");
    daemon.edit_settings("\"soon\"", "60");
    daemon
        .request_as_operator("POST", "/reload")
        .expect_json(200);
    assert_eq!(daemon.problems("settings_not_reloaded"), []);
    assert_eq!(daemon.try_enqueue("third").status, 429);
}
