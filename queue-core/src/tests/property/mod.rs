//! The core in a small random world: honest servers, a network that is not, clients without
//! manners. Checked after every step, and at the end, when the faults have stopped.

mod acts;
mod checks;
mod end;
mod model_server;
mod network;
mod post;
mod step;
mod world;

use proptest::{collection::vec, prelude::*};

use step::steps;
use world::World;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn whatever_happens_everybody_is_served_at_last_and_nothing_is_left_behind(
        steps in vec(steps(), 1..150)
    ) {
        let mut world = World::new();
        for step in steps {
            world.take_step(step);
        }
        world.serve_everybody();
        world.clear_everything();
    }
}
