#!/usr/bin/env bash
# Removes what the other steps have left: the ticket, and the proof at GitHub. If GitHub does not let
# us, which it does not in a pull request from a fork, the proof is gone after a day by itself.
set -euo pipefail

if [[ -n $FOLDER ]]; then
    rm -rf -- "$FOLDER"
fi
[[ -n $ARTIFACT_ID ]] || exit 0

# On standard input, because everybody on a machine can read a command line.
if printf 'Authorization: Bearer %s\n' "$API_TOKEN" |
    curl --silent --show-error --fail --output /dev/null --connect-timeout 5 --max-time 15 \
        --request DELETE --header @- --header 'Accept: application/vnd.github+json' \
        --header 'X-GitHub-Api-Version: 2022-11-28' \
        "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/actions/artifacts/$ARTIFACT_ID"; then
    echo 'the proof is deleted'
else
    echo 'the proof could not be deleted; it expires after a day'
fi
