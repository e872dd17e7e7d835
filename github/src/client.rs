//! How a question is put to GitHub: address, headers, token, limits.
//!
//! Owns the one place through which all of them go. Never sends the token anywhere but to the
//! API's own address.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{
    Credential, GithubBoard, GithubError,
    budget::{ClaimPace, Purpose},
    credential::Renewals,
    runner_list::Pages,
};
use http_client::{Answer, Call, Client, Method, Retry, RetryBudget, StatusCode};
use shared::{
    clock::{Clock, Timestamp},
    secret::Secret,
};

/// How long one question may take, and how long it is put again for somebody who waits.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The first pause before a question is put again; GitHub's label calls fail one moment and work
/// the next.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest answer that is read, in bytes; a full page of runners has some 100 kB.
const BODY_MAX: usize = 4 << 20;
/// The most entries that GitHub puts on one page.
pub(super) const PER_PAGE: usize = 100;
/// What stands for itself in a path or query (RFC 3986, section 2.3).
pub(super) const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Where GitHub is, and as whom it is asked.
#[derive(Clone, Debug)]
pub struct GithubSettings {
    /// Base address of the API, such as `https://api.github.com`.
    pub api_url: String,
    /// Where the runners belong: `/orgs/<owner>` or `/repos/<owner>/<repo>`.
    pub scope_path: String,
    /// Something with the right to manage runners there.
    pub credential: Credential,
    /// How long to go on asking on behalf of somebody who waits for the outcome.
    pub patience: Duration,
}

impl GithubSettings {
    /// What the settings of a daemon say.
    pub fn of(settings: &shared::settings::GithubSettings, credential: Credential) -> Self {
        Self {
            api_url: settings.github_api_url.to_string(),
            scope_path: settings.github_api_scope.to_string(),
            credential,
            patience: TIMEOUT,
        }
    }
}

/// GitHub, as far as it concerns us. Not `Send`: make it where it is used, as its client.
pub struct Github {
    pub(super) client: Client,
    pub(super) settings: GithubSettings,
    pub(super) seen_pages: RefCell<Pages>,
    /// The token in use, where we are an App.
    pub(super) renewals: tokio::sync::Mutex<Renewals>,
    pub(super) board: GithubBoard,
    clock: Clock,
    /// GitHub's time and ours at the same moment, as of the last answer.
    clocks: Cell<Option<(Timestamp, Timestamp)>>,
    /// When all runners were last asked for, by GitHub's clock.
    looked_at: Cell<Option<Timestamp>>,
    claim_pace: RefCell<ClaimPace>,
}

impl Github {
    /// Asks nothing yet.
    pub fn new(client: Client, settings: GithubSettings) -> Self {
        let api_url = settings.api_url.trim_end_matches('/').to_owned();
        Self {
            client,
            board: GithubBoard::new(&settings.credential),
            settings: GithubSettings {
                api_url,
                ..settings
            },
            seen_pages: RefCell::new(Pages::new()),
            renewals: tokio::sync::Mutex::default(),
            clock: Clock::start(),
            clocks: Cell::new(None),
            looked_at: Cell::new(None),
            claim_pace: RefCell::default(),
        }
    }

    /// The same, keeping `board` up to date: for several that ask as the same.
    pub fn with_board(self, board: &GithubBoard) -> Self {
        let board = board.clone();
        Self { board, ..self }
    }

    /// How we stand with GitHub, kept up to date.
    pub fn board(&self) -> &GithubBoard {
        &self.board
    }

    /// The time at GitHub, or ours as long as GitHub has not told any.
    pub(super) fn now_at_github(&self) -> Timestamp {
        let now = self.clock.now();
        match self.clocks.get() {
            Some((theirs, ours)) => theirs + now.since(ours),
            None => now,
        }
    }

    /// The address of something in the API.
    pub(super) fn api_url(&self, path: &str) -> String {
        format!("{}{path}", self.settings.api_url)
    }

    /// The address of something that belongs to the scope of our runners.
    pub(super) fn scope_url(&self, path: &str) -> String {
        self.api_url(&format!("{}{path}", self.settings.scope_path))
    }

