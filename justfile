# What one does here every day. `just` lists it.

# List the recipes
default:
    @{{ just_executable() }} --list --unsorted

# Show it all at work on this machine: an emulated GitHub, two monitors and a queue
demo *arguments:
    cargo demo {{ arguments }}

# Run the tests: all, or those whose name has the given word in it
test *word:
    cargo test --workspace --locked {{ word }}

# Run the suite of real virtual machines: libvirt, QEMU, tiny guests (installs what is missing)
guests *word:
    monitor/tests/guests/run {{ word }}

# Follow the page on virtual machines in a bare Debian 12 of its own, up to a job that runs in a guest
walk:
    docs/walk/run

# Simulate as many seeds as given, 1000 without a number; `just sim 1 --seed N --trace` replays one
sim *arguments:
    cargo run --release --quiet --bin simulate -- {{ arguments }}

# Fuzz everything that reads from outside, each target for so many seconds (needs cargo-fuzz)
fuzz seconds="15":
    fuzz/run {{ seconds }}

# Hold our client, the monitor and the emulator to GitHub's own description (installs npm packages)
contract *word:
    contract/run {{ word }}

# Check the format and every lint
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo clippy --package contract --test contract --locked -- -D warnings
    cargo clippy --package monitor --test guests --locked -- -D warnings

# Run everything that has to be green before a change may land
ci:
    .ci/run

# Check licences, advisories and sources of the dependencies (needs cargo-deny)
deny:
    cargo deny --locked check
