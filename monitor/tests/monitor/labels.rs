//! Labels that are put on runners by a take, and what else a profile says of its registrations.

use std::time::Duration;

use emulator::{
    faults::{Fault, FaultRule, PathMatch},
    model::{JobPhase, PageRequest},
};
use http_client::Method;
use shared::wire::{RunnerStatus, TakenRunner};

use crate::support::{API_TOKEN, Host, RUNNERS, WHO, bearer, code, ids, in_time, statuses};

#[actix_web::test]
async fn labels_can_be_added_by_the_take() {
    let host = Host::new();
    let monitor = host
        .start(host.settings(1, "reservation_labels = \"on_take\""))
        .await;
    monitor.until_idle(1).await;
    let rule = host.break_github("POST", "/orgs/acme/actions/runners", Fault::status(422));
    let refused = monitor.take("job").await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("retry-after")),
        (503, Some("5"))
    );
    assert!(host.emulator().faults().hit_count(rule) > 0);
    host.emulator().faults().clear_all();
    let dashboard = monitor.until_idle(1).await;
    assert_eq!(ids(&dashboard), [0], "the runner was given back");

    // What passes is not held against the job: the take waits for the second try.
    let labels = PathMatch::Suffix("/labels".into());
    let rule = FaultRule::on("POST", labels, Fault::status(500)).next(1);
    let rule = host.emulator().faults().add(rule).unwrap();
    let taken = monitor.taken("job").await;
    assert_eq!(taken.label.as_deref(), Some("reserved-for:job"));
    assert_eq!(host.emulator().faults().hit_count(rule), 1);
    let job = host.queue_job("reserved-for:job", "true");
    host.until_phase(job, JobPhase::Completed).await;
    monitor.stop().await;
}

#[actix_web::test]
async fn a_take_does_not_wait_for_github_for_ever_and_gets_the_same_runner_later() {
    let host = Host::new();
    let mut settings = host.settings(1, "reservation_labels = \"on_take\"");
    settings.pool.monitor_thread_recv_timeout = Duration::from_millis(50);
    let monitor = host.start(settings).await;
    monitor.until_idle(1).await;
    let labels = PathMatch::Suffix("/labels".into());
    let rule = FaultRule::on("POST", labels, Fault::HoldRequest);
    host.emulator().faults().add(rule).unwrap();
    let token = bearer(API_TOKEN);
    let json = [("accept", "application/json"), ("authorization", &token)];
    let take = format!("profile/linux/take?unique_id=job&{WHO}");
    let held = monitor.call_with(Method::POST, &take, &json).await;
    assert_eq!(
        (held.status.as_u16(), code(&held)),
        (503, "not_ready".into())
    );
    assert_eq!(
        statuses(&monitor.dashboard().await),
        [RunnerStatus::Reserved]
    );
    host.emulator().faults().clear_all();
    let given = async {
        loop {
            let answer = monitor.take("job").await;
            if answer.status == 200 {
                return answer.json::<TakenRunner>().unwrap();
            }
        }
    };
    assert_eq!(in_time("the runner", given).await.id, 0);
    monitor.stop().await;
}

#[actix_web::test]
async fn runners_are_registered_in_their_group_with_their_labels() {
    let host = Host::new();
    let mut settings = host.settings(1, "reservation_labels = \"on_take\"");
    let profile = settings.profiles.values_mut().next().unwrap();
    profile.runner_group_id = 7;
    profile.extra_labels = vec!["gpu".to_owned()];
    let monitor = host.start(settings).await;
    monitor.until_idle(1).await;
    let registered = host.emulator().model(|model, now| {
        let page = PageRequest::new(None, None);
        model.runners(now, &"/orgs/acme".parse().unwrap(), None, page)
    });
    let [runner] = &registered.items[..] else {
        panic!("one runner, not {registered:?}");
    };
    assert_eq!(runner.runner_group_id, 7);
    let labels: Vec<&str> = runner.labels.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(labels[0], "self-hosted");
    assert_eq!(labels[2..], ["linux-label", "gpu"]);
    monitor.stop().await;
}

/// A label that arrives after its reservation was given up would stay, and lead a job there.
#[actix_web::test]
async fn a_reservation_is_given_up_when_all_its_labels_have_landed_or_not() {
    let host = Host::new();
    let mut settings = host.settings(2, "reservation_labels = \"on_take\"");
    settings.pool.monitor_thread_recv_timeout = Duration::from_millis(50);
    let monitor = host.start(settings).await;
    let dashboard = monitor.until_idle(2).await;
    let ids = dashboard.runners.iter();
    let ids: Vec<u64> = ids
        .map(|runner| runner.runner.registration.as_ref().unwrap().id)
        .collect();
    let rules = [Fault::status(422), Fault::HoldAnswer]
        .into_iter()
        .zip(ids)
        .map(|(fault, id)| {
            let path = PathMatch::Exact(format!("{RUNNERS}/{id}/labels"));
            let rule = FaultRule::on("POST", path, fault);
            host.emulator().faults().add(rule).unwrap()
        });
    let rules: Vec<_> = rules.collect();
    let take = format!("profile/linux/take/2?unique_id=both&{WHO}");
    assert_eq!(monitor.call(Method::POST, &take).await.status, 503);
    let struck = host
        .emulator()
        .until(|it| rules.iter().all(|rule| it.faults().hit_count(*rule) > 0));
    in_time("both calls to arrive", struck).await;
    let shown = statuses(&monitor.dashboard().await);
    assert_eq!(shown, [RunnerStatus::Reserved; 2]);
    host.emulator().faults().clear_all();
    monitor.until_idle(2).await;
    let labels = host.emulator().model(|model, now| {
        let page = PageRequest::new(None, None);
        let runners = model.runners(now, &"/orgs/acme".parse().unwrap(), None, page);
        let labels = runners.items.into_iter().flat_map(|runner| runner.labels);
        labels.map(|label| label.name).collect::<Vec<_>>()
    });
    assert!(
        !labels.iter().any(|label| label.starts_with("reserved-")),
        "{labels:?}"
    );
    monitor.stop().await;
}
