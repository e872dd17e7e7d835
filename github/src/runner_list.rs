//! The list of runners at GitHub, which is read page by page.
//!
//! Responsible for paging, and for the copy of each page that GitHub can confirm with 304.
//!
//! When a runner is removed between the requests of two pages, all later runners move up, and one of
//! them moves from a page that is still to be read to one that has been read. It would be missing
//! from the list, and a runner that is missing may be destroyed. So a list of several pages counts
//! only when two consecutive readings are equal: between them, the list was in that state at one
//! moment. A 304 does not count against GitHub's primary rate limit, so the second reading is
//! mostly free, and so is the first while nothing changes.

use std::{collections::BTreeMap, rc::Rc};

use serde::Deserialize;

use super::{
    Github, GithubError,
    client::{PER_PAGE, body},
    priority::Priority,
};
use http_client::{Method, Response, StatusCode};
use shared::registration::Registration;

/// The operation that errors name.
const OPERATION: &str = "list runners";
/// The most pages that are read: 10,000 runners, GitHub's limit for one group.
const PAGES_MAX: usize = 100;
/// The most readings while the list keeps changing.
const READINGS_MAX: usize = 3;

/// One page, and its `ETag`.
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
    /// All runners of the organisation or repository, including those of other servers, sorted by
    /// id, without duplicates.
    ///
    /// If the list keeps changing, it contains all runners of all readings, as they were in the
    /// last reading that contained them: an entry too many is harmless, a missing one is not.
    pub async fn list_runners(&self) -> Result<Vec<Registration>, GithubError> {
        self.admit(OPERATION, Priority::ListRunners)?;
        let mut pages = self.seen_pages.borrow().clone();
        let mut found = BTreeMap::new();
        for _ in 0..READINGS_MAX {
            let reading = self.read_pages(&pages).await?;
            let is_consistent = reading.len() == 1 || is_same(&reading, &pages);
            if is_consistent {
                found.clear();
            }
            let runners = reading.iter().flat_map(|page| &page.runners);
            found.extend(runners.map(|runner| (runner.id, runner.clone())));
            pages = reading;
            if is_consistent {
                break;
            }
        }
        self.seen_pages.replace(pages);
        Ok(found.into_values().collect())
    }

    /// Reads all pages once. `before` is the previous reading.
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
            operation: OPERATION.into(),
            what: "the list has more pages than GitHub allows",
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
        let request = self.request(Method::GET, &url);
        let known = before.and_then(|page| Some((page, page.etag.as_deref()?)));
        let Some((page, etag)) = known else {
            let response = self.send(OPERATION, request, &[StatusCode::OK]).await?;
            return read(&response);
        };
        let request = request.header("if-none-match", etag);
        let expected = [StatusCode::OK, StatusCode::NOT_MODIFIED];
        let response = self.send(OPERATION, request, &expected).await?;
        match response.status {
            StatusCode::NOT_MODIFIED => Ok(Rc::clone(page)),
            _ => read(&response),
        }
    }
}

fn read(response: &Response) -> Result<Rc<Page>, GithubError> {
    let page: Page = body(OPERATION, response)?;
    let etag = response.header("etag").map(str::to_owned);
    Ok(Rc::new(Page { etag, ..page }))
}

/// Whether two readings contain the same runners.
fn is_same(reading: &[Rc<Page>], before: &[Rc<Page>]) -> bool {
    let reading = reading.iter().map(|page| &page.runners);
    reading.eq(before.iter().map(|page| &page.runners))
}
