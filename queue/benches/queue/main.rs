//! Speed of the real daemon, next to a bare actix-web handler on the same machine in the same run:
//! `cargo bench -p queue --bench queue`.
//!
//! The bare handler receives the same request bytes and returns a response of the same size, but
//! does nothing. It and the queue take turns in short rounds; what counts are the medians, and the
//! median of the ratios of neighbouring rounds: single figures of a shared machine mean little.
//!
//! `-- --binary old=<path> --binary new=<path>` compares several executables in one run.
//! `-- --only dispatch` (or `rates`, `memory`) runs one part, `-- --waiting <count>` one length of the
//! queue.
//!
//! The processor time for each request does not depend on what else the machine does, so it is
//! printed as well.

mod bare_handler;
mod dispatch;
#[expect(dead_code, reason = "the benchmark needs no faults")]
#[path = "../../tests/fake_monitor/mod.rs"]
mod fake_monitor;
mod http;
mod load;
mod memory;
mod options;
mod process;
mod queue_process;
mod rates;
mod statistics;

use options::{Options, Part};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, response @ ..] = &arguments[..]
        && first == bare_handler::ARGUMENT
    {
        return bare_handler::serve(response);
    }
    // `cargo test --benches` and `cargo bench -- --list` ask for nothing to be run.
    if arguments
        .iter()
        .any(|argument| argument == "--list" || argument == "--test")
    {
        return;
    }
    let options = Options::parse(arguments);
    if options.runs(Part::Dispatch) {
        for (server_count, waiting_behind) in [(1, 0), (5, 0), (200, 0), (5, 100_000)] {
            dispatch::measure(&options.binaries, server_count, waiting_behind);
        }
    }
    if options.runs(Part::Rates) {
        for &waiting_count in &options.waiting_counts {
            rates::measure(&options.binaries, waiting_count);
        }
    }
    if options.runs(Part::Memory) {
        memory::measure(&options.binaries, 100_000);
    }
}
