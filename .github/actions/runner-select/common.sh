# shellcheck shell=bash
# Sourced first by every script of this action: makes them independent of the machine that they run on. They
# have to work with bash 3.2 (macOS), the bash and jq of Windows, busybox, and curl from 7.29 on.
set -euo pipefail

# In any other locale a range such as [!-~] follows the collation of a language, and contains no letter.
export LC_ALL=C
# The exported variable of another shell would be the start value.
SECONDS=0

# json ARGUMENT…: jq without the carriage returns that it writes on Windows.
json() {
    jq "$@" | tr -d '\r'
}

# http ARGUMENT…: curl with what all calls have in common. `--disable` has to be first: it ignores ~/.curlrc,
# which could add the headers to the body, follow redirects, or repeat calls. `--globoff` is for IPv6 addresses
# with a zone. Proxies in the environment apply. The limit of the file size is for responses without
# Content-Length, to which `--max-filesize` does not apply.
http() {
    ulimit -f 4096 2> /dev/null || true
    exec curl --disable --silent --show-error --globoff --proto '=http,https' --max-filesize 1000000 "$@"
}

# setting NAME VALUE: prints a line of a curl configuration file. Secrets are in such a file or on standard
# input, because every account of a machine can read a command line.
setting() {
    local value=${2//\\/\\\\}
    printf '%s = "%s"\n' "$1" "${value//\"/\\\"}"
}

# output NAME VALUE: sets an output of the step.
output() {
    printf '%s=%s\n' "$1" "$2" >> "$GITHUB_OUTPUT"
}

# summary TEXT: adds a paragraph to the summary of the step, if the runner has one.
summary() {
    [[ -z ${GITHUB_STEP_SUMMARY:-} ]] || printf '%s\n\n' "$1" >> "$GITHUB_STEP_SUMMARY" || true
}

# escaped TEXT: prints it as the text of a workflow command, which a line break would end.
escaped() {
    local text=${1//'%'/'%25'}
    text=${text//$'\r'/'%0D'}
    printf '%s' "${text//$'\n'/'%0A'}"
}

# fail TEXT: fails the step.
fail() {
    printf '::error title=runner-select::%s\n' "$(escaped "$1")"
    exit 1
}