    /// A question with all that GitHub wants to see on it, but for the token. Asked a second time
    /// if a connection breaks, unless that would do more than asking once.
    pub(super) fn call<'a>(&self, method: Method, url: &'a str) -> Call<'a> {
        Call {
            timeout: TIMEOUT,
            body_max: BODY_MAX,
            retry: Retry::Once,
            ..Call::new(method, url)
                .header("accept", "application/vnd.github+json")
                .header("x-github-api-version", "2022-11-28")
        }
    }

    /// Refuses what has to wait, so that enough is left of GitHub's limits for what cannot.
    pub(super) fn afford(&self, attempt: &str, purpose: Purpose) -> Result<(), GithubError> {
        let now = self.now_at_github();
        let standing = self.board.standing();
        let held = |retry_after| {
            self.board.note_held_back();
            GithubError::HeldBack {
                attempt: attempt.to_owned(),
                retry_after,
            }
        };
        if let Some(retry_after) = purpose.held_back(&standing, self.looked_at.get(), now) {
            return Err(held(retry_after));
        }
        match purpose {
            Purpose::Look => self.looked_at.set(Some(now)),
            Purpose::Proof => {
                let held_back = self.claim_pace.borrow_mut().held_back(now);
                return held_back.map_or(Ok(()), |retry_after| Err(held(retry_after)));
            }
            Purpose::Support => {}
        }
        Ok(())
    }

    /// Asks with our token; any status that is not `expected` is an error. A token that GitHub no
    /// longer takes is replaced, once, where it can be: a question that was refused for it has
    /// done nothing.
    pub(super) async fn ask(
        &self,
        attempt: &str,
        call: Call<'_>,
        expected: &[StatusCode],
    ) -> Result<Answer, GithubError> {
        let mut has_another_try = true;
        let deadline = Instant::now() + call.timeout;
        let left = || deadline.saturating_duration_since(Instant::now());
        loop {
            if let Some(retry_after) = self.board.quiet(self.now_at_github()) {
                let attempt = attempt.to_owned();
                return Err(GithubError::Quiet {
                    attempt,
                    retry_after,
                });
            }
            let token = self.token(left()).await?;
            let call = Call {
                bearer: Some(&token),
                timeout: left(),
                ..call.clone()
            };
            let answer = self.send(attempt, call).await?;
            if expected.contains(&answer.status) {
                return Ok(answer);
            }
            let is_token_refused = answer.status == StatusCode::UNAUTHORIZED;
            if !is_token_refused || !has_another_try || !self.discard(&token).await {
                return Err(self.refused(attempt, &answer, &token));
            }
            has_another_try = false;
        }
    }

    /// What a refusal means; if it means a limit, nothing more is asked for a while.
    pub(super) fn refused(&self, attempt: &str, answer: &Answer, token: &Secret) -> GithubError {
        let error = GithubError::of_answer(attempt, answer, Some(token));
        if let Some(quiet) = error.quiet() {
            self.board.note_quiet(self.now_at_github() + quiet);
        }
        error
    }

    /// The same for somebody who waits for the outcome: what may pass is tried again while
    /// patience lasts. Only for questions that may be asked twice.
    pub(super) async fn ask_for(
        &self,
        attempt: &str,
        call: Call<'_>,
        expected: &[StatusCode],
    ) -> Result<Answer, GithubError> {
        let mut retry_budget = RetryBudget::new(self.settings.patience, FIRST_PAUSE);
        let mut timeout = TIMEOUT;
        loop {
            let call = Call {
                timeout,
                ..call.clone()
            };
            match self.ask(attempt, call, expected).await {
                Err(error)
                    if error.is_transient()
                        && retry_budget.wait_for_retry(error.retry_after()).await =>
                {
                    log::debug!("will ask again after having failed to {error}");
                    timeout = retry_budget.remaining();
                }
                outcome => return outcome,
            }
        }
    }

    /// Sends a question as it is, and notes what the answer says besides.
    pub(super) async fn send(&self, attempt: &str, call: Call<'_>) -> Result<Answer, GithubError> {
        let answer = match self.client.call(call).await {
            Ok(answer) => answer,
            Err(cause) => {
                self.board.note_silence();
                return Err(GithubError::of_call(attempt, cause));
            }
        };
        if let Some(date) = answer.date() {
            self.clocks.set(Some((date, self.clock.now())));
        }
        self.board.note_answer(&answer);
        Ok(answer)
    }
}

/// The body of an answer that was expected.
pub(super) fn body<T: DeserializeOwned>(attempt: &str, answer: &Answer) -> Result<T, GithubError> {
    let read = answer.json();
    read.map_err(|cause| GithubError::of_call(attempt, cause))
}
