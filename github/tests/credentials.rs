//! Which credential the settings give, read from real files.

use std::fs;

use actix_web::HttpResponse;
use github::{Credentials, CredentialsError, Github, GithubConfig};
use http_client::{Client, testing::Server};
use shared::settings::{Environment, Settings};

/// The shortest file there can be.
const SHORTEST: &str = r#"
listen_on = ["127.0.0.1"]
external_base_url = "http://127.0.0.1:8000/"
github_api_scope = "/orgs/servo"
github_api_suffix = "ci0"
allowed_qualified_repo_prefix = "servo/"
available_normal_memory = "16G"
"#;

fn credential(text: &str) -> Result<Option<Credentials>, CredentialsError> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("monitor.toml");
    fs::write(&file, text).expect("the file can be written");
    let secrets = [
        ("SERVO_CI_MONITOR_API_TOKEN", "hunter2"),
        ("GITHUB_TOKEN", "hunter3"),
    ];
    let environment = secrets.into_iter().collect::<Environment>();
    Credentials::of(&Settings::load(&file, &environment).expect("the settings are valid"))
}

#[test]
fn an_app_goes_before_a_token() {
    let app = |key_file: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/keys");
        let table = "[github_app]\nid = 7\ninstallation_id = 9\nkey_file";
        let text = format!("{SHORTEST}{table} = \"{folder}/{key_file}\"\n");
        credential(&text)
    };
    let Ok(Some(Credentials::App(key))) = app("pkcs1.pem") else {
        panic!("there is an App");
    };
    assert_eq!((key.app_id(), key.installation_id()), (7, 9));
    // A key that cannot be used is not replaced by the token in silence.
    let error = app("none.pem").unwrap_err().to_string();
    assert!(
        error.starts_with("use the key of the GitHub App in ") && error.contains("No such file"),
        "{error}"
    );
    let token = credential(SHORTEST);
    let Ok(Some(Credentials::Token(token))) = token else {
        panic!("there is a token");
    };
    assert!(token.matches("hunter3"));
}

#[actix_web::test]
async fn a_new_token_in_the_file_replaces_one_that_github_rejects() {
    let server = Server::start(|request| match request.header("authorization") {
        Some("Bearer new") => {
            HttpResponse::Ok().json(serde_json::json!({"total_count": 0, "runners": []}))
        }
        _ => HttpResponse::Unauthorized().finish(),
    });
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("monitor.toml");
    fs::write(&file, SHORTEST).expect("the file can be written");
    let write_token = |token: &str| {
        let text = format!("GITHUB_TOKEN={token}\n");
        fs::write(folder.path().join(".env"), text).expect("the file can be written");
    };
    for (of_process, expected) in [(None, true), (Some(("GITHUB_TOKEN", "old")), false)] {
        write_token("old");
        let api_token = ("SERVO_CI_MONITOR_API_TOKEN", "hunter2");
        let environment: Environment = [Some(api_token), of_process]
            .into_iter()
            .flatten()
            .collect();
        let settings = Settings::load(&file, &environment).expect("the settings are valid");
        let credentials = Credentials::of(&settings).expect("there is a token");
        let config = GithubConfig {
            api_url: server.url.clone(),
            ..GithubConfig::of(&settings.github, credentials.expect("there is a token"))
        };
        let github = Github::new(Client::new(), config);
        assert!(github.list_runners().await.is_err());
        write_token("new");
        assert_eq!(github.list_runners().await.is_ok(), expected);
    }
}
