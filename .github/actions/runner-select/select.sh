#!/usr/bin/env bash
# Waits in the queue until the job has its runners, or until hosted runners are the better choice.
#
#   enqueue ──(ticket)──▶ take ──(runners)──▶ self-hosted
#     │  ▲                │  │
#     │  └─(job unknown ──┘  └──(refused, unreachable, too long)──▶ withdraw ──▶ hosted
#     │     after an outage)
#     └──(refused, unsatisfiable, unreachable, too long)──▶ hosted
#
# A queue that restarts restores the job from its ticket, so a call without a response, with a server error,
# or with the page of a proxy is repeated. The ticket, and the secret that an enqueue requires, are masked in
# the log, and stored in files, never on a command line.
#
# Also works with the queue of servo/ci-runners, which is recognised by its ticket. That queue reads the ticket
# from the URL, holds no calls, restores and withdraws no jobs, and has errors without codes; its runners have
# the label reserved-for:<unique_id>.
# shellcheck source=.github/actions/runner-select/common.sh
. "${BASH_SOURCE[0]%/*}/common.sh"

# The first take is held briefly, so that the log soon has the position.
readonly HOLD_FIRST=2 HOLD_MAX=20
# Below the 30 seconds after which the queue abandons a job whose client does not ask.
readonly PAUSE_MAX=20
readonly TICKET_LENGTH_MAX=16384

readonly response=$FOLDER/response headers=$FOLDER/headers curl_output=$FOLDER/curl-output
# Configuration files of curl: with the ticket as a header, and with the URL of a call.
readonly authorization=$FOLDER/authorization target=$FOLDER/target
# With the secret whose hash the artifact contains, as a header; does not exist on machines without a hash.
readonly secret=$FOLDER/secret
has_ticket=false
# Whether the queue is that of servo/ci-runners.
is_older=false
# The query with the ticket, for a queue that does not take it as a header.
ticket_query=
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

