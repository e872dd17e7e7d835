//! Tests of labels that a take adds to runners, and of other registration settings of a profile.

use std::time::Duration;

use emulator::{
    faults::{Fault, FaultRule, PathMatch},
    model::{JobPhase, PageRequest},
};
use http_client::Method;
use shared::wire::{RunnerStatus, TakenRunner};

use crate::support::{
    API_TOKEN, Host, JOB, RUNNERS, bearer, expect_refusal, ids, in_time, statuses, with_idle,
    with_idle_and,
};

#[actix_web::test]
async fn a_take_adds_the_labels_and_ends_its_reservation_if_github_refuses_them() {
    let (host, monitor) = with_idle_and(1, "reservation_labels = \"on_take\"").await;
    let rule = host.break_github("POST", "/orgs/acme/actions/runners", Fault::status(422));
    let refused = monitor.take("job").await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("retry-after")),
        (503, Some("5"))
    );
    assert!(host.emulator().faults().hit_count(rule) > 0);
    host.emulator().faults().clear_all();
    let dashboard = monitor.until_idle(1).await;
    assert_eq!(ids(&dashboard), [0], "the runner is idle again");

    // A transient failure is retried while the take waits.
    let labels = PathMatch::Suffix("/labels".into());
    let rule = FaultRule::on("POST", labels, Fault::status(500)).next(1);
    let rule = host.emulator().faults().add(rule).unwrap();
    let taken = monitor.expect_taken("job").await;
    assert_eq!(taken.label.as_deref(), Some("reserved-for:job"));
    assert_eq!(host.emulator().faults().hit_count(rule), 1);
    let job = host.queue_job("reserved-for:job", "true");
    host.until_phase(job, JobPhase::Completed).await;
    monitor.stop().await;
}

#[actix_web::test]
async fn a_take_that_times_out_waiting_for_github_returns_the_same_runner_when_repeated() {
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
    let take = format!("profile/linux/take?unique_id=job&{JOB}");
    let held = monitor.call_with(Method::POST, &take, &json).await;
    expect_refusal(&held, 503, "not_ready", &take);
    assert_eq!(
        statuses(&monitor.dashboard().await),
        [RunnerStatus::Reserved]
    );
    host.emulator().faults().clear_all();
    let granted = async {
        loop {
            let answer = monitor.take("job").await;
            if answer.status == 200 {
                return answer.json::<TakenRunner>().unwrap();
            }
        }
    };
    assert_eq!(in_time("the take is granted", granted).await.id, 0);
    monitor.stop().await;
}

#[actix_web::test]
async fn runners_are_registered_with_the_group_and_labels_of_their_profile() {
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

fn labels_of_all_runners(host: &Host) -> Vec<String> {
    host.emulator().model(|model, now| {
        let page = PageRequest::new(None, None);
        let runners = model.runners(now, &"/orgs/acme".parse().unwrap(), None, page);
        let labels = runners.items.into_iter().flat_map(|runner| runner.labels);
        labels.map(|label| label.name).collect()
    })
}

/// As the actions and scripts of the production system do.
const OLDER_JOB: &str = "qualified_repo=acme/app&run_id=7";

#[actix_web::test]
async fn a_client_that_reads_no_label_finds_its_own_on_the_runner_and_one_that_does_costs_no_call()
{
    let (host, monitor) = with_idle(3).await;
    let older = format!("profile/linux/take/2?unique_id=older&{OLDER_JOB}");
    let taken = monitor.call(Method::POST, &older).await;
    assert_eq!(taken.status, 200, "{:?}", taken.text());
    let labels = labels_of_all_runners(&host);
    let reserved = labels.iter().filter(|label| *label == "reserved-for:older");
    assert_eq!(reserved.count(), 2, "{labels:?}");
    let label_calls = |host: &Host| {
        let requests = host.emulator().requests().all();
        let calls = requests.iter().filter(|it| it.path.contains("/labels"));
        calls.count()
    };
    assert_eq!(label_calls(&host), 2, "one call for each runner");
    let repeated = monitor.call(Method::POST, &older).await;
    // The lists of GitHub may show the new labels by then.
    let ids_of = |body: Vec<TakenRunner>| body.into_iter().map(|it| it.id).collect::<Vec<_>>();
    let [taken, repeated] = [taken, repeated].map(|response| response.json().unwrap());
    assert_eq!(ids_of(repeated), ids_of(taken));
    let label = monitor.expect_taken("current").await.label.unwrap();
    assert!(label.starts_with("runner:"), "{label}");
    assert_eq!(label_calls(&host), 2);
    for label in ["reserved-for:older", "Reserved-For:older", label.as_str()] {
        let job = host.queue_job(label, "true");
        host.until_phase(job, JobPhase::Completed).await;
    }
    monitor.stop().await;
}

#[actix_web::test]
async fn a_tokenless_client_that_reads_no_label_finds_its_own_on_the_runner() {
    let (host, monitor) = with_idle(1).await;
    let upload = crate::takes::artifact("older", "");
    host.emulator()
        .model(|model, now| model.add_artifact(now, upload))
        .unwrap();
    let path = format!("select-runner?unique_id=older&{OLDER_JOB}");
    let answer = monitor.call_with(Method::POST, &path, &[]).await;
    assert_eq!(answer.status, 200, "{:?}", answer.text());
    let labels = labels_of_all_runners(&host);
    assert!(
        labels.contains(&"reserved-for:older".to_owned()),
        "{labels:?}"
    );
    monitor.stop().await;
}

#[actix_web::test]
async fn a_runner_that_was_labelled_and_released_loses_the_label_before_it_is_idle() {
    let (host, monitor) = with_idle(1).await;
    let older =
        format!("profile/linux/take?unique_id=older&{OLDER_JOB}&attempt=0000000000000001-1");
    assert_eq!(monitor.call(Method::POST, &older).await.status, 200);
    let release = "reservation/older?attempt=0000000000000001-1";
    monitor.call(Method::DELETE, release).await;
    let dashboard = monitor.until_idle(1).await;
    assert_eq!(ids(&dashboard), [0]);
    let labels = labels_of_all_runners(&host);
    assert!(
        !labels.iter().any(|label| label.starts_with("reserved-")),
        "{labels:?}"
    );
    monitor.stop().await;
}

/// A label that arrives after the end of its reservation would stay, and attract a job.
#[actix_web::test]
async fn a_failed_reservation_ends_only_after_the_last_label_request() {
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
    let take = format!("profile/linux/take/2?unique_id=both&{JOB}");
    assert_eq!(monitor.call(Method::POST, &take).await.status, 503);
    let affected = host
        .emulator()
        .until(|it| rules.iter().all(|rule| it.faults().hit_count(*rule) > 0));
    in_time("both requests have arrived", affected).await;
    let reserved = statuses(&monitor.dashboard().await);
    assert_eq!(reserved, [RunnerStatus::Reserved; 2]);
    host.emulator().faults().clear_all();
    monitor.until_idle(2).await;
    let labels = labels_of_all_runners(&host);
    assert!(
        !labels.iter().any(|label| label.starts_with("reserved-")),
        "{labels:?}"
    );
    monitor.stop().await;
}
