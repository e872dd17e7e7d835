#!/usr/bin/env bash
# Stands in line at the queue until the runners are there, or until hosted ones are the better choice.
#
#   enqueue ──(ticket)──▶ take ──(runners)──▶ self-hosted
#     │  ▲                │  │
#     │  └──(lost in a cut)  └──(refused, unreachable, too long)──▶ withdraw ──▶ hosted
#     └──(refused, unsatisfiable, unreachable)──▶ hosted
#
# A queue that is restarted knows a job again by its ticket, so that no answer, or a failure of the
# server, means: ask again. The ticket is a secret: it is masked, and only ever in a file.
set -euo pipefail

# The first take is held briefly, so that the log soon says where the job stands.
readonly HOLD_FIRST=2 HOLD_MAX=20
# The queue gives a job up that says nothing for 30 seconds.
readonly PAUSE_MAX=20
readonly ANSWER_BYTES_MAX=1000000 TICKET_LENGTH_MAX=16384

readonly answer=$FOLDER/answer headers=$FOLDER/headers said=$FOLDER/said
readonly authorization=$FOLDER/authorization
has_ticket=false
# Whether the queue was out of reach since it last knew the job.
is_cut=false
# When the queue fell silent, in seconds of this script; empty while it answers.
silent_since=
hold=$HOLD_FIRST
child=

say() {
    printf '%s\n' "$*"
}

# words SECONDS: as people say it.
words() {
    if (($1 < 60)); then printf '%s s' "$1"; else printf '%s min %s s' $(($1 / 60)) $(($1 % 60)); fi
}

# ---- Ends

# finish SUMMARY LABELS TYPE IS_SELF_HOSTED REASON: LABELS is a JSON array.
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
    say "$1"
    exit 0
}

# hosted REASON TEXT: gives up the place in line, and says why.
hosted() {
    # What one can mend is said where one looks.
    case $1 in
        unproven | refused | unreachable) printf '::warning title=runner-select::%s\n' "${2//'%'/'%25'}" ;;
    esac
    withdraw
    local labels
    labels=$(jq -nc --arg name "$HOSTED_LABEL" --argjson count "$HOSTED_COUNT" '[range($count) | $name]')
    finish "GitHub-hosted ($HOSTED_LABEL) after $(words "$SECONDS"): $2" "$labels" "$HOSTED_LABEL" false "$1"
}

self_hosted() {
    finish "Self-hosted ($PROFILE, $COUNT) after $(words "$SECONDS")" "$1" "self-hosted-image:$PROFILE" true ''
}

# shellcheck disable=SC2317,SC2329 # called by the traps
cancelled() {
    trap '' INT TERM
    [[ -z $child ]] || kill "$child" 2> /dev/null || true
    say "cancelled after $(words "$SECONDS")"
    withdraw
    exit "$1"
}

# ---- Calls

# in_background COMMAND…: runs it, to be interrupted at any moment. Bash would finish a command in
# the foreground before it looks at a signal, and GitHub waits only for seconds.
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

# call TIMEOUT CURL_ARGUMENT…: sets `status` (000 without an answer), and of a refusal `code`,
# `message` and `retry_after`.
call() {
    code='' message='' retry_after=''
    : > "$answer"
    : > "$headers"
    if in_background curl --silent --show-error --connect-timeout 5 --max-time "$1" \
        --max-filesize "$ANSWER_BYTES_MAX" --header 'Accept: application/json' --output "$answer" \
        --dump-header "$headers" --write-out '%{http_code}' "${@:2}" > "$said" 2> "$said.error"; then
        status=$(< "$said")
    else
        status=000 message=$(< "$said.error")
    fi
    [[ $status == 2* ]] || read_refusal
    # Fit for a log: one short line, which cannot begin a command.
    message=${message//[[:cntrl:]]/}
    message=${message:0:300}
    message=${message:-the answer was HTTP $status}
}

read_refusal() {
    local name value text
    while IFS=': ' read -r name value; do
        if [[ $name == [Rr]etry-[Aa]fter && $value =~ ^([0-9]{1,4})[[:space:]]*$ ]]; then
            retry_after=${BASH_REMATCH[1]}
        fi
    done < "$headers"
    # One line each. What is no JSON, as a proxy's page, has neither.
    text=$(jq -r '(.code?, .message?) | (strings // "") | gsub("[[:cntrl:]]"; "")' "$answer" 2> /dev/null) || return 0
    if [[ -n $text ]]; then
        code=${text%%$'\n'*}
        message=${text#*$'\n'}
    fi
}

# withdraw: leaves the line. That may fail: a job that says nothing leaves it by itself.
withdraw() {
    $has_ticket || return 0
    has_ticket=false
    for _ in 1 2; do
        call 3 --request DELETE --header "@$authorization" "$QUEUE_URL/job/$UNIQUE_ID"
        case $status/$code in
            2* | */unknown_job)
                # Then the step after this one has nothing left to do.
                rm -f -- "$authorization"
                say 'withdrawn from the queue'
                return
                ;;
        esac
    done
    say "failed to withdraw ($message); the queue gives the job up by itself"
}

# ---- The line

# unanswered: the queue cannot be asked now. Asks again soon, but not for ever.
unanswered() {
    is_cut=true
    silent_since=${silent_since:-$SECONDS}
    if ((SECONDS - silent_since >= UNREACHABLE_SECONDS)); then
        hosted unreachable "the queue was unreachable for $(words $((SECONDS - silent_since))): $message"
    fi
    say "the queue cannot be asked ($message); asking again"
    # Soon enough for a restarted queue, which gives nothing out for five seconds.
    pause "${retry_after:-$((SECONDS - silent_since < 3 ? 1 : 2))}"
}

# full: the queue answers, but has no room.
full() {
    silent_since=
    say "the queue is full ($message); asking again"
    pause "${retry_after:-5}"
}

enqueue() {
    call 30 --request POST "$QUEUE_URL/enqueue?unique_id=$UNIQUE_ID&qualified_repo=$GITHUB_REPOSITORY&run_id=$GITHUB_RUN_ID"
    case $status in
        200) accept_ticket ;;
        422) hosted unsatisfiable "no server has such runners: $message" ;;
        429) full ;;
        000 | 408 | 5*) unanswered ;;
        *) hosted refused "the queue refused: $message" ;;
    esac
}

