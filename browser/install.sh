# shellcheck shell=bash
# Installs the browser and builds the daemons, for the scripts of this folder. Sourced in the root of the
# repository, never executed.

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# Where Chromium is, by the names that systems give it.
find_chromium() {
    command -v chromium || command -v chromium-browser || command -v google-chrome
}

packages=()
find_chromium > /dev/null || packages+=(chromium)
command -v npm > /dev/null || packages+=(nodejs npm)
if ((${#packages[@]} > 0)); then
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq --no-install-recommends "${packages[@]}" > /dev/null
fi
# A copy of the lock file shows whether the installed packages are still the required ones.
if ! cmp -s browser/package-lock.json browser/node_modules/.installed; then
    (cd browser && npm ci --loglevel error --no-audit --no-fund --ignore-scripts)
    cp browser/package-lock.json browser/node_modules/.installed
fi
cargo build --quiet --locked --workspace --bin queue --bin monitor --bin ci-runners-dev
CI_RUNNERS_BIN=$(realpath "${CARGO_TARGET_DIR:-target}")/debug
CI_RUNNERS_CHROMIUM=$(find_chromium)
export CI_RUNNERS_BIN CI_RUNNERS_CHROMIUM
