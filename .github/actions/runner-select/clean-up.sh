#!/usr/bin/env bash
# Deletes the files of the other steps, which include the secret and the ticket, and the artifact at GitHub. In a pull
# request from a fork GitHub does not permit that; the artifact then expires after a day.
# shellcheck source=.github/actions/runner-select/common.sh
. "${BASH_SOURCE[0]%/*}/common.sh"

if [[ -n $FOLDER ]]; then
    rm -rf -- "$FOLDER"
fi
[[ -n $ARTIFACT_ID ]] || exit 0

if setting header "Authorization: Bearer $API_TOKEN" |
    http --fail --output /dev/null --connect-timeout 5 --max-time 15 --request DELETE --config - \
        --header 'Accept: application/vnd.github+json' --header 'X-GitHub-Api-Version: 2022-11-28' \
        --url "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/actions/artifacts/$ARTIFACT_ID"; then
    echo 'deleted the artifact with the run identity'
else
    echo 'failed to delete the artifact with the run identity; it expires after a day'
fi
