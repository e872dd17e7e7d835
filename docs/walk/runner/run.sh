#!/usr/bin/env bash
# Replaces GitHub's runner software with the emulated GitHub: waits for one job, runs it, and exits. The
# requests are described in emulator/src/runner_wire.rs.
#
# usage: run.sh --jitconfig <JIT configuration>
set -euo pipefail
[[ ${1-} == --jitconfig ]]

field() { jq --raw-output ".$1"; }
# post URL [BODY]
post() {
    curl --fail --silent --show-error --oauth2-bearer "$secret" --header 'Content-Type: application/json' \
        --data-binary "${2-}" "$1"
}

config=$(tr -- '-_' '+/' <<< "$2" | base64 --decode)
runner="$(field url <<< "$config")/_runner/$(field runner_id <<< "$config")"
secret=$(field secret <<< "$config")

session=$(post "$runner/session" | field session_id)
offer=
while [[ -z $offer ]]; do
    offer=$(post "$runner/session/$session/poll")
done
job="$runner/session/$session/jobs/$(field job_id <<< "$offer")"
post "$job/start"
code=0
output=$(bash -c "$(field command <<< "$offer")" 2>&1) || code=$?
report=$(jq --null-input --arg output "$output" --argjson code "$code" \
    '{exit_code: $code, output_tail: $output}')
post "$job/complete" "$report"
