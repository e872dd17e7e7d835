//! The list of runners at GitHub, which comes in pages that are read one after the other.
//!
//! Owns the paging, and the copy of each page that GitHub can confirm for free. Believes GitHub:
//! what a page says is neither added to nor taken from.
//!
//! A runner that goes away between two pages moves the others up, and one of them slips from the
//! page that comes to the page that is done. It would be missing from the list, and a runner that
//! is missing may be destroyed. So a list of several pages counts only when two readings, one
//! after the other, show the same: then, between them, it stood like that all at once. Unchanged
//! pages are confirmed with 304, which does not count against GitHub's primary limit; so the
//! second reading is mostly free, and the first is too while nothing happens.

use std::{collections::BTreeMap, rc::Rc};

use serde::Deserialize;

use super::{
    Github, GithubError,
    budget::Purpose,
    client::{PER_PAGE, body},
};
use http_client::{Answer, Method, StatusCode};
use shared::registration::Registration;

/// What fails when a page cannot be had.
const ATTEMPT: &str = "list runners";
/// The most pages that are read: 10,000 runners, the most of one group.
const PAGES_MAX: usize = 100;
/// The most readings, however often the list changes meanwhile.
const READINGS_MAX: usize = 3;

/// One page, and by what GitHub recognises it.
#[derive(Deserialize)]
pub(super) struct Page {
    total_count: usize,
    runners: Vec<Registration>,
    #[serde(skip)]
    etag: Option<String>,
}

/// All pages of one reading, in order.
pub(super) type Pages = Vec<Rc<Page>>;

impl Github {
    /// Every runner of the scope, foreign ones too, each once, by id.
    ///
    /// If the list never stands still, it is rather too long than too short: whatever any of the
    /// readings showed is in it, as it was seen last.
    pub async fn list_runners(&self) -> Result<Vec<Registration>, GithubError> {
        self.afford(ATTEMPT, Purpose::Look)?;
        let mut pages = self.seen_pages.borrow().clone();
        let mut found = BTreeMap::new();
        for _ in 0..READINGS_MAX {
            let reading = self.read_pages(&pages).await?;
            let is_settled = reading.len() == 1 || is_same(&reading, &pages);
            if is_settled {
                found.clear();
            }
            let runners = reading.iter().flat_map(|page| &page.runners);
            found.extend(runners.map(|runner| (runner.id, runner.clone())));
            pages = reading;
            if is_settled {
                break;
            }
        }
        self.seen_pages.replace(pages);
        Ok(found.into_values().collect())
    }

    /// Reads all pages once. `before` are those of the reading before.
    async fn read_pages(&self, before: &Pages) -> Result<Pages, GithubError> {
        let mut pages = Pages::new();
        let mut runner_count = 0;
        while pages.len() < PAGES_MAX {
            let page = self.page(pages.len() + 1, before.get(pages.len())).await?;
            runner_count += page.runners.len();
            let is_last = page.runners.is_empty() || runner_count >= page.total_count;
            pages.push(page);
            if is_last {
                return Ok(pages);
            }
        }
        Err(GithubError::Unexpected {
            attempt: ATTEMPT.into(),
            what: "the list does not end",
        })
    }

    async fn page(
        &self,
        number: usize,
        before: Option<&Rc<Page>>,
    ) -> Result<Rc<Page>, GithubError> {
        let url = self.scope_url(&format!(
            "/actions/runners?per_page={PER_PAGE}&page={number}"
        ));
        let call = self.call(Method::GET, &url);
        let known = before.and_then(|page| Some((page, page.etag.as_deref()?)));
        let Some((page, etag)) = known else {
            let answer = self.ask(ATTEMPT, call, &[StatusCode::OK]).await?;
            return read(&answer);
        };
        let call = call.header("if-none-match", etag);
        let expected = [StatusCode::OK, StatusCode::NOT_MODIFIED];
        let answer = self.ask(ATTEMPT, call, &expected).await?;
        match answer.status {
            StatusCode::NOT_MODIFIED => Ok(Rc::clone(page)),
            _ => read(&answer),
        }
    }
}

fn read(answer: &Answer) -> Result<Rc<Page>, GithubError> {
    let page: Page = body(ATTEMPT, answer)?;
    let etag = answer.header("etag").map(str::to_owned);
    Ok(Rc::new(Page { etag, ..page }))
}

/// Whether two readings show the same, be it confirmed or sent again.
fn is_same(reading: &[Rc<Page>], before: &[Rc<Page>]) -> bool {
    let reading = reading.iter().map(|page| &page.runners);
    reading.eq(before.iter().map(|page| &page.runners))
}
