//! The proxy itself: it does not forward what violates the description.

use contract::{Finding, Severity};
use emulator::faults::{Fault, FaultRule, PathMatch};
use shared::secret::Secret;

use crate::support::{ProxiedGithub, TOKEN};

fn error(request: &str, message: &str) -> Finding {
    Finding {
        severity: Severity::Error,
        request: request.into(),
        message: message.into(),
    }
}

#[actix_web::test]
async fn an_invalid_request_is_not_forwarded() {
    let stage = ProxiedGithub::new().await;
    let github = stage.client("/orgs/acme", Secret::new(TOKEN));
    let refused = github.generate_jitconfig("a", 1, &[], "_work").await;
    let what =
        "question.body.labels: Request body property labels must NOT have fewer than 1 items";
    assert_eq!(
        refused.unwrap_err().to_string(),
        format!("register runner a: GitHub responded with 500 Internal Server Error: {what}")
    );
    assert_eq!(stage.github.emulator.requests().all(), []);
    let request = "POST /orgs/acme/actions/runners/generate-jitconfig";
    assert_eq!(stage.findings().await, [error(request, what)]);
}

#[actix_web::test]
async fn a_request_for_an_unknown_path_is_not_forwarded() {
    let stage = ProxiedGithub::new().await;
    let github = stage.client("/people/acme", Secret::new(TOKEN));
    assert!(github.delete_runner(1).await.is_err());
    let what = "question: The route /people/acme/actions/runners/1 hasn't been found in the \
                specification file";
    let request = "DELETE /people/acme/actions/runners/1";
    assert_eq!(stage.findings().await, [error(request, what)]);
}

#[actix_web::test]
async fn an_invalid_response_is_not_forwarded() {
    let stage = ProxiedGithub::new().await;
    let answer = Fault::Answer {
        status: 200,
        headers: vec![("content-type".into(), "application/json".into())],
        body: r#"{"total_count": "none", "runners": []}"#.into(),
    };
    let rule = FaultRule::on("GET", PathMatch::Prefix("/orgs/".into()), answer);
    stage.github.emulator.faults().add(rule).unwrap();
    let github = stage.client("/orgs/acme", Secret::new(TOKEN));
    let failed = github.list_runners().await.unwrap_err();
    let what = "answer 200.body.total_count: Response body property total_count must be integer";
    assert!(failed.to_string().ends_with(what), "{failed}");
    let request = "GET /orgs/acme/actions/runners?per_page=100&page=1";
    assert_eq!(stage.findings().await, [error(request, what)]);
}

#[actix_web::test]
async fn a_response_that_is_cut_off_stays_cut_off() {
    let stage = ProxiedGithub::new().await;
    let github = stage.client("/orgs/acme", Secret::new(TOKEN));
    for fault in [
        Fault::DropRequest,
        Fault::DropAnswer,
        Fault::TruncateBody { keep: 10 },
    ] {
        let rule = FaultRule::on("GET", PathMatch::Prefix("/orgs/".into()), fault);
        let rule = stage.github.emulator.faults().add(rule).unwrap();
        let error = github.list_runners().await.unwrap_err();
        assert!(error.is_ambiguous() && error.status().is_none(), "{error}");
        stage.github.emulator.faults().clear(rule);
    }
    assert_eq!(github.list_runners().await.unwrap(), []);
    assert_eq!(stage.findings().await, []);
}
