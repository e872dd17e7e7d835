#!/usr/bin/env bash
# Deletes the files of the other steps, which include the ticket, and the artifact at GitHub. In a pull
# request from a fork GitHub does not permit that; the artifact then expires after a day.
set -euo pipefail

if [[ -n $FOLDER ]]; then
    rm -rf -- "$FOLDER"
fi
[[ -n $ARTIFACT_ID ]] || exit 0

# The token is on standard input, because every account of a machine can read a command line.
if printf 'Authorization: Bearer %s\n' "$API_TOKEN" |
    curl --silent --show-error --fail --output /dev/null --connect-timeout 5 --max-time 15 \
        --request DELETE --header @- --header 'Accept: application/vnd.github+json' \
        --header 'X-GitHub-Api-Version: 2022-11-28' \
        "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/actions/artifacts/$ARTIFACT_ID"; then
    echo 'deleted the artifact with the run identity'
else
    echo 'failed to delete the artifact with the run identity; it expires after a day'
fi
