//! All attacks, one file for each.

mod claims;
mod connections;
mod labels;
mod logs;
mod pages;
mod reports;
mod tickets;
mod webhooks;

use crate::outcome::Attack;

/// In the order of the table.
pub const ALL: &[Attack] = &[
    tickets::ATTACK,
    labels::ATTACK,
    webhooks::ATTACK,
    logs::ATTACK,
    claims::ATTACK,
    connections::ATTACK,
    pages::ATTACK,
    reports::ATTACK,
];
