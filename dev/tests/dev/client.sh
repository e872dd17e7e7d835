#!/usr/bin/env bash
# A client as a workflow has it: enqueues, then takes until it has its runners, by curl, which waits
# as long as Retry-After says. What has no answer at all, because the queue was killed meanwhile, is
# asked again. Tells what happened in lines of `<unique_id> <what> <answer>` in the file $3.
#
# Usage: client.sh <queue url> <profile, or profile/count> <file> <unique_id> <curl option>...
set -u
queue_url=$1 profile=$2 file=$3 unique_id=$4
shift 4
where=enqueue
[[ $profile == */* ]] && where=enqueue/${profile#*/}

tell() {
    printf '%s %s %s\n' "$unique_id" "$1" "$2" >> "$file"
}

ask() {
    local status
    while true; do
        answer=$(curl --silent --fail --retry 1000 --retry-delay 1 --retry-connrefused \
            --request POST "$@")
        status=$?
        ((status == 0)) && return
        # 22: an answer that says no. Everything else: no answer, or half of one.
        if ((status == 22)); then
            tell refused "$*"
            exit 1
        fi
    done
}

ask --oauth2-bearer "$SERVO_CI_MONITOR_API_TOKEN" \
    "$queue_url/profile/${profile%/*}/$where?unique_id=$unique_id&qualified_repo=delan/servo&run_id=1"
ticket=$answer
tell enqueued "$ticket"
ask "$@" "$queue_url/take/$unique_id?token=$ticket"
tell served "$answer"
