//! Source of fencing tokens.

use shared::{clock::Timestamp, values::FencingToken};

/// Issues the fencing tokens of this queue process, each greater than those before.
#[derive(Debug)]
pub struct Fencing {
    last: FencingToken,
}

impl Fencing {
    /// Sequences begin at the start time in microseconds, for older peers only: those compare the
    /// sequences of different instances.
    pub fn new(instance: u64, started_at: Timestamp) -> Self {
        Self {
            last: FencingToken {
                instance,
                sequence: started_at.as_micros(),
            },
        }
    }

    /// The random number of this queue process.
    pub fn instance(&self) -> u64 {
        self.last.instance
    }

    pub fn next(&mut self) -> FencingToken {
        self.last.sequence += 1;
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_grow_from_the_start_time_whatever_the_time_is_later() {
        let mut fencing = Fencing::new(7, Timestamp::from_micros(100));
        let tokens = [fencing.next(), fencing.next()];
        assert_eq!(tokens.map(|token| token.instance), [7, 7]);
        assert_eq!(tokens.map(|token| token.sequence), [101, 102]);
    }
}
