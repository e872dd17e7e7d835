#!/usr/bin/env bash
# Emulates GitHub's runner software for the tests: fetches the runner's credential from the monitor,
# polls the emulated GitHub for one job, runs it and ends. Also ends when either is gone.
#
# usage: agent.sh <folder>    writes the guest's secret to <folder>/secret-<runner id>, and its work folder
set -euo pipefail

fetch() { curl --silent --fail --max-time 60 "$@"; }
# The value of a key in a flat JSON object on standard input.
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"; }

printf %s "$CI_RUNNERS_GUEST_SECRET" > "$1/secret-$CI_RUNNERS_RUNNER_ID"
config=$(fetch -H "Authorization: Bearer $CI_RUNNERS_GUEST_SECRET" \
    "${CI_RUNNERS_MONITOR_URL}github-jitconfig" | tr -d '"' | base64 -d)
runner="$(field url <<< "$config")/_runner/$(field runner_id <<< "$config")"
secret=$(field secret <<< "$config")
field work_folder <<< "$config" > "$1/work-folder-$CI_RUNNERS_RUNNER_ID"

post() { fetch -X POST -H "Authorization: Bearer $secret" -H 'Content-Type: application/json' "$@"; }

session=$(post "$runner/session" | field session_id)
offer=
while [ -z "$offer" ]; do
    offer=$(post "$runner/session/$session/poll")
done
job="$runner/session/$session/jobs/$(field job_id <<< "$offer")"
post "$job/start"
bash -c "$(field command <<< "$offer")"
post -d '{"exit_code": 0, "output_tail": ""}' "$job/complete"
