#!/usr/bin/env bash
# Validates the inputs, chooses the unique_id, and writes the run identity, which the next step uploads.
# Only a job of this run can upload an artifact to it, so the artifact authenticates the job. Makes no
# network calls.
#
# docs/src/http-api.md has the format of the file, under "Artifact authentication".
# shellcheck source=.github/actions/runner-select/common.sh
. "${BASH_SOURCE[0]%/*}/common.sh"

# The longest wait, in seconds. A job on a hosted runner is ended after six hours.
readonly WAIT_MAX=18000

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

# random_uuid: prints one, in lower case, with whichever source this machine has.
random_uuid() {
    local uuid
    uuid=$(cat /proc/sys/kernel/random/uuid 2> /dev/null) ||
        uuid=$(uuidgen 2> /dev/null | tr '[:upper:]' '[:lower:]') ||
        uuid=$(od -An -v -N16 -tx1 /dev/urandom 2> /dev/null | tr -d ' \n') ||
        fail 'failed to create a UUID: this machine has neither /proc/sys/kernel/random/uuid, nor uuidgen, nor od'
    uuid=${uuid//[^0-9a-f]/}
    [[ ${#uuid} == 32 ]] || fail "failed to create a UUID: '$uuid' has not 32 hexadecimal digits"
    printf '%s-%s-4%s-a%s-%s' "${uuid:0:8}" "${uuid:8:4}" "${uuid:13:3}" "${uuid:17:3}" "${uuid:20}"
}

# random_secret: prints 64 random hexadecimal digits; nothing if this machine has no source of them.
random_secret() {
    local secret
    secret=$(od -An -v -N32 -tx1 /dev/urandom 2> /dev/null | tr -d ' \r\n') || secret=
    [[ ${#secret} != 64 ]] || printf '%s' "$secret"
}

# sha256 TEXT: prints its SHA-256, with whichever command this machine has; nothing without one. The text is
# on standard input, because every account of a machine can read a command line.
sha256() {
    local digest
    digest=$(printf '%s' "$1" | sha256sum 2> /dev/null) ||
        digest=$(printf '%s' "$1" | shasum -a 256 2> /dev/null) ||
        digest=$(printf '%s' "$1" | openssl dgst -sha256 -r 2> /dev/null) || return 0
    # Some begin the line with a backslash.
    digest=${digest#\\}
    digest=${digest%%[!0-9a-f]*}
    [[ ${#digest} != 64 ]] || printf '%s' "$digest"
}

# missing_tool: prints the name of a command that the next steps need and this machine does not have.
missing_tool() {
    local tool
    for tool in curl jq; do
        command -v "$tool" > /dev/null || { printf '%s' "$tool" && return; }
    done
}

[[ -n ${GITHUB_OUTPUT:-} ]] ||
    fail 'GITHUB_OUTPUT is not set; the runner software is older than 2.297.0 and has to be updated'
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
wait_limits=
if [[ -n $HOSTED_DURATION ]]; then
    [[ -n $SLOWDOWN ]] || fail 'hosted-duration needs the input slowdown'
    seconds_of hosted-duration "$HOSTED_DURATION"
    wait_limits="&hosted_duration=$seconds"
fi
if [[ -n $SLOWDOWN ]]; then
    need slowdown "$SLOWDOWN" '[1-9][0-9]?(\.[0-9]{1,2})?|100' 'a number above 1 and up to 100, for example 4.5'
    [[ ! $SLOWDOWN =~ ^1(\.0+)?$ ]] || fail "slowdown must be a number above 1 and up to 100, not '$SLOWDOWN'"
    wait_limits+="&slowdown=$SLOWDOWN"
fi
output wait-limits "$wait_limits"
output queue-url "${QUEUE_URL%/}"

disabled_because='' fallback_reason=disabled
missing=$(missing_tool)
if [[ $FORCE_HOSTED == true ]]; then
    disabled_because='force-github-hosted-runner is set'
elif [[ -n $NO_SELF_HOSTED_RUNNERS ]]; then
    disabled_because='NO_SELF_HOSTED_RUNNERS is set'
elif [[ -z $QUEUE_URL ]]; then
    disabled_because='queue-url is empty'
elif [[ -n $missing ]]; then
    disabled_because="the command $missing, which this action needs, is not installed on this machine"
    fallback_reason=unsupported
fi
output disabled-because "$disabled_because"
output fallback-reason "$fallback_reason"

unique_id=$(random_uuid)
output unique-id "$unique_id"
folder=${RUNNER_TEMP:-${TMPDIR:-/tmp}}/runner-select-$unique_id
# The secret and the ticket will be in there: no other account of this machine may read it.
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

# All that an artifact contains is public, so it contains only the hash of a secret, and the requests of this
# job carry the secret. Without one, which older queues ignore, the queue answers the first request only.
secret=$(random_secret)
digest=$(sha256 "$secret")
if [[ -n $secret && -n $digest ]]; then
    printf '::add-mask::%s\n' "$secret"
    (umask 077 && setting header "Authorization: Bearer $secret" > "$folder/secret")
    printf 'secret_sha256=%s\n' "$digest" >> "$folder/run-identity.txt"
fi
