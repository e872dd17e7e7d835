# shellcheck shell=bash
# Shared by .ci/run and .ci/nightly: timed steps, a command beside them, and
# installing what is missing. Sourced, never executed.

# Steps that have ended, one per line: seconds and name.
STEP_TIMES=()

# Runs a command as a step: prints its name first and its duration afterwards.
step() {
    local start=$SECONDS
    printf '== %s\n' "$*"
    "$@"
    STEP_TIMES+=("$(printf '%5d s  %s' $((SECONDS - start)) "$*")")
    printf '== %d s: %s\n' $((SECONDS - start)) "$*"
}

# Starts a command beside the steps that follow, until `step finish_background`. Its output is kept until then.
start_in_background() {
    BACKGROUND_LOG=$(mktemp)
    "$@" &> "$BACKGROUND_LOG" &
    BACKGROUND_PID=$!
    trap 'kill "$BACKGROUND_PID" 2> /dev/null || true' EXIT
}

# Waits for the command in the background, prints its output, and fails if it has failed.
finish_background() {
    local status=0
    wait "$BACKGROUND_PID" || status=$?
    trap - EXIT
    cat "$BACKGROUND_LOG"
    rm "$BACKGROUND_LOG"
    return "$status"
}

# Prints the duration of every step that has ended.
print_step_times() {
    printf '== duration of each step\n'
    printf '%s\n' "${STEP_TIMES[@]}"
    printf '%5d s  in total\n' "$SECONDS"
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# Installs the Debian packages whose commands or files are missing. Building needs a linker, a C compiler
# (for `ring`) and a C++ compiler (for the fuzzer); the tests call curl and jq, as a workflow does.
install_missing_packages() {
    local missing=()
    command -v cc > /dev/null || missing+=(gcc libc6-dev)
    command -v c++ > /dev/null || missing+=(g++)
    command -v curl > /dev/null || missing+=(curl)
    command -v jq > /dev/null || missing+=(jq)
    command -v promtool > /dev/null || missing+=(prometheus)
    # The tests compile a locale whose ranges follow the collation of a language.
    [[ -e /usr/share/i18n/locales/en_US ]] || missing+=(locales)
    command -v python3 > /dev/null || missing+=(python3)
    python3 -c "import ensurepip" 2> /dev/null || missing+=(python3-venv)
    [[ -e /etc/ssl/certs/ca-certificates.crt ]] || missing+=(ca-certificates)
    if ((${#missing[@]} > 0)); then
        printf '== install %s\n' "${missing[*]}"
        as_root apt-get update -qq
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq --no-install-recommends "${missing[@]}" > /dev/null
    fi
}

# Installs a Cargo tool, given as `name@version`, unless it is installed in any version. Built without
# optimisation: that halves the build time, and the tools spend their time in other programs.
install_tool() {
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    if ! command -v "${1%@*}" > /dev/null; then
        step cargo install --quiet --locked --debug "$1"
    fi
}
