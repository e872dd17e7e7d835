#!/usr/bin/env bash
# Validates the inputs, and chooses the commit and how it is checked out.
set -euo pipefail
export LC_ALL=C

fail() {
    printf '::error title=checkout::%s\n' "$1"
    exit 1
}

output() {
    printf '%s=%s\n' "$1" "$2" >> "$GITHUB_OUTPUT"
}

[[ $FETCH_DEPTH =~ ^[0-9]{1,9}$ ]] || fail 'fetch-depth must be a number of commits, or 0 for all history'
case $ALLOW_UNSAFE_PR_CHECKOUT in
    true | false | '') ;;
    *) fail 'allow-unsafe-pr-checkout must be true or false' ;;
esac

# For a pull request this is its merge with the target branch; under pull_request_target, the target branch.
commit=$GITHUB_SHA
if [[ $EVENT_NAME == pull_request_target ]]; then
    if [[ $ALLOW_UNSAFE_PR_CHECKOUT == true ]]; then
        commit=$PULL_REQUEST_COMMIT
    else
        printf '::notice title=checkout::%s\n' "checking out the target branch, not the pull request: under \
pull_request_target its code would run with the secrets of this repository. Set allow-unsafe-pr-checkout to \
true if the job neither has secrets nor write permissions."
    fi
fi
[[ $commit =~ ^[0-9a-f]{40}([0-9a-f]{24})?$ ]] || fail "the commit of this run is not known: '${commit:0:100}'"
output commit "$commit"

has_repository=false
if [[ $RUNNER_ENVIRONMENT == self-hosted && -e $GITHUB_WORKSPACE/.git ]]; then
    has_repository=true
fi
output has-repository "$has_repository"
