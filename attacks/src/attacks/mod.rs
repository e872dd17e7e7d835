//! All attacks, one file for each.

mod browser;
mod claims;
mod connections;
mod held;
mod labels;
mod logs;
mod pages;
mod reports;
mod targets;
mod tickets;
mod webhooks;

use crate::outcome::Attack;

/// In the order of the table.
pub const ALL: &[Attack] = &[
    tickets::ATTACK,
    labels::ATTACK,
    browser::ATTACK,
    webhooks::ATTACK,
    logs::ATTACK,
    claims::ATTACK,
    connections::ATTACK,
    pages::ATTACK,
    held::ATTACK,
    targets::ATTACK,
    reports::ATTACK,
];
