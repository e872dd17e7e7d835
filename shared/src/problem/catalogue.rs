//! Every kind of problem that the daemons can have: its code, how bad it is, what it means and what to do.
//!
//! The page `docs/src/problems.md` is written from it by `cargo run -p tidy`. Not responsible for when there
//! is a problem: cores and adapters decide that, and make it with [`ProblemKind::problem`].

use super::Severity::{self, Error, Warning};
use Daemons::{Both, Monitor, Queue};

/// One kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub struct ProblemKind {
    /// Its name in snake case; unique, and stable, because alerts depend on it.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Which daemons can have it.
    pub daemons: Daemons,
    /// What it means, and what works no longer: sentences in Markdown.
    pub meaning: &'static str,
    /// What to do: sentences in Markdown.
    pub remedy: &'static str,
    /// Where to read more: titles, and links relative to the book's folder.
    pub reading: &'static [(&'static str, &'static str)],
}

/// Which daemons can have a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Daemons {
    Queue,
    Monitor,
    Both,
}

/// Declares the kinds, and lists them in [`ALL`].
macro_rules! catalogue {
    ($($name:ident = $code:literal, $severity:ident, $daemons:ident,
        $meaning:literal, $remedy:literal $(, $title:literal => $link:literal)*;)*) => {
        $(
            #[doc = $meaning]
            pub static $name: ProblemKind = ProblemKind {
                code: $code,
                severity: $severity,
                daemons: $daemons,
                meaning: $meaning,
                remedy: $remedy,
                reading: &[$(($title, $link)),*],
            };
        )*
        /// Every kind, in the order of the page.
        pub static ALL: &[&ProblemKind] = &[$(&$name),*];
    };
}