accept_ticket() {
    local ticket
    ticket=$(tr -d '[:space:]' < "$answer")
    # Counted apart: a pattern that counts so far takes seconds.
    if ((${#ticket} > TICKET_LENGTH_MAX)) || [[ ! $ticket =~ ^[!-~]+$ ]]; then
        message='its ticket makes no sense'
        unanswered
        return
    fi
    printf '::add-mask::%s\n' "$ticket"
    (umask 077 && printf 'Authorization: Bearer %s\n' "$ticket" > "$authorization")
    has_ticket=true is_cut=false silent_since='' hold=$HOLD_FIRST
    say "in line as $UNIQUE_ID for $COUNT of $PROFILE"
}

take() {
    local left=$((MAX_WAIT_SECONDS - SECONDS)) prefer=()
    ((hold <= left)) || hold=$left
    ((hold == 0)) || prefer=(--header "Prefer: wait=$hold")
    # What stands left of the plus is nothing if the list is empty, which older shells count as unset.
    call $((hold + 10)) --request POST --header "@$authorization" ${prefer[@]+"${prefer[@]}"} \
        "$QUEUE_URL/take/$UNIQUE_ID"
    hold=$HOLD_MAX
    case $status/$code in
        200/*) accept_runners ;;
        503/waiting) wait_on ;;
        429/*)
            # No room to hold a request: be answered at once.
            hold=0
            full
            ;;
        000/* | 408/* | 5*) unanswered ;;
        404/unknown_job | 403/wrong_ticket) lost ;;
        *) hosted refused "the queue refused: $message" ;;
    esac
}

accept_runners() {
    local labels
    # Older servers do not say the label, and give each runner this one.
    labels=$(jq -ce --arg unique_id "$UNIQUE_ID" --argjson count "$COUNT" '
        if type == "array" then . else [.] end
        | select(all(.[]; type == "object"))
        | map(.label // ("reserved-for:" + $unique_id))
        | select(length == $count and all(.[]; type == "string" and test("\\A[ -~]{1,256}\\z")))
    ' "$answer" 2> /dev/null) || labels=
    if [[ -z $labels ]]; then
        hosted refused "the queue's answer is not $COUNT runners with labels"
    fi
    self_hosted "$labels"
}

wait_on() {
    is_cut=false silent_since=
    local left=$((MAX_WAIT_SECONDS - SECONDS)) position expected place
    # What is not known is empty.
    IFS='|' read -r position expected < <(
        jq -r '[(.position?, .estimate?.p50_seconds?) | (numbers | floor | tostring) // ""] | join("|")' "$answer"
    )
    place="position ${position:-unknown}"
    if [[ -n $expected ]]; then
        place+=", about $(words "$expected") to go"
        if ((expected > left)); then
            hosted too-long "$place, which is more than the $(words "$left") that are left of max-wait"
        fi
    fi
    say "$place; waited $(words "$SECONDS")"
    pause "${retry_after:-1}"
}

# lost: the queue does not know the job. After a cut it has given it up meanwhile, and it joins
# again; otherwise somebody has withdrawn it, and it stays so.
lost() {
    $is_cut || hosted refused "the queue gave the job up: $message"
    has_ticket=false
    enqueue
}

trap 'cancelled 130' INT
trap 'cancelled 143' TERM
if [[ -n $DISABLED_BECAUSE ]]; then
    hosted disabled "$DISABLED_BECAUSE"
fi
if [[ $PROOF_OUTCOME != success ]]; then
    hosted unproven 'the artifact that proves which run this is could not be uploaded'
fi
while ((SECONDS < MAX_WAIT_SECONDS)); do
    if $has_ticket; then take; else enqueue; fi
done
hosted too-long "no runners within $(words "$MAX_WAIT_SECONDS")"
