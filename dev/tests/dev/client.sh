#!/usr/bin/env bash
# A client like those in workflows: enqueues with curl, then takes with curl until it has its runners.
# curl retries after `Retry-After`. Calls that get no response, because the queue was killed, are
# repeated here. Appends its results to the file $3, as lines of `<unique_id> <what> <response>`.
#
# Usage: client.sh <queue url> <profile, or profile/count> <file> <unique_id> <curl option>...
set -u
queue_url=$1 profile=$2 file=$3 unique_id=$4
shift 4
path=enqueue
[[ $profile == */* ]] && path=enqueue/${profile#*/}

record() {
    printf '%s %s %s\n' "$unique_id" "$1" "$2" >> "$file"
}

# Sets `response`.
call() {
    local status
    while true; do
        response=$(curl --silent --fail --retry 1000 --retry-delay 1 --retry-connrefused \
            --request POST "$@")
        status=$?
        ((status == 0)) && return
        # 22 is an error response. Every other status means no response, or an incomplete one.
        if ((status == 22)); then
            record refused "$*"
            exit 1
        fi
    done
}

call --oauth2-bearer "$SERVO_CI_MONITOR_API_TOKEN" \
    "$queue_url/profile/${profile%/*}/$path?unique_id=$unique_id&qualified_repo=delan/servo&run_id=1"
ticket=$response
record enqueued "$ticket"
call "$@" "$queue_url/take/$unique_id?token=$ticket"
record assigned "$response"
