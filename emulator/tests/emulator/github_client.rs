//! The client of the daemons, with lists that change between two pages.

use emulator::{
    faults::{Fault, FaultRule, PathMatch},
    model::NewRunner,
};
use shared::secret::Secret;

use super::support::*;

/// An emulator with `count` runners, named by their positions in the list.
fn fixture(count: usize) -> Fixture {
    let fixture = Fixture::new();
    let scope = "/orgs/acme".parse().unwrap();
    for position in 1..=count {
        let runner = NewRunner {
            name: format!("runner-{position}"),
            labels: vec!["x".into()],
            runner_group_id: 1,
        };
        fixture
            .emulator()
            .model(|model, now| model.register(now, &scope, runner, Secret::new("s")))
            .unwrap();
    }
    fixture
}

#[actix_web::test]
async fn a_runner_that_moves_between_two_pages_is_listed() {
    let fixture = fixture(250);
    let github = fixture.daemon_client(Secret::new(TOKEN).into());
    // If the first runner vanishes after page 1, the 101st moves to page 1.
    let vanish = Fault::ThenVanish {
        name: "runner-1".into(),
    };
    let rule = FaultRule::on("GET", PathMatch::Exact(RUNNERS.into()), vanish).next(1);
    fixture.emulator().faults().add(rule).unwrap();
    let mut names: Vec<String> = github
        .list_runners()
        .await
        .unwrap()
        .into_iter()
        .map(|runner| runner.name)
        .collect();
    names.sort_by_key(|name| name.trim_start_matches("runner-").parse::<usize>().unwrap());
    let expected: Vec<String> = (2..=250)
        .map(|position| format!("runner-{position}"))
        .collect();
    assert_eq!(names, expected);
}

#[actix_web::test]
async fn an_unchanged_list_of_three_pages_does_not_count_again() {
    let fixture = fixture(250);
    let github = fixture.daemon_client(Secret::new(TOKEN).into());
    assert_eq!(github.list_runners().await.unwrap().len(), 250);
    let used = || github.api_status().read().rate_limit.unwrap().remaining;
    let before = used();
    assert_eq!(github.list_runners().await.unwrap().len(), 250);
    assert_eq!(used(), before);
}
