//! Property test: random steps of a queue, two servers, clients and an unreliable network.
//! Invariants are checked after every step, and liveness when the faults have stopped.

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
    fn after_any_faults_every_job_is_assigned_and_nothing_is_left_behind(
        steps in vec(steps(), 1..150)
    ) {
        let mut model = Model::new();
        for step in steps {
            model.take_step(step);
        }
        model.assign_every_job();
        model.withdraw_every_job();
    }
}
