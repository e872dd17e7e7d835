//! The copy of the state that pages and metrics are rendered from, with what was rendered.

use std::sync::{Arc, OnceLock};

use actix_web::web::Bytes;
use github::ApiStatus;
use shared::clock::Timestamp;

use super::{metrics, page};
use crate::shared_core::PublishedView;

/// What clients see, at one point in time. Each form is rendered once, by the first request for it.
pub struct Snapshot {
    pub now: Timestamp,
    /// None before the first poll has succeeded.
    pub published: Option<Arc<PublishedView>>,
    pub github: ApiStatus,
    pub rendered: Rendered,
}

#[derive(Default)]
pub struct Rendered {
    page: OnceLock<Bytes>,
    live_part: OnceLock<Bytes>,
    metrics: OnceLock<Bytes>,
}

impl Snapshot {
    /// The page for people.
    pub fn page(&self) -> Bytes {
        render_once(&self.rendered.page, || page::render_page(self).into())
    }

    /// The part of the page that its script reloads.
    pub fn live_part(&self) -> Bytes {
        render_once(&self.rendered.live_part, || {
            page::render_live_part(self).into()
        })
    }

    pub fn metrics(&self) -> Bytes {
        render_once(&self.rendered.metrics, || metrics::render(self))
    }
}

/// The bytes are cheap to clone.
fn render_once(rendered: &OnceLock<Bytes>, render: impl FnOnce() -> String) -> Bytes {
    rendered.get_or_init(|| render().into()).clone()
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, VecDeque},
        time::{Duration, UNIX_EPOCH},
    };

    use github::RateLimit;
    use monitor_core::{ActionLog, ImageView, SoftwareView, View};
    use shared::{
        registration::{Label, Registration, RegistrationStatus},
        software::Support,
        values::{ProfileKey, UniqueId},
        wire::{
            DashboardRunner, MonitorDashboard, ReservationReport, ReservationState, Runner,
            RunnerCounts, RunnerStatus,
        },
    };

    use super::*;

    /// 2027-01-15 08:00:00 UTC.
    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn ago(seconds: u64) -> Timestamp {
        NOW - Duration::from_secs(seconds)
    }

    fn linux() -> ProfileKey {
        "linux".parse().unwrap()
    }

    fn runner(id: u64, status: RunnerStatus) -> DashboardRunner {
        let name = format!("ci-runner-linux.{id}");
        DashboardRunner {
            id,
            screenshot_url: Some(format!("http://host/runner/{id}/screenshot.png")),
            runner: Runner {
                id,
                created_time: UNIX_EPOCH + Duration::from_secs(1_799_999_000),
                registration: Some(Registration {
                    id: 100 + id,
                    name: format!("{name}@host"),
                    status: RegistrationStatus::Online,
                    busy: false,
                    labels: vec![Label {
                        name: format!("runner:{id}"),
                    }],
                    version: Some("2.337.0".to_owned()),
                }),
                guest_name: Some(name),
                ipv4_address: Some([192, 168, 100, 7].into()),
            },
            profile_key: Some(linux()),
            status: Some(status),
        }
    }

    /// A view with everything that a page can show.
    fn view() -> View {
        let counts = RunnerCounts {
            target: 3,
            healthy: 2,
            idle: 1,
            reserved: 1,
            wanted: 1,
            ..RunnerCounts::default()
        };
        let unique_id: UniqueId = "job".parse().unwrap();
        let reservation = ReservationReport {
            runners: vec![1],
            state: ReservationState::Held,
            attempt: 7,
            enqueued_at: Some(ago(20)),
        };
        View {
            dashboard: MonitorDashboard {
                profile_runner_counts: [(linux(), counts)].into(),
                runners: vec![
                    runner(0, RunnerStatus::Idle),
                    runner(1, RunnerStatus::Reserved),
                ],
                reservations: Some([(unique_id.clone(), reservation)].into()),
            },
            reserved_for: [(1, unique_id)].into(),
            created_at: [(0, ago(1000)), (1, ago(10))].into(),
            target_override: Some([(linux(), 3)].into()),
            images: [(
                linux(),
                ImageView {
                    built_at: Some(ago(90_000)),
                    rebuilt_since: Some(ago(60)),
                    failure_count: 2,
                    failure: Some("start guest ci-rebuild-linux".to_owned()),
                },
            )]
            .into(),
            software: [(
                linux(),
                SoftwareView {
                    version: "2.337.0".to_owned(),
                    support: Some(Support::Until(NOW + Duration::from_secs(86_400))),
                },
            )]
            .into(),
            capacity_warnings: vec!["a warning about the capacity".to_owned()],
            action_log: ActionLog {
                actions: VecDeque::from([(ago(10), "create runner 1 of linux".to_owned())]),
                shortfalls: vec!["1 runner of linux: no capacity".to_owned()],
            },
        }
    }

    fn api_status() -> ApiStatus {
        ApiStatus {
            authenticated_with: "a token".to_owned(),
            renews_automatically: false,
            permissions: BTreeMap::from([("administration".to_owned(), "write".to_owned())]),
            token_expires_at: Some(NOW + Duration::from_secs(7 * 86_400)),
            rate_limit: Some(RateLimit {
                limit: 5000,
                remaining: 4990,
                reset_at: NOW + Duration::from_secs(600),
                resource: "core".to_owned(),
            }),
            // One status only: the order of several is random.
            responses: BTreeMap::from([(200, 9)]),
            failed_request_count: 2,
            deferred_request_count: 1,
        }
    }

    fn snapshot(view: Option<View>) -> Snapshot {
        Snapshot {
            now: NOW,
            published: view.map(|view| {
                Arc::new(PublishedView {
                    etag: "W/\"etag\"".to_owned(),
                    view,
                    revision: 1,
                })
            }),
            github: api_status(),
            rendered: Rendered::default(),
        }
    }

    fn text(rendered: &Bytes) -> &str {
        std::str::from_utf8(rendered).unwrap()
    }

    /// With a line break after each closing tag, so that a difference is readable.
    fn lines(html: &str) -> String {
        html.replace("</", "\n</").replace("><", ">\n<")
    }

    #[test]
    fn the_page_shows_everything_about_the_server() {
        let page = snapshot(Some(view())).live_part();
        insta::assert_snapshot!(lines(text(&page)));
    }

    #[test]
    fn the_page_shows_the_api_status_before_the_first_poll() {
        let page = snapshot(None).live_part();
        insta::assert_snapshot!(lines(text(&page)));
    }

    #[test]
    fn the_whole_page_contains_the_live_part() {
        let snapshot = snapshot(Some(view()));
        let page = snapshot.page();
        assert!(text(&page).contains(text(&snapshot.live_part())));
    }

    #[test]
    fn the_metrics_have_all_names_and_labels() {
        let metrics = snapshot(Some(view())).metrics();
        insta::assert_snapshot!(text(&metrics));
    }

    #[test]
    fn the_metrics_before_the_first_poll_have_the_api_status() {
        let metrics = snapshot(None).metrics();
        insta::assert_snapshot!(text(&metrics));
    }

    #[test]
    fn the_json_has_the_keys_that_queues_and_scripts_use() {
        let dashboard = view().dashboard_at(NOW);
        let json = serde_json::to_string_pretty(&dashboard).unwrap();
        insta::assert_snapshot!(json);
    }

    #[test]
    fn the_expiry_of_a_token_is_shown_unless_the_token_is_renewed() {
        let page = |renews_automatically| {
            let mut snapshot = snapshot(None);
            snapshot.github.renews_automatically = renews_automatically;
            text(&snapshot.live_part()).to_owned()
        };
        assert!(page(false).contains("Authenticated with a token, until 2027-01-22."));
        assert!(page(true).contains("Authenticated with a token."));
    }
}
