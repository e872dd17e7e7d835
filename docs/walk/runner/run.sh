#!/usr/bin/env bash
# Plays GitHub's runner software at the emulated GitHub: waits for one job, runs it, and ends. What it
# says there is described in emulator/src/runner_wire.rs.
#
# usage: run.sh --jitconfig <JIT configuration>
set -euo pipefail
[[ ${1-} == --jitconfig ]]

field() { jq --raw-output ".$1"; }
# Posts a body, or an empty one.
tell() {
    curl --fail --silent --show-error --oauth2-bearer "$secret" --header 'Content-Type: application/json' \
        --data-binary "${2-}" "$1"
}

config=$(tr -- '-_' '+/' <<< "$2" | base64 --decode)
runner="$(field url <<< "$config")/_runner/$(field runner_id <<< "$config")"
secret=$(field secret <<< "$config")

session=$(tell "$runner/session" | field session_id)
offer=
while [[ -z $offer ]]; do
    offer=$(tell "$runner/session/$session/poll")
done
job="$runner/session/$session/jobs/$(field job_id <<< "$offer")"
tell "$job/start"
code=0
output=$(bash -c "$(field command <<< "$offer")" 2>&1) || code=$?
report=$(jq --null-input --arg output "$output" --argjson code "$code" \
    '{exit_code: $code, output_tail: $output}')
tell "$job/complete" "$report"
