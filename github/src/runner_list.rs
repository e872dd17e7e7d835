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
use serde_json::Value;

use super::{
    Github, GithubError,
    client::{PER_PAGE, body},
    priority::Priority,
};
use http_client::{Method, Request, Response, StatusCode};
use shared::registration::{Label, Registration, RegistrationStatus};

/// The operation that errors name.
const OPERATION: &str = "list runners";
/// The most pages that are read: 100,000 runners. One runner group can have 10,000, an organisation
/// several groups.
const PAGES_MAX: usize = 1000;
/// The most readings while the list keeps changing.
const READINGS_MAX: usize = 3;

/// One page, and its `ETag`.
pub(super) struct Page {
    /// The length of the whole list, if GitHub reports it.
    total_count: Option<usize>,
    /// The number of entries, including those that cannot be read.
    entry_count: usize,
    runners: Vec<PartialRegistration>,
    /// Whether the response refers to a next page.
    has_next: bool,
    etag: Option<String>,
}

/// The body of a page. Entries are read one by one: one that cannot be read must not hide the others.
#[derive(Deserialize)]
struct PageBody {
    #[serde(default)]
    total_count: Value,
    runners: Vec<Value>,
}

/// The runners of the last list, by id, for values that a later list leaves out.
pub(super) type KnownRunners = BTreeMap<u64, Registration>;

/// An entry of the list. GitHub has been reported to send null instead of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartialRegistration {
    id: u64,
    pub(super) name: Option<String>,
    status: Option<RegistrationStatus>,
    busy: Option<bool>,
    labels: Option<Vec<Label>>,
    version: Option<String>,
}

impl PartialRegistration {
    /// Reads what there is; `None` without an id.
    pub(super) fn read(entry: &Value) -> Option<Self> {
        let text = |key: &str| Some(entry.get(key)?.as_str()?.to_owned());
        let labels = entry.get("labels").and_then(Value::as_array);
        let label = |label: &Value| {
            let name = label.get("name")?.as_str()?.to_owned();
            Some(Label { name })
        };
        Some(Self {
            id: entry.get("id")?.as_u64()?,
            name: text("name"),
            status: text("status").map(|status| match status.as_str() {
                "online" => RegistrationStatus::Online,
                _ => RegistrationStatus::Offline,
            }),
            busy: entry.get("busy").and_then(Value::as_bool),
            labels: labels.map(|labels| labels.iter().filter_map(label).collect()),
            version: text("version"),
        })
    }

    /// The registration, with missing values as they were last known; `None` without a name. If it is
    /// not known whether a runner is online or busy, it counts as offline: then it gets no job and is
    /// not considered to have begun one.
    pub(super) fn complete(self, known: Option<&Registration>) -> Option<Registration> {
        let known_name = known.map(|known| known.name.clone());
        let (status, busy) = match (self.status, self.busy, known) {
            (Some(status), Some(busy), _) => (status, busy),
            (status, busy, Some(known)) => {
                (status.unwrap_or(known.status), busy.unwrap_or(known.busy))
            }
            (_, busy, None) => (RegistrationStatus::Offline, busy.unwrap_or(false)),
        };
        let known_labels = || known.map(|known| known.labels.clone());
        let known_version = || known?.version.clone();
        Some(Registration {
            id: self.id,
            name: self.name.or(known_name)?,
            status,
            busy,
            labels: self.labels.or_else(known_labels).unwrap_or_default(),
            version: self.version.or_else(known_version),
        })
    }
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
            let known = self.known_runners.borrow();
            for runner in reading.iter().flat_map(|page| &page.runners) {
                let id = runner.id;
                match runner.clone().complete(known.get(&id)) {
                    Some(runner) => drop(found.insert(id, runner)),
                    None => log::debug!("left out registration {id} of the list: it has no name"),
                }
            }
            pages = reading;
            if is_consistent {
                break;
            }
        }
        self.seen_pages.replace(pages);
        self.known_runners.replace(found.clone());
        Ok(found.into_values().collect())
    }

    /// Reads all pages once. `before` is the previous reading.
    async fn read_pages(&self, before: &Pages) -> Result<Pages, GithubError> {
        let mut pages = Pages::new();
        let mut entry_count = 0;
        while pages.len() < PAGES_MAX {
            let page = self.page(pages.len() + 1, before.get(pages.len())).await?;
            entry_count += page.entry_count;
            let is_complete = match page.total_count {
                Some(total_count) => entry_count >= total_count,
                None => page.entry_count < PER_PAGE,
            };
            let is_last = page.entry_count == 0 || (is_complete && !page.has_next);
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
            let response = self.send_list(request, &[StatusCode::OK]).await?;
            return read(&response);
        };
        let request = request.header("if-none-match", etag);
        let expected = [StatusCode::OK, StatusCode::NOT_MODIFIED];
        let response = self.send_list(request, &expected).await?;
        match response.status {
            StatusCode::NOT_MODIFIED => Ok(Rc::clone(page)),
            _ => read(&response),
        }
    }

    async fn send_list(
        &self,
        request: Request<'_>,
        expected: &[StatusCode],
    ) -> Result<Response, GithubError> {
        let response = self.send(OPERATION, request, expected).await;
        if let Err(error) = &response
            && error.status() == Some(StatusCode::NOT_FOUND)
        {
            let scope_path = &self.config.scope_path;
            self.api_status.record_not_found(scope_path, self.now());
        }
        response
    }
}

fn read(response: &Response) -> Result<Rc<Page>, GithubError> {
    let page: PageBody = body(OPERATION, response)?;
    let total_count = page.total_count.as_u64();
    let runners = page.runners.iter().filter_map(PartialRegistration::read);
    let link = response.header("link").unwrap_or_default();
    Ok(Rc::new(Page {
        total_count: total_count.and_then(|count| usize::try_from(count).ok()),
        entry_count: page.runners.len(),
        runners: runners.collect(),
        has_next: link.contains("rel=\"next\""),
        etag: response.header("etag").map(str::to_owned),
    }))
}

/// Whether two readings contain the same runners.
fn is_same(reading: &[Rc<Page>], before: &[Rc<Page>]) -> bool {
    let reading = reading.iter().map(|page| &page.runners);
    reading.eq(before.iter().map(|page| &page.runners))
}
