//! Runs attacks against the real daemons and prints what they achieved: `attacks/run`.
//!
//! Each attack has a daemon or two of its own, an emulated GitHub, and a bounded number of requests. It
//! measures what the attacker gets, or what others notice, and compares that with the guarantee in
//! docs/src/security.md.

mod attacks;
mod bed;
#[expect(dead_code, reason = "the attacks need some of its faults only")]
#[path = "../../queue/tests/fake_monitor/mod.rs"]
mod fake_monitor;
mod http;
mod options;
mod outcome;
mod wait;

use std::process::ExitCode;

use options::Options;
use outcome::{Row, print_table};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments
        .first()
        .is_some_and(|it| it == bed::AGENT_ARGUMENT)
    {
        return bed::run_agent();
    }
    let options = match Options::parse(&arguments) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("attacks: {message}");
            return ExitCode::from(2);
        }
    };
    let selected = attacks::ALL
        .iter()
        .filter(|attack| options.selects(attack.name));
    let mut rows = Vec::new();
    for attack in selected {
        let before = options.before.as_ref().map(|daemons| (attack.run)(daemons));
        let after = (attack.run)(&options.daemons);
        eprintln!("{}: {}", attack.name, after.measured);
        rows.push(Row {
            attack,
            before,
            after,
        });
    }
    if rows.is_empty() {
        eprintln!("attacks: there is no attack of that name");
        return ExitCode::from(2);
    }
    print_table(&rows);
    let successful = rows.iter().filter(|row| !row.after.is_repelled);
    let names: Vec<&str> = successful.map(|row| row.attack.name).collect();
    if names.is_empty() {
        println!("\n{} attacks, all repelled", rows.len());
        ExitCode::SUCCESS
    } else {
        println!("\nnot repelled: {}", names.join(", "));
        ExitCode::FAILURE
    }
}
