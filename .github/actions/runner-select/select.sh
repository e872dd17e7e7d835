#!/usr/bin/env bash
# Waits in the queue until the job has its runners, or until hosted runners are the better choice.
#
#   enqueue ──(ticket)──▶ take ──(runners)──▶ self-hosted
#     │  ▲                │  │
#     │  └─(job unknown ──┘  └──(refused, unreachable, too long)──▶ withdraw ──▶ hosted
#     │     after an outage)
#     └──(refused, unsatisfiable, unreachable)──▶ hosted
#
# A queue that restarts restores the job from its ticket, so a call without a response, or with a
# server error, is repeated. The ticket is a secret: it is masked in the log, and stored in a file,
# never on a command line.
set -euo pipefail

# The first take is held briefly, so that the log soon has the position.
readonly HOLD_FIRST=2 HOLD_MAX=20
# Below the 30 seconds after which the queue abandons a job whose client does not ask.
readonly PAUSE_MAX=20
readonly RESPONSE_BYTES_MAX=1000000 TICKET_LENGTH_MAX=16384

readonly response=$FOLDER/response headers=$FOLDER/headers curl_output=$FOLDER/curl-output
readonly authorization=$FOLDER/authorization
has_ticket=false
# Whether a call failed since the queue last knew the job: an outage.
is_cut_off=false
# When the outage began, in seconds since the start of this script; empty if there is none.
outage_since=
hold=$HOLD_FIRST
child=

log() {
    printf '%s\n' "$*"
}

# duration SECONDS: as text, such as 1 min 40 s.
duration() {
    if (($1 < 60)); then printf '%s s' "$1"; else printf '%s min %s s' $(($1 / 60)) $(($1 % 60)); fi
}

# ---- Results

# finish SUMMARY LABELS TYPE IS_SELF_HOSTED REASON: sets the outputs and exits. LABELS is a JSON array.
finish() {
    {
        jq -r '
            "selected-runner-label=\(.[0])",
            "selected-runner-labels=\(tojson)",
            "selected-runner-count=\(length)",
            "selected-runner-indices=\([range(1; length + 1)] | tojson)"
        ' <<< "$2"
        printf 'runner-type-label=%s\nis-self-hosted=%s\nfallback-reason=%s\n' "$3" "$4" "$5"
    } >> "$GITHUB_OUTPUT"
    printf '%s\n\n' "$1" >> "$GITHUB_STEP_SUMMARY"
    log "$1"
    exit 0
}

# hosted REASON TEXT: withdraws the job and selects hosted runners. TEXT explains why.
hosted() {
    # A warning, which the page of the run shows, for reasons that can be fixed.
    case $1 in
        unproven | refused | unreachable) printf '::warning title=runner-select::%s\n' "${2//'%'/'%25'}" ;;
    esac
    withdraw
    local labels
    labels=$(jq -nc --arg name "$HOSTED_LABEL" --argjson count "$HOSTED_COUNT" '[range($count) | $name]')
    finish "GitHub-hosted ($HOSTED_LABEL) after $(duration "$SECONDS"): $2" "$labels" "$HOSTED_LABEL" false "$1"
}

self_hosted() {
    finish "Self-hosted ($PROFILE, $COUNT) after $(duration "$SECONDS")" "$1" "self-hosted-image:$PROFILE" true ''
}

# shellcheck disable=SC2317,SC2329 # called by the traps
cancelled() {
    trap '' INT TERM
    [[ -z $child ]] || kill "$child" 2> /dev/null || true
    log "cancelled after $(duration "$SECONDS")"
    withdraw
    exit "$1"
}

# ---- Calls

# in_background COMMAND…: runs a command that a signal can interrupt. Bash handles a signal only after
# a command in the foreground has finished, and GitHub kills the script after a few seconds.
in_background() {
    local result=0
    "$@" &
    child=$!
    wait "$child" || result=$?
    child=
    return "$result"
}

pause() {
    local left=$((MAX_WAIT_SECONDS - SECONDS)) seconds=$1
    ((seconds <= PAUSE_MAX)) || seconds=$PAUSE_MAX
    ((seconds <= left)) || seconds=$left
    ((seconds <= 0)) || in_background sleep "$seconds"
}

