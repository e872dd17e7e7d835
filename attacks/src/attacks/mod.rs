//! All attacks, one file for each.

mod browser;
mod characters;
mod claims;
mod clock;
mod connections;
mod disk;
mod grants;
mod heads;
mod held;
mod keys;
mod labels;
mod logs;
mod names;
mod pages;
mod proxy;
mod release;
mod reports;
mod store;
mod targets;
mod tickets;
mod tokens;
mod webhooks;

use crate::outcome::Attack;

/// In the order of the table.
pub const ALL: &[Attack] = &[
    tickets::ATTACK,
    labels::ATTACK,
    tokens::ATTACK,
    grants::ATTACK,
    targets::ATTACK,
    reports::ATTACK,
    release::ATTACK,
    webhooks::ATTACK,
    logs::ATTACK,
    claims::ATTACK,
    connections::ATTACK,
    heads::ATTACK,
    pages::ATTACK,
    held::ATTACK,
    browser::ATTACK,
    proxy::ATTACK,
    names::ATTACK,
    clock::ATTACK,
    store::ATTACK,
    disk::ATTACK,
    characters::ATTACK,
    keys::ATTACK,
];
