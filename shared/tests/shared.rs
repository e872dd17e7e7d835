//! The tests of `shared` from outside: through its public items alone.

#[cfg(test)]
mod settings;
