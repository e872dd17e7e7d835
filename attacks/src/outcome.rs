//! What an attack achieved, and the table of all of them.

use crate::bed::Daemons;

/// An attack.
pub struct Attack {
    /// One word, for `--only`.
    pub name: &'static str,
    /// What the attacker does, as a sentence without a full stop.
    pub does: &'static str,
    /// What is guaranteed, as a sentence without a full stop.
    pub guarantee: &'static str,
    /// Attacks these daemons.
    pub run: fn(&Daemons) -> Outcome,
}

/// What an attack achieved.
pub struct Outcome {
    /// The figure for the table, with its unit.
    pub measured: String,
    /// Whether the guarantee held.
    pub is_repelled: bool,
}

impl Outcome {
    /// An outcome with this figure.
    pub fn new(measured: impl Into<String>, is_repelled: bool) -> Self {
        Self {
            measured: measured.into(),
            is_repelled,
        }
    }
}

/// A line of the table.
pub struct Row {
    pub attack: &'static Attack,
    /// The same against earlier executables.
    pub before: Option<Outcome>,
    pub after: Outcome,
}

/// Prints the table as Markdown.
pub fn print_table(rows: &[Row]) {
    println!("| attack | before | now | guarantee |");
    println!("| --- | --- | --- | --- |");
    for Row {
        attack,
        before,
        after,
    } in rows
    {
        let before = before.as_ref().map_or("", |before| &before.measured);
        println!(
            "| {} (`{}`) | {before} | {} | {} |",
            attack.does, attack.name, after.measured, attack.guarantee
        );
    }
}