// Both daemons.
catalogue! {
    GITHUB_UNREACHABLE = "github_unreachable", Error, Both,
        "For more than five seconds GitHub has not answered requests of one kind or more, or only with server \
         errors. Runners that are idle \
         are still assigned; none are created or destroyed, and no artifact can be checked.",
        "See <https://www.githubstatus.com>. If GitHub works, check the network and the name resolution of this \
         host, and `HTTPS_PROXY` if there is a proxy. Nothing has to be restarted.",
        "GitHub" => "operating.md#github";
    GITHUB_CREDENTIALS_REJECTED = "github_credentials_rejected", Error, Both,
        "GitHub rejects the token, or the key of the App: it has expired, or was revoked. Idle \
         runners are still assigned; none are created or destroyed, and no artifact can be checked.",
        "Create a new token, or a new key of the App. If it is read from a file (`.env`, the key file), a new \
         one takes effect without a restart; a token in the environment needs one. Running jobs continue.",
        "GitHub" => "operating.md#github";
    GITHUB_PERMISSION_MISSING = "github_permission_missing", Error, Both,
        "GitHub has refused a request because the token or the App lacks a permission, and no request of that kind has \
         succeeded since; it is shown for 15 minutes after the last one. \
         The cause names the request and, if GitHub sends it, the permission.",
        "Grant the permission. For an App, the owner of the organisation has to accept the change.",
        "GitHub" => "operating.md#github";
    GITHUB_NOT_FOUND = "github_not_found", Error, Both,
        "The organisation or repository in `github_api_scope` does not exist, or the credentials may not see it.",
        "Check `github_api_scope`, and that the token or the installation of the App has access to it.",
        "GitHub" => "operating.md#github";
    GITHUB_MOVED = "github_moved", Warning, Both,
        "The repository in `github_api_scope` has another name now. Requests follow the redirect.",
        "Set `github_api_scope` to the new name, and restart: GitHub ends the redirect when the former name is \
         used again.",
        "GitHub" => "operating.md#github";
    GITHUB_RATE_LIMIT_REACHED = "github_rate_limit_reached", Error, Both,
        "GitHub has refused a request because of a rate limit, and no further ones are sent for as long as it asks. \
         Idle runners are still assigned; none are created or destroyed, and no artifact can be checked.",
        "See what else uses the same token: all programs with one personal token share 5,000 requests an hour. A \
         GitHub App has a rate limit of its own.",
        "GitHub" => "operating.md#github";
    GITHUB_RATE_LIMIT_LOW = "github_rate_limit_low", Warning, Both,
        "Less than 20 % of the requests that GitHub allows in an hour are left. Artifacts and the support of the \
         runner software are not checked until there are more; below 10 % runners are listed once a minute.",
        "See what else uses the same token: all programs with one personal token share 5,000 requests an hour. A \
         GitHub App has a rate limit of its own.",
        "GitHub" => "operating.md#github";
    GITHUB_TOKEN_EXPIRES = "github_token_expires", Warning, Both,
        "The personal access token expires within 14 days.",
        "Create a new one and set `GITHUB_TOKEN`. A GitHub App does not expire.",
        "GitHub" => "operating.md#github";
    GITHUB_TOKEN_EXPIRED = "github_token_expired", Error, Both,
        "The personal access token has expired, so GitHub rejects it.",
        "Create a new one and set `GITHUB_TOKEN`. A GitHub App does not expire.",
        "GitHub" => "operating.md#github";
    STATE_NOT_SAVED = "state_not_saved", Error, Both,
        "The data folder cannot be written; the cause is that of the operating system, such as a full disk. A \
         monitor gives out no runner meanwhile. A queue goes on.",
        "Free some space in the data folder, or make it writable. The daemon tries again by itself.",
        "Start and stop" => "operating.md#start-and-stop";
    SETTINGS_NOT_RELOADED = "settings_not_reloaded", Warning, Both,
        "The settings were to be read again, and have a mistake. The daemon goes on with those that it has; its next start \
         would fail.",
        "Correct the mistake in the cause until `monitor --check` and `queue --check` report nothing, and reload the settings again.",
        "Change settings" => "operating.md#change-settings";
    JOURNAL_NOT_WRITTEN = "journal_not_written", Warning, Both,
        "Events cannot be written to the journal, such as on a full disk, or faster than they are written. The \
         daemon works all the same; its history lacks these events.",
        "Free some space in the data folder, or make it writable. The daemon tries again by itself.",
        "Start and stop" => "operating.md#start-and-stop";
    JOURNAL_NOT_CLEANED = "journal_not_cleaned", Warning, Both,
        "An old file of the journal cannot be removed, such as one that belongs to another user. The others are \
         removed; the files can become more than `journal_max_size` allows.",
        "Remove the file, or give it and its folder to the user of the daemon, which tries again by itself.",
        "Start and stop" => "operating.md#start-and-stop";
    CLOCK_SKEWED = "clock_skewed", Warning, Both,
        "The clock of this host differs from the dates in GitHub's responses by more than two minutes. What depends on \
         GitHub's time, such as the age of artifacts, uses GitHub's; times in logs, histories and tickets are wrong.",
        "Set the clock, for example by `timedatectl set-ntp true`, and restart the daemon, which reads the clock \
         at its start only.",
        "Start and stop" => "operating.md#start-and-stop";
    LISTEN_ADDRESS_MISSING = "listen_address_missing", Error, Both,
        "This host does not have an address of `listen_on`, such as that of a bridge that is not up. The daemon works \
         at its other addresses, and at this one as soon as the host has it.",
        "Bring up its interface, or remove it from `listen_on`. `ip address` shows the addresses of the host.",
        "Start and stop" => "operating.md#start-and-stop";
    LOG_LINES_DROPPED = "log_lines_dropped", Warning, Both,
        "Standard error is not read, or cannot be written, and lines of the log are missing. It is shown \
         for ten minutes after the last one.",
        "See what reads standard error. If it is journald and was stopped, restart this daemon.",
        "Start and stop" => "operating.md#start-and-stop";
    SUFFIX_SHARED = "suffix_shared", Warning, Both,
        "Two monitors use, or seem to use, the same `github_api_suffix`, so that the names of their runners cannot be \
         told apart.",
        "Give each server a `github_api_suffix` of its own.",
        "Settings" => "settings.md";

    GUESTS_NOT_LISTED = "guests_not_listed", Error, Monitor,
        "The hypervisor does not answer, so the monitor creates and destroys no virtual machines. Those that run go on, \
         and so do profiles of the driver `command`.",
        "Check that libvirt runs, and that the user of the monitor may use it: `virsh list` as that user.",
        "Virtual machines" => "virtual-machines.md";
    RUNNERS_NOT_LISTED = "runners_not_listed", Error, Monitor,
        "GitHub's list of runners cannot be read, so the monitor destroys no runners. Another problem usually has \
         the reason. For a former `github_api_scope`, where there are still runners, it means only those.",
        "Check the GitHub credentials and the connection to GitHub, or wait until an outage of GitHub is over. Of a \
         former scope: let the credentials manage its runners until they are gone.",
        "GitHub" => "operating.md#github";
    RUNNERS_FAIL = "runners_fail", Error, Monitor,
        "Two or more runners of a profile in a row could not be created, or ended without having had a job. The cause says \
         which was the last one, how it failed, and when the next attempt is; with the API token, `details` has the last lines of \
         its guest's output. The monitor creates further ones after growing pauses.",
        "See with `GET /runner/<id>` what the guest printed last, and read the log of the monitor. If GitHub rejects the runner software, put \
         a newer version into the image.",
        "Profiles and guests" => "profiles.md", "Troubleshooting" => "operating.md#troubleshooting";
    RUNNER_SOFTWARE_SUPPORT_ENDS = "runner_software_support_ends", Warning, Monitor,
        "GitHub supports the runner software in the image of a profile for less than 14 days. Then its runners get no \
         jobs, or cannot be registered.",
        "Put a newer version into the image.",
        "Profiles and guests" => "profiles.md";
    RUNNER_SOFTWARE_UNSUPPORTED = "runner_software_unsupported", Error, Monitor,
        "GitHub no longer supports the runner software in the image of a profile: its runners get no jobs, or cannot be \
         registered.",
        "Put a newer version into the image.",
        "Profiles and guests" => "profiles.md";
    RUNNER_KEPT_WITHOUT_EVIDENCE = "runner_kept_without_evidence", Warning, Monitor,
        "A runner had a job and GitHub no longer shows it, but nothing proves that the job has ended. So its \
         guest is kept, and counts against capacity.",
        "Check whether the guest still works; if not, run `ci-runners destroy-runner`. To avoid it, configure webhooks \
         for `workflow_job` events, or let the credentials read Actions.",
        "GitHub" => "operating.md#github";
    RUNNER_NOT_DESTROYED = "runner_not_destroyed", Warning, Monitor,
        "Destroying a runner has failed at least twice. It still counts against the server's capacity, and the \
         monitor tries again by itself.",
        "Find the reason in the log of the monitor and mend it.",
        "Troubleshooting" => "operating.md#troubleshooting";
    PROFILE_WITHOUT_IMAGE = "profile_without_image", Error, Monitor,
        "A profile has no image, and none is built for it, so there are no runners of it.",
        "Provide an image, or describe in `profiles/<profile_key>/image.toml` how it is built. To have no runners \
         of it, set its `target_count` to 0.",
        "An image" => "virtual-machines.md#5-an-image";
    PROFILE_UNUSABLE = "profile_unusable", Error, Monitor,
        "The settings or the folder of a profile are invalid, so it has no runners. The others work.",
        "Mend it until `monitor --check` reports nothing, and restart the monitor.",
        "Settings" => "settings.md", "Profiles and guests" => "profiles.md";
    IMAGE_TOO_OLD = "image_too_old", Warning, Monitor,
        "An image is older than `base_image_max_age`, and either none is built for the profile, or its build has \
         not succeeded for an hour. Runners start from it all the same.",
        "Import a newer image, or mend what delays its build. If the image may be as old as that, raise \
         `base_image_max_age`.",
        "Virtual machines" => "virtual-machines.md";
    IMAGE_NOT_BUILT = "image_not_built", Warning, Monitor,
        "The last build of an image failed. Runners start from the former image, if there is one; the monitor \
         tries again by itself.",
        "Read its console on the page of the monitor, and mend its build.",
        "Virtual machines" => "virtual-machines.md";
    TARGET_NOT_REACHABLE = "target_not_reachable", Warning, Monitor,
        "`target_count` exceeds what the capacity allows beside the runners of the other profiles. The queue gets \
         what can be reached.",
        "Lower `target_count`, or raise what the settings allow runners to use.",
        "Settings" => "settings.md";
    PROGRAM_MISSING = "program_missing", Error, Monitor,
        "A program that the settings need is not in the monitor's PATH, or cannot be executed. A service often has \
         another PATH than a shell.",
        "Install it; the remedy names the package of Debian and Ubuntu. Or correct the command in the settings.",
        "Settings" => "settings.md";
    REPOSITORY_NOT_UPDATED = "repository_not_updated", Warning, Monitor,
        "A git repository that guests may clone could not be updated, and is served as it was.",
        "Run the command in the cause, and mend what it reports.",
        "Git repositories for guests" => "operating.md#git-repositories-for-guests";
    WEBHOOK_REFUSED = "webhook_refused", Warning, Monitor,
        "The last webhook was refused: its signature or its content type is wrong. Polling finds the same \
         some seconds later.",
        "Set the same secret in the webhook's settings at GitHub and in `GITHUB_WEBHOOK_SECRET`.",
        "GitHub" => "operating.md#github";
    WEBHOOK_WITHOUT_WORKFLOW_JOBS = "webhook_without_workflow_jobs", Warning, Monitor,
        "GitHub's webhook does not send the event `workflow_job`, so it has no effect.",
        "Select *Workflow jobs* in the webhook's settings at GitHub.",
        "GitHub" => "operating.md#github";

    SERVER_NOT_ANSWERING = "server_not_answering", Error, Queue,
        "A monitor does not answer, so none of its runners are assigned.",
        "Check that the monitor runs there, and that the URL leads to it. If the server is gone for good, remove it \
         from `servers` in `[queue]`.",
        "Troubleshooting" => "operating.md#troubleshooting";
    SERVER_NOT_READY = "server_not_ready", Error, Queue,
        "A monitor answers that it is not ready, so none of its runners are assigned. The cause is what it says.",
        "See the page of this monitor, or its `/readyz`.",
        "Troubleshooting" => "operating.md#troubleshooting";
    SERVER_REFUSES_RUNNERS = "server_refuses_runners", Warning, Queue,
        "A monitor has refused runners that it reports as idle at least twice in a row. The queue leaves these \
         runners out for growing pauses, up to a minute. The cause has the monitor's reason.",
        "See the page and the log of this monitor. If another queue or a client uses it directly, stop that.",
        "Troubleshooting" => "operating.md#troubleshooting";
    SERVER_USED_BY_ANOTHER_QUEUE = "server_used_by_another_queue", Warning, Queue,
        "A server has reservations of a queue with another ticket key, or for another URL of this server. That does no \
         harm, but each queue assigns in an order of its own.",
        "Let one queue use each server. If two queues are to replace each other, give them the same `ticket_key` and \
         the same list of servers. After a change of the key it ends with the jobs from before.",
        "Start and stop" => "operating.md#start-and-stop";
    JOB_NOT_SERVABLE = "job_not_servable", Error, Queue,
        "Jobs of a profile need more runners than all servers that answer can have at once, or none of these has the \
         profile. They wait until that changes; other jobs are assigned before them.",
        "Bring the servers with this profile back, raise its `target_count` on one of them, or withdraw the jobs.",
        "Guarantees and tests" => "guarantees.md";
    SERVER_REFUSES_TOKEN = "server_refuses_token", Error, Queue,
        "A monitor refuses the token that the queue sends, so none of its runners are assigned.",
        "Set `SERVO_CI_MONITOR_API_TOKEN` to the same value for both, or `SERVO_CI_MONITOR_QUEUE_TOKEN` of the monitor \
         to the server's entry in `SERVO_CI_MONITOR_SERVER_TOKENS` of the queue. If there is a proxy between them, let \
         it pass on the header `Authorization`.",
        "Settings" => "settings.md";
    PAUSES_LOST = "pauses_lost", Warning, Queue,
        "The file with the profiles that operators have paused is damaged, so that none is paused.",
        "Pause the profiles again that have to be paused. If there are none, resume any profile, paused or not: that \
         replaces the file.",
        "Pause a profile" => "operating.md#pause-a-profile";
    SERVER_LISTED_TWICE = "server_listed_twice", Warning, Queue,
        "Two URLs of the list lead to the same monitor. One of them is used.",
        "Remove one of the two from `servers` in `[queue]`.",
        "Settings" => "settings.md";
    SERVER_IS_QUEUE = "server_is_queue", Error, Queue,
        "A URL of the list leads to a queue instead of a monitor.",
        "List the URLs of the monitors in `servers` of `[queue]`; their port is 8000.",
        "Settings" => "settings.md";
    SERVER_IS_NO_MONITOR = "server_is_no_monitor", Error, Queue,
        "What a URL of the list answers is not the dashboard of a monitor.",
        "Check that the URL leads to a monitor, and not to another service or to a page of a proxy, and whether a \
         proxy adds or removes a part of the path.",
        "Behind a reverse proxy" => "operating.md#behind-a-reverse-proxy";
    SERVER_REDIRECTS = "server_redirects", Error, Queue,
        "A URL of the list answers with a redirect, which the queue does not follow.",
        "List the URL that it redirects to in `servers` of `[queue]`.",
        "Settings" => "settings.md";
    SERVER_GRANTS_INVALID_LABELS = "server_grants_invalid_labels", Error, Queue,
        "A server granted a runner whose label is not 1 to 256 printable characters without a comma, or is the label of \
         another runner or job. Such runners are released and given to no client.",
        "Check which software answers takes at this URL, and whether its owner can be trusted.",
        "Security" => "security.md";
    DASHBOARD_ENTRIES_UNREADABLE = "dashboard_entries_unreadable", Warning, Queue,
        "Entries of a monitor's dashboard cannot be read, or exceed what a server can have. They are left out.",
        "Look for unusual values in its `dashboard.json`, and run the same release on queue and monitors.",
        "HTTP API" => "http-api.md#a-monitor";
    TARGET_NOT_REACHED = "target_not_reached", Warning, Queue,
        "A monitor has had fewer runners than its target for a quarter of an hour. Jobs for more do not wait \
         for them.",
        "See the page of this monitor for the reason. If the host has not enough memory, lower the target.",
        "Troubleshooting" => "operating.md#troubleshooting";
    CLOCK_NOT_SET = "clock_not_set", Warning, Queue,
        "The clock of the queue's host showed a time before 2025 when the queue was started. Tickets stay valid.",
        "Set the clock, then restart the queue.",
        "Start and stop" => "operating.md#start-and-stop";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_code_of_its_own_and_complete_texts() {
        let codes: BTreeSet<&str> = ALL.iter().map(|kind| kind.code).collect();
        assert_eq!(codes.len(), ALL.len());
        for kind in ALL {
            let is_snake_case = |it: u8| it.is_ascii_lowercase() || it == b'_';
            assert!(kind.code.bytes().all(is_snake_case), "{}", kind.code);
            for text in [kind.meaning, kind.remedy] {
                assert!(text.ends_with('.'), "{}: {text}", kind.code);
                assert!(!text.contains("  "), "{}: {text}", kind.code);
            }
            assert!(!kind.reading.is_empty(), "{}", kind.code);
        }
    }
}
