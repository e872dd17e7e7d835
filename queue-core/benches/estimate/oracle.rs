//! An oracle that knows the true distributions and what runs since when, but not the future.

use crate::{
    truth::{Profile, Random},
    world::{Content, World},
};

/// How many futures it draws.
const DRAWS: usize = 400;

/// The median and the 90th percentile of the wait of a waiting job, in seconds, by drawing futures.
pub fn estimate(world: &World, profile: &Profile, job: usize, random: &mut Random) -> (f64, f64) {
    let ahead: Vec<usize> = world
        .waiting
        .iter()
        .take_while(|other| **other != job)
        .map(|other| world.jobs[*other].repo)
        .collect();
    let mut waits: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let mut free: Vec<f64> = world
                .slots
                .iter()
                .map(|slot| {
                    let elapsed = world.now - slot.since;
                    match slot.content {
                        Content::Idle => 0.0,
                        Content::Vacant => profile.replacement.draw_rest(elapsed, random),
                        Content::Held { repo } => {
                            profile.repos[repo].draw_rest(elapsed, random)
                                + profile.replacement.draw(random)
                        }
                    }
                })
                .collect();
            for repo in &ahead {
                let first = first(&free);
                free[first] += profile.repos[*repo].draw(random) + profile.replacement.draw(random);
            }
            free[first(&free)]
        })
        .collect();
    waits.sort_by(f64::total_cmp);
    (waits[DRAWS / 2], waits[DRAWS * 9 / 10])
}

fn first(free: &[f64]) -> usize {
    let slots = 0..free.len();
    slots
        .min_by(|one, other| free[*one].total_cmp(&free[*other]))
        .expect("there is a slot")
}
