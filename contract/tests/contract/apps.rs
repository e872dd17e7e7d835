//! Authentication as a GitHub App.

use github::Credentials;

use crate::support::{ProxiedGithub, app_key};

#[actix_web::test]
async fn an_installation_gets_its_token() {
    let stage = ProxiedGithub::new().await;
    for skew in [0, 90, -90] {
        stage.github.emulator.faults().set_clock_skew(skew);
        let github = stage.client("/orgs/acme", Credentials::App(app_key(7, 9)));
        assert_eq!(github.list_runners().await.unwrap(), []);
        let standing = github.api_status().read();
        assert!(standing.token_expires_at.is_some());
        assert_eq!(
            standing.permissions["organization_self_hosted_runners"],
            "write"
        );
    }
    assert_eq!(stage.findings().await, []);
}

#[actix_web::test]
async fn an_app_that_is_not_installed_gets_no_token() {
    let stage = ProxiedGithub::new().await;
    for (app_id, installation_id) in [(8, 9), (7, 10)] {
        let key = app_key(app_id, installation_id);
        let github = stage.client("/orgs/acme", Credentials::App(key));
        let error = github.list_runners().await.unwrap_err();
        assert_eq!(error.status().unwrap(), 404);
    }
    assert_eq!(stage.findings().await, []);
}
