//! What the command line asks to be measured.

use std::path::PathBuf;

/// An executable of the queue, by the name that it has in the output.
#[derive(Clone, Debug)]
pub struct Binary {
    pub name: String,
    pub path: PathBuf,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// From an idle runner to the answer of a held take.
    Dispatch,
    /// Polls and enqueues a second, and how long polls take.
    Rates,
    /// Memory for each waiting job.
    Memory,
}

/// What to measure.
#[derive(Debug)]
pub struct Options {
    /// The executables to compare; the bare handler imitates the last one.
    pub binaries: Vec<Binary>,
    /// How many jobs wait while rates are measured.
    pub waiting_counts: Vec<usize>,
    /// The one part to run; all if none is named.
    only: Option<Part>,
}

impl Options {
    /// Parses the command line. Arguments that Cargo adds, such as `--bench`, are ignored.
    ///
    /// # Panics
    /// When an option has no usable value.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Self {
        let mut arguments = arguments.into_iter();
        let (mut binaries, mut only) = (Vec::new(), None);
        let mut waiting_counts = vec![1_000, 100_000];
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let value = arguments.next();
                value.unwrap_or_else(|| panic!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--binary" => {
                    let value = value();
                    let (name, path) = value.split_once('=').expect("--binary is <name>=<path>");
                    binaries.push(Binary {
                        name: name.to_owned(),
                        path: PathBuf::from(path),
                    });
                }
                "--only" => {
                    only = Some(match value().as_str() {
                        "dispatch" => Part::Dispatch,
                        "rates" => Part::Rates,
                        "memory" => Part::Memory,
                        other => panic!("--only is dispatch, rates or memory, not {other}"),
                    });
                }
                "--waiting" => {
                    let count = value().parse();
                    waiting_counts = vec![count.expect("--waiting is a number of jobs")];
                }
                _ => {}
            }
        }
        if binaries.is_empty() {
            binaries.push(Binary {
                name: "queue".to_owned(),
                path: PathBuf::from(env!("CARGO_BIN_EXE_queue")),
            });
        }
        Self {
            binaries,
            waiting_counts,
            only,
        }
    }

    /// Whether this part is to be run.
    pub fn runs(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}
