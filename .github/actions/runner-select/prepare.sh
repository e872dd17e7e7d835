#!/usr/bin/env bash
# Validates the inputs, chooses the unique_id, and writes the run identity, which the next step uploads.
# Only a job of this run can upload an artifact to it, so the artifact authenticates the job. Makes no
# network calls.
#
# docs/src/http-api.md has the format of the file, under "Artifact authentication".
set -euo pipefail

# The longest wait, in seconds. A job on a hosted runner is ended after six hours.
readonly WAIT_MAX=18000

# fail TEXT: fails the step. TEXT may contain an input, so it is escaped: a line break in it could
# start a workflow command.
fail() {
    local text=${1//'%'/'%25'}
    text=${text//$'\r'/'%0D'}
    text=${text//$'\n'/'%0A'}
    printf '::error title=runner-select::%s\n' "$text"
    exit 1
}

# need INPUT VALUE PATTERN MEANING: fails the step unless all of VALUE matches PATTERN.
need() {
    [[ $2 =~ ^($3)$ ]] || fail "$1 must be $4, not '${2:0:100}'"
}

# seconds_of INPUT VALUE: sets `seconds`.
seconds_of() {
    need "$1" "$2" '[0-9]{1,5} ?(s|m|h|seconds?|minutes?|hours?)?' \
        'a number of seconds, or for example 90s, 15m, "15 minutes", 1h'
    seconds=$((10#${2%%[!0-9]*}))
    case ${2##*[0-9 ]} in
        m*) seconds=$((seconds * 60)) ;;
        h*) seconds=$((seconds * 3600)) ;;
    esac
    ((seconds >= 1 && seconds <= WAIT_MAX)) || fail "$1 must be 1 second to 5 hours, not '$2'"
}

output() {
    printf '%s=%s\n' "$1" "$2" >> "$GITHUB_OUTPUT"
}

need github-hosted-runner-label "$HOSTED_LABEL" '[ -~]{1,256}' '1 to 256 printable characters'
need github-hosted-runner-count "$HOSTED_COUNT" '[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-6]' \
    'a number from 1 to 256'
need self-hosted-image-name "$PROFILE" '[A-Za-z0-9._-]{1,64}' '1 to 64 of A-Z a-z 0-9 . _ -'
need self-hosted-runner-count "$COUNT" '[1-9]|[1-5][0-9]|6[0-4]' 'a number from 1 to 64'
# Empty is false: an expression such as `inputs.a || inputs.b` is empty if neither input exists.
need force-github-hosted-runner "$FORCE_HOSTED" 'true|false|' 'true or false'
need queue-url "$QUEUE_URL" '|https?://[!-~]{1,500}' 'a URL that begins with https:// or http://'
seconds_of unreachable-after "$UNREACHABLE_AFTER"
output unreachable-seconds "$seconds"
seconds_of max-wait "$MAX_WAIT"
output max-wait-seconds "$seconds"
output queue-url "${QUEUE_URL%/}"

disabled_because=
if [[ $FORCE_HOSTED == true ]]; then
    disabled_because='force-github-hosted-runner is set'
elif [[ -n $NO_SELF_HOSTED_RUNNERS ]]; then
    disabled_because='NO_SELF_HOSTED_RUNNERS is set'
elif [[ -z $QUEUE_URL ]]; then
    disabled_because='queue-url is empty'
fi
output disabled-because "$disabled_because"

unique_id=$(cat /proc/sys/kernel/random/uuid 2> /dev/null || uuidgen | tr '[:upper:]' '[:lower:]')
output unique-id "$unique_id"
folder=$RUNNER_TEMP/runner-select-$unique_id
# The ticket will be in there: no other account of this machine may read it.
mkdir -m 700 "$folder"
output folder "$folder"
cat > "$folder/run-identity.txt" << IDENTITY
unique_id=$unique_id
qualified_repo=$GITHUB_REPOSITORY
run_id=$GITHUB_RUN_ID
self_hosted_image_name=$PROFILE
self_hosted_runner_count=$COUNT
IDENTITY
output identity-file "$folder/run-identity.txt"
