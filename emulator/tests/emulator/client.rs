//! The client of the daemons, when GitHub is at its worst.

use emulator::{
    faults::{Fault, FaultRule, PathMatch},
    model::NewRunner,
};
use shared::secret::Secret;

use super::support::*;

/// A GitHub with `count` runners, named by their places in the list.
fn stage(count: usize) -> Stage {
    let stage = Stage::new();
    let scope = "/orgs/acme".parse().unwrap();
    for place in 1..=count {
        let runner = NewRunner {
            name: format!("runner-{place}"),
            labels: vec!["x".into()],
            runner_group_id: 1,
        };
        stage
            .github
            .emulator
            .model(|model, now| model.register(now, &scope, runner, Secret::new("s")))
            .unwrap();
    }
    stage
}

#[actix_web::test]
async fn a_runner_that_slips_between_two_of_three_pages_is_listed() {
    let stage = stage(250);
    let github = stage.daemon_client(Secret::new(TOKEN).into());
    // When the first goes away after page 1, the 101st is on no page that is still to come.
    let vanish = Fault::ThenVanish {
        name: "runner-1".into(),
    };
    let rule = FaultRule::on("GET", PathMatch::Exact(RUNNERS.into()), vanish).next(1);
    stage.github.emulator.faults().add(rule).unwrap();
    let mut names: Vec<String> = github
        .list_runners()
        .await
        .unwrap()
        .into_iter()
        .map(|runner| runner.name)
        .collect();
    names.sort_by_key(|name| name.trim_start_matches("runner-").parse::<usize>().unwrap());
    let expected: Vec<String> = (2..=250).map(|place| format!("runner-{place}")).collect();
    assert_eq!(names, expected);
}

#[actix_web::test]
async fn a_list_on_three_pages_that_does_not_change_costs_nothing_the_second_time() {
    let stage = stage(250);
    let github = stage.daemon_client(Secret::new(TOKEN).into());
    assert_eq!(github.list_runners().await.unwrap().len(), 250);
    let used = || github.board().standing().rate_limit.unwrap().remaining;
    let before = used();
    assert_eq!(github.list_runners().await.unwrap().len(), 250);
    assert_eq!(used(), before);
}
