//! Integration tests of `shared`, through its public items alone.

#[cfg(test)]
mod settings;