# call TIMEOUT CURL_ARGUMENT…: sets `status` (000 without a response) and, for an error, `code`,
# `message` and `retry_after`.
call() {
    code='' message='' retry_after=''
    : > "$response"
    : > "$headers"
    if in_background curl --silent --show-error --connect-timeout 5 --max-time "$1" \
        --max-filesize "$RESPONSE_BYTES_MAX" --header 'Accept: application/json' --output "$response" \
        --dump-header "$headers" --write-out '%{http_code}' "${@:2}" > "$curl_output" 2> "$curl_output.error"; then
        status=$(< "$curl_output")
    else
        status=000 message=$(< "$curl_output.error")
    fi
    [[ $status == 2* ]] || read_error
    # One short line without control characters, which cannot start a workflow command.
    message=${message//[[:cntrl:]]/}
    message=${message:0:300}
    message=${message:-the response was HTTP $status}
}

read_error() {
    local name value text
    while IFS=': ' read -r name value; do
        if [[ $name == [Rr]etry-[Aa]fter && $value =~ ^([0-9]{1,4})[[:space:]]*$ ]]; then
            retry_after=${BASH_REMATCH[1]}
        fi
    done < "$headers"
    # One line each. A response that is not JSON, as from a proxy, has neither.
    text=$(jq -r '(.code?, .message?) | (strings // "") | gsub("[[:cntrl:]]"; "")' "$response" 2> /dev/null) || return 0
    if [[ -n $text ]]; then
        code=${text%%$'\n'*}
        message=${text#*$'\n'}
    fi
}

# withdraw: withdraws the job. May fail: the queue then abandons the job after a while.
withdraw() {
    $has_ticket || return 0
    has_ticket=false
    for _ in 1 2; do
        call 3 --request DELETE --header "@$authorization" "$QUEUE_URL/job/$UNIQUE_ID"
        case $status/$code in
            2* | */unknown_job)
                # Without this file the next step has nothing to withdraw.
                rm -f -- "$authorization"
                log 'withdrew the job from the queue'
                return
                ;;
        esac
    done
    log "failed to withdraw the job ($message); the queue abandons it after 30 s"
}

# ---- Waiting

# unavailable: there was no response, or a server error. Retries until UNREACHABLE_SECONDS are over.
unavailable() {
    is_cut_off=true
    outage_since=${outage_since:-$SECONDS}
    if ((SECONDS - outage_since >= UNREACHABLE_SECONDS)); then
        hosted unreachable "the queue was unreachable for $(duration $((SECONDS - outage_since))): $message"
    fi
    log "the queue is unavailable ($message); retrying"
    # Less than the startup grace period of the queue, in which it waits for its clients.
    pause "${retry_after:-$((SECONDS - outage_since < 3 ? 1 : 2))}"
}

# full: the queue responds, but has too many jobs or holds too many requests.
full() {
    outage_since=
    log "the queue is full ($message); retrying"
    pause "${retry_after:-5}"
}

enqueue() {
    call 30 --request POST "$QUEUE_URL/enqueue?unique_id=$UNIQUE_ID&qualified_repo=$GITHUB_REPOSITORY&run_id=$GITHUB_RUN_ID"
    case $status in
        200) accept_ticket ;;
        422) hosted unsatisfiable "no server has these runners: $message" ;;
        429) full ;;
        000 | 408 | 5*) unavailable ;;
        *) hosted refused "the queue refused: $message" ;;
    esac
}

accept_ticket() {
    local ticket
    ticket=$(tr -d '[:space:]' < "$response")
    # The length is checked separately: a pattern with such a repetition takes seconds.
    if ((${#ticket} > TICKET_LENGTH_MAX)) || [[ ! $ticket =~ ^[!-~]+$ ]]; then
        message='its response is not a ticket'
        unavailable
        return
    fi
    printf '::add-mask::%s\n' "$ticket"
    (umask 077 && printf 'Authorization: Bearer %s\n' "$ticket" > "$authorization")
    has_ticket=true is_cut_off=false outage_since='' hold=$HOLD_FIRST
    log "enqueued as $UNIQUE_ID for $COUNT of $PROFILE"
}

take() {
    local left=$((MAX_WAIT_SECONDS - SECONDS)) prefer=()
    ((hold <= left)) || hold=$left
    ((hold == 0)) || prefer=(--header "Prefer: wait=$hold")
    # The `+` form, because older shells treat an empty array as unset.
    call $((hold + 10)) --request POST --header "@$authorization" ${prefer[@]+"${prefer[@]}"} \
        "$QUEUE_URL/take/$UNIQUE_ID"
    hold=$HOLD_MAX
    case $status/$code in
        200/*) accept_runners ;;
        503/waiting) wait_on ;;
        429/*)
            # The queue holds too many requests: ask it not to hold this one.
            hold=0
            full
            ;;
        000/* | 408/* | 5*) unavailable ;;
        404/unknown_job | 403/wrong_ticket) job_unknown ;;
        *) hosted refused "the queue refused: $message" ;;
    esac
}

accept_runners() {
    local labels
    # Older monitors do not return the label; they give their runners this one.
    labels=$(jq -ce --arg unique_id "$UNIQUE_ID" --argjson count "$COUNT" '
        if type == "array" then . else [.] end
        | select(all(.[]; type == "object"))
        | map(.label // ("reserved-for:" + $unique_id))
        | select(length == $count and all(.[]; type == "string" and test("\\A[ -~]{1,256}\\z")))
    ' "$response" 2> /dev/null) || labels=
    if [[ -z $labels ]]; then
        hosted refused "the response of the queue is not $COUNT runners with labels"
    fi
    self_hosted "$labels"
}

wait_on() {
    is_cut_off=false outage_since=
    local left=$((MAX_WAIT_SECONDS - SECONDS)) position expected place
    # Empty if unknown.
    IFS='|' read -r position expected < <(
        jq -r '[(.position?, .estimate?.p50_seconds?) | (numbers | floor | tostring) // ""] | join("|")' "$response"
    )
    place="position ${position:-unknown}"
    if [[ -n $expected ]]; then
        place+=", about $(duration "$expected") to go"
        if ((expected > left)); then
            hosted too-long "$place, which is more than the $(duration "$left") left of max-wait"
        fi
    fi
    log "$place; waited $(duration "$SECONDS")"
    pause "${retry_after:-1}"
}

# job_unknown: the queue does not know the job. After an outage the job was abandoned and is enqueued
# again. Without one another client has withdrawn it.
job_unknown() {
    $is_cut_off || hosted refused "the job was withdrawn: $message"
    has_ticket=false
    enqueue
}

trap 'cancelled 130' INT
trap 'cancelled 143' TERM
if [[ -n $DISABLED_BECAUSE ]]; then
    hosted disabled "$DISABLED_BECAUSE"
fi
if [[ $UPLOAD_OUTCOME != success ]]; then
    hosted unproven 'the artifact with the run identity could not be uploaded'
fi
while ((SECONDS < MAX_WAIT_SECONDS)); do
    if $has_ticket; then take; else enqueue; fi
done
hosted too-long "no runners within $(duration "$MAX_WAIT_SECONDS")"
