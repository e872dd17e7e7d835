//! Runners at GitHub: listing, registering, deleting and labelling them.
//!
//! Owns paging through the list and the copy of it that GitHub can confirm for free. Believes
//! GitHub: nothing is added to its list or taken from it here.

use std::{collections::BTreeMap, rc::Rc};

use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde_json::json;

use super::{
    Github, GithubError, Registration,
    client::{PER_PAGE, UNRESERVED, body},
};
use crate::{
    http::{Answer, Call, Method, Retry, StatusCode},
    secret::Secret,
};

/// What is attempted when a page of the list cannot be had.
const LIST: &str = "list runners";
/// The most pages of runners that are read: 10,000, the most of one group.
const PAGES_MAX: usize = 100;

/// A new registration and the secret that starts its runner.
#[derive(Debug)]
pub struct JitRunner {
    /// GitHub's record, offline until the runner connects.
    pub registration: Registration,
    /// The JIT configuration, for the guest of this runner and nobody else.
    pub jit_config: Secret,
}

/// What became of a registration that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Deleted,
    /// It was gone already: a runner that has done its job is removed by GitHub.
    NotThere,
    /// It runs a job, and stays.
    Busy,
}

/// A list that fitted on one page, and by what GitHub recognises it.
pub(super) struct SeenRunners {
    etag: String,
    registrations: Vec<Registration>,
}

/// All pages, read from the first to the last.
struct Reading {
    registrations: BTreeMap<u64, Registration>,
    page_count: usize,
    /// Whether the pages fit together: all tell the same count, and that many runners are there.
    is_whole: bool,
}

#[derive(Deserialize)]
struct RunnersPage {
    total_count: usize,
    runners: Vec<Registration>,
}

#[derive(Deserialize)]
struct Registered {
    runner: Registration,
    encoded_jit_config: Secret,
}

impl Github {
    /// Every runner of the scope, foreign ones too, each once, by id.
    ///
    /// As long as one page holds them all, an unchanged list costs nothing of the primary limit.
    /// While runners come and go between pages, one that stays may be missed; then the pages are
    /// read once more, and whatever either reading showed is in the list. So it is rather too
    /// long than too short, because a runner that is not in it may be destroyed.
    pub async fn list_runners(&self) -> Result<Vec<Registration>, GithubError> {
        let seen = self.seen_runners.borrow().clone();
        let etag = seen.as_deref().map(|seen| seen.etag.as_str());
        let first = self.runners_page(1, etag).await?;
        if let Some(seen) = seen.filter(|_| first.status == StatusCode::NOT_MODIFIED) {
            return Ok(seen.registrations.clone());
        }
        let mut reading = self.read_on(&first).await?;
        if !reading.is_whole {
            let again = self.runners_page(1, None).await?;
            let again = self.read_on(&again).await?;
            reading.registrations.extend(again.registrations);
        }
        let registrations: Vec<Registration> = reading.registrations.into_values().collect();

        // GitHub confirms a page, not a list: a later page may change behind an unchanged first.
        let is_confirmable = reading.is_whole && reading.page_count == 1;
        let etag = first.header("etag").filter(|_| is_confirmable);
        self.seen_runners.replace(etag.map(|etag| {
            Rc::new(SeenRunners {
                etag: etag.into(),
                registrations: registrations.clone(),
            })
        }));
        Ok(registrations)
    }

    async fn runners_page(&self, number: usize, etag: Option<&str>) -> Result<Answer, GithubError> {
        let url = self.scope_url(&format!(
            "/actions/runners?per_page={PER_PAGE}&page={number}"
        ));
        let call = self.call(Method::GET, &url);
        match etag {
            None => self.ask(LIST, call, &[StatusCode::OK]).await,
            Some(etag) => {
                let call = call.header("if-none-match", etag);
                let expected = [StatusCode::OK, StatusCode::NOT_MODIFIED];
                self.ask(LIST, call, &expected).await
            }
        }
    }

