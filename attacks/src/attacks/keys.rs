//! Files that were exposed to other users of the host, or damaged.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::{
    bed::{Bed, BedSettings, Daemons},
    outcome::{Attack, Outcome},
};

pub const ATTACK: Attack = Attack {
    name: "keys",
    does: "lets other users of the host read or change the ticket key, replaces it by nothing, and changes a digit of the \
           monitor's state",
    guarantee: "the daemon does not start with such a file, and does not change it",
    run,
};

fn run(daemons: &Daemons) -> Outcome {
    let settings = BedSettings {
        target_count: 1,
        ..BedSettings::default()
    };
    let mut bed = Bed::start(daemons, &settings);
    bed.queue.stop();
    bed.monitor.stop();
    let (mut started, mut count) = (0, 0);
    let mut check = |name: &'static str, file: &Path| {
        let address = match name {
            "queue" => bed.queue.address,
            _ => bed.monitor.address,
        };
        let before = fs::read(file).expect("the file can be read");
        let is_started = bed.launcher.try_start(name, address).is_ok();
        let is_same = fs::read(file).is_ok_and(|after| after == before);
        count += 1;
        started += usize::from(is_started || !is_same);
    };
    let key = bed.data("queue/ticket-key");
    for mode in [0o644, 0o640, 0o602, 0o660] {
        set_mode(&key, mode);
        check("queue", &key);
    }
    set_mode(&key, 0o600);
    fs::write(&key, "").expect("the key can be changed");
    check("queue", &key);
    let state = bed.data("monitor.state");
    let text = fs::read_to_string(&state).expect("the state is saved");
    for changed in [with_higher_digit(&text), text[..text.len() / 2].to_owned()] {
        fs::write(&state, changed).expect("the state can be changed");
        check("monitor", &state);
    }
    Outcome::new(format!("starts with {started} of {count}"), started == 0)
}

fn set_mode(file: &Path, mode: u32) {
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(file, permissions).expect("the mode of an own file can be changed");
}

/// The state with a higher id for the next runner, which no other rule forbids.
fn with_higher_digit(state: &str) -> String {
    let name = "\"next_id\":";
    let at = state.find(name).expect("the state has a next id") + name.len();
    format!("{}9{}", &state[..at], &state[at..])
}
