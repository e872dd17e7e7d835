#!/usr/bin/env bash
# Polls the jobs of this run until one has started on each of the labels. Cancels the run after the
# timeout, unless the jobs are unknown because GitHub did not respond.
set -euo pipefail

readonly WAIT_MAX=18000
# Each poll is one request of the 1,000 that GitHub allows a repository per hour.
readonly POLL_INTERVAL=5
# Limits a run to 1,000 jobs.
readonly PAGES_MAX=10
readonly run_url=$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail() {
    printf '::error title=runner-timeout::%s\n' "$1"
    exit 1
}

# api METHOD URL: prints the response of GitHub. The token is on standard input, because every account
# of a machine can read a command line.
api() {
    printf 'Authorization: Bearer %s\n' "$API_TOKEN" |
        curl --silent --show-error --fail --connect-timeout 5 --max-time 20 --max-filesize 20000000 \
            --request "$1" --header @- --header 'Accept: application/vnd.github+json' \
            --header 'X-GitHub-Api-Version: 2022-11-28' "$2"
}

# jobs: prints the jobs of this run's latest attempt, one per line. Labels are in lower case, because
# GitHub ignores their case.
jobs() {
    local page
    for ((page = 1; page <= PAGES_MAX; page++)); do
        api GET "$run_url/jobs?filter=latest&per_page=100&page=$page" > "$folder/page" || return
        jq -c '.jobs[] | {status, labels: [.labels[] | ascii_downcase]}' "$folder/page" || return
        jq -e --argjson page "$page" '.total_count > $page * 100' "$folder/page" > /dev/null || return 0
    done
}

# poll: sets `started`, `waiting` and `missing`, the numbers of labels whose job has started, waits, or
# does not exist yet. GitHub creates a job when the jobs that it needs have ended.
poll() {
    jobs > "$folder/jobs" || return
    local counts
    counts=$(jq -rs --argjson labels "$labels" '
        . as $jobs
        | [$labels[] as $name | [$jobs[] | select(.labels | index($name)) | .status]]
        | map(if length == 0 then "missing"
              elif any(. == "in_progress" or . == "completed") then "started"
              else "waiting" end) as $states
        | ["started", "waiting", "missing"]
        | map(. as $state | [$states[] | select(. == $state)] | length)
        | join(" ")
    ' "$folder/jobs") || return
    read -r started waiting missing <<< "$counts"
}

cancel_run() {
    printf '%s\n\n' "Cancelled: $1" >> "$GITHUB_STEP_SUMMARY"
    api POST "$run_url/cancel" > /dev/null || fail "$1; failed to cancel the run"
    fail "$1; cancelled the run"
}

[[ $TIMEOUT =~ ^([0-9]{1,5})\ ?(s|m|h|seconds?|minutes?|hours?)?$ ]] ||
    fail 'timeout must be a number of seconds, or for example 90s, 15m, "2 minutes"'
seconds=$((10#${BASH_REMATCH[1]}))
case ${BASH_REMATCH[2]:-s} in
    m*) seconds=$((seconds * 60)) ;;
    h*) seconds=$((seconds * 3600)) ;;
esac
((seconds <= WAIT_MAX)) || fail 'timeout must be at most 5 hours'
labels=$(jq -ce 'select(type == "array" and length > 0 and all(.[]; type == "string"))
    | map(ascii_downcase) | unique' <<< "$SELECTED_LABELS" 2> /dev/null) || labels=
[[ -n $labels ]] || fail 'selected-runner-labels must be a JSON array of labels, as runner-select returns it'
count=$(jq length <<< "$labels")

while true; do
    is_known=false
    if poll; then
        is_known=true
        echo "jobs: $started of $count started, $waiting waiting, $missing not created yet; after $SECONDS s"
        if ((started == count)); then exit 0; fi
    else
        echo "failed to list the jobs of the run; after $SECONDS s"
    fi
    ((SECONDS < seconds)) || break
    left=$((seconds - SECONDS))
    sleep "$((left < POLL_INTERVAL ? left : POLL_INTERVAL))"
done
if ! $is_known; then
    echo '::warning title=runner-timeout::GitHub did not respond, so it is unknown whether the job has started; not cancelling the run'
elif ((waiting > 0)); then
    cancel_run "$waiting of $count self-hosted runners got no job within $seconds s"
else
    # The job may be skipped: GitHub reports skipped jobs without labels.
    echo '::warning title=runner-timeout::no job of this run has the labels of the selected runners; not cancelling the run'
fi
