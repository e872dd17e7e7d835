# Everyday commands. `just` lists them.

# List the recipes
default:
    @{{ just_executable() }} --list --unsorted

# Run the demo: an emulated GitHub, two monitors and a queue on this machine
demo *arguments:
    cargo demo {{ arguments }}

# Run the tests: all, or those whose name contains the given word
test *word:
    cargo test --workspace --locked {{ word }}

# Test the pages in a headless Chromium (installs Chromium and npm packages)
browser *files:
    browser/run {{ files }}

# Run the tests with real virtual machines: libvirt, QEMU, tiny guests (installs what is missing)
guests *word:
    monitor/tests/guests/run {{ word }}

# Follow the book's page on virtual machines in a bare Debian 12, up to a job that runs in a guest
walk:
    docs/walk/run

# Simulate the given number of seeds (default 1000); `just sim 1 --seed N --trace` replays one
sim *arguments:
    cargo run --release --quiet --bin simulate -- {{ arguments }}

# Fuzz every parser of outside input, each target for the given number of seconds (needs cargo-fuzz)
fuzz seconds="15":
    fuzz/run {{ seconds }}

# Check our client, the monitor and the emulator against GitHub's API description (installs npm packages)
contract *word:
    contract/run {{ word }}

# Check the formatting and run all lints
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo clippy --workspace --test contract --test guests --locked -- -D warnings

# Run every check that a change must pass
ci:
    .ci/run

# Run one of the checks that take longer: advisories, simulation, workday, planted-bugs, mutants, endurance, fuzzing, walk, or all
nightly check *arguments:
    .ci/nightly {{ check }} {{ arguments }}

# Check licences, advisories and sources of the dependencies (needs cargo-deny)
deny:
    cargo deny --locked check