    /// Reads the page that is there, and those after it.
    async fn read_on(&self, first: &Answer) -> Result<Reading, GithubError> {
        let mut page: RunnersPage = body(LIST, first)?;
        let total_count = page.total_count;
        let (mut read_count, mut is_steady) = (0, true);
        let mut registrations = BTreeMap::new();
        for page_count in 1..=PAGES_MAX {
            read_count += page.runners.len();
            is_steady &= page.total_count == total_count;
            let is_end = page.runners.is_empty() || read_count >= page.total_count;
            // A runner that moved to the next page meanwhile is met twice.
            registrations.extend(page.runners.into_iter().map(|runner| (runner.id, runner)));
            if is_end {
                return Ok(Reading {
                    is_whole: is_steady && registrations.len() == total_count,
                    registrations,
                    page_count,
                });
            }
            let next = self.runners_page(page_count + 1, None).await?;
            page = body(LIST, &next)?;
        }
        Err(GithubError::Unexpected {
            attempt: LIST.into(),
            what: "the list does not end",
        })
    }

    /// Registers a runner that will take one job.
    ///
    /// Never sent twice: after an ambiguous failure the list tells whether it was done, and its
    /// secret is then lost.
    pub async fn generate_jitconfig(
        &self,
        name: &str,
        runner_group_id: u64,
        labels: &[String],
        work_folder: &str,
    ) -> Result<JitRunner, GithubError> {
        let attempt = format!("register runner {name}");
        let url = self.scope_url("/actions/runners/generate-jitconfig");
        let call = Call {
            retry: Retry::Never,
            ..self.call(Method::POST, &url).json(&json!({
                "name": name,
                "runner_group_id": runner_group_id,
                "labels": labels,
                "work_folder": work_folder,
            }))
        };
        let answer = self.ask(&attempt, call, &[StatusCode::CREATED]).await?;
        let registered: Registered = body(&attempt, &answer)?;
        Ok(JitRunner {
            registration: registered.runner,
            jit_config: registered.encoded_jit_config,
        })
    }

    /// Deletes a registration, unless its runner is busy.
    pub async fn delete_runner(&self, id: u64) -> Result<Deletion, GithubError> {
        let url = self.scope_url(&format!("/actions/runners/{id}"));
        let call = self.call(Method::DELETE, &url);
        let expected = [
            StatusCode::NO_CONTENT,
            StatusCode::NOT_FOUND,
            StatusCode::UNPROCESSABLE_ENTITY,
        ];
        let attempt = format!("delete registration {id}");
        let answer = self.ask(&attempt, call, &expected).await?;
        Ok(match answer.status {
            StatusCode::NO_CONTENT => Deletion::Deleted,
            StatusCode::NOT_FOUND => Deletion::NotThere,
            _ => Deletion::Busy,
        })
    }

    /// Adds labels to those a runner has.
    pub async fn add_labels(&self, id: u64, labels: &[String]) -> Result<(), GithubError> {
        let url = self.scope_url(&format!("/actions/runners/{id}/labels"));
        // Adding a label that is there changes nothing, so this call may be sent twice.
        let call = self.call(Method::POST, &url);
        let call = call.json(&json!({ "labels": labels }));
        let attempt = format!("add labels to registration {id}");
        self.ask(&attempt, call, &[StatusCode::OK]).await?;
        Ok(())
    }

    /// Takes a label from a runner; one that is not there is no error.
    pub async fn remove_label(&self, id: u64, name: &str) -> Result<(), GithubError> {
        let in_path = utf8_percent_encode(name, UNRESERVED);
        let url = self.scope_url(&format!("/actions/runners/{id}/labels/{in_path}"));
        let call = self.call(Method::DELETE, &url);
        let attempt = format!("remove label {name} from registration {id}");
        let expected = [StatusCode::OK, StatusCode::NOT_FOUND];
        self.ask(&attempt, call, &expected).await?;
        Ok(())
    }
}