# repeated COUNT TEXT: a JSON array of equal texts. Without jq, because hosted runners are also used if jq is
# not installed.
repeated() {
    local text=${2//\\/\\\\} array='' i
    text=${text//\"/\\\"}
    for ((i = 0; i < $1; i++)); do array+=",\"$text\""; done
    printf '[%s]' "${array#,}"
}

# indices COUNT: the JSON array of the numbers from 1 to COUNT.
indices() {
    local array='' i
    for ((i = 1; i <= $1; i++)); do array+=,$i; done
    printf '[%s]' "${array#,}"
}

# finish SUMMARY LABEL LABELS COUNT TYPE IS_SELF_HOSTED REASON: sets the outputs and exits. LABELS is a JSON
# array, and LABEL its first text.
finish() {
    output selected-runner-label "$2"
    output selected-runner-labels "$3"
    output selected-runner-count "$4"
    output selected-runner-indices "$(indices "$4")"
    output runner-type-label "$5"
    output is-self-hosted "$6"
    output fallback-reason "$7"
    summary "$1"
    log "$1"
    exit 0
}

# hosted REASON TEXT: withdraws the job and selects hosted runners. TEXT explains why.
hosted() {
    # A warning, which the page of the run shows, for reasons that can be fixed.
    case $1 in
        unproven | refused | unreachable | unsupported)
            printf '::warning title=runner-select::%s\n' "$(escaped "$2")"
            ;;
    esac
    withdraw
    finish "GitHub-hosted ($HOSTED_LABEL) after $(duration "$SECONDS"): $2" "$HOSTED_LABEL" \
        "$(repeated "$HOSTED_COUNT" "$HOSTED_LABEL")" "$HOSTED_COUNT" "$HOSTED_LABEL" false "$1"
}

# self_hosted LABELS: selects the runners with these labels, a JSON array.
self_hosted() {
    finish "Self-hosted ($PROFILE, $COUNT) after $(duration "$SECONDS")" "$(json -r '.[0]' <<< "$1")" "$1" \
        "$COUNT" "self-hosted-image:$PROFILE" true ''
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

# fetch CURL_ARGUMENT…: sends a request. The output is redirected here, in the child, because a redirection around
# `in_background` would also apply to what a trap writes meanwhile.
# shellcheck disable=SC2317,SC2329 # called by in_background
fetch() {
    http "$@" > "$curl_output" 2> "$curl_output.error"
}

# call TIMEOUT METHOD PATH CURL_ARGUMENT…: sets `status` (000 without a response) and, for an error, `code`,
# `message` and `retry_after`. Nothing is left of an earlier response.
call() {
    code='' message='' retry_after=''
    : > "$response"
    : > "$headers"
    setting url "$QUEUE_URL/$3" > "$target"
    # An empty body, because proxies refuse a POST without Content-Length.
    if in_background fetch --connect-timeout 5 --max-time "$1" --request "$2" --data '' \
        --header 'Content-Type:' --header 'Accept: application/json' --config "$target" --output "$response" \
        --dump-header "$headers" --write-out '%{http_code}' "${@:4}"; then
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

# read_error: reads `code`, `message` and `retry_after` from a response. That of a proxy may have none of them.
read_error() {
    local name value text
    while IFS=': ' read -r name value; do
        case $name in
            # Only the last of several responses counts: a proxy may have answered CONNECT before.
            HTTP/*) retry_after='' ;;
            [Rr][Ee][Tt][Rr][Yy]-[Aa][Ff][Tt][Ee][Rr])
                if [[ $value =~ ^([0-9]{1,18})[[:space:]]*$ ]]; then retry_after=$((10#${BASH_REMATCH[1]})); fi
                ;;
        esac
    done < "$headers"
    text=$(json -r 'def line: (strings // "") | explode | map(select(. >= 32 and . != 127)) | implode;
        (.code?, .message?) | line' "$response" 2> /dev/null) || text=
    if [[ -n $text ]]; then
        code=${text%%$'\n'*}
        message=${text#*$'\n'}
        return 0
    fi
    # The whole text of a queue, but not the page of a proxy, in one line.
    text=$(head -c 2000 "$response" | tr -s '[:space:]' ' ')
    text=${text# }
    if [[ -n $text && $text != '<'* && $status != 000 ]]; then message="HTTP $status: $text"; fi
}

# withdraw: withdraws the job. May fail: the queue then abandons the job after a while.
withdraw() {
    $has_ticket || return 0
    has_ticket=false
    if $is_older; then
        rm -f -- "$authorization"
        log 'this queue cannot withdraw a job; it abandons the job after 30 s'
        return 0
    fi
    for _ in 1 2; do
        call 3 DELETE "job/$UNIQUE_ID" --config "$authorization"
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

# unavailable: there was no response, a server error, or a response that is not the queue's. Retries until
# UNREACHABLE_SECONDS are over.
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

# refused: the queue refused; or something in front of it did, whose errors have no code and may pass.
refused() {
    if [[ -n $code ]]; then hosted refused "the queue refused: $message"; fi
    case $status in
        301 | 308) hosted refused "queue-url redirects to another address ($message); set queue-url to that address" ;;
        2*) hosted refused "the queue refused: $message" ;;
    esac
    unavailable
}

enqueue() {
    # labels_from_response: this client reads the labels of its runners from the response to a take, so that no
    # label has to be added to them.
    local prove=()
    [[ ! -s $secret ]] || prove=(--config "$secret")
    # The end of max-wait is noticed here. Before that the queue decides, by its estimates, whether to wait.
    local limits="&max_wait=$((MAX_WAIT_SECONDS - SECONDS + 10))$WAIT_LIMITS"
    call 30 POST "enqueue?unique_id=$UNIQUE_ID&qualified_repo=$GITHUB_REPOSITORY&run_id=$GITHUB_RUN_ID&labels_from_response=true$limits" \
        ${prove[@]+"${prove[@]}"}
    # shellcheck disable=SC2016 # no expansion is intended
    case $status/$code/$message in
        200/*) accept_ticket ;;
        422/wait_too_long/*) hosted too-long "$message" ;;
        422/?*/*) hosted unsatisfiable "no server has these runners: $message" ;;
        429/*) full ;;
        # The texts of servo/ci-runners, whose errors all have the status 500.
        500//*'Request for profile not satisfiable'*) hosted unsatisfiable "no server has these runners: $message" ;;
        500//*'Not allowed on this `qualified_repo`'*) hosted refused "the queue refused: $message" ;;
        000/* | 408/* | 5*) unavailable ;;
        *) refused ;;
    esac
}

accept_ticket() {
    local ticket
    ticket=$(tr -d '\r' < "$response")
    # The length is checked separately: a pattern with such a repetition takes seconds.
    if ((${#ticket} > TICKET_LENGTH_MAX)) || [[ ! $ticket =~ ^[[:space:]]*([A-Za-z0-9._~+/=-]+)[[:space:]]*$ ]]; then
        message='its response is not a ticket'
        unavailable
        return
    fi
    ticket=${BASH_REMATCH[1]}
    printf '::add-mask::%s\n' "$ticket"
    (umask 077 && setting header "Authorization: Bearer $ticket" > "$authorization")
    # Ours has three parts.
    is_older=true ticket_query=
    if [[ $ticket == *.*.* ]]; then is_older=false; fi
    if $is_older; then send_ticket_in_url; fi
    has_ticket=true is_cut_off=false outage_since='' hold=$HOLD_FIRST
    log "enqueued as $UNIQUE_ID for $COUNT of $PROFILE"
}

# send_ticket_in_url: sends the ticket of the authorization file also as a parameter from now on.
send_ticket_in_url() {
    local ticket
    ticket=$(sed -n 's/^header = "Authorization: Bearer \(.*\)"$/\1/p' "$authorization")
    ticket=${ticket//+/%2B}
    ticket_query="?token=${ticket//\//%2F}"
}

take() {
    local left=$((MAX_WAIT_SECONDS - SECONDS)) prefer=()
    ((hold <= left)) || hold=$left
    ((hold == 0)) || prefer=(--header "Prefer: wait=$hold")
    # The `+` form, because older shells treat an empty array as unset.
    call $((hold + 10)) POST "take/$UNIQUE_ID$ticket_query" --config "$authorization" \
        ${prefer[@]+"${prefer[@]}"}
    hold=$HOLD_MAX
    case $status/$code in
        200/*) accept_runners ;;
        503/waiting) wait_on ;;
        429/*)
            # The queue holds too many requests: ask it not to hold this one.
            hold=0
            full
            ;;
        503/) if $is_older && [[ -n $retry_after && ! -s $response ]]; then wait_on; else unavailable; fi ;;
        000/* | 408/* | 5*) unavailable ;;
        410/no_longer_worth_it)
            has_ticket=false
            hosted too-long "$message"
            ;;
        404/unknown_job | 403/wrong_ticket) job_unknown ;;
        400/ | 401/ | 422/)
            if [[ -z $ticket_query ]]; then
                is_older=true
                send_ticket_in_url
                log 'the queue does not take the ticket as a header; sending it as a parameter'
            else
                unavailable
            fi
            ;;
        404/) if $is_older; then job_lost; else unavailable; fi ;;
        *) refused ;;
    esac
}

# runners FILE: prints the labels of the runners in a response, as a JSON array; nothing if it is other JSON,
# for example too few runners. Fails if it is not JSON.
runners() {
    # Older monitors do not return the label; they give their runners this one. The queue of servo/ci-runners
    # returns the number of runners only.
    # shellcheck disable=SC2016
    json -cs --arg unique_id "$UNIQUE_ID" --argjson count "$COUNT" '
        if length == 1 then .[0] else error("not one value") end
        | if type == "array" then . elif . == $count then [range(.) | {}] else [.] end
        | select(all(.[]; type == "object"))
        | map(.label // ("reserved-for:" + $unique_id))
        | select(length == $count and all(.[]; type == "string" and length >= 1 and length <= 256
            and (explode | all(.[]; . >= 32 and . <= 126))))
    ' "$1" 2> /dev/null
}

accept_runners() {
    local labels tail=$response.tail
    if ! labels=$(runners "$response"); then
        # The page of a proxy, perhaps before the response of the queue. The job may have its runners, so it is
        # not given up: a repeated take returns the same.
        sed -n '/^[[{]/,$p' "$response" > "$tail"
        if ! labels=$(runners "$tail") || [[ -z $labels ]]; then
            message='its response is not JSON'
            unavailable
            return
        fi
    fi
    if [[ -z $labels ]]; then
        hosted refused "the response of the queue is not $COUNT runners with labels"
    fi
    self_hosted "$labels"
}

wait_on() {
    is_cut_off=false outage_since=
    local left=$((MAX_WAIT_SECONDS - SECONDS)) position='' expected='' place
    # Empty if unknown.
    place=$(json -r '[(.position?, .estimate?.p50_seconds?) | (numbers | floor | tostring) // ""] | join("|")' \
        "$response" 2> /dev/null) || place=
    IFS='|' read -r position expected <<< "$place"
    place="position ${position:-unknown}"
    case $message in
        *'estimated wait: '*) place+=", estimated wait: ${message##*estimated wait: }" ;;
        *)
            # Older queues do not write it out, and know no max_wait.
            [[ -z $expected ]] || place+=", estimated wait: about $(duration "$expected")"
            if [[ -n $expected ]] && ((expected > left)); then
                hosted too-long "$place; max-wait ends in $(duration "$left")"
            fi
            ;;
    esac
    place=${place%; ask again}
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

# job_lost: a queue without withdrawal does not know the job: it has restarted, or failed to take the runners.
job_lost() {
    has_ticket=false
    message='the queue has lost the job, which is enqueued again'
    unavailable
}

trap 'cancelled 130' INT
trap 'cancelled 143' TERM
if [[ -n $DISABLED_BECAUSE ]]; then
    hosted "${FALLBACK_REASON:-disabled}" "$DISABLED_BECAUSE"
fi
if [[ $UPLOAD_OUTCOME != success ]]; then
    hosted unproven 'the artifact with the run identity could not be uploaded'
fi
while ((SECONDS < MAX_WAIT_SECONDS)); do
    if $has_ticket; then take; else enqueue; fi
done
hosted too-long "no runners within $(duration "$MAX_WAIT_SECONDS")"
