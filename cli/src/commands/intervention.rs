//! How what operators order is printed: drains, pauses, orders for rebuilds.

use serde_json::json;
use shared::{clock::Clock, operator::Intervention};

use crate::{
    failure::Failure,
    format,
    output::{self, printable},
};

/// The longest note that is printed, in characters.
const NOTE_MAX: usize = 200;

/// Prints what is in force now: `<subject>: <state> (<note>)`, or JSON.
///
/// # Errors
/// When it cannot be printed.
pub fn print_begun(
    subject: &str,
    state: &str,
    order: &Intervention,
    is_json: bool,
) -> Result<(), Failure> {
    let text = match is_json {
        true => json!(order).to_string(),
        false => format!("{subject}: {state}{}", note(order)),
    };
    Ok(output::print(&text)?)
}

/// Prints what has ended: `<subject>: <ended>, after 2 min (<note>)`, or `<subject>: <nothing>`, or JSON.
///
/// # Errors
/// When it cannot be printed.
pub fn print_ended(
    subject: &str,
    [ended, nothing]: [&str; 2],
    order: Option<&Intervention>,
    is_json: bool,
) -> Result<(), Failure> {
    let text = match (order, is_json) {
        (order, true) => json!(order).to_string(),
        (None, false) => format!("{subject}: {nothing}"),
        (Some(order), false) => {
            let lasted = Clock::start().now().since(order.since);
            let lasted = format::duration(lasted);
            format!("{subject}: {ended}, after {lasted}{}", note(order))
        }
    };
    Ok(output::print(&text)?)
}

fn note(order: &Intervention) -> String {
    match order.note.as_str() {
        "" => String::new(),
        note => format!(" ({})", printable(note, NOTE_MAX)),
    }
}
