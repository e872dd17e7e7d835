//! Every request of the client, with every response that it handles.

use emulator::{
    model::{NewArtifact, NewJob, NewRunner, RunnerId},
    zip_of_lines,
};
use github::Github;
use shared::{
    clock::Timestamp, registration::Deletion, secret::Secret, software::Support, values::RunId,
};

use crate::support::{ProxiedGithub, TOKEN, silent};

const SCOPES: [&str; 2] = ["/orgs/acme", "/repos/acme/app"];

fn labels(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

async fn register(github: &Github, name: &str) -> (u64, Secret) {
    let labels = labels(&["runner:1"]);
    let registered = github.generate_jitconfig(name, 1, &labels, "_work").await;
    let registered = registered.unwrap();
    assert_eq!(registered.registration.name, name);
    (registered.registration.id, registered.jit_config)
}

/// Gives a job to the runner with that JIT configuration.
fn make_busy(stage: &ProxiedGithub, id: u64, jit_config: &Secret) {
    let secret = emulator::jit::JitConfig::decode(jit_config).unwrap().secret;
    let job = NewJob {
        repo: "acme/app".parse().unwrap(),
        run_id: RunId(7),
        labels: labels(&["runner:1"]),
        command: "true".into(),
    };
    let id = RunnerId(id);
    stage.github.emulator.model(|model, now| {
        let session = model.open_session(now, id, secret.expose()).unwrap();
        let job = model.queue_job(now, job).unwrap();
        model.start_job(now, id, session, job).unwrap();
    });
}

#[actix_web::test]
async fn a_list_of_three_pages_is_read_and_revalidated() {
    let stage = ProxiedGithub::new().await;
    for scope_path in SCOPES {
        let scope = scope_path.parse().unwrap();
        for place in 0..250 {
            let runner = NewRunner {
                name: format!("runner-{place}"),
                labels: labels(&["x"]),
                runner_group_id: 1,
            };
            let registered = stage
                .github
                .emulator
                .model(|model, now| model.register(now, &scope, runner, Secret::new("s")));
            registered.unwrap();
        }
        let github = stage.client(scope_path, Secret::new(TOKEN));
        for _ in 0..2 {
            assert_eq!(github.list_runners().await.unwrap().len(), 250);
        }
        assert_eq!(github.api_status().read().responses[&304], 6);
    }
    let confirmed = SCOPES.into_iter().flat_map(|scope_path| {
        let request =
            move |page| format!("GET {scope_path}/actions/runners?per_page=100&page={page}");
        [1, 2, 3].map(|page| silent(&request(page), 304, "200"))
    });
    assert_eq!(stage.findings().await, confirmed.collect::<Vec<_>>());
}

#[actix_web::test]
async fn runners_are_registered_labelled_and_deleted() {
    let stage = ProxiedGithub::new().await;
    let mut gone = Vec::new();
    for scope_path in SCOPES {
        let github = stage.client(scope_path, Secret::new(TOKEN));
        let (first, _) = register(&github, "ci-runner-linux.0@host").await;
        let (second, jit_config) = register(&github, "ci-runner-linux.1@host").await;

        let reserved = labels(&["reserved-for:a", "reserved-by:acme/app/actions/runs/7"]);
        assert_eq!(github.add_labels(first, &reserved).await, Ok(()));
        for _ in 0..2 {
            // The second deletion finds no registration.
            let removed = github.remove_label(first, &reserved[1]).await;
            assert_eq!(removed, Ok(()));
        }
        make_busy(&stage, second, &jit_config);
        for (id, expected) in [
            (first, Deletion::Deleted),
            (first, Deletion::NotThere),
            (second, Deletion::Busy),
        ] {
            assert_eq!(github.delete_runner(id).await, Ok(expected));
        }
        let request = format!("DELETE {scope_path}/actions/runners/{first}");
        gone.push(silent(&request, 404, "204,422"));
    }
    assert_eq!(stage.findings().await, gone);
}

#[actix_web::test]
async fn the_support_period_of_runner_software_is_read() {
    let stage = ProxiedGithub::new().await;
    let end = Timestamp::from_seconds(1_798_106_400);
    stage
        .github
        .emulator
        .model(|model, _| model.set_software("2.1.0", Some(end)));
    let mut unknown = Vec::new();
    for scope_path in SCOPES {
        let github = stage.client(scope_path, Secret::new(TOKEN));
        for (version, expected) in [
            ("2.1.0", Support::Until(end)),
            ("2.337.0", Support::Open),
            ("2.0.0", Support::Unknown),
        ] {
            assert_eq!(github.runner_support(version).await, Ok(expected));
        }
        let request = format!("GET {scope_path}/actions/runners/deprecations/2.0.0");
        unknown.push(silent(&request, 404, "200"));
    }
    assert_eq!(stage.findings().await, unknown);
}

#[actix_web::test]
async fn errors_of_the_emulator_are_those_of_github() {
    let stage = ProxiedGithub::new().await;
    for scope_path in SCOPES {
        let github = stage.client(scope_path, Secret::new(TOKEN));
        register(&github, "twice").await;
        let one = labels(&["a"]);
        let again = github.generate_jitconfig("twice", 1, &one, "_work").await;
        assert_eq!(again.unwrap_err().status().unwrap(), 409);
        let groupless = github.generate_jitconfig("other", 0, &one, "_work").await;
        assert_eq!(groupless.unwrap_err().status().unwrap(), 422);
        let unknown = github.add_labels(99, &one).await;
        assert_eq!(unknown.unwrap_err().status().unwrap(), 404);
    }
    assert_eq!(stage.findings().await, []);
}

#[actix_web::test]
async fn artifacts_are_found_and_downloaded() {
    let stage = ProxiedGithub::new().await;
    let repo = "acme/app".parse().unwrap();
    let content = zip_of_lines(["a=b"]);
    for run_id in [7, 8] {
        let new = NewArtifact {
            repo: "acme/app".parse().unwrap(),
            run_id: RunId(run_id),
            name: "servo-ci-runners_a".into(),
            content: content.clone(),
        };
        let emulator = &stage.github.emulator;
        emulator
            .model(|model, now| model.add_artifact(now, new))
            .unwrap();
    }
    let github = stage.client("/orgs/acme", Secret::new(TOKEN));
    let listed = github.list_run_artifacts(&repo, RunId(7), "servo-ci-runners_a");
    let listed = listed.await.unwrap();
    let [artifact] = &listed.artifacts[..] else {
        panic!("one artifact, not {listed:?}");
    };
    assert!(artifact.created_at.is_some() && artifact.digest.is_some());
    let zip = github.download_artifact(&repo, artifact, 4096).await;
    assert_eq!(zip.unwrap(), content);

    stage
        .github
        .emulator
        .advance_clock(std::time::Duration::from_hours(91 * 24));
    let gone = github.download_artifact(&repo, artifact, 4096).await;
    assert_eq!(gone.unwrap_err().status().unwrap(), 410);
    assert_eq!(stage.findings().await, []);
}
