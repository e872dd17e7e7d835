#!/usr/bin/env bash
# Polls the jobs of this run until one has started on each of the labels. Cancels the run after the
# timeout, unless the jobs are unknown because GitHub did not respond.
#
# Has to work with bash 3.2 (macOS), the bash and jq of Windows, busybox, and curl from 7.29 on.
set -euo pipefail

# In any other locale a range such as [a-z] follows the collation of a language.
export LC_ALL=C
# The exported variable of another shell would be the start value.
SECONDS=0
readonly WAIT_MAX=18000
# Each poll is one request of the 1,000 that GitHub allows a repository per hour.
readonly POLL_INTERVAL=5
# How many more polls there are after the timeout if the last one was not answered.
readonly LATE_POLLS_MAX=3
# How often the run is cancelled if GitHub responds with an error, and the pause before the next time.
readonly CANCEL_ATTEMPTS=3 CANCEL_PAUSE=2
# Limits a run to 1,000 jobs.
readonly PAGES_MAX=10
readonly run_url=${GITHUB_API_URL:-https://api.github.com}/repos/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID

fail() {
    printf '::error title=runner-timeout::%s\n' "$1"
    exit 1
}

folder=$(mktemp -d) || fail 'failed to create a temporary folder'
trap 'rm -rf "$folder"' EXIT

# json ARGUMENT…: jq without the carriage returns that it writes on Windows.
json() {
    jq "$@" | tr -d '\r'
}

# api METHOD URL: prints the response of GitHub. The token is on standard input, because every account
# of a machine can read a command line. `--disable` has to be first: it ignores ~/.curlrc.
api() {
    # Proxies refuse a POST without Content-Length.
    local length=()
    [[ $1 == GET ]] || length=(--header 'Content-Length: 0')
    printf 'header = "Authorization: Bearer %s"\n' "$API_TOKEN" |
        curl --disable --silent --show-error --globoff --fail --connect-timeout 5 --max-time 20 \
            --max-filesize 20000000 --request "$1" --config - --header 'Accept: application/vnd.github+json' \
            --header 'X-GitHub-Api-Version: 2022-11-28' \
            ${length[@]+"${length[@]}"} "$2"
}

# jobs: prints the jobs of this run's latest attempt, one per line, with the labels that are observed. Labels
# are in lower case, because GitHub ignores their case. A job without labels or status is printed as well:
# GitHub may report it before it has them.
jobs() {
    local page
    for ((page = 1; page <= PAGES_MAX; page++)); do
        api GET "$run_url/jobs?filter=latest&per_page=100&page=$page" > "$folder/page" || return
        json -c '.jobs | arrays | .[] | objects
            | {status, name: ((.name | strings) // ""),
                labels: [(.labels // []) | arrays | .[] | strings | ascii_downcase]}' "$folder/page" || return
        # Fails if it is the response of something else.
        json -e '.jobs | type == "array"' "$folder/page" > /dev/null || return
        # shellcheck disable=SC2016 # no expansion is intended
        json -e --argjson page "$page" '(.total_count | numbers) > $page * 100' "$folder/page" > /dev/null || return 0
    done
}

# poll: sets `started`, `waiting` and `missing`: of the runners that were selected, how many have a job that has
# started, a job that waits, or no job yet. GitHub creates a job when the jobs that it needs have ended.
poll() {
    jobs > "$folder/jobs" || return
    local counts
    # Several runners can have the same label; then as many jobs have to start. A status that is neither of the
    # known ones, such as null, is that of a job that may have started.
    # shellcheck disable=SC2016 # no expansion is intended
    counts=$(json -rs --argjson labels "$labels" --arg unique_id "$UNIQUE_ID" '
        . as $jobs
        | (if $labels == [] then
                # By name, as in workflows for servo/ci-runners: all jobs that name the unique_id.
                [[$jobs[] | select((.name | contains("[" + $unique_id + "]"))
                    or (.labels | index("reserved-for:" + ($unique_id | ascii_downcase))))]]
                | map({jobs: ., count: ([length, 1] | max)})
            else
                $labels | group_by(.) | map(.[0] as $name
                    | {jobs: [$jobs[] | select(.labels | index($name))], count: length})
            end)
        | map(
            ([.jobs[].status | . as $status
                | select(all("queued", "waiting", "pending", "requested"; . != $status))] | length) as $started
            | ([.count, $started] | min) as $started
            | ([.count - $started, (.jobs | length) - $started] | min) as $waiting
            | [$started, $waiting, .count - $started - $waiting])
        | transpose | map(add) | join(" ")
    ' "$folder/jobs") || return
    read -r started waiting missing <<< "$counts"
}

cancel_run() {
    [[ -z ${GITHUB_STEP_SUMMARY:-} ]] || printf '%s\n\n' "Cancelled: $1" >> "$GITHUB_STEP_SUMMARY" || true
    local attempt
    for ((attempt = 1; attempt <= CANCEL_ATTEMPTS; attempt++)); do
        ((attempt == 1)) || sleep "$CANCEL_PAUSE"
        if api POST "$run_url/cancel" > /dev/null; then fail "$1; cancelled the run"; fi
    done
    fail "$1; failed to cancel the run"
}

for tool in curl jq; do
    command -v "$tool" > /dev/null || fail "the command $tool, which this action needs, is not installed on this machine"
done
[[ $TIMEOUT =~ ^([0-9]{1,5})\ ?(s|m|h|seconds?|minutes?|hours?)?$ ]] ||
    fail 'timeout must be a number of seconds, or for example 90s, 15m, "2 minutes"'
seconds=$((10#${BASH_REMATCH[1]}))
case ${BASH_REMATCH[2]:-s} in
    m*) seconds=$((seconds * 60)) ;;
    h*) seconds=$((seconds * 3600)) ;;
esac
((seconds <= WAIT_MAX)) || fail 'timeout must be at most 5 hours'
UNIQUE_ID=${UNIQUE_ID:-}
if [[ -n $UNIQUE_ID && -z $SELECTED_LABELS ]]; then
    labels='[]'
    [[ $UNIQUE_ID =~ ^[A-Za-z0-9._-]{1,64}$ ]] || fail 'unique-id must be the output of runner-select of the same name'
else
    labels=$(json -ce 'select(type == "array" and length > 0 and all(.[]; type == "string"))
        | map(ascii_downcase)' <<< "$SELECTED_LABELS" 2> /dev/null) || labels=
    [[ -n $labels ]] || fail 'selected-runner-labels must be a JSON array of labels, as runner-select returns it'
fi

# How many polls in a row have found a job that waits. One alone does not end a run: GitHub can list a job as
# waiting for some seconds after it has started.
seen_waiting=0
late_polls=0
while true; do
    is_known=false
    if poll; then
        is_known=true
        echo "jobs: $started of $((started + waiting + missing)) started, $waiting waiting, $missing not created yet; after $SECONDS s"
        if ((waiting + missing == 0)); then exit 0; fi
        if ((waiting > 0)); then seen_waiting=$((seen_waiting + 1)); else seen_waiting=0; fi
    else
        echo "failed to list the jobs of the run; after $SECONDS s"
    fi
    left=$((seconds - SECONDS))
    if ((left <= 0)); then
        if $is_known && ((seen_waiting != 1)); then break; fi
        if ((late_polls == LATE_POLLS_MAX)); then break; fi
        late_polls=$((late_polls + 1)) left=1
    fi
    sleep "$((left < POLL_INTERVAL ? left : POLL_INTERVAL))"
done
if ! $is_known; then
    echo '::warning title=runner-timeout::GitHub did not respond, so it is unknown whether the job has started; not cancelling the run'
elif ((waiting > 0)); then
    cancel_run "$waiting of $((started + waiting + missing)) self-hosted runners got no job within $seconds s"
else
    # The job may be skipped: GitHub reports skipped jobs without labels.
    echo '::warning title=runner-timeout::no job of this run has the labels of the selected runners; not cancelling the run'
fi
