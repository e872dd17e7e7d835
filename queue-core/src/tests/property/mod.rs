//! The core in a small random model: honest servers, a network that is not, clients without
//! manners. Checked after every step, and at the end, when the faults have stopped.

mod apply;
mod checks;
mod delivery;
mod messages;
mod model;
mod model_server;
mod quiesce;
mod step;

use proptest::{collection::vec, prelude::*};

use model::Model;
use step::steps;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn whatever_happens_everybody_is_served_at_last_and_nothing_is_left_behind(
        steps in vec(steps(), 1..150)
    ) {
        let mut model = Model::new();
        for step in steps {
            model.take_step(step);
        }
        model.serve_everybody();
        model.clear_everything();
    }
}
