//! What is known of how we stand with GitHub, for dashboards and metrics: as whom we ask, what that
//! allows, when it ends, how much is left of the limit.
//!
//! Owns when a token's end is near enough to warn. Asks nothing, and holds no secret.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{Credential, RateLimit};
use http_client::{Answer, timestamp};
use shared::clock::Timestamp;

/// A token that does not renew itself is warned of so long before it ends.
const WARNED_BEFORE: Duration = Duration::from_secs(14 * DAY_SECONDS);

const DAY_SECONDS: u64 = 24 * 3600;

/// How we stand with GitHub. Cheap to clone; all clones are the same one.
#[derive(Clone, Debug)]
pub struct GithubBoard(Arc<Mutex<Noted>>);

#[derive(Debug)]
struct Noted {
    standing: GithubStanding,
    /// Until when GitHub wants to be left alone, by its clock.
    quiet_until: Timestamp,
    /// The day, since 1970, on which the token's end was last warned of in the log.
    warned_on: Option<u64>,
}

/// How we stand with GitHub at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GithubStanding {
    /// As whom we ask, such as `a token` or `GitHub App 123, installation 456`.
    pub asks_as: String,
    /// Whether the token renews itself.
    pub is_renewed: bool,
    /// What the token may do, as far as GitHub says: names and levels of an App's permissions, or
    /// the scopes of a classic token.
    pub permissions: BTreeMap<String, String>,
    /// When the token ends, by GitHub's clock; none if it does not, or GitHub has not said so yet.
    pub expires_at: Option<Timestamp>,
    /// The primary limit (`core`), as last heard.
    pub rate_limit: Option<RateLimit>,
    /// How many questions were answered, by status.
    pub answers: BTreeMap<u16, u64>,
    /// How many got no answer.
    pub unanswered_count: u64,
    /// How many were not put, because little is left of the limit.
    pub held_back_count: u64,
}

impl GithubBoard {
    /// Nothing is known yet.
    pub fn new(credential: &Credential) -> Self {
        let (asks_as, is_renewed) = match credential {
            Credential::Token(_) => ("a token".to_owned(), false),
            Credential::App(key) => (
                format!(
                    "GitHub App {}, installation {}",
                    key.app_id(),
                    key.installation_id()
                ),
                true,
            ),
        };
        let standing = GithubStanding {
            asks_as,
            is_renewed,
            permissions: BTreeMap::new(),
            expires_at: None,
            rate_limit: None,
            answers: BTreeMap::new(),
            unanswered_count: 0,
            held_back_count: 0,
        };
        Self(Arc::new(Mutex::new(Noted {
            standing,
            quiet_until: Timestamp::default(),
            warned_on: None,
        })))
    }

    /// How we stand now.
    pub fn standing(&self) -> GithubStanding {
        self.0.lock().standing.clone()
    }

    pub(super) fn note_installation(
        &self,
        permissions: BTreeMap<String, String>,
        expires_at: Timestamp,
    ) {
        let standing = &mut self.0.lock().standing;
        standing.permissions = permissions;
        standing.expires_at = Some(expires_at);
    }

    /// GitHub wants to be left alone until then.
    pub(super) fn note_quiet(&self, until: Timestamp) {
        let noted = &mut self.0.lock();
        noted.quiet_until = noted.quiet_until.max(until);
    }

    /// How long GitHub wants to be left alone from `now` on, if it does.
    pub(super) fn quiet(&self, now: Timestamp) -> Option<Duration> {
        let quiet_until = self.0.lock().quiet_until;
        (now < quiet_until).then(|| quiet_until.since(now))
    }

    pub(super) fn note_held_back(&self) {
        self.0.lock().standing.held_back_count += 1;
    }

    pub(super) fn note_silence(&self) {
        self.0.lock().standing.unanswered_count += 1;
    }

    pub(super) fn note_answer(&self, answer: &Answer) {
        let mut noted = self.0.lock();
        let standing = &mut noted.standing;
        *standing.answers.entry(answer.status.as_u16()).or_default() += 1;
        // Others of GitHub's budgets are not the one that is shared by all that we ask.
        let rate_limit = RateLimit::of(answer).filter(|limit| limit.resource == RateLimit::CORE);
        if rate_limit.is_some() {
            standing.rate_limit = rate_limit;
        }
        if standing.is_renewed {
            return;
        }
        if let Some(expires_at) = token_expiry(answer) {
            standing.expires_at = Some(expires_at);
        }
        if let Some(scopes) = answer.header("x-oauth-scopes") {
            let scopes = scopes.split(',').map(str::trim);
            let scopes = scopes.filter(|scope| !scope.is_empty());
            standing.permissions = scopes
                .map(|scope| (scope.to_owned(), "granted".to_owned()))
                .collect();
        }
        if let Some(now) = answer.date() {
            noted.warn(now);
        }
    }
}

impl Noted {
    /// Says in the log, once a day, what an operator has to do something about.
    fn warn(&mut self, now: Timestamp) {
        let day = now.as_seconds() / DAY_SECONDS;
        if self.warned_on != Some(day)
            && let Some(warning) = self.standing.warning(now)
        {
            log::warn!("{warning}");
            self.warned_on = Some(day);
        }
    }
}

impl GithubStanding {
    /// What an operator has to do something about, in one sentence.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let expires_at = self.expires_at.filter(|_| !self.is_renewed)?;
        if now + WARNED_BEFORE < expires_at {
            return None;
        }
        let days = expires_at.since(now).as_secs() / DAY_SECONDS;
        let when = match days {
            _ if expires_at <= now => "has expired".to_owned(),
            0 => "expires within a day".to_owned(),
            1 => "expires in a day".to_owned(),
            days => format!("expires in {days} days"),
        };
        Some(format!(
            "the token for GitHub {when}: make a new one, set GITHUB_TOKEN and restart"
        ))
    }
}

/// When a personal token ends. GitHub writes `2026-12-24 10:00:00 UTC`, or an offset instead of the
/// name, which has only been seen as `+0000`.
fn token_expiry(answer: &Answer) -> Option<Timestamp> {
    let text = answer.header("github-authentication-token-expiration")?;
    let text = text.get(..19)?;
    timestamp(humantime::parse_rfc3339_weak(text).ok()?)
}
