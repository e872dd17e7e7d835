#!/usr/bin/env bash
# Checks out the commit of this run in the repository that is part of the image. Files that git ignores stay, so
# that builds are incremental.
#
# Has to work with bash 3.2 (macOS), the bash of Windows, and git from 2.20 on.
set -euo pipefail
export LC_ALL=C

# How often the commit is fetched from each place, and the pause before the next time.
readonly FETCH_ATTEMPTS=3 FETCH_PAUSE=2

fail() {
    printf '::error title=checkout::%s\n' "$1"
    exit 1
}

# configure NAME VALUE: a setting of git for this script only. The environment, unlike the command line, cannot
# be read by other accounts of the machine.
settings=0
configure() {
    export "GIT_CONFIG_KEY_$settings=$1" "GIT_CONFIG_VALUE_$settings=$2"
    settings=$((settings + 1))
    export GIT_CONFIG_COUNT=$settings
}

# fetch PLACE: fetches the commit from a remote or a URL.
fetch() {
    local depth=() attempt
    if ((FETCH_DEPTH > 0)); then
        depth=("--depth=$FETCH_DEPTH")
    elif [[ $(git rev-parse --is-shallow-repository) == true ]]; then
        depth=(--unshallow)
    fi
    for ((attempt = 1; attempt <= FETCH_ATTEMPTS; attempt++)); do
        ((attempt == 1)) || sleep "$FETCH_PAUSE"
        # The `+` form, because older shells treat an empty array as unset.
        if git fetch --no-recurse-submodules ${depth[@]+"${depth[@]}"} "$1" "$COMMIT"; then return 0; fi
    done
    return 1
}

# The repository may belong to another account: the image is built by one, and the job is run by another.
configure safe.directory "$GITHUB_WORKSPACE"
# The image may contain hooks for developers.
configure core.hooksPath /dev/null
configure advice.detachedHead false
if [[ -n $TOKEN ]]; then
    # For this server only, and not stored in the repository.
    configure "http.$GITHUB_SERVER_URL/.extraheader" \
        "Authorization: Basic $(printf 'x-access-token:%s' "$TOKEN" | base64 | tr -d '\r\n')"
fi
export GIT_TERMINAL_PROMPT=0

cd "$GITHUB_WORKSPACE"
git_folder=$(git rev-parse --absolute-git-dir)
# The image may be from a moment in which git was running.
rm -f -- "$git_folder/index.lock" "$git_folder/HEAD.lock" "$git_folder/shallow.lock"

# A mirror that the image was made from may not have the commit.
if ! fetch origin; then
    fetch "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY" || fail "failed to fetch the commit $COMMIT of $GITHUB_REPOSITORY"
fi
# In this order it works also if the image has changed files or an unfinished merge.
git reset --quiet --hard
git checkout --quiet --force --detach "$COMMIT"
git reset --hard "$COMMIT" --
[[ $(git rev-parse HEAD) == "$COMMIT" ]] || fail "failed to check out the commit $COMMIT"
