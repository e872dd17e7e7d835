//! The tests of `shared` from outside: through its public items alone; and the rules of the house.

#[cfg(test)]
mod house;
#[cfg(test)]
mod settings;
