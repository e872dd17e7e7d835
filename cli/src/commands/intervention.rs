//! How what operators order is printed: drains, pauses, orders for rebuilds.

use serde_json::json;
use shared::{clock::Clock, operator::Intervention};

use crate::{
    failure::Failure,
    format,
    output::{self, printable},
};

/// The longest note, and the longest name of an author, that are printed, in characters.
const TEXT_MAX: usize = 200;

/// Prints what is in force now: `<subject>: <state> by <author> (<note>)`, or JSON.
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
        false => format!("{subject}: {state}{}", by_and_why(order)),
    };
    Ok(output::print(&text)?)
}

/// Prints what has ended: `<subject>: <ended>, after 2 min, by <author> (<note>)`, or `<subject>: <nothing>`, or JSON.
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
            let comma = if order.author.is_empty() { "" } else { "," };
            let by_and_why = by_and_why(order);
            format!("{subject}: {ended}, after {lasted}{comma}{by_and_why}")
        }
    };
    Ok(output::print(&text)?)
}

/// ` by <author> (<note>)`, without what is empty.
pub fn by_and_why(order: &Intervention) -> String {
    let part = |text: &str, before: &str, after: &str| match text {
        "" => String::new(),
        text => format!("{before}{}{after}", printable(text, TEXT_MAX)),
    };
    part(&order.author, " by ", "") + &part(&order.note, " (", ")")
}
