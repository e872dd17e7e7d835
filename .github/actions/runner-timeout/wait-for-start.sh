#!/usr/bin/env bash
# Looks at the jobs of this run until one has started on each of the labels, or time is up; then
# cancels the run, unless GitHub could not be asked: what nobody knows is no reason to end anything.
set -euo pipefail

readonly WAIT_MAX=18000
# Each look costs one request of the thousand that a repository's runs have an hour.
readonly LOOK_PAUSE=5
# More jobs than 10 pages of 100 are in no run that a person reads.
readonly PAGES_MAX=10
readonly run_url=$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail() {
    printf '::error title=runner-timeout::%s\n' "$1"
    exit 1
}

# api METHOD URL: what GitHub answers. The token is on standard input, because everybody on a machine
# can read a command line.
api() {
    printf 'Authorization: Bearer %s\n' "$API_TOKEN" |
        curl --silent --show-error --fail --connect-timeout 5 --max-time 20 --max-filesize 20000000 \
            --request "$1" --header @- --header 'Accept: application/vnd.github+json' \
            --header 'X-GitHub-Api-Version: 2022-11-28' "$2"
}

# jobs: the jobs of this run's latest attempt, one a line, with their labels in lower case, as
# GitHub compares them.
jobs() {
    local page
    for ((page = 1; page <= PAGES_MAX; page++)); do
        api GET "$run_url/jobs?filter=latest&per_page=100&page=$page" > "$folder/page" || return
        jq -c '.jobs[] | {status, labels: [.labels[] | ascii_downcase]}' "$folder/page" || return
        jq -e --argjson page "$page" '.total_count > $page * 100' "$folder/page" > /dev/null || return 0
    done
}

# look: sets `started`, `waiting` and `unseen`, the numbers of labels on which a job has started,
# waits, or does not exist yet. GitHub makes a job when those that it needs are over.
look() {
    jobs > "$folder/jobs" || return
    local counts
    counts=$(jq -rs --argjson labels "$labels" '
        . as $jobs
        | [$labels[] as $name | [$jobs[] | select(.labels | index($name)) | .status]]
        | map(if length == 0 then "unseen"
              elif any(. == "in_progress" or . == "completed") then "started"
              else "waiting" end) as $states
        | ["started", "waiting", "unseen"]
        | map(. as $state | [$states[] | select(. == $state)] | length)
        | join(" ")
    ' "$folder/jobs") || return
    read -r started waiting unseen <<< "$counts"
}

cancel_run() {
    printf '%s\n\n' "Cancelled: $1" >> "$GITHUB_STEP_SUMMARY"
    api POST "$run_url/cancel" > /dev/null || fail "$1; and the run could not be cancelled"
    fail "$1; the run is cancelled"
}

[[ $TIMEOUT =~ ^([0-9]{1,5})\ ?(s|m|h|seconds?|minutes?|hours?)?$ ]] ||
    fail 'timeout must be a number of seconds, or such as 90s, 15m, "2 minutes"'
seconds=$((10#${BASH_REMATCH[1]}))
case ${BASH_REMATCH[2]:-s} in
    m*) seconds=$((seconds * 60)) ;;
    h*) seconds=$((seconds * 3600)) ;;
esac
((seconds <= WAIT_MAX)) || fail 'timeout must be at most 5 hours'
labels=$(jq -ce 'select(type == "array" and length > 0 and all(.[]; type == "string"))
    | map(ascii_downcase) | unique' <<< "$SELECTED_LABELS" 2> /dev/null) || labels=
[[ -n $labels ]] || fail 'selected-runner-labels must be a JSON array of labels, as runner-select gives it'
count=$(jq length <<< "$labels")

while true; do
    is_known=false
    if look; then
        is_known=true
        echo "on $count labels: $started started, $waiting waiting, $unseen not there yet; after $SECONDS s"
        if ((started == count)); then exit 0; fi
    else
        echo "GitHub could not be asked for the run's jobs; after $SECONDS s"
    fi
    ((SECONDS < seconds)) || break
    left=$((seconds - SECONDS))
    sleep "$((left < LOOK_PAUSE ? left : LOOK_PAUSE))"
done
if ! $is_known; then
    echo '::warning title=runner-timeout::GitHub does not say whether the job has started; the run goes on'
elif ((waiting > 0)); then
    cancel_run "$waiting of $count self-hosted runners got no job within $seconds s"
else
    # Skipped jobs have no labels, so there may be nothing to wait for.
    echo '::warning title=runner-timeout::no job of this run asks for the selected runners; the run goes on'
fi
